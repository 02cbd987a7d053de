--- The state of a training run at the last step that was whole: how an
-- interrupted batch is undone, and what a checkpoint holds.
--
-- A batch that is cut short has changed nothing but the running values of
-- batch-norm and the random stream; mark() notes both after every step, undo()
-- puts them back.  A checkpoint is one safetensors file: net.*, optimiser.*,
-- best.* tensors, and the rest as JSON in its metadata (numbers as hexadecimal
-- floats, so that every bit returns).

local core = require "luma.core"
local json = require "luma.base.json"
local store = require "luma.store"

local state = {}

local FORMAT = "1"

local function buffers_of(net)
  local list = {}
  for _, module in net:walk() do
    for _, b in ipairs(module.buffers) do list[#list + 1] = b[2] end
  end
  return list
end

local function close_all(list)
  for _, x in pairs(list or {}) do x:close() end
end

--- Notes where the run stands, after a whole step.
function state.mark(run)
  local seed, stream = core.seed()
  local sums = run.sums
  local m = { seed = seed, stream = stream, epoch = run.epoch, batch = run.batch,
    sums = { loss = sums.loss, correct = sums.correct, count = sums.count } }
  local buffers = run.buffers or buffers_of(run.net)
  run.buffers = buffers
  m.buffers = run.mark and run.mark.buffers or {}
  for i, b in ipairs(buffers) do
    if m.buffers[i] then core.copy_(m.buffers[i], b) else m.buffers[i] = core.clone(b) end
  end
  run.mark = m
end

--- Back to the last mark.
function state.undo(run)
  local m = run.mark
  for i, b in ipairs(run.buffers) do core.copy_(b, m.buffers[i]) end
  core.seed(m.seed, m.stream)
  run.epoch, run.batch, run.sums = m.epoch, m.batch, m.sums
  run.gathered, run.gathered_rows = 0, 0
end

--- The random stream as it was when the resumed epoch was left.
function state.restore_random(run)
  if run.random then core.seed(run.random[1], run.random[2]) end
  run.random = nil
end

--- Copies the weights of the best epoch.
function state.keep_best(run)
  local best = run.best.tensors or {}
  for name, x in pairs(run.net:state()) do
    if best[name] then core.copy_(best[name], x) else best[name] = core.clone(x) end
  end
  run.best.tensors = best
end

--- Frees the copies.
function state.forget(run)
  close_all(run.mark and run.mark.buffers)
  close_all(run.best.tensors)
  run.mark, run.best.tensors = nil, nil
end

-- ---- checkpoints ----

--- Floats as exact text, throughout a table; and back.
local function exact(v)
  if math.type(v) == "float" then return ("x%a"):format(v) end
  if type(v) ~= "table" then return v end
  local out = {}
  for key, value in pairs(v) do out[key] = exact(value) end
  return out
end

local function inexact(v)
  if type(v) == "string" and v:match "^x[-+]?0x" then return tonumber((v:gsub("^x", ""))) end
  if v == "xinf" then return math.huge elseif v == "x-inf" then return -math.huge end
  if type(v) == "string" and v:match "^x%-?nan" then return 0 / 0 end
  if type(v) == "number" then return math.tointeger(v) or v end
  if type(v) ~= "table" then return v end
  local out = {}
  for key, value in pairs(v) do out[key] = inexact(value) end
  return out
end

local function add_all(tensors, prefix, more)
  for name, x in pairs(more or {}) do tensors[prefix .. name] = x end
end

local function part(tensors, prefix)
  local out = {}
  for name, x in pairs(tensors) do
    if name:sub(1, #prefix) == prefix then out[name:sub(#prefix + 1)] = x end
  end
  return out
end

--- Writes the state at the last mark, all or nothing.
-- @return true | nil, message, code
function state.save(run)
  local m, opt = run.mark, run.optimiser:state()
  local tensors = {}
  add_all(tensors, "net.", run.net:state())
  add_all(tensors, "optimiser.", opt.tensors)
  add_all(tensors, "best.", run.best.tensors)
  -- Streams are 64-bit: as text, since JSON's numbers are doubles.
  local where = exact { epoch = m.epoch, batch = m.batch, sums = m.sums, best = { value = run.best.value,
    epoch = run.best.epoch, wait = run.best.wait }, schedule = run.schedule and run.schedule:state(),
    base_lr = run.base_lr, steps = opt.steps, groups = opt.groups, optimiser = opt.type,
    history = { rows = run.history } }
  where.run_seed, where.seed, where.stream = tostring(run.seed), tostring(m.seed), tostring(m.stream)
  where.history.rows = json.list and json.list(where.history.rows) or where.history.rows
  return store.save(run.checkpoint.path, tensors, { luma_training = FORMAT, state = json.encode(where) })
end

--- Takes up a checkpoint: everything is read and compared before anything changes.
-- @return true | nil, message, code ("absent" when there is no file)
function state.load(run)
  local path = run.checkpoint.path
  local tensors, metadata, code = store.load(path)
  if not tensors then
    if not require("luma.base.files").exists(path) then return nil, metadata, "absent" end
    return nil, metadata, code
  end
  if not metadata.luma_training then return nil, path .. ": no training state in this file", "mismatch" end
  if metadata.luma_training ~= FORMAT then
    return nil, ("%s: training state of version %s, this luma reads %s"):format(path, metadata.luma_training,
      FORMAT), "unsupported"
  end
  local where, why = json.decode(metadata.state)
  if not where then return nil, ("%s: the training state is damaged (%s)"):format(path, why), "damaged" end
  local seed, stream = math.tointeger(where.seed), math.tointeger(where.stream)
  run.seed = math.tointeger(where.run_seed) or run.seed
  where = inexact(where)
  local before = run.optimiser:state()
  local opt = { type = where.optimiser, steps = where.steps, groups = where.groups,
    tensors = part(tensors, "optimiser.") }
  local ok, message = run.optimiser:load_state(opt)
  if ok then
    ok, message = run.net:load_state(part(tensors, "net."))
    if not ok then run.optimiser:load_state(before) end
  end
  if not ok then return nil, path .. ": " .. message, "mismatch" end
  run.epoch, run.batch, run.sums, run.base_lr = where.epoch, where.batch, where.sums, where.base_lr
  run.history, run.best = where.history.rows, where.best
  local best = part(tensors, "best.")
  if next(best) then run.best.tensors = best end
  if run.schedule then run.schedule:load_state(where.schedule or {}) end
  core.seed(seed, stream)
  run.random = { seed, stream }
  return true
end

return state
