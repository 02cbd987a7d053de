--- bench.peer: another library as a child process that is asked line by line.
--
-- The child prints one line when it is ready, then answers each line it reads:
--   run          -> milliseconds of one run, measured inside the child
--   dump FILE    -> any line, after writing its result to FILE as raw f32
-- and ends when its input closes.  A child that is absent, dies or is silent
-- for too long is left out of the comparison, with the reason.

local uv = require "luv"
local files = require "luma.base.files"

local PATIENCE = 180 * 1000 -- ms for one answer: compiling and warming up are slow

local Peer = {}
Peer.__index = Peer

local _, here = ...
local folder = files.join(files.dirname(here), "peers")

--- The path of a peer's source, or nil when this build does not carry it.
function Peer.source(name)
  local path = files.join(folder, name)
  return files.is_file(path) and path or nil
end

local function environment(extra)
  local env = {}
  for key, value in pairs(uv.os_environ()) do
    if extra[key] == nil then env[#env + 1] = key .. "=" .. value end
  end
  for key, value in pairs(extra) do env[#env + 1] = key .. "=" .. value end
  return env
end

--- Starts a child and waits until it is ready.
-- @param name what the results call it
-- @param program executable
-- @param args list
-- @param env table of variables that differ from ours
-- @return peer | nil, reason
function Peer.start(name, program, args, env)
  local input, output = uv.new_pipe(), uv.new_pipe()
  local self = setmetatable({ name = name, input = input, output = output, pending = "", lines = {} }, Peer)
  local handle, reason = uv.spawn(program, { args = args, stdio = { input, output, 2 }, env = environment(env or {}) },
    function() self.dead = true end)
  if not handle then
    input:close()
    output:close()
    return nil, ("%s: %s"):format(program, reason)
  end
  self.handle = handle
  output:read_start(function(_, data)
    if not data then
      self.dead = true
      return
    end
    self.pending = self.pending .. data
    while true do
      local line, rest = self.pending:match "^([^\n]*)\n(.*)$"
      if not line then break end
      self.lines[#self.lines + 1], self.pending = line, rest
    end
  end)
  local greeting = self:wait()
  if not greeting then
    self:close()
    return nil, "did not start"
  end
  self.greeting = greeting
  return self
end

--- The next line, or nil when the child died or stayed silent.
function Peer:wait()
  local timer, late = uv.new_timer(), false
  timer:start(PATIENCE, 0, function() late = true end)
  while #self.lines == 0 and not self.dead and not late do uv.run "once" end
  timer:stop()
  timer:close()
  return table.remove(self.lines, 1)
end

--- Sends a line; the answer, or nil.
function Peer:ask(line)
  if self.dead then return nil end
  self.input:write(line .. "\n")
  return self:wait()
end

--- Milliseconds of one run, or nil.
function Peer:run()
  return tonumber(self:ask "run" or "")
end

--- The bytes of its result (raw f32), or nil.
function Peer:result(dir)
  local path = files.join(dir, "peer.f32")
  if not self:ask("dump " .. path) then return nil end
  local bytes = files.read(path)
  files.remove(path)
  return bytes
end

function Peer:close()
  if self.closed then return end
  self.closed = true
  self.output:read_stop()
  if not self.input:is_closing() then self.input:close() end
  if not self.output:is_closing() then self.output:close() end
  if not self.dead then self.handle:kill "sigterm" end
  self.handle:close()
  uv.run "nowait"
end

return Peer
