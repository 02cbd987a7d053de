-- Loaded once before the specs.  After each test the process must be as it was
-- before: live tensor bytes, thread count, working directory, real globals, the
-- environment, and luma's files in the temporary folder.  A test that leaves
-- something fails, whatever it asserted.  After a file all but the tensors is
-- looked at again: fixtures at its top live as long as its tests.
-- tests/leftovers_spec.lua proves each of these.
local busted = require "busted"
local luma = require "luma"
local uv = require "luv"

-- Busted forgets, after each file, the modules that the file loaded first.  What
-- holds state (the current tape, the memory of fitted encoders) is loaded here, once.
for _, name in ipairs(luma.modules) do assert(luma[name]) end

local real = _G -- specs run in a sandbox of busted's; this is the process's own
local temporary = os.getenv "TMPDIR" or "/tmp"

local function globals()
  local set = {}
  for name in pairs(real) do set[name] = true end
  return set
end

local function temporary_files()
  local set = {}
  local scan = uv.fs_scandir(temporary)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    if name:match "^luma" then set[name] = true end
  end
  return set
end

local function live()
  collectgarbage()
  collectgarbage()
  return luma.memory().live
end

local function state()
  return { live = live(), threads = luma.threads(), cwd = uv.cwd(), globals = globals(), env = uv.os_environ(),
    files = temporary_files() }
end

-- What `after` has that `before` had not, in words; nil when nothing.  What is
-- as it was at the start of the file is not a leftover: teardown put it back.
local function difference(before, after, with_memory, file)
  local found = {}
  local function say(...) found[#found + 1] = (...):format(select(2, ...)) end
  if with_memory and after.live > before.live then
    say("%d bytes of tensors are still alive", after.live - before.live)
  end
  if after.threads ~= before.threads and after.threads ~= file.threads then
    say("the thread count is %d, it was %d", after.threads, before.threads)
  end
  if after.cwd ~= before.cwd and after.cwd ~= file.cwd then say("the working directory is %s", after.cwd) end
  for name in pairs(after.globals) do
    if not before.globals[name] then say("global '%s' was made", tostring(name)) end
  end
  for name, value in pairs(after.env) do
    if before.env[name] ~= value and file.env[name] ~= value then
      say("environment variable %s is '%s'", name, value)
    end
  end
  for name in pairs(before.env) do
    if after.env[name] == nil and file.env[name] ~= nil then say("environment variable %s is gone", name) end
  end
  for name in pairs(after.files) do
    if not before.files[name] then say("%s/%s was left", temporary, name) end
  end
  return found[1] and "leftover: " .. table.concat(found, "; ")
end

-- Puts back what the next test would trip over.
local function restore(before, after, file)
  if file and after.threads ~= file.threads then luma.threads(file.threads) end
  if file and after.cwd ~= file.cwd then uv.chdir(file.cwd) end
  for name in pairs(after.globals) do
    if not before.globals[name] then real[name] = nil end
  end
end

local function fail(element, message)
  busted.publish({ "failure", element.descriptor }, element, nil, message, { message = message, traceback = "" })
end

-- after_each runs after busted has announced the end of a test, so a test is
-- judged when the next test or describe starts, or when its describe or file ends.
local before_file, judged
local function judge()
  if not judged then return end
  local after = state()
  local message = judged.passed and difference(judged.before, after, true, before_file)
  restore(judged.before, after)
  if message then fail(judged.element, message) end
  judged = nil
end

busted.subscribe({ "file", "start" }, function()
  before_file = state()
  return nil, true
end, { priority = 1 })

for _, moment in ipairs { "start", "end" } do
  busted.subscribe({ "describe", moment }, function()
    judge()
    return nil, true
  end, { priority = 1 })
end

busted.subscribe({ "test", "start" }, function(element)
  judge()
  judged = { element = element, before = state() }
  return nil, true
end, { priority = 1 })

busted.subscribe({ "test", "end" }, function(_, _, status)
  judged.passed = status == "success"
  return nil, true
end, { priority = 1 })

busted.subscribe({ "file", "end" }, function(element)
  judge()
  local after = state()
  local message = difference(before_file, after, false, before_file)
  restore(before_file, after, before_file)
  if message then fail(element, message) end
  return nil, true
end, { priority = 1 })
