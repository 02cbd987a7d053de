--- From predictions to numbers: what metrics.json holds, and what to say aloud.

local luma = require "luma"
local metrics = luma.metrics

local evaluate = {}

--- The numbers of a list of predictions { truth =, predicted =, p = {...} } (class ids).
-- @return accuracy, f1, auc, confusion, report, and per-class rows, as metrics.json has them
function evaluate.numbers(predictions, classes)
  local y, said, p, groups = {}, {}, {}, {}
  for i, one in ipairs(predictions) do
    y[i], said[i], p[i], groups[i] = classes[one.truth], classes[one.predicted], one.p, one.patient or ""
  end
  local text, scores = metrics.classification_report(y, said, { labels = classes })
  local _, correct, n = metrics.accuracy(y, said)
  local out = { report = text, confusion = (metrics.confusion_matrix(y, said, { labels = classes })), n = n,
    warnings = luma.json.list(scores.warnings), f1 = { macro = scores.macro.f1 }, classes = luma.json.list {} }
  out.accuracy = metrics.wilson(correct, n)
  if #classes == 2 then
    local s = {}
    for i = 1, #p do s[i] = p[i][1] end
    out.auc = metrics.roc_auc(y, s, { positive = classes[1], groups = groups })
  else
    out.auc = metrics.roc_auc_ovr(y, p, { classes = classes, groups = groups })
  end
  for c, class in ipairs(classes) do
    local s = scores.classes[c]
    out.f1[class] = s.f1
    out.classes[c] = { class = class, precision = s.precision, f1 = s.f1, support = s.support,
      recall = metrics.wilson(s.hits, s.support) }
  end
  return out
end

--- The class id that counts as the illness: the first that is not called normal.
function evaluate.positive(classes)
  for c, class in ipairs(classes) do
    if class:lower() ~= "normal" then return c end
  end
  return 1
end

-- The lists that luma.metrics wants, from predictions; which = "p" or "tempered".
local function columns(predictions, which)
  local y, said, p, groups = {}, {}, {}, {}
  for i, one in ipairs(predictions) do
    y[i], said[i], p[i], groups[i] = one.truth, one.predicted, one[which], one.patient or ""
  end
  return y, said, p, groups
end

-- Figures at the threshold and the temperature that each fold's judge chose;
-- nothing where not every test image has one.
local function judged(predictions, judges, o)
  local out = { judges = luma.json.list {} }
  for _, j in ipairs(judges) do out.judges[#out.judges + 1] = j end
  if #out.judges == 0 then return nil end
  local tempered, decided = #predictions > 0, #predictions > 0
  for _, one in ipairs(predictions) do
    tempered, decided = tempered and one.tempered ~= nil, decided and one.decided ~= nil
  end
  local y, _, p, groups = columns(predictions, "tempered")
  if decided then
    local said = {}
    for i, one in ipairs(predictions) do said[i] = one.decided end
    local s = metrics.summary(y, said, false, { classes = 2, rng = luma.rng(o.seed):fork "threshold", groups = groups,
      prevalence = o.prevalence })
    out.threshold = { rule = out.judges[1].rule, accuracy = s.accuracy, balanced_accuracy = s.balanced_accuracy,
      diagnostic = s.diagnostic[o.positive] }
  end
  if tempered then
    local said = {}
    for i, one in ipairs(predictions) do said[i] = one.predicted end
    local s = metrics.summary(y, said, p, { classes = o.classes, rng = luma.rng(o.seed):fork "temperature",
      groups = groups })
    out.tempered = { brier = s.brier, log_loss = s.log_loss, ece = s.ece }
  end
  return out
end

--- More numbers of a run's pooled predictions, with bootstrap intervals over
-- patients: metrics.summary's, average precision, and what the judges changed.
-- @param opts seed, prevalence, judges (list of a fold's judge, with fold), classes
function evaluate.details(predictions, classes, opts)
  if #predictions < 2 then return nil end
  local y, said, p, groups = columns(predictions, "p")
  local out = metrics.summary(y, said, p, { classes = #classes, rng = luma.rng(opts.seed):fork "intervals",
    groups = groups, prevalence = opts.prevalence })
  for c, class in ipairs(classes) do out.diagnostic[c].class = class end
  out.diagnostic = luma.json.list(out.diagnostic)
  local s = {}
  for c = 1, #classes do
    for i = 1, #p do s[i] = p[i][c] end
    out.diagnostic[c].average_precision = metrics.average_precision(y, s, { positive = c })
  end
  out.judged = judged(predictions, opts.judges, { seed = opts.seed, prevalence = opts.prevalence, classes = #classes,
    positive = evaluate.positive(classes) })
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
      .. "accuracy (--class-weights balanced makes them count alike in training)."):format(most, least)
  end
  if numbers.accuracy.value == 1 and total < 500 then
    out[#out + 1] = ("No mistake in %d images still allows an accuracy of %.2f; ask first whether something other "
      .. "than the lungs gives the class away."):format(total, numbers.accuracy.lo)
  end
  return luma.json.list(out)
end

return evaluate
