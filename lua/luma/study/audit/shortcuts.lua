--- audit.shortcuts: how well does everything that is not the lungs predict the
-- class?  Each feature family is put to logistic regression and to a small
-- forest in folds that keep patients whole; the better of the two stands.

local luma = require "luma"
local learn = require "luma.learn"
local features = require "luma.study.audit.features"
local roc = require "luma.metrics.roc"
local interval = require "luma.metrics.interval"
local argmax = require("luma.base.lists").argmax
local options = require "luma.base.options"
local rows_of = require "luma.data.index"

local shortcuts = {}

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

--- The learners each family is put to: {name=, make=function(classes, seed, rows) -> maker}.
shortcuts.learners = {
  { name = "logistic regression", make = function(classes)
    return function() return learn.Logistic { classes = classes, c = 0.1 } end
  end },
  { name = "random forest", make = function(classes, seed, rows)
    return function() -- of many rows, fewer and blunter trees say the same
      return learn.Forest { classes = classes, trees = rows > 500 and 50 or 100, min_leaf = math.max(2, rows // 100),
        seed = seed }
    end
  end },
}

local function sentence(family, s, chance)
  local title = family.title:gsub("^%l", string.upper)
  local area = ("AUC %.2f (%.2f to %.2f)"):format(s.auc.value, s.auc.lo, s.auc.hi)
  if not s.above_chance then return ("%s: no better than chance, %s."):format(title, area) end
  local tail = family.lungs and ("the lungs are in it, but %s."):format(family.lungs)
    or family.metadata and "whatever goes with it in the pictures can stand in for the disease."
    or "a model can score this much without looking at the lungs."
  return ("%s tells the classes apart with %s and accuracy %.2f (always answering the larger class: %.2f): %s")
    :format(title, area, s.accuracy.value, chance, tail)
end

--- Whether any column of a table of lists differs between its rows (NaN, "not
-- known", is a value like any other).
function shortcuts.varies(rows)
  for i = 2, #rows do
    for j, v in ipairs(rows[i]) do
      local first = rows[1][j]
      if v ~= first and (v == v or first == first) then return true end
    end
  end
  return false
end

--- Evaluates one feature table.
-- family: as in audit.features; rows: one list of numbers an image;
-- setting: {labels=, groups=, folds=, classes=, chance=, seed=}.
-- Returns {name, model, auc, accuracy, above_chance, sentence, features} or nil
-- when every column is constant (there is nothing to learn from).
function shortcuts.evaluate(family, rows, setting)
  if not shortcuts.varies(rows) then return nil end
  local x <close> = luma.tensor(rows, "f32")
  local y <close> = luma.tensor(setting.labels, "i32")
  local best
  for _, learner in ipairs(shortcuts.learners) do
    local proba = learn.cross_predict(learner.make(setting.classes, setting.seed, #rows), x, y, setting.folds)
    local s = shortcuts.score(setting.labels, proba, setting.groups)
    s.model = learner.name
    if not best or s.auc.value > best.auc.value then best = s end
  end
  best.name, best.title, best.lungs, best.features = family.name, family.title, family.lungs ~= nil, #rows[1]
  best.metadata = family.metadata or false
  best.above_chance = best.auc.lo > 0.5
  best.sentence = sentence(family, best, setting.chance)
  return best
end

-- A column of metadata: its rows, and a sentence of its own where the bare fact
-- of being recorded, or one value a class, gives the class away.
local function metadata(index, column)
  local known, values, total = {}, {}, index:counts()
  for _, class in ipairs(index.classes) do known[class] = 0 end
  for _, row in ipairs(index) do
    local v = rows_of.field(row, column.key)
    if v ~= nil and v ~= "" then
      known[row.class] = known[row.class] + 1
      values[row.class] = values[row.class] or {}
      values[row.class][tostring(v)] = true
    end
  end
  local parts, none, all, owner, shared = {}, false, false, {}, false
  for k, class in ipairs(index.classes) do
    parts[k] = ("%d of %d %s"):format(known[class], total[class], class)
    if known[class] == 0 then none = true elseif known[class] > total[class] / 2 then all = true end
    for v in pairs(values[class] or {}) do
      shared = shared or (owner[v] ~= nil and owner[v] ~= class)
      owner[v] = class
    end
  end
  local name = column.title:gsub("^%l", string.upper)
  if none and all then
    local last = table.remove(parts)
    return ("%s is known for %s and %s: its absence alone gives the class away."):format(name,
      table.concat(parts, ", "), last), "absence"
  end
  if not none and not shared and column.key == "source" then
    return "Each class comes from a collection of its own: no test on these images can tell the disease from the "
      .. "collection.", "source"
  end
end

-- The share of the largest class.
local function chance_of(labels)
  local counts, largest = {}, 0
  for _, c in ipairs(labels) do
    counts[c] = (counts[c] or 0) + 1
    largest = math.max(largest, counts[c])
  end
  return largest / #labels
end

--- Runs every family over an index.
-- opts: tables (family name -> rows, from audit.reader), labels (class ids from
-- 1), groups (keys of images that belong together, for the intervals), folds
-- (lists of row numbers), seed (0), step (function(title), once a family).
-- Returns the results, best AUC first.
function shortcuts.run(index, opts)
  local o = options.check("audit.shortcuts", opts, {
    tables = options.optional, folds = options.optional, labels = options.optional, groups = options.optional,
    seed = 0, step = options.optional,
  })
  local setting = {
    labels = o.labels, groups = o.groups, folds = o.folds, classes = #index.classes,
    chance = chance_of(o.labels), seed = o.seed,
  }
  local results = {}
  local function ask(family, rows, own)
    local s = rows and shortcuts.evaluate(family, rows, setting)
    if s then
      if own and s.above_chance then s.sentence = own end
      results[#results + 1] = s
    end
    if o.step then o.step(family.title) end
  end
  for _, family in ipairs(features.families) do ask(family, o.tables[family.name]) end
  for _, column in ipairs(features.metadata_columns) do
    ask({ name = "metadata_" .. column.key, title = column.title, metadata = true },
      features.metadata(index, column.key), (metadata(index, column)))
  end
  table.sort(results, function(a, b)
    if a.auc.value ~= b.auc.value then return a.auc.value > b.auc.value end
    return a.name < b.name
  end)
  return results
end

--- How many steps run takes.
function shortcuts.count() return #features.families + #features.metadata_columns end

return shortcuts
