-- Intervals where nothing went wrong, and of predictive values: certainty that few
-- images cannot give is never printed.
describe("intervals at the edge", function()
  local luma = require "luma"
  local metrics, text = luma.metrics, luma.text
  local interval = require "luma.metrics.interval"

  -- n predictions without a mistake, `each` images per patient.
  local function perfect(n, each, sure)
    local y, said, p, groups = {}, {}, {}, {}
    for i = 1, n do
      local c = i <= n // 2 and 1 or 2
      y[i], said[i], groups[i] = c, c, ("p%d"):format((i - 1) // each)
      p[i] = c == 1 and { sure, 1 - sure } or { 1 - sure, sure }
    end
    return y, said, p, groups
  end

  it("the bound of n of n is Clopper's and Pearson's", function()
    local stats = require "luma.base.distributions"
    for _, n in ipairs { 1, 5, 16, 39, 1000 } do
      local exact = stats.clopper_pearson(n, n, 0.95)
      assert.near(type(exact) == "table" and exact.lo or exact, interval.exact_bound(n), 1e-9)
    end
    assert.equal(0, interval.exact_bound(0))
  end)

  it("a perfect score is never certain, and patients count, not images", function()
    for _, each in ipairs { 1, 4 } do
      local y, said, p, groups = perfect(32, each, 1)
      local s = metrics.summary(y, said, p, { classes = 2, rng = luma.rng(1), groups = groups, prevalence = 0.05 })
      assert.near(0.025 ^ (each / 32), s.accuracy.lo, 1e-12)
      assert.near(0.025 ^ (each / 16), s.balanced_accuracy.lo, 1e-12)
      for _, name in ipairs { "accuracy", "balanced_accuracy", "mcc", "kappa" } do
        assert.equal(1, s[name].value)
        assert.equal(1, s[name].hi)
        assert.is_true(s[name].lo < 0.95, name)
        assert.not_matches("1.000 %(1.000", text.interval(s[name]))
      end
      for _, name in ipairs { "brier", "ece" } do
        assert.near(0, s[name].value, 1e-12)
        assert.is_true(s[name].hi > 0.05, name)
      end
      assert.equal("0.000", text.interval(s.log_loss)) -- no bound: stated without an interval
      assert.matches("exact bounds", s.method)
    end
    local y, said, p, groups = perfect(32, 1, 0.9)
    said[1] = 2 -- one mistake: the bootstrap sees it
    local s = metrics.summary(y, said, p, { classes = 2, rng = luma.rng(1), groups = groups })
    assert.not_matches("exact", s.method)
    assert.near(31 / 32, s.accuracy.value, 1e-12)
  end)

  it("predictive values carry what is not known of sensitivity and specificity", function()
    local y, said, p, groups = perfect(32, 1, 1) -- 16 of 16 each: from 0.806 on
    local d = metrics.summary(y, said, p, { classes = 2, rng = luma.rng(1), groups = groups, prevalence = 0.05 })
      .diagnostic[1]
    assert.near(0.806, d.specificity.lo, 1e-3)
    assert.equal(1, d.ppv.value)
    assert.equal(1, d.ppv.hi)
    assert.is_true(d.ppv.lo > 0.17 and d.ppv.lo < 0.24, tostring(d.ppv.lo))
    assert.is_true(d.npv.lo < 1 and d.npv.lo > 0.98)
  end)

  it("the predictive interval covers the truth in 95 of 100 samples (all samples of 40 and 40 weighed)", function()
    local n = 40
    local function chance(k, p)
      local log = 0.0
      for i = 1, k do log = log + math.log((n - i + 1) / i) end
      return math.exp(log + k * math.log(p) + (n - k) * math.log(1 - p))
    end
    for _, case in ipairs { { 0.9, 0.85, 0.05 }, { 0.7, 0.95, 0.3 }, { 0.95, 0.6, 0.5 } } do
      local se, sp, prevalence = table.unpack(case)
      local ppv = se * prevalence / (se * prevalence + (1 - sp) * (1 - prevalence))
      local npv = sp * (1 - prevalence) / (sp * (1 - prevalence) + (1 - se) * prevalence)
      local covered = { 0.0, 0.0 }
      for a = 0, n do
        for b = 0, n do
          local weight = chance(a, se) * chance(b, sp)
          if weight > 1e-12 then
            local found = { interval.predictive_values(interval.wilson(a, n), interval.wilson(b, n), prevalence) }
            for i, truth in ipairs { ppv, npv } do
              local v = found[i]
              if v.lo <= truth and truth <= v.hi then covered[i] = covered[i] + weight end
            end
          end
        end
      end
      for i = 1, 2 do assert.is_true(covered[i] > 0.93 and covered[i] < 0.99, ("%g %g: %.4f"):format(se, sp,
        covered[i])) end
    end
  end)

  it("two models that never err differ by an unknown amount, not by exactly 0", function()
    local y, said, p = perfect(40, 1, 0.9)
    local scores = {}
    for i = 1, 40 do scores[i] = p[i][1] end
    local model = { predicted = said, scores = scores }
    local d = metrics.paired(y, model, model, { rng = luma.rng(1), positive = 1 })
    for _, name in ipairs { "accuracy_difference", "auc_difference" } do
      assert.equal(0, d[name].value)
      assert.is_true(d[name].lo < -0.05 and d[name].hi > 0.05, name)
    end
    local other = { predicted = {}, scores = {} }
    for i = 1, 40 do other.predicted[i], other.scores[i] = i % 2 + 1, i % 7 end
    local real = metrics.paired(y, other, model, { rng = luma.rng(1), positive = 1 })
    assert.not_matches("bound", real.auc_difference.method)
  end)

  it("narrow is printed as narrow, not as certain", function()
    assert.equal("1.000 (0.99961 to 1.00000)", text.interval { value = 1, lo = 0.99961, hi = 1 })
  end)
end)
