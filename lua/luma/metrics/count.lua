--- Counting agreement: confusion matrix, accuracy, precision, recall, F1.
--
-- As scikit-learn counts: a class nobody predicted has precision 0, a class
-- nobody has recall 0, and each such case is named in `warnings`.

local options = require "luma.base.options"

local count = {}

--- A Lua list of a list or tensor of labels.
function count.labels_of(what, y)
  if type(y) == "userdata" then return y:totable() end
  if type(y) ~= "table" then error(what .. " must be a list or a tensor of labels, got " .. type(y), 3) end
  return y
end

local function checked(fname, y_true, y_pred)
  local t, p = count.labels_of(fname .. ": y_true", y_true), count.labels_of(fname .. ": y_pred", y_pred)
  if #t ~= #p then error(("%s: %d true labels but %d predictions"):format(fname, #t, #p), 3) end
  return t, p
end

-- The distinct labels of both lists, sorted: numbers before strings.
local function distinct(...)
  local seen, list = {}, {}
  for _, y in ipairs { ... } do
    for _, label in ipairs(y) do
      if not seen[label] then seen[label], list[#list + 1] = true, label end
    end
  end
  table.sort(list, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return list
end

--- confusion_matrix(y_true, y_pred [, {labels=}]) -> rows, labels
-- rows[i][j] counts samples of class labels[i] that were called labels[j].
-- Samples whose truth or prediction is not among the labels are left out.
function count.confusion_matrix(y_true, y_pred, opts)
  local t, p = checked("confusion_matrix", y_true, y_pred)
  local o = options.check("confusion_matrix", opts, { labels = false })
  local labels = o.labels or distinct(t, p)
  local at, rows = {}, {}
  for i, label in ipairs(labels) do
    at[label], rows[i] = i, {}
    for j = 1, #labels do rows[i][j] = 0 end
  end
  for k = 1, #t do
    local i, j = at[t[k]], at[p[k]]
    if i and j then rows[i][j] = rows[i][j] + 1 end
  end
  return rows, labels
end

--- accuracy(y_true, y_pred) -> value, correct, n; NaN for no samples.
function count.accuracy(y_true, y_pred)
  local t, p = checked("accuracy", y_true, y_pred)
  local correct = 0
  for k = 1, #t do
    if t[k] == p[k] then correct = correct + 1 end
  end
  return correct / #t, correct, #t
end

-- NumPy's order of summation (pairwise in blocks of eight), so that averages
-- round as scikit-learn's do, also in the last printed digit.
local function sum(v)
  if #v < 8 then
    local s = 0.0
    for _, x in ipairs(v) do s = s + x end
    return s
  end
  local r = { table.unpack(v, 1, 8) }
  local i = 9
  while i + 7 <= #v do
    for k = 1, 8 do r[k] = r[k] + v[i + k - 1] end
    i = i + 8
  end
  local s = ((r[1] + r[2]) + (r[3] + r[4])) + ((r[5] + r[6]) + (r[7] + r[8]))
  for k = i, #v do s = s + v[k] end
  return s
end

local function f1(precision, recall)
  local below = precision + recall
  return (2.0 * precision * recall) / (below == 0 and 1 or below)
end

local function ratio(above, below)
  return below == 0 and 0.0 or above / below
end

local function averages(classes, weights)
  local out = { support = 0 }
  local total = weights and sum(weights)
  for _, key in ipairs { "precision", "recall", "f1" } do
    local v = {}
    for i, class in ipairs(classes) do v[i] = class[key] * (weights and weights[i] or 1) end
    out[key] = ratio(sum(v), weights and total or #v)
  end
  for _, class in ipairs(classes) do out.support = out.support + class.support end
  return out
end

--- scores(y_true, y_pred [, {labels=}]) -> table
-- classes: a list of {label, precision, recall, f1, support, predicted};
-- macro, weighted and micro averages; accuracy; n; warnings: a list of
-- sentences for every 0/0 that was taken as 0.
function count.scores(y_true, y_pred, opts)
  local t, p = checked("scores", y_true, y_pred)
  local o = options.check("scores", opts, { labels = false })
  local labels = o.labels or distinct(t, p)
  local classes, at, warnings = {}, {}, {}
  for i, label in ipairs(labels) do
    classes[i] = { label = label, support = 0, predicted = 0, hits = 0 }
    at[label] = classes[i]
  end
  for k = 1, #t do
    local truth, said = at[t[k]], at[p[k]]
    if truth then truth.support = truth.support + 1 end
    if said then said.predicted = said.predicted + 1 end
    if truth and t[k] == p[k] then truth.hits = truth.hits + 1 end
  end
  local hits, predicted, support, weights = 0, 0, 0, {}
  for i, class in ipairs(classes) do
    class.precision, class.recall = ratio(class.hits, class.predicted), ratio(class.hits, class.support)
    class.f1 = f1(class.precision, class.recall)
    if class.predicted == 0 then
      warnings[#warnings + 1] = ("precision of class '%s' is 0/0, taken as 0: it was never predicted"):format(
        class.label)
    end
    if class.support == 0 then
      warnings[#warnings + 1] = ("recall of class '%s' is 0/0, taken as 0: it has no samples"):format(class.label)
    end
    hits, predicted, support = hits + class.hits, predicted + class.predicted, support + class.support
    weights[i] = class.support
  end
  local micro = { precision = ratio(hits, predicted), recall = ratio(hits, support), support = support }
  micro.f1 = f1(micro.precision, micro.recall)
  return {
    classes = classes, macro = averages(classes), weighted = averages(classes, weights), micro = micro,
    accuracy = count.accuracy(t, p), n = #t, warnings = warnings,
  }
end

count.distinct_labels = distinct

return count
