--- The commands, in the order of the help.  A command is a module
-- luma.cli.NAME; `bench` is a tool of the checkout and is not installed.

local names = { "covid", "look", "prepare", "phantom", "audit", "resume", "predict", "evaluate", "explain", "report",
  "compare", "model", "fetch", "bench", "manual", "info" }

local commands = {}

--- The module of command NAME, or nil when there is no such command here.
function commands.find(name)
  for _, known in ipairs(names) do
    if known == name then
      if name ~= "bench" then return require("luma.cli." .. name) end
      local ok, module = pcall(require, "bench.command")
      return ok and module or nil
    end
  end
  return nil
end

--- The commands, as their modules return them.
function commands.list()
  local list = {}
  for _, name in ipairs(names) do list[#list + 1] = commands.find(name) end
  return list
end

return commands
