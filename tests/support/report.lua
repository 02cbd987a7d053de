-- busted output handler: dots, failures with their message, one closing line.
-- LUMA_TIMES=N lists the N files that took most processor time, children included.

-- Seconds of processor time of this process and the children it has waited for.
local function processor()
  local f = io.open "/proc/self/stat"
  if not f then return os.clock() end
  local fields = f:read("a"):match "^.*%) (.*)$"
  f:close()
  local n, sum = 0, 0
  for field in fields:gmatch "%S+" do
    n = n + 1
    if n >= 12 and n <= 15 then sum = sum + tonumber(field) end -- utime, stime, cutime, cstime
  end
  return sum / 100
end

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local started = os.time()
  handler.testEnd = function(_, _, status)
    io.stdout:write(({ success = ".", failure = "F", error = "E", pending = "s" })[status] or "?")
    io.stdout:flush()
    return nil, true
  end
  local function show(kind, list)
    for _, t in ipairs(list) do
      local message = t.message
      if type(message) ~= "string" then message = require("pl.pretty").write(message or "?") end
      io.stdout:write(("\n%s: %s\n  %s\n"):format(kind, handler.getFullName(t), message:gsub("\n", "\n  ")))
      if kind == "ERROR" and t.trace and t.trace.traceback then io.stdout:write("  ", t.trace.traceback, "\n") end
    end
  end
  local times, wanted = {}, tonumber(os.getenv "LUMA_TIMES" or "")
  handler.fileStart = function(file)
    times[#times + 1] = { name = file.name, cpu = processor(), wall = os.time() }
    return nil, true
  end
  handler.fileEnd = function()
    local last = times[#times]
    last.cpu, last.wall = processor() - last.cpu, os.time() - last.wall
    return nil, true
  end
  local function slowest()
    table.sort(times, function(a, b) return a.cpu > b.cpu end)
    for i = 1, math.min(wanted, #times) do
      io.stdout:write(("%6.1f s cpu %5d s wall  %s\n"):format(times[i].cpu, times[i].wall, times[i].name))
    end
  end
  handler.suiteEnd = function()
    io.stdout:write "\n"
    if wanted then slowest() end
    for _, t in ipairs(handler.pendings) do
      io.stdout:write(("skipped: %s: %s\n"):format(handler.getFullName(t), tostring(t.message or "")))
    end
    show("FAILED", handler.failures)
    show("ERROR", handler.errors)
    -- A test that passed but left something (support/helper.lua) is in the lists, not in the counts.
    local failed = #handler.failures + #handler.errors
    local late = math.max(0, failed - handler.failuresCount - handler.errorsCount)
    io.stdout:write(("specs: %d passed, %d failed, %d skipped in %d s\n"):format(
      handler.successesCount - late, failed, handler.pendingsCount, os.time() - started))
    return nil, true
  end
  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  if wanted then
    busted.subscribe({ "file", "start" }, handler.fileStart)
    busted.subscribe({ "file", "end" }, handler.fileEnd)
  end
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
