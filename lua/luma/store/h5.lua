--- luma.h5: Keras HDF5 weight files, through a reader of its own.
-- libhdf5 crashes on damaged files, so it is not part of luma: the program
-- luma-h5 runs it under limits of memory and time, once a file, and leaves a
-- safetensors file in a cache, named after the MD5 of the source.

local uv = require "luv"
local core = require "luma.core"
local files = require "luma.base.files"
local options = require "luma.base.options"

local h5 = {}

local TIMEOUT = 120 -- seconds of wall clock; the reader limits its own CPU time to 60
local VERSION = 1 -- of the names the reader gives; part of the cached file's name

local signals = { [6] = "aborted", [9] = "stopped", [11] = "crashed", [24] = "ran out of CPU time",
  [25] = "wrote too much" }

-- A folder of our own below the temporary one, for machines without a home:
-- made by us, for us only, not a link laid there by somebody else.
local function private_folder()
  local dir = files.join(uv.os_tmpdir(), "luma-" .. uv.getuid())
  uv.fs_mkdir(dir, 448) -- 0700; exists already: the checks below decide
  local stat = uv.fs_lstat(dir)
  if stat and stat.type == "directory" and stat.uid == uv.getuid() and stat.mode % 64 == 0 then return dir end
end

--- The cache folder: opts, else $XDG_CACHE_HOME/luma, else ~/.cache/luma, else a
-- private folder below the temporary one.  The first that can be written.
-- @return dir | nil, message, "io"
function h5.cache_dir(given)
  if given then
    local ok, message, code = files.mkdir_p(given)
    if not ok then return nil, message, code end
    return given
  end
  local xdg, home = uv.os_getenv "XDG_CACHE_HOME", uv.os_getenv "HOME"
  for _, base in ipairs { xdg or "", home and home .. "/.cache" or "" } do
    local dir = base .. "/luma"
    if base:sub(1, 1) == "/" and files.mkdir_p(dir) and uv.fs_access(dir, "W") then return dir end
  end
  local dir = private_folder()
  if dir then return dir end
  return nil, "no folder for cached files can be written (set XDG_CACHE_HOME)", "io"
end

--- What the reader's end means: true, or nil, reason, code.
function h5.outcome(status, signal, text, late)
  if late then return nil, ("damaged HDF5 file (the reader was stopped after %d s)"):format(TIMEOUT), "damaged" end
  if signal ~= 0 then
    return nil, ("damaged HDF5 file (the reader %s: killed by signal %d)"):format(
      signals[signal] or "died", signal), "damaged"
  end
  if status == 0 then return true end
  local code, message = text:match "^(%l+): ([^\n]*)"
  if not code then
    return nil, ("damaged HDF5 file (the reader ended with status %d)"):format(status), "damaged"
  end
  if code == "damaged" and not message:find("HDF5", 1, true) then
    message = ("damaged HDF5 file (%s)"):format(message)
  end
  return nil, files.show(message), code
end

-- Runs the reader: source -> an open descriptor.  true | nil, reason, code.
local function run_reader(source, out)
  local tool = uv.fs_realpath(core.io.tool "luma-h5")
  if not tool then return nil, "the program luma-h5 is missing (run make)", "io" end
  local pipe, timer = uv.new_pipe(false), uv.new_timer()
  local text, status = "", nil
  local late, stop = false, false
  local child, reason = uv.spawn(tool, { args = { source }, stdio = { nil, out, pipe }, env = {}, cwd = "/" },
    function(code, signal) status = { code = code, signal = signal } end)
  if not child then
    pipe:close()
    timer:close()
    uv.run "nowait" -- the closing callbacks: luv crashes at exit without them
    return nil, ("cannot run %s: %s"):format(tool, reason), "io"
  end
  pipe:read_start(function(_, part)
    if part and #text < 2048 then text = text .. part end
  end)
  local began = uv.hrtime()
  timer:start(100, 100, function()
    stop = stop or core.system.interrupted()
    late = (uv.hrtime() - began) / 1e9 > TIMEOUT
    if late or stop then child:kill(9) end
  end)
  while not status do uv.run "once" end
  uv.run "nowait" -- what is left in the pipe
  for _, handle in ipairs { timer, pipe, child } do handle:close() end
  uv.run "nowait" -- the closing callbacks
  if core.system.interrupted() then error(core.interrupt, 0) end
  return h5.outcome(status.code, status.signal, text, late)
end

-- A new file in dir, open for writing: fd, name.
local function open_temporary(dir)
  for serial = 1, 1000 do
    local name = files.join(dir, (".luma-%d-%d.tmp"):format(uv.os_getpid(), 800000 + serial))
    local fd, text, what = uv.fs_open(name, "wx", 420) -- 0644
    if fd then return fd, name end
    if what ~= "EEXIST" then return nil, text end
  end
  return nil, "no free name"
end

--- Converts a Keras HDF5 weight file to safetensors, or finds it converted.
-- opts: cache = folder for the result.
-- @return path of the safetensors file, MD5 of the source | nil, message, code
function h5.convert(path, opts)
  opts = options.check("store.convert_h5", opts, { cache = options.optional })
  local function fail(message, code) return nil, ("%s: %s"):format(files.show(path), message), code end
  local kind = files.kind(path)
  if not kind then return fail("no such file or folder", "io") end
  if kind ~= "file" then return fail(kind == "directory" and "is a folder" or "not a regular file", "io") end
  local source, message = uv.fs_realpath(path)
  if not source then return fail(message, "io") end
  local md5, code
  md5, message, code = core.system.md5_file(source)
  if not md5 then return nil, message, code end
  local dir
  dir, message, code = h5.cache_dir(opts.cache)
  if not dir then return nil, message, code end
  local target = files.join(dir, ("h5-%s-v%d.safetensors"):format(md5, VERSION))
  if files.is_file(target) and core.io.inspect_safetensors(target) then return target, md5 end
  files.sweep(dir)
  local out, name = open_temporary(dir)
  if not out then return nil, ("%s: %s"):format(files.show(dir), name), "io" end
  local called, ok
  called, ok, message, code = pcall(run_reader, source, out)
  if called and ok then
    local flushed, text = uv.fs_fsync(out)
    if not flushed then ok, message, code = nil, text, "io" end
  end
  uv.fs_close(out)
  if called and ok then -- what the child wrote is input like any other
    local list, reason = core.io.inspect_safetensors(name)
    if not list then ok, message, code = nil, "the reader's output: " .. reason, "damaged" end
  end
  if called and ok then
    local renamed, text = uv.fs_rename(name, target)
    if renamed then return target, md5 end
    message, code = text, "io"
  end
  uv.fs_unlink(name)
  if not called then error(ok, 0) end -- an interrupt, or a fault of ours
  return fail(message, code)
end

return h5
