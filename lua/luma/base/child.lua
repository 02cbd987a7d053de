--- A child process with text in and bytes out, without a shell.

local core = require "luma.core"
local uv = require "luv"

local child = {}

--- Runs `program` with `args`, feeds it `input`, waits for it.
-- @return its standard output | nil, message, code ("absent" when there is no
--   such program, "failed" when it ended badly: the message has its first words)
function child.run(program, args, input)
  local stdin, stdout, stderr = uv.new_pipe(), uv.new_pipe(), uv.new_pipe()
  local out, complaints, status, open = {}, {}, nil, 3
  local handle, why, name = uv.spawn(program, { args = args, stdio = { stdin, stdout, stderr } }, function(code, signal)
    status = signal ~= 0 and -signal or code
    open = open - 1
  end)
  if not handle then
    for _, pipe in ipairs { stdin, stdout, stderr } do pipe:close() end
    uv.run "nowait"
    if name == "ENOENT" or tostring(why):find "ENOENT" then
      return nil, ("%s is not installed"):format(program), "absent"
    end
    return nil, ("%s: %s"):format(program, tostring(why)), "failed"
  end
  local function collect(into)
    return function(_, bytes)
      if bytes then into[#into + 1] = bytes else open = open - 1 end
    end
  end
  stdout:read_start(collect(out))
  stderr:read_start(collect(complaints))
  stdin:write(input, function() stdin:close() end)
  local timer = uv.new_timer()
  timer:start(100, 100, function()
    if core.system.interrupted() then handle:kill "sigterm" end
  end)
  while open > 0 do uv.run "once" end
  timer:close()
  handle:close()
  stdout:close()
  stderr:close()
  uv.run "nowait"
  if core.system.interrupted() then error(core.interrupt, 0) end
  if status ~= 0 then
    local said = table.concat(complaints):match "^%s*(%C*)" or ""
    return nil, ("%s failed (%d): %s"):format(program, status, said), "failed"
  end
  return table.concat(out)
end

return child
