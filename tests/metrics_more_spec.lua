describe("metrics beyond accuracy", function()
  local luma = require "luma"
  local metrics = luma.metrics
  local cases
  do
    local f <close> = assert(io.open "tests/reference/metrics_more.json")
    cases = luma.json.decode(f:read "a")
  end

  it("equal scikit-learn's", function()
    for _, c in ipairs(cases) do
      for _, name in ipairs { "balanced_accuracy", "matthews_corrcoef", "cohen_kappa" } do
        assert.near(c[name], metrics[name](c.y, c.said), 1e-12, name)
      end
      assert.near(c.log_loss, metrics.log_loss(c.y, c.p), 1e-12)
      if c.brier then
        local scores = {}
        for i, p in ipairs(c.p) do scores[i] = p[2] end
        assert.near(c.brier, metrics.brier(c.y, c.p), 1e-12)
        assert.near(c.auc, metrics.roc_auc(c.y, scores, { positive = 2 }).value, 1e-12)
        assert.near(c.average_precision, metrics.average_precision(c.y, scores, { positive = 2 }), 1e-12)
      end
    end
  end)

  it("the summary's figures are those of the single functions, its intervals share one bootstrap", function()
    for _, c in ipairs(cases) do
      local k = #c.p[1]
      local groups = {}
      for i = 1, #c.y do groups[i] = i % 3 == 0 and "p" .. i // 6 or "" end
      local s = metrics.summary(c.y, c.said, c.p, { classes = k, rng = luma.rng(1), groups = groups, resamples = 200,
        prevalence = 0.1 })
      assert.near(c.balanced_accuracy, s.balanced_accuracy.value, 1e-12)
      assert.near(c.matthews_corrcoef, s.mcc.value, 1e-12)
      assert.near(c.cohen_kappa, s.kappa.value, 1e-12)
      assert.near(c.log_loss, s.log_loss.value, 1e-12)
      assert.near(metrics.brier(c.y, c.p), s.brier.value, 1e-12)
      assert.near(metrics.ece(c.y, c.p), s.ece.value, 1e-12)
      assert.near(metrics.accuracy(c.y, c.said), s.accuracy.value, 1e-12)
      for class = 1, k do
        local d = metrics.diagnostic(c.y, c.said, { positive = class, prevalence = 0.1 })
        local mine = s.diagnostic[class]
        assert.same({ d.tp, d.fn, d.fp, d.tn, d.sensitivity, d.specificity },
          { mine.tp, mine.fn, mine.fp, mine.tn, mine.sensitivity, mine.specificity })
        for _, name in ipairs { "ppv", "npv" } do
          if d[name] == d[name] then assert.near(d[name], mine[name].value, 1e-12) end
        end
      end
      local lone = metrics.bootstrap(#c.y, function(rows)
        local y, p = {}, {}
        for j, i in ipairs(rows) do y[j], p[j] = c.y[i], c.p[i] end
        return metrics.ece(y, p)
      end, { rng = luma.rng(1), groups = groups, resamples = 200 })
      assert.near(lone.lo, s.ece.lo, 1e-12)
      assert.near(lone.hi, s.ece.hi, 1e-12)
    end
    assert.has_error(function() metrics.summary({ 1 }, { 1 }, false, { classes = 2 }) end,
      "summary: option rng is needed: luma.rng(seed)")
    assert.has_error(function() metrics.summary({ 1, 2 }, { 1 }, false, { classes = 2, rng = luma.rng(1) }) end,
      "summary: 2 labels, 1 predictions, no probabilities")
  end)

  it("diagnostic: counts, intervals, predictive values at a prevalence", function()
    local y, said = { 1, 1, 1, 1, 2, 2, 2, 2, 2, 2 }, { 1, 1, 1, 2, 2, 2, 2, 2, 1, 2 }
    local d = metrics.diagnostic(y, said, { positive = 1, prevalence = 0.1 })
    assert.same({ 3, 1, 1, 5 }, { d.tp, d.fn, d.fp, d.tn })
    assert.near(0.75, d.sensitivity.value, 1e-15)
    assert.near(0.075 / (0.075 + 0.9 / 6), d.ppv, 1e-12)
    assert.near(0.75 / (0.75 + 0.025), d.npv, 1e-12)
    local natural = metrics.diagnostic(y, said, { positive = 1 })
    assert.near(3 / 4, natural.ppv, 1e-12)
    assert.has_error(function() metrics.diagnostic(y, said, { positive = 1, prevalence = 2 }) end,
      "diagnostic: option prevalence must be in 0..1, got 2")
  end)

  it("reliability and its error, by hand", function()
    local y = { 1, 1, 2, 2 }
    local p = { { 0.95, 0.05 }, { 0.65, 0.35 }, { 0.62, 0.38 }, { 0.1, 0.9 } }
    local bins = metrics.reliability(y, p)
    assert.equal(2, bins[7].count)
    assert.near(0.5, bins[7].accuracy, 1e-15)
    assert.equal(0, bins[1].count)
    assert.is_nil(bins[1].accuracy)
    -- bins 7 (2 samples), 9 (0.9) and 10 (0.95)
    assert.near((2 * math.abs(0.5 - 0.635) + 0.1 + 0.05) / 4, metrics.ece(y, p), 1e-12)
  end)

  it("temperature: an overconfident model is cooled, and the argmax never moves", function()
    local rng = luma.rng(3)
    local y, p = {}, {}
    for i = 1, 400 do
      local logit = rng:normal()
      y[i] = rng:uniform() < 1 / (1 + math.exp(-logit)) and 2 or 1
      local sure = 1 / (1 + math.exp(-3 * logit)) -- three times too sure
      p[i] = { 1 - sure, sure }
    end
    local t = metrics.temperature(y, p)
    assert.is_true(t > 2 and t < 4.5, tostring(t))
    local cooled = metrics.with_temperature(p, t)
    assert.is_true(metrics.log_loss(y, cooled) < metrics.log_loss(y, p))
    for i = 1, #p do assert.equal(p[i][2] > 0.5, cooled[i][2] > 0.5) end
  end)

  it("AUC intervals count a patient once", function()
    local y, s, alone, pairs_ = {}, {}, {}, {}
    local rng = luma.rng(8)
    for i = 1, 40 do
      local label, score = i % 2 + 1, rng:normal() + (i % 2)
      for _ = 1, 3 do -- three identical images of each patient
        y[#y + 1], s[#s + 1], pairs_[#pairs_ + 1], alone[#alone + 1] = label, score, "p" .. i, false
      end
    end
    local naive = metrics.roc_auc(y, s, { positive = 2, groups = alone })
    local grouped = metrics.roc_auc(y, s, { positive = 2, groups = pairs_ })
    assert.equal(naive.value, grouped.value)
    local ratio = (grouped.hi - grouped.lo) / (naive.hi - naive.lo)
    assert.near(math.sqrt(3), ratio, 0.05)
  end)

  it("bootstrap and comparison", function()
    local y, a, b, scores_a, scores_b = {}, {}, {}, {}, {}
    local rng = luma.rng(4)
    for i = 1, 120 do
      y[i] = i % 2 + 1
      scores_a[i] = rng:normal() + 2.5 * (y[i] - 1)
      scores_b[i] = rng:normal()
      a[i], b[i] = scores_a[i] > 1.25 and 2 or 1, scores_b[i] > 0 and 2 or 1
    end
    local c = metrics.paired(y, { predicted = a, scores = scores_a }, { predicted = b, scores = scores_b },
      { rng = luma.rng(1), positive = 2, resamples = 200 })
    assert.is_true(c.accuracy_difference.hi < 0 and c.auc_difference.hi < 0)
    assert.is_true(c.mcnemar_p < 1e-4)
    local again = metrics.paired(y, { predicted = a }, { predicted = b }, { rng = luma.rng(1), resamples = 200 })
    assert.same({ c.accuracy_difference.lo, c.accuracy_difference.hi },
      { again.accuracy_difference.lo, again.accuracy_difference.hi })
    local same = metrics.paired(y, { predicted = a }, { predicted = a }, { rng = luma.rng(1), resamples = 50 })
    assert.equal(1, same.mcnemar_p)
  end)

  it("thresholds: Youden's, and the highest that keeps a sensitivity", function()
    local y, s = { 2, 2, 2, 1, 1, 1 }, { 0.9, 0.8, 0.3, 0.4, 0.35, 0.1 }
    local t, point = metrics.choose_threshold(y, s, { positive = 2 })
    assert.near(0.8, t, 1e-15)
    assert.near(2 / 3, point.tpr, 1e-12)
    assert.near(0.3, (metrics.choose_threshold(y, s, { positive = 2, rule = "sensitivity", sensitivity = 1 })), 1e-15)
  end)
end)
