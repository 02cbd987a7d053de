--- luma.train: the training loop, with what a long run needs: validation,
-- schedules, early stopping, clipping, accumulation, a guard against NaN, and
-- checkpoints that continue to the same bits.
--
--   local history = train.fit { net = net, optimiser = opt, epochs = 20,
--     data = function(epoch) return part:batches { size = 32, shuffle = true, epoch = epoch } end,
--     validate = function() return val:batches { size = 32 } end }
--
-- `data(epoch)` returns an iterator of x, y, rows.  For a run that can be
-- resumed it must give the same batches for the same epoch; what it draws from
-- luma.seed does (every epoch has a stream of its own).

local core = require "luma.core"
local options = require "luma.base.options"
local tape = require "luma.tape"
local state_file = require "luma.train.state"
local hook, step, system = core.hook, core.step, core.system

local train = {}

-- ---- judging ----

--- Number of rows whose largest output is the label; nil when the labels are
-- not class ids.  Of equal outputs the first counts.
local function count_correct(out, y)
  if not (hook.is_tensor(y) and y:dtype() == "i32" and y:rank() == 1 and out:rank() == 2) then return nil end
  if core.count(out) == 0 then return 0 end
  local best <close> = core.argmax(out, 2)
  local hit <close> = core.eq(best, y)
  local sum <close> = core.sum(hit)
  return sum:item()
end

local function default_loss(out, y)
  return core.cross_entropy(out, y)
end

--- Loss and accuracy of a net over an iterator of x, y, weighted by samples,
-- outside any tape.
-- @return { loss, accuracy (nil without class ids), count }
function train.evaluate(net, iterate, loss)
  loss = loss or default_loss
  return tape.paused(function()
    local total, correct, count = 0.0, 0, 0
    for x, y, rows in iterate() do
      local n = x:size(1)
      local out <close> = net(x)
      local value <close> = loss(out, y, rows)
      local hits = count_correct(out, y)
      total, count = total + value:item() * n, count + n
      correct = hits and correct and correct + hits
    end
    local by = math.max(1, count)
    return { loss = total / by, accuracy = correct and correct / by, count = count }
  end)
end

-- ---- the guard ----

local function first_few(rows)
  if type(rows) ~= "table" then return "" end
  local names = {}
  for _, row in ipairs(rows) do
    local name = type(row) == "table" and (row.path or row.name or row.filename) or row
    if type(name) == "string" then names[#names + 1] = name end
  end
  if #names == 0 then return "" end
  local more = #names > 4 and (" and %d more"):format(#names - 4) or ""
  return "; batch of " .. table.concat(names, ", ", 1, math.min(4, #names)) .. more
end

--- Where the first value that is not finite arose: an input, a weight, a layer.
local function culprit(run, t, x)
  if x:dtype() == "f32" and step.first_nonfinite(x) then return "the input holds such values" end
  for _, p in ipairs(run.net:named_parameters()) do
    if p[2]:dtype() == "f32" and step.first_nonfinite(p[2]) then return "weight " .. p[1] .. " holds such values" end
  end
  for i, s in ipairs(t.steps) do
    if not hook.closed(s.out) and s.out:dtype() == "f32" and step.first_nonfinite(s.out) then
      return ("first in %s (step %d of the tape, %s)"):format(s.place or "the loss", i, s.op)
    end
  end
  return "before the first recorded step"
end

local function not_finite(run, what, value, where, rows)
  error(("train: %s is not finite (%s) at epoch %d, batch %d: %s%s"):format(what, tostring(value),
    run.epoch, run.batch, where, first_few(rows)), 0)
end

--- Euclidean norm of all gradients; raises, naming the weight, when not finite.
local function gradient_norm(run, rows)
  local sum = 0.0
  for _, p in ipairs(run.net:named_parameters()) do
    local g = hook.trainable(p[2]) and hook.grad(p[2])
    if g then
      local s = step.sum_squares(g)
      if s ~= s or s == math.huge then not_finite(run, "the gradient of " .. p[1], s, "after a finite loss", rows) end
      sum = sum + s
    end
  end
  return math.sqrt(sum)
end

local function each_gradient(run, f)
  for _, p in ipairs(run.net:parameters()) do
    local g = hook.grad(p)
    if g then f(g, p) end
  end
end

--- Clips the gradients left by backward: {norm = n} scales them all so that
-- their joint norm is at most n, {value = v} holds each element within -v..v.
local function clip(run, how, norm)
  if how.norm and norm > how.norm then
    each_gradient(run, function(g) step.scale_(g, how.norm / norm) end)
  end
  if how.value then
    each_gradient(run, function(g, p)
      local held = core.clamp(g, -how.value, how.value)
      hook.grad(p, held)
      g:close()
    end)
  end
end

-- ---- one step ----

--- Forward and backward of one batch; its gradients are weighted by its size
-- when several batches make a step.
local function run_batch(run, x, y, rows)
  local n = x:size(1)
  local t <close> = tape()
  local out = run.net(x)
  local loss = run.loss(out, y, rows)
  local value = loss:item()
  if value ~= value or math.abs(value) == math.huge then
    not_finite(run, "the loss", value, culprit(run, t, x), rows)
  end
  local correct = count_correct(out, y)
  local penalty = run.net:penalty()
  if penalty then loss = loss + penalty end
  if run.accumulate > 1 then
    local weight <close> = core.full({}, n)
    t:backward(core.reshape(loss, {}), { gradient = weight, accumulate = run.gathered > 0 })
  else
    t:backward(loss)
  end
  run.gathered, run.gathered_rows = run.gathered + 1, run.gathered_rows + n
  local sums = run.sums
  sums.loss, sums.count = sums.loss + value * n, sums.count + n
  sums.correct = correct and sums.correct and sums.correct + correct
end

--- Runs f with interrupts held back, so that all of it happens.
local function whole(f)
  system.interrupt_hold(true)
  local ok, result = pcall(f)
  system.interrupt_hold(false)
  if not ok then error(result, 0) end
  return result
end

--- The optimiser's step over the batches gathered.
local function take_step(run, rows)
  if run.accumulate > 1 then
    each_gradient(run, function(g) step.scale_(g, 1 / run.gathered_rows) end)
  end
  local norm = gradient_norm(run, rows)
  if run.clip then clip(run, run.clip, norm) end
  whole(function()
    local opt = run.optimiser
    if run.schedule then opt:lr(run.schedule:rate(run.base_lr, run.epoch, opt.steps)) end
    opt:step()
    run.gathered, run.gathered_rows = 0, 0
    state_file.mark(run)
  end)
end

-- ---- one epoch ----

local function one_epoch(run)
  local skip = run.batch -- batches done before an interruption
  run.batch = 0
  core.seed(run.seed, run.epoch << 32) -- whatever data(epoch) draws is the same after a resume
  local rows
  for x, y, r in run.data(run.epoch) do
    rows = r
    run.batch = run.batch + 1
    if run.batch == skip then state_file.restore_random(run) end
    if run.batch > skip then
      run_batch(run, x, y, rows)
      if run.gathered >= run.accumulate then take_step(run, rows) end
      if run.on_batch then run.on_batch(run) end
    end
  end
  if run.gathered > 0 then take_step(run, rows) end
  if run.sums.count == 0 then error(("train: data(%d) gave no batch"):format(run.epoch), 0) end
  local sums = run.sums
  return { epoch = run.epoch, loss = sums.loss / sums.count, accuracy = sums.correct and sums.correct / sums.count,
    lr = run.optimiser:lr() }
end

--- Early stopping's bookkeeping: is this epoch the best so far?
local function note_best(run, row)
  local how = run.stop
  if not how then return false end
  local value = row[how.monitor]
  if value == nil then
    error(("train: stop.monitor: the history has no '%s' (is there validation data?)"):format(how.monitor), 0)
  end
  if how.monitor:match "accuracy$" then value = -value end
  if run.best.value == nil or value < run.best.value - how.min_delta then
    run.best.value, run.best.epoch, run.best.wait = value, run.epoch, 0
    if how.restore then state_file.keep_best(run) end
    return false
  end
  run.best.wait = run.best.wait + 1
  return run.best.wait >= how.patience
end

local function fresh_sums()
  return { loss = 0.0, correct = 0, count = 0 }
end

--- Epochs until the end; returns why it ended.
local function loop(run)
  while run.epoch <= run.epochs do
    local row = one_epoch(run)
    if run.validate then
      local seen = train.evaluate(run.net, function() return run.validate(run.epoch) end, run.loss)
      row.val_loss, row.val_accuracy = seen.loss, seen.accuracy
    end
    local enough = whole(function()
      run.history[#run.history + 1] = row
      if run.schedule then run.schedule:observe(row) end
      local stop = note_best(run, row)
      run.epoch, run.batch, run.sums = run.epoch + 1, 0, fresh_sums()
      state_file.mark(run)
      return stop
    end)
    if run.checkpoint and row.epoch % run.checkpoint.every == 0 then assert(state_file.save(run)) end
    if run.on_epoch then run.on_epoch(row, run) end
    if enough then return "stopped early" end
  end
  return "done"
end

local function check_positive(key, v, integer)
  if type(v) ~= "number" or not (v > 0) or v == math.huge or (integer and not math.tointeger(v)) then
    error(("train.fit: option %s must be a %s > 0, got %s"):format(key, integer and "whole number" or "number",
      tostring(v)), 4)
  end
  return integer and math.tointeger(v) or v
end

local function check_run(opts)
  local optional = options.optional
  local o = options.check("train.fit", opts, { net = optional, optimiser = optional, data = optional, epochs = optional,
    loss = default_loss, validate = optional, schedule = optional, stop = optional, clip = optional, accumulate = 1,
    checkpoint = optional, resume = true, on_epoch = optional, on_batch = optional }, 4)
  for _, key in ipairs { "net", "optimiser", "data", "epochs" } do
    if o[key] == nil then error("train.fit: option " .. key .. " is needed", 3) end
  end
  if type(o.data) ~= "function" then error("train.fit: option data must be a function(epoch)", 3) end
  if math.tointeger(o.epochs) ~= 0 then check_positive("epochs", o.epochs, true) end
  o.accumulate = check_positive("accumulate", o.accumulate, true)
  if o.clip then
    o.clip = options.check("train.fit clip", o.clip, { norm = optional, value = optional }, 4)
    for key, v in pairs(o.clip) do check_positive("clip." .. key, v) end
  end
  if o.stop then
    o.stop = options.check("train.fit stop", o.stop,
      { monitor = "val_loss", patience = 10, min_delta = 0.0, restore = true }, 4)
    check_positive("stop.patience", o.stop.patience, true)
  end
  if type(o.checkpoint) == "string" then o.checkpoint = { path = o.checkpoint } end
  if o.checkpoint then
    o.checkpoint = options.check("train.fit checkpoint", o.checkpoint, { path = "", every = 1 }, 4)
  end
  return o
end

--- Trains a network.  Options:
--   net, optimiser, data, epochs   needed
--   loss(out, y, rows)             cross_entropy; the net's L2 penalty is added
--   validate(epoch)                an iterator like data's; fills val_loss, val_accuracy
--   schedule                       one of optim.schedule
--   stop {monitor="val_loss", patience=10, min_delta=0, restore=true}   early stopping
--   clip {norm=} or {value=}       of the gradients
--   accumulate = 1                 batches that make one optimiser step
--   checkpoint = path or {path, every=1}   state after every so many epochs and when interrupted
--   resume = true                  continue from the checkpoint's state when it is there
--   on_epoch(row, run), on_batch(run)
-- Ctrl-C ends it after undoing the batch under way.
-- @return history (rows of epoch, loss, accuracy, val_loss, val_accuracy, lr), and
--   why it ended: "done", "stopped early" or "interrupted"
function train.fit(opts)
  local run = check_run(opts)
  run.history, run.epoch, run.batch, run.sums = {}, 1, 0, fresh_sums()
  run.gathered, run.gathered_rows, run.best = 0, 0, { wait = 0 }
  run.base_lr, run.seed = run.optimiser:lr(), core.seed()
  if run.checkpoint and run.resume then
    local ok, message, code = state_file.load(run)
    if ok == nil and code ~= "absent" then error("train.fit: " .. message, 2) end
  end
  state_file.mark(run)
  local ok, result = pcall(loop, run)
  if not ok then
    if result ~= core.interrupt then
      state_file.forget(run)
      error(result, 0)
    end
    system.interrupt_clear()
    state_file.undo(run)
    if run.checkpoint then assert(state_file.save(run)) end
    result = "interrupted"
  end
  if result ~= "interrupted" and run.best.tensors then assert(run.net:load_state(run.best.tensors)) end
  state_file.forget(run)
  return run.history, result
end

return train
