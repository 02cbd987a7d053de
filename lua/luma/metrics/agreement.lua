--- Agreement beyond accuracy: balanced accuracy, Matthews' correlation, Cohen's
-- kappa, and what a test says of one person (sensitivity, PPV at a prevalence).
-- A ratio 0/0 is NaN ("n/a" in print): it is not known, it is not 0.

local count = require "luma.metrics.count"
local interval = require "luma.metrics.interval"
local options = require "luma.base.options"

local agreement = {}

-- Row and column sums and the trace of a confusion matrix.
local function margins(rows)
  local k, total, hits, truth, said = #rows, 0, 0, {}, {}
  for i = 1, k do truth[i], said[i] = 0, 0 end
  for i = 1, k do
    for j = 1, k do
      local n = rows[i][j]
      total, truth[i], said[j] = total + n, truth[i] + n, said[j] + n
    end
    hits = hits + rows[i][i]
  end
  return truth, said, hits, total
end

--- of_confusion(rows) -> { accuracy, balanced_accuracy, mcc, kappa } of a
-- confusion matrix (rows: the truth); what each is stands at the function of
-- that name.
function agreement.of_confusion(rows)
  local truth, said, hits, total = margins(rows)
  local recalls, classes, joint, tt, ss, expected = 0.0, 0, 0, 0, 0, 0.0
  for i = 1, #rows do
    if truth[i] > 0 then recalls, classes = recalls + rows[i][i] / truth[i], classes + 1 end
    joint, tt, ss = joint + truth[i] * said[i], tt + truth[i] ^ 2, ss + said[i] ^ 2
    expected = expected + truth[i] * said[i] / total
  end
  local below = math.sqrt((total ^ 2 - tt) * (total ^ 2 - ss))
  return {
    accuracy = hits / total, balanced_accuracy = recalls / classes,
    mcc = below == 0 and 0.0 or (hits * total - joint) / below, kappa = (hits - expected) / (total - expected),
  }
end

--- balanced_accuracy(y_true, y_pred) -> number: the mean recall of the classes
-- that occur (scikit-learn's balanced_accuracy_score).
function agreement.balanced_accuracy(y_true, y_pred)
  return agreement.of_confusion((count.confusion_matrix(y_true, y_pred))).balanced_accuracy
end

--- matthews_corrcoef(y_true, y_pred) -> number in -1..1: the correlation of
-- truth and prediction for any number of classes (Gorodkin 2004); 0 when one of
-- them is constant, as scikit-learn has it.
function agreement.matthews_corrcoef(y_true, y_pred)
  return agreement.of_confusion((count.confusion_matrix(y_true, y_pred))).mcc
end

--- cohen_kappa(y_true, y_pred) -> number: agreement beyond chance; NaN when
-- chance alone would agree always.
function agreement.cohen_kappa(y_true, y_pred)
  return agreement.of_confusion((count.confusion_matrix(y_true, y_pred))).kappa
end

--- diagnostic(y_true, y_pred, {positive=, prevalence=, level=0.95}) -> table
-- sensitivity and specificity with Wilson's intervals, the counts tp, fn, fp,
-- tn, and ppv and npv at the stated prevalence (that of the data by default,
-- which is rarely that of the clinic).
function agreement.diagnostic(y_true, y_pred, opts)
  local o = options.check("diagnostic", opts, {
    positive = options.optional, prevalence = options.optional, level = 0.95 })
  local t, p = count.labels_of("diagnostic: y_true", y_true), count.labels_of("diagnostic: y_pred", y_pred)
  if o.positive == nil then error("diagnostic: option positive must name the class that counts as positive", 2) end
  local prevalence = o.prevalence
  if prevalence ~= nil and not (type(prevalence) == "number" and prevalence >= 0 and prevalence <= 1) then
    error(("diagnostic: option prevalence must be in 0..1, got %s"):format(tostring(prevalence)), 2)
  end
  local tp, fn, fp, tn = 0, 0, 0, 0
  for i = 1, #t do
    local is, said = t[i] == o.positive, p[i] == o.positive
    if is and said then tp = tp + 1 elseif is then fn = fn + 1 elseif said then fp = fp + 1 else tn = tn + 1 end
  end
  prevalence = prevalence or (tp + fn) / #t
  local sensitivity = interval.wilson(tp, tp + fn, o.level)
  local specificity = interval.wilson(tn, tn + fp, o.level)
  local true_positive, false_positive = sensitivity.value * prevalence, (1 - specificity.value) * (1 - prevalence)
  local true_negative, false_negative = specificity.value * (1 - prevalence), (1 - sensitivity.value) * prevalence
  return {
    tp = tp, fn = fn, fp = fp, tn = tn, sensitivity = sensitivity, specificity = specificity,
    prevalence = prevalence, ppv = true_positive / (true_positive + false_positive),
    npv = true_negative / (true_negative + false_negative),
  }
end

return agreement
