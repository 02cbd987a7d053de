--- Two models on the same images: is the difference more than luck?

local count = require "luma.metrics.count"
local interval = require "luma.metrics.interval"
local options = require "luma.base.options"
local roc = require "luma.metrics.roc"
local stats = require "luma.base.distributions"

local compare = {}

--- groups_of(n, keys) -> list of lists of sample numbers: samples that share a
-- key together, a sample without one (nil, false, "") alone.
function compare.groups_of(n, keys)
  local groups, at = {}, {}
  for i = 1, n do
    local key = keys and keys[i]
    if key and key ~= "" and at[key] then
      table.insert(at[key], i)
    else
      local group = { i }
      groups[#groups + 1] = group
      if key and key ~= "" then at[key] = group end
    end
  end
  return groups
end

--- bootstrap(n, statistic, {rng=, groups=, resamples=1000, level=0.95}) ->
-- {value, lo, hi, method}: a percentile interval of statistic(list of sample
-- numbers), drawing whole groups (patients).  NaN ends when too few resamples
-- are usable.
function compare.bootstrap(n, statistic, opts)
  local o = options.check("bootstrap", opts,
    { rng = options.optional, groups = false, resamples = 1000, level = 0.95 })
  if not o.rng then error("bootstrap: option rng is needed: luma.rng(seed)", 2) end
  local all = {}
  for i = 1, n do all[i] = i end
  local lo, hi, used = stats.group_bootstrap(compare.groups_of(n, o.groups), statistic, o)
  return {
    value = statistic(all) or 0 / 0, lo = lo or 0 / 0, hi = hi or 0 / 0,
    method = ("bootstrap over %s, %d resamples"):format(o.groups and "groups" or "samples", used or 0),
  }
end

-- A difference that no resample moves is not certain: it is opened by `slack` on
-- either side.
local function opened(d, slack, why)
  if d.lo == d.hi and d.value == d.value then
    d.lo, d.hi = math.max(-1.0, d.value - slack), math.min(1.0, d.value + slack)
    d.method = d.method .. "; " .. why
  end
  return d
end

local function pick(list, rows)
  local out = {}
  for k, i in ipairs(rows) do out[k] = list[i] end
  return out
end

--- paired(labels, a, b, {rng=, groups=, positive=, classes=, resamples=1000, level=0.95}) -> table
-- a and b are {predicted={...}, scores={...}} of two models on the same samples
-- (scores of class `positive`, optional).  Returns accuracy_a, accuracy_b,
-- accuracy_difference (b - a, paired bootstrap), only_a, only_b, mcnemar_p, and
-- with scores auc_a, auc_b, auc_difference.  Where no resample differs (both never
-- err, or both separate perfectly) the interval is that of an exact bound.
function compare.paired(labels, a, b, opts)
  local o = options.check("paired", opts, {
    rng = options.optional, groups = false, positive = options.optional, resamples = 1000, level = 0.95 })
  local n = #labels
  if #a.predicted ~= n or #b.predicted ~= n then
    error(("paired: %d labels, %d and %d predictions"):format(n, #a.predicted, #b.predicted), 2)
  end
  local only_a, only_b = 0, 0
  for i = 1, n do
    local right_a, right_b = a.predicted[i] == labels[i], b.predicted[i] == labels[i]
    if right_a and not right_b then only_a = only_a + 1 end
    if right_b and not right_a then only_b = only_b + 1 end
  end
  local unseen = 1 - interval.exact_bound(#compare.groups_of(n, o.groups), o.level)
  local setting = { rng = o.rng, groups = o.groups, resamples = o.resamples, level = o.level }
  local out = {
    n = n, only_a = only_a, only_b = only_b, mcnemar_p = stats.mcnemar(only_a, only_b),
    accuracy_a = count.accuracy(labels, a.predicted), accuracy_b = count.accuracy(labels, b.predicted),
    accuracy_difference = opened(compare.bootstrap(n, function(rows)
      local difference = 0
      for _, i in ipairs(rows) do
        difference = difference + (b.predicted[i] == labels[i] and 1 or 0) - (a.predicted[i] == labels[i] and 1 or 0)
      end
      return difference / #rows
    end, setting), unseen, "no sample differs: exact bound"),
  }
  if a.scores and b.scores then
    local function area(rows, scores)
      return roc.roc_auc(pick(labels, rows), pick(scores, rows), { positive = o.positive }).value
    end
    out.auc_difference = compare.bootstrap(n, function(rows) return area(rows, b.scores) - area(rows, a.scores) end,
      setting)
    out.auc_a = roc.roc_auc(labels, a.scores, { positive = o.positive, groups = o.groups })
    out.auc_b = roc.roc_auc(labels, b.scores, { positive = o.positive, groups = o.groups })
    local function width(v) return v.hi - v.lo end
    opened(out.auc_difference, math.max(width(out.auc_a), width(out.auc_b)), "no resample differs: bound of the areas")
  end
  return out
end

--- choose_threshold(labels, scores, {positive=, rule="youden", sensitivity=0.95})
-- -> threshold, point: where to call a sample positive (score >= threshold),
-- chosen on validation data.  "youden" makes sensitivity + specificity largest;
-- "sensitivity" takes the highest threshold that still reaches the given one.
function compare.choose_threshold(labels, scores, opts)
  local o = options.check("choose_threshold", opts,
    { positive = options.optional, rule = "youden", sensitivity = 0.95 })
  options.choice("choose_threshold", "rule", o.rule, { "youden", "sensitivity" })
  local best, best_value
  for _, point in ipairs(roc.roc_curve(labels, scores, { positive = o.positive })) do
    local value
    if o.rule == "youden" then
      value = point.tpr - point.fpr
    elseif point.tpr >= o.sensitivity then
      value = -point.fpr
    end
    if value and point.threshold < math.huge and (not best or value > best_value) then
      best, best_value = point, value
    end
  end
  if not best then return nil end
  return best.threshold, best
end

return compare
