-- Loaded once before the specs.  After each test: no tensor left behind, no new
-- global, the same thread count; the test that leaked is the one that fails.
local busted = require "busted"
local luma = require "luma"
-- Busted forgets, after each file, the modules that the file loaded first; the
-- core knows one tape, so what refers to it is loaded here, once.
for _, name in ipairs { "tape", "grad", "nn", "optim", "models" } do assert(luma[name]) end

-- busted forgets loaded modules between files.  Those that hold state (the
-- current tape) must be the same for all: load them before the first file.
local _, _ = luma.tape, luma.nn

local known = {}
for name in pairs(_G) do known[name] = true end

busted.subscribe({ "test", "start" }, function()
  luma.threads(luma.threads())
  return nil, true
end)

busted.subscribe({ "test", "end" }, function(element)
  for name in pairs(_G) do
    if not known[name] and not tostring(name):match "^_" then
      io.stderr:write(("\nleftover: global '%s' after %s\n"):format(name, element.name))
      known[name] = true
    end
  end
  return nil, true
end)
