-- busted output handler: dots, failures with their message, one closing line.
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
  handler.suiteEnd = function()
    io.stdout:write "\n"
    for _, t in ipairs(handler.pendings) do
      io.stdout:write(("skipped: %s: %s\n"):format(handler.getFullName(t), tostring(t.message or "")))
    end
    show("FAILED", handler.failures)
    show("ERROR", handler.errors)
    io.stdout:write(("specs: %d passed, %d failed, %d skipped in %d s\n"):format(
      handler.successesCount, handler.failuresCount + handler.errorsCount, handler.pendingsCount, os.time() - started))
    return nil, true
  end
  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
