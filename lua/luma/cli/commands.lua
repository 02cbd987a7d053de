--- The commands there are, in the order of the help.  A command is a module
-- luma.cli.NAME; one that is not part of this build is not offered.

local luma = require "luma"
local files = luma.files

local _, here = ...
local folder = files.dirname(here)

local names = { "covid", "prepare", "phantom", "audit", "resume", "predict", "explain", "report", "compare", "figure",
  "model", "fetch", "bench", "manual", "info" }

local commands = {}

--- Whether NAME is a command of this build.
function commands.has(name)
  for _, known in ipairs(names) do
    if name == known then return files.is_file(files.join(folder, name .. ".lua")) end
  end
  return false
end

--- The commands, as their modules return them.
function commands.list()
  local list = {}
  for _, name in ipairs(names) do
    if commands.has(name) then list[#list + 1] = require("luma.cli." .. name) end
  end
  return list
end

return commands
