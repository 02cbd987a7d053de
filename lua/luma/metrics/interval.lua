--- Intervals for proportions, and for ratios of two of them.

local stats = require "luma.base.distributions"

local interval = {}

--- wilson(successes, n [, level=0.95]) -> {value, lo, hi}
-- Wilson's score interval of a proportion; all NaN when n is 0.
function interval.wilson(successes, n, level)
  level = level or 0.95
  if not (level > 0 and level < 1) then
    error(("wilson: level must lie between 0 and 1, got %s"):format(tostring(level)), 2)
  end
  if not (successes >= 0 and successes <= n) then
    error(("wilson: %s successes of %s"):format(tostring(successes), tostring(n)), 2)
  end
  if n == 0 then return { value = 0 / 0, lo = 0 / 0, hi = 0 / 0 } end
  local z = stats.normal_quantile(0.5 + level / 2)
  local p = successes / n
  local below = 1 + z * z / n
  local centre = (p + z * z / (2 * n)) / below
  local half = z / below * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
  return {
    value = p,
    lo = successes == 0 and 0.0 or math.max(0.0, centre - half),
    hi = successes == n and 1.0 or math.min(1.0, centre + half),
  }
end

--- exact_bound(n [, level=0.95]) -> number
-- n of n independent trials succeeded: the exact (Clopper-Pearson) lower bound
-- (alpha/2)^(1/n) of the chance of success; 0 when n is 0.
function interval.exact_bound(n, level)
  return n > 0 and ((1 - (level or 0.95)) / 2) ^ (1 / n) or 0.0
end

--- ratio_interval(a, b) -> {value, lo, hi}
-- The interval of a/b from those of two independent proportions {value, lo, hi}:
-- the method of variance estimates recovery for ratios (Donner & Zou 2012).
-- Where its formula has no answer (b close to 0) the ends are lo/hi and hi/lo.
function interval.ratio_interval(a, b)
  local product = a.value * b.value
  local function root(x, y) -- of the end that combines a's bound x with b's bound y
    return math.sqrt(math.max(0.0, product ^ 2 - x * y * (2 * a.value - x) * (2 * b.value - y)))
  end
  local above, below = b.hi * (2 * b.value - b.hi), b.lo * (2 * b.value - b.lo)
  return {
    value = a.value / b.value,
    lo = above > 0 and math.max(0.0, (product - root(a.lo, b.hi)) / above) or a.lo / b.hi,
    hi = below > 0 and (product + root(a.hi, b.lo)) / below or b.lo > 0 and a.hi / b.lo or math.huge,
  }
end

--- predictive_values(sensitivity, specificity, prevalence) -> ppv, npv, each {value, lo, hi}
-- The chance that a positive, or a negative, answer is right where `prevalence` of
-- those examined are ill.  The intervals carry the uncertainty of both sensitivity
-- and specificity ({value, lo, hi}); NaN where the value is.
function interval.predictive_values(sensitivity, specificity, prevalence)
  local function not_(v) return { value = 1 - v.value, lo = 1 - v.hi, hi = 1 - v.lo } end
  local function chance(wrong, right, odds) -- 1 / (1 + odds * wrong / right)
    local r = interval.ratio_interval(wrong, right)
    local function of(x) return 1 / (1 + odds * x) end
    if r.value ~= r.value then return { value = 0 / 0, lo = 0 / 0, hi = 0 / 0 } end
    return { value = of(r.value), lo = of(r.hi), hi = of(r.lo) }
  end
  return chance(not_(specificity), sensitivity, (1 - prevalence) / prevalence),
    chance(not_(sensitivity), specificity, prevalence / (1 - prevalence))
end

return interval
