--- The head: Flatten, Dropout, Dense, softmax on cached features, trained with
-- Adam (article rows M3 to M6), one fold at a time.
--
-- Every random choice of an epoch follows from (seed, fold, epoch) alone, so a
-- run that is interrupted and continued passes through the same states as one
-- that is not.  After each epoch the state in hand is whole; it is written when
-- the run is interrupted and every few seconds besides.

local luma = require "luma"
local uv = require "luv"
local nn, optim, metrics = luma.nn, luma.optim, luma.metrics

local head = {}

local CHECKPOINT_SECONDS = 10

--- A new head for features of that width; its weights follow from seed and fold.
function head.build(width, classes, config, fold)
  luma.seed(config.seed, fold << 32)
  return nn.Sequential { nn.Flatten(), nn.Dropout(config.dropout), nn.Linear(width, classes, { name = "dense" }) }
end

--- Class probabilities of rows of features: a list of lists.
function head.probabilities(net, x)
  local out = {}
  for first = 1, #x, 256 do
    local part <close> = x:narrow(1, first, math.min(256, #x - first + 1))
    local logits <close> = net(part)
    local p <close> = luma.softmax(logits, 2)
    table.move(p:totable(), 1, #p, #out + 1, out)
  end
  return out
end

--- The class with the highest probability; the first of equal ones.
function head.argmax(row)
  local best = 1
  for c = 2, #row do
    if row[c] > row[best] then best = c end
  end
  return best
end

local function labels_of(index, numbers)
  local ids, encoder = {}, index:encoder()
  for k, i in ipairs(numbers) do ids[k] = encoder:encode(index[i].class) end
  return ids
end

-- Mean loss and accuracy of the head on rows, without dropout.
local function judge(net, x, ids)
  local logits <close> = net(x)
  local y <close> = luma.tensor(ids, "i32")
  local loss <close> = luma.cross_entropy(logits, y)
  local p <close> = luma.softmax(logits, 2)
  local correct = 0
  for k, row in ipairs(p:totable()) do
    if head.argmax(row) == ids[k] then correct = correct + 1 end
  end
  return loss:item(), correct / #ids
end

local function copies(tensors)
  local out = {}
  for name, tensor in pairs(tensors) do out[name] = tensor:clone() end
  return out
end

local function close_all(tensors)
  for _, tensor in pairs(tensors or {}) do tensor:close() end
end

-- What a continuation needs, as of the end of an epoch.
local function snapshot(run)
  local optimiser = run.optimiser:state()
  close_all(run.snapshot)
  run.snapshot = {}
  for name, tensor in pairs(copies(run.net:state())) do run.snapshot["net." .. name] = tensor end
  for name, tensor in pairs(copies(optimiser.tensors)) do run.snapshot["optimiser." .. name] = tensor end
  for name, tensor in pairs(copies(run.best or {})) do run.snapshot["best." .. name] = tensor end
  run.snapshot_info = { epoch = run.epoch, steps = optimiser.steps, best_epoch = run.best_epoch,
    best_loss = run.best_loss, history = luma.json.list(table.move(run.history, 1, #run.history, 1, {})) }
end

--- Writes the state after the last whole epoch of the fold under way.
function head.save(run, state)
  if run and run.snapshot then state:save("head-" .. run.fold, run.snapshot, run.snapshot_info) end
end

local function part_of(tensors, prefix)
  local out = {}
  for name, tensor in pairs(tensors) do
    if name:sub(1, #prefix) == prefix then out[name:sub(#prefix + 1)] = tensor end
  end
  return out
end

-- Takes up the state of an interrupted run, when there is one.
local function continue(run, state)
  local tensors, info = state:load("head-" .. run.fold)
  if not tensors then return end
  assert(run.net:load_state(part_of(tensors, "net.")))
  local optimiser = run.optimiser:state()
  optimiser.steps, optimiser.tensors = info.steps, part_of(tensors, "optimiser.")
  assert(run.optimiser:load_state(optimiser))
  run.epoch, run.history, run.best_epoch, run.best_loss = info.epoch, info.history, info.best_epoch, info.best_loss
  if run.best_epoch then run.best = part_of(tensors, "best.") end
end

local function one_epoch(run, task)
  local loss_mean, accuracy_mean = metrics.Mean(), metrics.Mean()
  local config = task.config
  luma.seed(config.seed, run.fold << 32 | run.epoch << 12)
  local rng = luma.rng(config.seed):fork(("fold %d epoch %d"):format(run.fold, run.epoch))
  for x, numbers in task.features:training_batches(task.train, config.batch, run.epoch, rng) do
    local ids = labels_of(task.index, numbers)
    local y <close> = luma.tensor(ids, "i32")
    local tape <close> = luma.tape()
    local logits = run.net(x)
    local loss = luma.cross_entropy(logits, y)
    local correct = 0
    for k, row in ipairs(logits:totable()) do
      if head.argmax(row) == ids[k] then correct = correct + 1 end
    end
    local value = loss:item()
    if value ~= value or math.abs(value) == math.huge then
      error(("the loss is not finite in epoch %d (fold %d): the weights or an image hold NaN or infinity"):format(
        run.epoch, run.fold), 0)
    end
    tape:backward(loss)
    run.optimiser:step()
    loss_mean:add(value, #ids)
    accuracy_mean:add(correct / #ids, #ids)
    x:close()
  end
  return loss_mean:value(), accuracy_mean:value()
end

--- Trains one fold.
-- @param task config, index, features, fold, train, val (lists of image
--   numbers; val may be empty), choose (take the epoch with the least
--   validation loss rather than the last), meter (a progress line or nil)
-- @param state the run's state, for checkpoints
-- @param track called with the run before anything can interrupt it
-- @return net, history, chosen epoch
function head.train(task, state, track)
  local net = head.build(task.features.width, #task.index.classes, task.config, task.fold)
  local run = { fold = task.fold, net = net, epoch = 0, history = {},
    optimiser = optim.Adam(net:parameters(), { lr = task.config.rate }) }
  continue(run, state)
  track(run)
  local x_val, ids_val
  if #task.val > 0 then x_val, ids_val = task.features:plain(task.val), labels_of(task.index, task.val) end
  if task.meter then task.meter:add(run.epoch) end
  local written = uv.hrtime()
  while run.epoch < task.config.epochs do
    local before = run.epoch
    run.epoch = before + 1
    local loss, accuracy = one_epoch(run, task)
    local row = { epoch = run.epoch, loss = loss, accuracy = accuracy }
    if x_val then
      row.val_loss, row.val_accuracy = judge(net, x_val, ids_val)
      if task.choose and (not run.best_loss or row.val_loss < run.best_loss) then
        close_all(run.best)
        run.best, run.best_epoch, run.best_loss = copies(net:state()), run.epoch, row.val_loss
      end
    end
    run.history[run.epoch] = row
    snapshot(run)
    if task.meter then
      task.meter:add(1, ("loss %.4f, accuracy %.4f"):format(loss, accuracy))
    end
    if uv.hrtime() - written > CHECKPOINT_SECONDS * 1e9 then
      head.save(run, state)
      written = uv.hrtime()
    end
  end
  if x_val then x_val:close() end
  if run.best then assert(net:load_state(run.best)) end
  close_all(run.snapshot)
  close_all(run.best)
  run.snapshot = nil
  return net, run.history, run.best_epoch or run.epoch
end

return head
