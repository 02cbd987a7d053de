-- Runs busted on the files or folders given, with a compact report: a dot per
-- passing test, failures in full, and one closing line that scripts/runtests
-- reads ("specs: P passed, F failed").
arg = arg or {}
require "luma" -- first: it sees to closed standard streams before anything opens a file
local args = { "--pattern=_spec", "--output=support.report", "--helper=tests/support/helper.lua" }
for _, a in ipairs(arg) do args[#args + 1] = a end
for i = #arg, 1, -1 do arg[i] = nil end
for i, a in ipairs(args) do arg[i] = a end
require "busted.runner" { standalone = false }
