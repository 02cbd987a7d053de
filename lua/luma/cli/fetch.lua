--- luma fetch: downloads published weights and lists into the cache, when asked
-- and never by itself; each is checked against its MD5.

local luma = require "luma"
local uv = require "luv"
local files = luma.files
local h5 = require "luma.store.h5"
local text = require "luma.base.text"
local official = require "luma.models.official"

-- Data sets that no program may simply download: where they are.
local by_hand = {}
for _, one in ipairs(require("luma.data.collections").list) do
  if one.raw then by_hand[#by_hand + 1] = { one.name, one.where } end
end

-- The downloaders luma can use, the better first.
local tools = {
  { "curl", function(url, part)
    return { "--fail", "--location", "--proto", "=https", "--continue-at", "-", "--connect-timeout", "20",
      "--progress-bar", "--output", part, url }
  end },
  { "wget", function(url, part)
    return { "--continue", "--quiet", "--show-progress", "--https-only", "--timeout=20", "--tries=2",
      "--output-document", part, url }
  end },
}

local reasons = { -- of curl's and wget's exit codes
  curl = { [6] = "the host cannot be found: is there a network?", [7] = "no connection: is there a network?",
    [22] = "the server refused", [23] = "the file cannot be written", [28] = "timed out", [33] = "cannot be resumed" },
  wget = { [3] = "the file cannot be written", [4] = "no connection: is there a network?", [8] = "the server refused" },
}

-- Runs a program with our terminal; its exit code | nil when it is not installed.
local function run(program, args)
  local status
  local child = uv.spawn(program, { args = args, stdio = { nil, 2, 2 } }, function(code, signal)
    status = signal ~= 0 and -signal or code
  end)
  if not child then
    uv.run "nowait"
    return nil
  end
  local timer = uv.new_timer()
  timer:start(100, 100, function()
    if luma.core.system.interrupted() then child:kill "sigterm" end
  end)
  while not status do uv.run "once" end
  timer:close()
  child:close()
  uv.run "nowait"
  if luma.core.system.interrupted() then error(luma.core.interrupt, 0) end
  return status
end

local function download(url, part)
  for _, tool in ipairs(tools) do
    local status = run(tool[1], tool[2](url, part))
    if status == 0 then return true end
    if status then
      return nil, ("%s: %s"):format(url, reasons[tool[1]][status] or ("%s ended with %d"):format(tool[1], status))
    end
  end
  return nil, "neither curl nor wget is installed; download by hand: " .. url
end

local function fetch(row, dir)
  local url, path = row.folder .. row.file, files.join(dir, row.file)
  if row.name == "resnet50-2016" then path = files.join(dir, "2016-" .. row.file) end
  local function md5(of) return files.is_file(of) and luma.core.system.md5_file(of) end
  if md5(path) == row.md5 then
    print(("%s: already there, MD5 checked: %s"):format(row.name, path))
    return
  end
  local part = path .. ".part"
  if md5(part) ~= row.md5 then
    print(("%s: %s%s"):format(row.name, url, files.is_file(part) and " (going on)" or ""))
    local ok, message = download(url, part)
    if not ok then error(message, 0) end
  end
  local got = md5(part)
  if got ~= row.md5 then
    files.remove(part)
    error(("%s: the download has MD5 %s, the published file %s; removed"):format(row.name, tostring(got), row.md5), 0)
  end
  local renamed, why = uv.fs_rename(part, path)
  if not renamed then error(why, 0) end
  print(("%s: MD5 checked: %s"):format(row.name, path))
end

local function list(dir)
  print("Files that luma fetch NAME downloads, into " .. dir)
  for _, row in ipairs(official) do print(("  %-17s %s%s"):format(row.name, row.folder, row.file)) end
  print "By hand:"
  for _, row in ipairs(by_hand) do print(("  %-17s %s"):format(row[1], row[2])) end
end

return {
  name = "fetch",
  summary = "download published weights into the cache (only when asked)",
  parser = function(p)
    p:argument("name", "What to download; without a name: the list."):argname("NAME"):args("*")
    p:option("--out", "The folder to put it in (default: the cache)."):argname("DIR")
  end,
  run = function(args)
    local dir, message = h5.cache_dir(args.out)
    if not dir then error(message, 0) end
    if #args.name == 0 then return list(dir) end
    local rows = {}
    for _, name in ipairs(args.name) do
      local hit
      for _, row in ipairs(official) do
        if row.name == name then hit = row end
      end
      for _, row in ipairs(by_hand) do
        if row[1] == name then error(("%s cannot be fetched by luma: %s"):format(name, row[2]), 0) end
      end
      if not hit then
        error(("nothing is named '%s' (luma fetch lists what is)"):format(text.printable(name, 60)), 0)
      end
      rows[#rows + 1] = hit
    end
    for _, row in ipairs(rows) do fetch(row, dir) end
  end,
}
