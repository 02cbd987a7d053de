--- What makes a run continue: its folder, its lock, and the state between phases.
--
-- DIR/config.json holds the settings; DIR/state/ what an unfinished run has
-- computed so far (features in blocks, the head and its optimiser after the
-- last whole epoch, predictions of finished folds).  Everything there carries
-- the digest of settings and inputs; a run whose inputs changed is not
-- continued but refused.  The folder is locked while a process works in it.

local luma = require "luma"
local uv = require "luv"
local files = luma.files
local json = luma.json
local store = luma.store
local system = luma.core.system

local state = {}
local State = {}
State.__index = State

local function fail(message, ...)
  error(select("#", ...) > 0 and message:format(...) or message, 0)
end

local function must(value, message)
  if value == nil or value == false then error(tostring(message), 0) end
  return value
end

-- runs/covid-1, runs/covid-2, ...: the first that is free.
local function next_free(name)
  for n = 1, 1000000 do
    local dir = ("runs/%s-%d"):format(name, n)
    if not files.exists(dir) then return dir end
  end
end

local function lock(dir)
  local handle, message, code = system.lock(files.join(dir, ".lock"))
  if handle then return handle end
  if code == "locked" then
    fail("%s: in use by another run (%s)", files.show(dir), message:match "process %S+" or "?")
  end
  fail("%s", message)
end

--- A new run folder (out, or the next free runs/NAME-n), locked, holding config.json.
function state.create(name, out, config)
  local dir = out or next_free(name)
  if files.exists(files.join(dir, "config.json")) then
    fail("%s already holds a run: give another --out, or continue it with: luma resume %s", files.show(dir),
      files.show(dir))
  end
  local existed = files.exists(dir)
  must(files.mkdir_p(dir))
  local handle = lock(dir)
  local self = setmetatable({ dir = dir, handle = handle, config = config, existed = existed }, State)
  self:write("config.json", json.encode(config))
  must(files.mkdir_p(files.join(dir, "state")))
  return self
end

--- An existing run folder, locked, with its settings read.
function state.open(dir)
  if not files.is_dir(dir) then fail("%s: no such folder", files.show(dir)) end
  local source, message = files.read(files.join(dir, "config.json"))
  if not source then fail("%s: no run here (%s)", files.show(dir), message) end
  local config, why = json.decode(source)
  if type(config) ~= "table" then fail("%s/config.json: %s", files.show(dir), why or "not an object") end
  local handle = lock(dir)
  files.sweep(dir)
  return setmetatable({ dir = dir, handle = handle, config = config, resumed = true }, State)
end

--- The path of a file of the run.
function State:path(...)
  return files.join(self.dir, ...)
end

--- Writes a file of the run, whole or not at all; raises the reason when it cannot.
function State:write(name, bytes)
  local ok, message = files.write_atomic(self:path(name), bytes)
  if not ok then error(message, 0) end
end

--- The digest that ties the state to its settings and inputs: on the first call
-- it is stored; on a continued run it must be the same.
function State:bind(digest)
  self.digest = digest
  local stored = files.read(self:path("state", "digest"))
  if not stored then return self:write("state/digest", digest .. "\n") end
  if stored ~= digest .. "\n" then
    fail("%s: the settings, an image, a table or the weights changed since this run began; start a new one",
      files.show(self.dir))
  end
end

--- Stores tensors (name -> tensor) and a plain table under state/NAME.
function State:save(name, tensors, info)
  local ok, message = store.save(self:path("state", name .. ".safetensors"), tensors,
    { digest = self.digest, info = json.encode(info or {}) })
  if not ok then error(message, 0) end
end

--- What was stored under NAME: tensors, info; nil when there is nothing.  A file
-- of another run, or a damaged one, raises.
function State:load(name)
  local path = self:path("state", name .. ".safetensors")
  if not files.exists(path) then return nil end
  local tensors, metadata = store.load(path)
  if not tensors then error(metadata, 0) end
  if metadata.digest ~= self.digest then
    fail("%s: belongs to a run with other settings or inputs", files.show(path))
  end
  return tensors, must(json.decode(metadata.info))
end

--- Whether the run has ended: its metrics are written, and so was what comes after them,
-- for the digest goes last.
function State:finished()
  return files.exists(self:path "metrics.json") and not files.exists(self:path("state", "digest"))
end

local function remove_state(self)
  local dir = self:path "state"
  files.remove(files.join(dir, "digest")) -- first: without it the run counts as ended
  for _, name in ipairs(files.list(dir, true) or {}) do files.remove(files.join(dir, name)) end
  uv.fs_rmdir(dir)
end

--- Removes the state of a finished run and frees the lock.
function State:finish()
  remove_state(self)
  self:close()
end

--- Takes back a run that failed before it had computed anything, so that the
-- folder can be used again.
function State:abandon()
  if self.resumed then return self:close() end
  remove_state(self)
  files.remove(self:path "config.json")
  files.remove(self:path ".lock")
  if not self.existed then uv.fs_rmdir(self.dir) end -- stays when there is more in it
  self:close()
end

--- Frees the lock, keeping everything.
function State:close()
  if self.handle then system.unlock(self.handle) end
  self.handle = nil
end
State.__close = State.close

return state
