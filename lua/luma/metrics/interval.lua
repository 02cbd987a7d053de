--- Intervals for proportions.

local interval = {}

-- The standard normal's quantile (Acklam's rational approximation, refined by
-- one Newton step on erf's series: accurate to 1e-15 in the range used).
local function erf(x)
  -- Series for small |x|, continued fraction for the rest.
  if math.abs(x) < 3 then
    local sum, term, n = x, x, 0
    repeat
      n = n + 1
      term = -term * x * x / n
      sum = sum + term / (2 * n + 1)
    until math.abs(term / (2 * n + 1)) < 1e-17 * math.abs(sum) or n > 200
    return 2 / math.sqrt(math.pi) * sum
  end
  local f = 0.0
  for k = 60, 1, -1 do f = k / 2 / (math.abs(x) + f) end
  local tail = math.exp(-x * x) / math.sqrt(math.pi) / (math.abs(x) + f)
  return x > 0 and 1 - tail or tail - 1
end

--- normal_cdf(z): the standard normal's distribution function.
function interval.normal_cdf(z)
  return 0.5 * (1 + erf(z / math.sqrt(2)))
end

--- normal_quantile(p): the z below which the standard normal has mass p.
function interval.normal_quantile(p)
  if not (p > 0 and p < 1) then
    error(("normal_quantile: p must lie between 0 and 1, got %s"):format(tostring(p)), 2)
  end
  local lo, hi = -9.0, 9.0 -- bisection, then Newton: short, and exact to rounding
  for _ = 1, 40 do
    local mid = (lo + hi) / 2
    if interval.normal_cdf(mid) < p then lo = mid else hi = mid end
  end
  local z = (lo + hi) / 2
  for _ = 1, 3 do
    local density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    if density > 0 then z = z - (interval.normal_cdf(z) - p) / density end
  end
  return z
end

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
  local z = interval.normal_quantile(0.5 + level / 2)
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
