--- summary: the figures of one set of predictions together, each with an interval
-- from one group bootstrap, so that they share their resamples.
--
-- Every figure is the one of the same name in luma.metrics; here they are
-- computed from per-sample terms and a confusion matrix, so that a thousand
-- resamples of ten thousand images take seconds.

local agreement = require "luma.metrics.agreement"
local calibration = require "luma.metrics.calibration"
local compare = require "luma.metrics.compare"
local interval = require "luma.metrics.interval"
local options = require "luma.base.options"
local stats = require "luma.base.distributions"

local summary = {}

local function square(k)
  local rows = {}
  for i = 1, k do
    rows[i] = {}
    for j = 1, k do rows[i][j] = 0 end
  end
  return rows
end

local function ratio(a, b)
  return b > 0 and a / b or 0 / 0
end

-- Sensitivity, specificity, PPV and NPV of class c at a prevalence, from counts.
local function one_against_rest(rows, c, prevalence)
  local tp, fn, fp, tn = rows[c][c], 0, 0, 0
  for i = 1, #rows do
    for j = 1, #rows do
      if i == c and j ~= c then fn = fn + rows[i][j] end
      if i ~= c and j == c then fp = fp + rows[i][j] end
      if i ~= c and j ~= c then tn = tn + rows[i][j] end
    end
  end
  local se, sp = ratio(tp, tp + fn), ratio(tn, tn + fp)
  prevalence = prevalence or (tp + fn) / (tp + fn + fp + tn)
  return { tp = tp, fn = fn, fp = fp, tn = tn, sensitivity = se, specificity = sp, prevalence = prevalence,
    ppv = ratio(se * prevalence, se * prevalence + (1 - sp) * (1 - prevalence)),
    npv = ratio(sp * (1 - prevalence), sp * (1 - prevalence) + (1 - se) * prevalence) }
end

-- The terms of each sample that the figures are sums of.
local function terms_of(labels, probabilities, bins)
  local out = { brier = {}, log_loss = {}, bin = {}, gap = {} }
  for i, p in ipairs(probabilities) do
    local one, label = { p }, { labels[i] }
    out.brier[i], out.log_loss[i] = calibration.brier(label, one), calibration.log_loss(label, one)
    for b, bin in ipairs(calibration.reliability(label, one, { bins = bins })) do
      if bin.count > 0 then out.bin[i], out.gap[i] = b, bin.accuracy - bin.confidence end
    end
  end
  return out
end

-- All figures of the samples `rows` (a list of numbers, repeats allowed).
local function figures(labels, predicted, terms, rows, k, bins, prevalence)
  local counts, brier, loss, gaps = square(k), 0.0, 0.0, {}
  for b = 1, bins do gaps[b] = 0.0 end
  for _, i in ipairs(rows) do
    local row = counts[labels[i]]
    row[predicted[i]] = row[predicted[i]] + 1
    if terms then
      brier, loss = brier + terms.brier[i], loss + terms.log_loss[i]
      gaps[terms.bin[i]] = gaps[terms.bin[i]] + terms.gap[i]
    end
  end
  local out = agreement.of_confusion(counts)
  if terms then
    local ece = 0.0
    for b = 1, bins do ece = ece + math.abs(gaps[b]) end
    out.brier, out.log_loss, out.ece = brier / #rows, loss / #rows, ece / #rows
  end
  for c = 1, k do
    local d = one_against_rest(counts, c, prevalence)
    for _, name in ipairs { "sensitivity", "specificity", "ppv", "npv" } do out[name .. c] = d[name] end
  end
  return out, counts
end

-- How many independent groups hold a sample of each class, and how many there are.
local function groups_per_class(groups, labels, k)
  local per = {}
  for c = 1, k do per[c] = 0 end
  for _, group in ipairs(groups) do
    local seen = {}
    for _, i in ipairs(group) do
      local c = labels[i]
      if not seen[c] then seen[c], per[c] = true, per[c] + 1 end
    end
  end
  return per, #groups
end

-- No resample of predictions without a mistake has one, so a bootstrap calls them
-- certain.  Here a figure's far end is what it would be if every class's recall were
-- at the exact bound that as many patients without a mistake allow, with the
-- mistakes spread over the other classes; Brier score and calibration error are
-- raised by the share of mistakes that cannot be excluded.  A log loss has no such
-- bound: where the bootstrap sees no spread it stands without an interval.
local function open_the_edge(out, counts, labels, groups, level)
  local k = #counts
  local per, total = groups_per_class(groups, labels, k)
  local worst = square(k)
  for c = 1, k do
    local recall = interval.exact_bound(per[c], level)
    for j = 1, k do worst[c][j] = counts[c][c] * (j == c and recall or (1 - recall) / (k - 1)) end
  end
  local low = agreement.of_confusion(worst)
  low.accuracy = interval.exact_bound(total, level)
  for name, v in pairs(low) do
    if out[name] and out[name].value == out[name].value then out[name].lo, out[name].hi = v, out[name].value end
  end
  local missed, narrow = 1 - low.accuracy, 5e-4
  for name, dearest in pairs { brier = k == 2 and 1 or 2, ece = 1 } do
    local v = out[name]
    if v and v.hi - v.lo < narrow then v.hi = math.min(dearest, v.value + missed * dearest) end
  end
  local loss = out.log_loss
  if loss and loss.hi - loss.lo < narrow then loss.lo, loss.hi = 0 / 0, 0 / 0 end
  out.method = out.method .. "; no mistake: exact bounds"
end

--- summary(labels, predicted, probabilities, {classes=, rng=, groups=, prevalence=, resamples=1000, level=0.95,
-- bins=10}) -> table
-- labels and predicted are class ids 1..classes, probabilities rows of as many
-- numbers, or false for none.  Returns accuracy, balanced_accuracy, mcc, kappa,
-- brier, log_loss, ece as {value, lo, hi}; diagnostic, a list over the classes,
-- each against the rest, of sensitivity and specificity (Wilson), ppv and npv at
-- `prevalence` (default: that of the data) with intervals that carry the
-- uncertainty of both and of the bootstrap; and method.  Where nothing is wrong the
-- intervals reach down to exact bounds.  What is 0/0 is NaN.
function summary.summary(labels, predicted, probabilities, opts)
  local o = options.check("summary", opts, { classes = options.optional, rng = options.optional, groups = false,
    prevalence = options.optional, resamples = 1000, level = 0.95, bins = 10 })
  if not o.rng then error("summary: option rng is needed: luma.rng(seed)", 2) end
  local k, n = options.integer("summary", "classes", o.classes, 2), #labels
  if #predicted ~= n or (probabilities and #probabilities ~= n) then
    error(("summary: %d labels, %d predictions, %s probabilities"):format(n, #predicted,
      probabilities and #probabilities or "no"), 2)
  end
  local terms, all = probabilities and terms_of(labels, probabilities, o.bins), {}
  for i = 1, n do all[i] = i end
  local whole, counts = figures(labels, predicted, terms, all, k, o.bins, o.prevalence)
  local groups = compare.groups_of(n, o.groups)
  local ends = stats.group_bootstrap_many(groups, function(rows)
    return (figures(labels, predicted, terms, rows, k, o.bins, o.prevalence))
  end, o)
  local function with_ends(name)
    local e = ends[name] or { lo = 0 / 0, hi = 0 / 0 }
    return { value = whole[name], lo = e.lo, hi = e.hi }
  end
  local out = { n = n, diagnostic = {}, method = ("bootstrap over %s, %d resamples"):format(
    o.groups and "patients" or "images", o.resamples) }
  for _, name in ipairs { "accuracy", "balanced_accuracy", "mcc", "kappa", "brier", "log_loss", "ece" } do
    if whole[name] then out[name] = with_ends(name) end
  end
  for c = 1, k do
    local d = one_against_rest(counts, c, o.prevalence)
    d.sensitivity = interval.wilson(d.tp, d.tp + d.fn, o.level)
    d.specificity = interval.wilson(d.tn, d.tn + d.fp, o.level)
    d.ppv, d.npv = interval.predictive_values(d.sensitivity, d.specificity, d.prevalence)
    for _, name in ipairs { "ppv", "npv" } do -- whole patients drawn may spread further still
      local drawn, v = ends[name .. c], d[name]
      if drawn and drawn.lo == drawn.lo and v.value == v.value then
        v.lo, v.hi = math.min(v.lo, drawn.lo), math.max(v.hi, drawn.hi)
      end
    end
    out.diagnostic[c] = d
  end
  if n > 0 and whole.accuracy == 1 then open_the_edge(out, counts, labels, groups, o.level) end
  return out
end

return summary
