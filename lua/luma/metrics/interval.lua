--- Intervals for proportions.

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

return interval
