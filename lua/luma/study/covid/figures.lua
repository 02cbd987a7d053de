--- The figures of a run, each once: written as PNG under plots/ and inlined as
-- SVG in the report.

local luma = require "luma"
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

local function curves(predictions, classes, make, area)
  local y, out = {}, {}
  for i, one in ipairs(predictions) do y[i] = one.truth end
  for c = 1, #classes == 2 and 1 or #classes do
    local s = {}
    for i, one in ipairs(predictions) do s[i] = one.p[c] end
    local value = area(y, s, c)
    if value == value then
      out[#out + 1] = { name = ("%s, area %.3f"):format(classes[c], value), points = make(y, s, { positive = c }) }
    end
  end
  return out
end

--- The figures: a list of { name=, plot=, caption= }.
-- @param run { history=, predictions=, numbers=, classes=, faithful= }
function figures.list(run)
  local list = {}
  local function add(name, p, caption) list[#list + 1] = { name = name, plot = p, caption = caption } end
  local history = of_fold(run.history, run.history[#run.history] and run.history[#run.history].fold or 0)
  local held_out = run.faithful and "Testing" or "Validation"
  add("accuracy", plot.training(history, "accuracy", held_out), "Accuracy by epoch, as in the author's notebook"
    .. (run.faithful and "; the second line is the test set, as there." or "; the second line is the validation part."))
  add("loss", plot.training(history, "loss", held_out), "Loss by epoch.")
  add("accuracy_loss", plot.training(history, "article"), "Accuracy and loss on the training part together, "
    .. "as in the article.")
  add("confusion", plot.confusion(run.numbers.confusion, run.classes), "Rows: the truth; columns: what was said.")
  local roc = curves(run.predictions, run.classes, metrics.roc_curve,
    function(y, s, c) return metrics.roc_auc(y, s, { positive = c }).value end)
  if #roc > 0 then
    add("roc", plot.roc(roc), "Every threshold at once: the diagonal is guessing.")
    add("precision_recall", plot.precision_recall(curves(run.predictions, run.classes,
      metrics.precision_recall_curve, function(y, s, c)
        return metrics.average_precision(y, s, { positive = c })
      end)), "How many of those called positive are, for each share that is found.")
  end
  add("reliability", plot.reliability(reliability(run.predictions)),
    "On the diagonal, a stated probability of 0.8 is right in 8 of 10 cases.")
  return list
end

return figures
