--- audit.shortcuts: how well does everything that is not the lungs predict the
-- class?  Each feature family is put to logistic regression and to a small
-- forest in folds that keep patients whole; the better of the two stands.

local luma = require "luma"
local learn = require "luma.learn"
local features = require "luma.audit.features"
local roc = require "luma.metrics.roc"
local interval = require "luma.metrics.interval"
local options = require "luma.options"

local shortcuts = {}

-- The index of the largest entry, the first on ties.
local function argmax(p)
  local best = 1
  for k = 2, #p do
    if p[k] > p[best] then best = k end
  end
  return best
end

--- Scores out-of-fold probabilities: {auc=, accuracy=} with intervals.
-- labels: class ids from 1; groups: patient keys (false = unknown).
function shortcuts.score(labels, proba, groups)
  local classes = #proba[1]
  local auc
  if classes == 2 then
    local scores = {}
    for i, p in ipairs(proba) do scores[i] = p[1] end
    auc = roc.roc_auc(labels, scores, { positive = 1, groups = groups })
  else
    auc = roc.roc_auc_ovr(labels, proba, { groups = groups })
  end
  local right = 0
  for i, p in ipairs(proba) do
    if argmax(p) == labels[i] then right = right + 1 end
  end
  return { auc = auc, accuracy = interval.wilson(right, #labels) }
end

local learners = {
  { name = "logistic regression", make = function(classes)
    return function() return learn.Logistic { classes = classes, c = 0.1 } end
  end },
  { name = "random forest", make = function(classes, seed)
    return function() return learn.Forest { classes = classes, trees = 100, min_leaf = 2, seed = seed } end
  end },
}

local function sentence(title, s, chance)
  if not s.above_chance then
    return ("%s does not tell the classes apart (AUC %.2f, %.2f to %.2f)."):format(
      title:gsub("^%l", string.upper), s.auc.value, s.auc.lo, s.auc.hi)
  end
  local tail = s.lungs and "it sees the lungs too, but at a size at which no finding is visible."
    or "a model can score this much without looking at the lungs."
  return ("%s tells the classes apart with AUC %.2f (%.2f to %.2f) and accuracy %.2f (chance: %.2f): %s"):format(
    title:gsub("^%l", string.upper), s.auc.value, s.auc.lo, s.auc.hi, s.accuracy.value, chance, tail)
end

--- Evaluates one feature table.
-- family: {name=, title=, lungs=}; rows: one list of numbers an image;
-- setting: {labels=, groups=, folds=, classes=, chance=, seed=}.
-- Returns {name, model, auc, accuracy, above_chance, sentence, features} or nil
-- when every column is constant (there is nothing to learn from).
function shortcuts.evaluate(family, rows, setting)
  local varies = false
  for i = 2, #rows do
    for j, v in ipairs(rows[i]) do
      local first = rows[1][j]
      varies = varies or (v ~= first and (v == v or first == first))
    end
    if varies then break end
  end
  if not varies then return nil end
  local x <close> = luma.tensor(rows, "f32")
  local y <close> = luma.tensor(setting.labels, "i32")
  local best
  for _, learner in ipairs(learners) do
    local proba = learn.cross_predict(learner.make(setting.classes, setting.seed), x, y, setting.folds)
    local s = shortcuts.score(setting.labels, proba, setting.groups)
    s.model = learner.name
    if not best or s.auc.value > best.auc.value then best = s end
  end
  best.name, best.lungs, best.features = family.name, family.lungs or false, #rows[1]
  best.above_chance = best.auc.lo > 0.5
  best.sentence = sentence(family.title, best, setting.chance)
  return best
end

--- Runs every family over an index.
-- opts: pixels (function(first, last) -> u8 (n, 224, 224, 3) for those rows),
-- folds (lists of row numbers), seed (0), progress (function(done, total, name)).
-- Returns the results, best AUC first.
function shortcuts.run(index, opts)
  local o = options.check("audit.shortcuts", opts, {
    pixels = options.optional, folds = options.optional, labels = options.optional, groups = options.optional,
    seed = 0, progress = options.optional,
  })
  local counts, largest = {}, 0
  for _, c in ipairs(o.labels) do
    counts[c] = (counts[c] or 0) + 1
    largest = math.max(largest, counts[c])
  end
  local setting = {
    labels = o.labels, groups = o.groups, folds = o.folds, classes = #index.classes,
    chance = largest / #index, seed = o.seed,
  }
  local tables, n = {}, #index
  for _, family in ipairs(features.families) do tables[family.name] = {} end
  local total = n + #features.families + #features.metadata_columns
  local done = 0
  local function step(count, name)
    done = done + count
    if o.progress then o.progress(done, total, name) end
  end
  for first = 1, n, 64 do
    local last = math.min(n, first + 63)
    local batch = { files = {} }
    local pixels <close> = o.pixels(first, last)
    batch.pixels = pixels
    for i = first, last do batch.files[#batch.files + 1] = features.read_file(index[i].path) end
    for _, family in ipairs(features.families) do
      table.move(family.columns(batch), 1, last - first + 1, first, tables[family.name])
    end
    step(last - first + 1, "reading images")
  end
  local results = {}
  for _, family in ipairs(features.families) do
    results[#results + 1] = shortcuts.evaluate(family, tables[family.name], setting)
    step(1, family.title)
  end
  for _, column in ipairs(features.metadata_columns) do
    local rows = features.metadata(index, column.key)
    if rows then
      results[#results + 1] = shortcuts.evaluate(
        { name = "metadata_" .. column.key, title = column.title }, rows, setting)
    end
    step(1, column.title)
  end
  table.sort(results, function(a, b)
    if a.auc.value ~= b.auc.value then return a.auc.value > b.auc.value end
    return a.name < b.name
  end)
  return results
end

return shortcuts
