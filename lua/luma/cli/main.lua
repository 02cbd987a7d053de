--- The command line's entry: finds the command, runs it, and turns errors into
-- one clear line.
--
-- A command is a module luma.cli.NAME that returns
--   { name=, summary=, parser=function(p) ... end, run=function(args) -> code }
-- where p is a lua-argparse parser and args what it parsed.  A command reports
-- the user's faults with error("message", 0): they end as "luma NAME: message"
-- with exit code 1.  LUMA_TRACE=1 shows where an error was raised.

local found, luma = pcall(require, "luma")
if not found then -- a variable that means nothing, or a build that does not fit this machine
  io.stderr:write("luma: ", (tostring(luma):gsub("^[^\n]-%.lua:%d+: ", "")), "\n")
  os.exit(1)
end
local argparse = require "argparse"
local commands = require "luma.cli.commands"
local text = require "luma.base.text"
local system = luma.core.system

local function usage()
  local out = { "Usage: luma [COMMAND [ARGS] | FILE.lua [ARGS] | -e CODE]", "",
    "Without arguments: a Lua prompt with luma loaded.", "", "Commands:" }
  for _, command in ipairs(commands.list()) do
    out[#out + 1] = ("  %-9s %s"):format(command.name, command.summary)
  end
  out[#out + 1] = ""
  out[#out + 1] = "luma COMMAND --help explains one; luma --version names this build."
  return table.concat(out, "\n")
end

local function say(message)
  io.stderr:write("luma: ", message, "\n")
end

-- "lua/luma/x.lua:12: message" -> "message": users care what, not where.
local function plain(message)
  local trimmed = message
  repeat
    local rest = trimmed:match "^[^\n:]*%.lua:%d+: (.*)$" or trimmed:match "^%[string \"[^\n]-\"%]:%d+: (.*)$"
    trimmed = rest or trimmed
  until not rest
  return trimmed
end

-- Mistakes in luma itself, which no user can mend: these keep their place.
local function is_ours(message)
  local p = plain(message)
  return p:find "^attempt to" ~= nil or p:find "^%-e:%d+: attempt to" ~= nil
end

local function handler(err)
  if err == luma.core.interrupt or type(err) ~= "string" then return err end
  return { message = err, trace = debug.traceback(nil, 2) }
end

local function report(prefix, err, theirs)
  if err == luma.core.interrupt then
    say "interrupted"
    return 130
  end
  local message = type(err) == "table" and err.message or tostring(err)
  if os.getenv "LUMA_TRACE" == "1" then
    io.stderr:write(prefix, ": ", message, "\n", type(err) == "table" and err.trace or "", "\n")
  elseif not theirs and is_ours(message) then
    io.stderr:write(prefix, ": internal error: ", message, " (LUMA_TRACE=1 shows more)\n")
  else
    io.stderr:write(prefix, ": ", plain(message), "\n")
  end
  return 1
end

-- Runs f and returns an exit code, whatever happens.
-- theirs: it is the user's own code.
local function guarded(prefix, f, theirs)
  local ok, result = xpcall(f, handler)
  if not ok then return report(prefix, result, theirs) end
  return math.type(result) == "integer" and result or result == false and 1 or 0
end

-- What argparse says, on one line, without guesses about options of one letter.
local function usage_error(message)
  local value = message:match "^unknown option '(%-[%d.][^']*)'"
  if value then
    return ("unknown option '%s'; a value that begins with - is written --option=%s"):format(value, value)
  end
  return (message:gsub("\nDid you mean '%-%a'%?", ""):gsub("\nDid you mean (.*)$", "; did you mean %1"))
end

local function run_command(command, argv)
  local parser = argparse("luma " .. command.name, command.summary)
  parser:help_max_width(100)
  command.parser(parser)
  local ok, parsed = parser:pparse(argv)
  if not ok then
    io.stderr:write(("luma %s: %s (luma %s --help)\n"):format(command.name, usage_error(parsed), command.name))
    return 1
  end
  return guarded("luma " .. command.name, function() return command.run(parsed) end)
end

-- A user's script: its errors keep their place and show the calls that led there.
local function run_script(path, argv)
  local chunk, message = loadfile(path)
  if not chunk then return say(message) or 1 end
  local script_arg = { [0] = path }
  for i, value in ipairs(argv) do script_arg[i] = value end
  _G.arg = script_arg
  local ok, err = xpcall(chunk, handler, table.unpack(argv))
  if ok then return 0 end
  if err == luma.core.interrupt then return report("luma", err) end
  if type(err) ~= "table" or not err.trace then err = { message = tostring(err), trace = "" } end
  local trace = err.trace:gsub("\n\t%[C%]: in function 'xpcall'.*", "")
  io.stderr:write("luma: ", err.message, trace ~= "" and "\n" or "", trace, "\n")
  return 1
end

local function run_code(code)
  local chunk, message = load(code, "=-e")
  if not chunk then return say(message) or 1 end
  _G.luma = luma
  return guarded("luma", function() chunk() return 0 end, true)
end

local function main(argv)
  local first = table.remove(argv, 1)
  if first == nil then
    return guarded("luma", function() return require("luma.cli.prompt").run() end)
  elseif first == "--help" or first == "-h" or first == "help" then
    print(usage())
    return 0
  elseif first == "--version" or first == "-v" then
    print(luma._VERSION)
    return 0
  elseif first == "-e" then
    if not argv[1] then return say "-e needs the code to run" or 1 end
    return run_code(argv[1])
  elseif first:match "%.lua$" then
    return run_script(first, argv)
  end
  local command = commands.find(first)
  if command then return run_command(command, argv) end
  local list = {}
  for _, known in ipairs(commands.list()) do list[#list + 1] = known.name end
  local near = text.nearest(first, list)
  say(("unknown command '%s'%s (luma --help lists them)"):format(text.printable(first, 60),
    near and (", did you mean '%s'?"):format(near) or ""))
  return 1
end

-- print as Lua's, but output that is lost (disk full, reader gone) is remembered
-- and reported at the end, while the work itself goes on.
local lost
function _G.print(...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = tostring(words[i]) end
  local ok, why = io.stdout:write(table.concat(words, "\t"), "\n")
  if ok then ok, why = io.stdout:flush() end
  lost = lost or not ok and why
end

system.watch_interrupts(true)
local argv = {}
for i, value in ipairs(arg) do argv[i] = value end
local code = main(argv)
-- 130 after Ctrl-C, 143 after SIGTERM, 129 after a closed terminal.
if code == 130 then code = 128 + (system.last_signal() or 2) end
local flushed, why = io.stdout:flush()
lost = lost or not flushed and why
if lost and code == 0 then
  say("standard output: " .. tostring(lost))
  code = 1
end
os.exit(code, true)
