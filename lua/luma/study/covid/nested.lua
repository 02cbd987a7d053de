--- Choosing the head's settings without the test part: nested cross-validation.
--
-- Inside the training part of every outer fold an inner k-fold (by patient, as
-- outside) trains each combination of the grid and predicts each training image
-- once.  The combination with the least log loss on those is taken (the first of
-- equals); the outer test part has no say.  The pooled inner predictions of the
-- chosen one also serve to choose threshold and temperature.

local luma = require "luma"
local grid = require "luma.study.covid.grid"
local head = require "luma.study.covid.head"
local json, metrics = luma.json, luma.metrics

local nested = {}

--- How many trainings choosing will take.
function nested.work(config, folds)
  return config.grid and #folds * config.inner * #config.grid or 0
end

-- The inner folds of one outer fold: lists of image numbers.
local function inner_folds(job, fold)
  local rows, number = {}, {}
  for k, i in ipairs(fold.train) do
    rows[k] = job.index[i]
    number[rows[k]] = i
  end
  local part = luma.data.Index(rows, { classes = job.index.classes })
  local group = nil
  if not job.config.group then group = false end
  local out = {}
  local seed = job.config.seed + 7919 * (fold.fold + 1) -- a shuffle of its own for every outer fold
  for k, split in ipairs(part:kfold { k = job.config.inner, group = group, seed = seed }) do
    out[k] = { train = {}, test = {} }
    for _, name in ipairs { "train", "test" } do
      for j, row in ipairs(split[name]) do out[k][name][j] = number[row] end
      table.sort(out[k][name])
    end
  end
  return out
end

-- Trains a combination on one inner fold and predicts its held-out part: rows of
-- probabilities.
local function predict(job, fold, setting, inner, k)
  local net = head.train { config = grid.over(job.config, setting), index = job.index, features = job.features,
    fold = fold.fold, stream = k, train = inner.train, val = {} }
  local x <close> = job.features:plain(inner.test)
  local rows = head.probabilities(net, x)
  net:get("dense").weight:close()
  return rows
end

-- What pooled inner predictions are worth.
local function score(truth, p, classes)
  local hits = 0
  for i, row in ipairs(p) do hits = hits + (head.argmax(row) == truth[i] and 1 or 0) end
  local out = { log_loss = metrics.log_loss(truth, p), accuracy = hits / #p }
  if #classes == 2 then
    local s = {}
    for i, row in ipairs(p) do s[i] = row[1] end
    out.auc = metrics.roc_auc(truth, s, { positive = 1 }).value
  else
    out.auc = metrics.roc_auc_ovr(truth, p).value
  end
  return out
end

--- Chooses the settings of one fold; what an interrupted run has tried is taken up.
-- @param job config (with grid and inner), index, features, state, meter
-- @return { chosen = position, setting, scores = list, truth, p }: p are the inner
--   predictions of the chosen combination for the classes `truth`
function nested.choose(job, fold)
  local list, name = job.config.grid, "choice-" .. fold.fold
  local _, known = job.state:load(name)
  known = known or { scores = json.list {} }
  job.meter:add(#known.scores * job.config.inner)
  local folds, truth = inner_folds(job, fold), {}
  for _, inner in ipairs(folds) do
    for _, i in ipairs(inner.test) do truth[#truth + 1] = job.index:encoder():encode(job.index[i].class) end
  end
  for i = #known.scores + 1, #list do
    local p = {}
    for k, inner in ipairs(folds) do
      local rows = predict(job, fold, list[i], inner, k)
      table.move(rows, 1, #rows, #p + 1, p)
      job.meter:add(1, ("fold %d: %s"):format(fold.fold, grid.words(list[i])))
    end
    known.scores[i] = score(truth, p, job.index.classes)
    if i == 1 or known.scores[i].log_loss < known.scores[known.chosen].log_loss then known.chosen, known.p = i, p end
    local nothing <close> = luma.zeros(1)
    job.state:save(name, { nothing = nothing }, known)
  end
  local scores = {}
  for i, setting in ipairs(list) do
    local s = known.scores[i]
    scores[i] = { setting = setting, log_loss = s.log_loss, accuracy = s.accuracy, auc = s.auc }
  end
  return { chosen = known.chosen, setting = list[known.chosen], scores = scores, truth = truth, p = known.p }
end

return nested
