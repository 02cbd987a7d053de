--- The figures of a run, each once: written as PNG under plots/ and inlined as
-- SVG in the report.

local luma = require "luma"
local evaluate = require "luma.study.covid.evaluate"
local metrics, plot = luma.metrics, luma.plot

local figures = {}

-- History of one fold.
local function of_fold(history, fold)
  local out = {}
  for _, row in ipairs(history) do
    if row.fold == fold then out[#out + 1] = row end
  end
  return out
end

-- Reliability of the winning probability, in ten bins.
local function reliability(predictions)
  local y, p = {}, {}
  for i, one in ipairs(predictions) do y[i], p[i] = one.truth, one.p end
  return metrics.reliability(y, p)
end

-- One curve for the class that the thresholds speak of; of more than two classes
-- one each.
local function curves(predictions, classes, make, area)
  local y, out = {}, {}
  local positive = evaluate.positive(classes)
  for i, one in ipairs(predictions) do y[i] = one.truth end
  for c = #classes == 2 and positive or 1, #classes == 2 and positive or #classes do
    local s = {}
    for i, one in ipairs(predictions) do s[i] = one.p[c] end
    local value = area(y, s, c)
    if value == value then
      out[#out + 1] = { name = ("%s, area %.3f"):format(classes[c], value), points = make(y, s, { positive = c }) }
    end
  end
  return out
end

--- Whose training a curve shows: one fold's of several, or that of the only split.
function figures.whose(history, fold)
  for _, row in ipairs(history) do
    if row.fold ~= fold then
      return fold == 0 and "The head that is kept, trained on all images." or ("Fold %d."):format(fold)
    end
  end
  return "The head of the one split."
end

-- "bin 0.9 to 1.0: 0.95 of 120 right (0.90 to 0.98)": the bins that hold images.
local function bins_in_words(bins)
  local out = {}
  for _, bin in ipairs(bins) do
    if bin.count > 0 then
      local v = metrics.wilson(math.floor(bin.accuracy * bin.count + 0.5), bin.count)
      out[#out + 1] = ("%.1f to %.1f: %.2f right (%.2f to %.2f) of %d"):format(bin.lo, bin.hi, v.value, v.lo, v.hi,
        bin.count)
    end
  end
  return table.concat(out, "; ")
end

--- The figures: a list of { name=, plot=, caption= }.
-- @param run { history=, predictions=, numbers=, classes=, faithful= }
function figures.list(run)
  local list = {}
  local function add(name, p, caption) list[#list + 1] = { name = name, plot = p, caption = caption } end
  local shown = run.history[#run.history] and run.history[#run.history].fold or 0
  local history, which = of_fold(run.history, shown), figures.whose(run.history, shown)
  local held_out = run.faithful and "Testing" or "Validation"
  local second = ""
  for _, row in ipairs(history) do
    if row.val_accuracy then
      second = run.faithful and "; the second line is the test set, as there" or "; the second line is the "
        .. "validation part"
    end
  end
  if #history > 1 then -- logistic regression has no epochs
    add("accuracy", plot.training(history, "accuracy", held_out), ("Accuracy by epoch, as in the author's notebook"
      .. "%s. %s"):format(second, which))
    add("loss", plot.training(history, "loss", held_out), "Loss by epoch. " .. which)
    add("accuracy_loss", plot.training(history, "article"), "Accuracy and loss on the training part together, "
      .. "as in the article. " .. which)
  end
  add("confusion", plot.confusion(run.numbers.confusion, run.classes), "Rows: the truth; columns: what was said.")
  local roc = curves(run.predictions, run.classes, metrics.roc_curve,
    function(y, s, c) return metrics.roc_auc(y, s, { positive = c }).value end)
  if #roc > 0 then
    add("roc", plot.roc(roc), "Every threshold at once: the diagonal is guessing.")
    add("precision_recall", plot.precision_recall(curves(run.predictions, run.classes,
      metrics.precision_recall_curve, function(y, s, c)
        return metrics.average_precision(y, s, { positive = c })
      end)), "How many of those called positive are, for each fraction that is found.")
  end
  local bins = reliability(run.predictions)
  add("reliability", plot.reliability(bins), ("On the diagonal, a stated probability of 0.8 is right in 8 of 10 cases. "
    .. "By stated probability, with 95 %% intervals: %s."):format(bins_in_words(bins)))
  return list
end

return figures
