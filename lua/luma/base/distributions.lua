--- stats: distributions and exact tests behind luma's intervals.
-- Plain Lua in double precision; every function is held against SciPy in
-- tests/stats_spec.lua to the accuracy its comment states.

local stats = {}

local function check(name, position, value, low, high)
  if type(value) ~= "number" or value ~= value or value < low or value > high then
    error(("bad argument #%d to 'stats.%s' (number in %g..%g expected, got %s)"):format(
      position, name, low, high, tostring(value)), 3)
  end
  return value
end

-- Lanczos' approximation, g = 7, nine terms (Godfrey's coefficients): relative
-- error below 1e-14 for x >= 0.5; the reflection formula serves the rest.
local lanczos = {
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
  -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
  1.5056327351493116e-7,
}

--- Natural logarithm of |gamma(x)|, x > 0; relative error below 1e-13.
function stats.log_gamma(x)
  check("log_gamma", 1, x, 1e-300, math.huge)
  if x < 0.5 then
    return math.log(math.pi / math.sin(math.pi * x)) - stats.log_gamma(1 - x)
  end
  x = x - 1
  local sum = lanczos[1]
  for i = 2, #lanczos do sum = sum + lanczos[i] / (x + i - 1) end
  local t = x + 7.5
  return 0.5 * math.log(2 * math.pi) + (x + 0.5) * math.log(t) - t + math.log(sum)
end

local EPS, TINY = 1e-16, 1e-300

-- Lentz's continued fraction for the incomplete beta function (Numerical
-- Recipes' form of DLMF 8.17.22); converges fast for x < (a+1)/(a+b+2).
local function beta_fraction(a, b, x)
  local c, d = 1, 1 - (a + b) * x / (a + 1)
  if math.abs(d) < TINY then d = TINY end
  d = 1 / d
  local h = d
  for m = 1, 10000 do
    for step = 1, 2 do
      local numerator
      if step == 1 then
        numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
      else
        numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
      end
      d = 1 + numerator * d
      if math.abs(d) < TINY then d = TINY end
      c = 1 + numerator / c
      if math.abs(c) < TINY then c = TINY end
      d = 1 / d
      h = h * d * c
      if step == 2 and math.abs(d * c - 1) < EPS then return h end
    end
  end
  return h
end

--- Regularised incomplete beta function I_x(a, b), a, b > 0, x in [0, 1];
-- relative error below 1e-10 where the result exceeds 1e-200.
function stats.beta_cdf(x, a, b)
  check("beta_cdf", 1, x, 0, 1)
  check("beta_cdf", 2, a, 1e-300, 1e12)
  check("beta_cdf", 3, b, 1e-300, 1e12)
  if x == 0 or x == 1 then return x end
  local front = math.exp(stats.log_gamma(a + b) - stats.log_gamma(a) - stats.log_gamma(b)
    + a * math.log(x) + b * math.log(1 - x))
  if x < (a + 1) / (a + b + 2) then return front * beta_fraction(a, b, x) / a end
  return 1 - front * beta_fraction(b, a, 1 - x) / b
end

-- Inverts an increasing function on [low, high] by bisection to full precision.
local function bisect(f, target, low, high)
  for _ = 1, 200 do
    local middle = (low + high) / 2
    if middle == low or middle == high then break end
    if f(middle) < target then low = middle else high = middle end
  end
  return (low + high) / 2
end

--- The x with I_x(a, b) = p.
function stats.beta_quantile(p, a, b)
  check("beta_quantile", 1, p, 0, 1)
  return bisect(function(x) return stats.beta_cdf(x, a, b) end, p, 0, 1)
end

-- Regularised lower incomplete gamma function P(a, x): its series below a + 1,
-- the complement's continued fraction above (DLMF 8.11.4, 8.9.2).
local function gamma_p(a, x)
  if x <= 0 then return 0, 1 end
  local front = math.exp(a * math.log(x) - x - stats.log_gamma(a))
  if x < a + 1 then
    local term, sum, n = 1 / a, 1 / a, a
    for _ = 1, 10000 do
      n = n + 1
      term = term * x / n
      sum = sum + term
      if math.abs(term) < math.abs(sum) * EPS then break end
    end
    return front * sum, 1 - front * sum
  end
  local b = x + 1 - a
  local c, d = 1 / TINY, 1 / b
  local h = d
  for i = 1, 10000 do
    local an = -i * (i - a)
    b = b + 2
    d = an * d + b
    if math.abs(d) < TINY then d = TINY end
    c = b + an / c
    if math.abs(c) < TINY then c = TINY end
    d = 1 / d
    h = h * d * c
    if math.abs(d * c - 1) < EPS then break end
  end
  return 1 - front * h, front * h
end

--- Error function and its complement, relative error below 1e-12.
function stats.erf(x)
  local p = gamma_p(0.5, x * x)
  return x < 0 and -p or p
end
function stats.erfc(x)
  local p, q = gamma_p(0.5, x * x)
  return x < 0 and 1 + p or q
end

--- Standard normal distribution function.
function stats.normal_cdf(z) return 0.5 * stats.erfc(-z / math.sqrt(2)) end

--- The z with normal_cdf(z) = p, 0 < p < 1, to about 1e-12.
function stats.normal_quantile(p)
  check("normal_quantile", 1, p, 1e-300, 1 - 1e-16)
  if p > 0.5 then return -stats.normal_quantile(1 - p) end
  return bisect(stats.normal_cdf, p, -38, 0)
end

--- Upper tail of the chi-squared distribution with k degrees of freedom.
function stats.chi2_sf(x, k)
  check("chi2_sf", 2, k, 1e-9, 1e9)
  local _, q = gamma_p(k / 2, x / 2)
  return q
end

--- P(X <= k) for X ~ Binomial(n, p).
function stats.binomial_cdf(k, n, p)
  check("binomial_cdf", 3, p, 0, 1)
  if k < 0 then return 0 end
  if k >= n then return 1 end
  return 1 - stats.beta_cdf(p, k + 1, n - k)
end

--- Clopper and Pearson's exact interval for k successes in n trials.
function stats.clopper_pearson(k, n, level)
  local tail = (1 - (level or 0.95)) / 2
  local low = k == 0 and 0 or stats.beta_quantile(tail, k, n - k + 1)
  local high = k == n and 1 or stats.beta_quantile(1 - tail, k + 1, n - k)
  return low, high
end

--- McNemar's test on the discordant pairs: only_a items that only model A got
-- right, only_b that only B did.  The two-sided exact binomial p-value.
function stats.mcnemar(only_a, only_b)
  local n, k = only_a + only_b, math.min(only_a, only_b)
  if n == 0 then return 1 end
  return math.min(1, 2 * stats.binomial_cdf(k, n, 0.5))
end

--- The p-quantile of a sorted list by linear interpolation (NumPy's default).
function stats.quantile_sorted(sorted, p)
  check("quantile_sorted", 2, p, 0, 1)
  local at = (#sorted - 1) * p + 1
  local i = math.floor(at)
  if i >= #sorted then return sorted[#sorted] end
  return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i])
end

--- Percentile bootstrap that draws whole groups with replacement, so that
-- several images of one patient do not count as independent.
-- groups: list of lists of row numbers.  statistic(rows) -> number or nil (the
-- resample is then left out, e.g. one class only).  opts: rng (required),
-- resamples (1000), level (0.95).  Returns low, high, number of resamples used;
-- nil when fewer than 20 were usable.
function stats.group_bootstrap(groups, statistic, opts)
  local one = stats.group_bootstrap_many(groups, function(rows) return { value = statistic(rows) } end, opts).value
  if not one then return nil end
  return one.lo, one.hi, one.used
end

--- The same for several statistics that share their resamples: statistic(rows) ->
-- table name -> number.  Returns name -> {lo, hi, used}; a name with fewer than
-- 20 usable resamples is absent.
function stats.group_bootstrap_many(groups, statistic, opts)
  local rng, values = opts.rng, {}
  for _ = 1, opts.resamples or 1000 do
    local rows = {}
    for _ = 1, #groups do
      for _, row in ipairs(groups[rng:int(1, #groups)]) do rows[#rows + 1] = row end
    end
    for name, value in pairs(statistic(rows)) do
      if value == value then
        values[name] = values[name] or {}
        table.insert(values[name], value)
      end
    end
  end
  local out, tail = {}, (1 - (opts.level or 0.95)) / 2
  for name, list in pairs(values) do
    if #list >= 20 then
      table.sort(list)
      out[name] = { lo = stats.quantile_sorted(list, tail), hi = stats.quantile_sorted(list, 1 - tail), used = #list }
    end
  end
  return out
end

return stats
