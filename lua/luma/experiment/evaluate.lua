--- From predictions to numbers: what metrics.json holds, and what to say aloud.

local luma = require "luma"
local metrics = luma.metrics

local evaluate = {}

--- The numbers of a list of predictions { truth =, predicted =, p = {...} } (class ids).
-- @return accuracy, f1, auc, confusion, report, and per-class rows, as metrics.json has them
function evaluate.numbers(predictions, classes)
  local y, said, p = {}, {}, {}
  for i, one in ipairs(predictions) do
    y[i], said[i], p[i] = classes[one.truth], classes[one.predicted], one.p
  end
  local text, scores = metrics.classification_report(y, said, { labels = classes })
  local _, correct, n = metrics.accuracy(y, said)
  local out = { report = text, confusion = (metrics.confusion_matrix(y, said, { labels = classes })), n = n,
    warnings = luma.json.list(scores.warnings), f1 = { macro = scores.macro.f1 }, classes = luma.json.list {} }
  out.accuracy = metrics.wilson(correct, n)
  if #classes == 2 then
    local s = {}
    for i = 1, #p do s[i] = p[i][1] end
    out.auc = metrics.roc_auc(y, s, { positive = classes[1] })
  else
    out.auc = metrics.roc_auc_ovr(y, p, { classes = classes })
  end
  for c, class in ipairs(classes) do
    local s = scores.classes[c]
    out.f1[class] = s.f1
    out.classes[c] = { class = class, precision = s.precision, f1 = s.f1, support = s.support,
      recall = metrics.wilson(s.hits, s.support) }
  end
  return out
end

--- What a reader must not miss: sentences, the accuracy trap first (article row
-- T9), then imbalance, perfect scores on few images, classes without samples.
function evaluate.traps(numbers, counts, classes)
  local out, total, largest = {}, 0, 0
  local majority
  for _, class in ipairs(numbers.classes) do
    total = total + class.support
    if class.support > largest then largest, majority = class.support, class.class end
  end
  for _, class in ipairs(numbers.classes) do
    if class.support > 0 and class.recall.value == 0 then
      out[#out + 1] = ("Accuracy trap: accuracy is %.2f, yet not one of %d %s images was recognised (recall 0.00). "
        .. "Always answering '%s' would score %.2f."):format(numbers.accuracy.value, class.support, class.class,
        majority, largest / total)
    elseif class.support == 0 then
      out[#out + 1] = ("No test image is %s: nothing is known about this class."):format(class.class)
    end
  end
  if #out == 0 and total > 0 and numbers.accuracy.value <= largest / total then
    out[#out + 1] = ("Accuracy %.2f is no better than always answering '%s' (%.2f)."):format(numbers.accuracy.value,
      majority, largest / total)
  end
  local least, most = math.huge, 0
  for _, class in ipairs(classes) do
    least, most = math.min(least, counts[class] or 0), math.max(most, counts[class] or 0)
  end
  if most >= 3 * math.max(least, 1) then
    out[#out + 1] = ("The classes are out of balance (%d against %d images): judge by recall, F1 and AUC, not by "
      .. "accuracy."):format(most, least)
  end
  if numbers.accuracy.value == 1 and total < 500 then
    out[#out + 1] = ("No mistake in %d images still allows an accuracy of %.2f; ask first whether something other "
      .. "than the lungs gives the class away."):format(total, numbers.accuracy.lo)
  end
  return luma.json.list(out)
end

return evaluate
