local luma = require "luma"
local files = require "luma.base.files"
local json = require "luma.base.json"
local metrics = luma.metrics

local reference = assert(json.decode(assert(files.read "tests/reference/metrics.json")))

local function close(expected, got, tolerance)
  assert.is_true(math.abs(expected - got) <= (tolerance or 1e-12), ("%.17g against %.17g"):format(expected, got))
end

describe("metrics", function()
  it("prints scikit-learn's report to the character", function()
    for _, case in ipairs(reference.reports) do
      local text = metrics.classification_report(case.y, case.p,
        { labels = case.labels, names = case.names, digits = case.digits })
      assert.equal(case.text, text)
    end
  end)

  it("prints the published tables", function()
    local published = files.read "../shared/golden/classification_report.json"
    if not published then return pending "../shared/golden absent" end
    local function pairs_of(tp, fn, fp, tn)
      local y, p = {}, {}
      for _, c in ipairs { { 0, 0, tp }, { 0, 1, fn }, { 1, 0, fp }, { 1, 1, tn } } do
        for _ = 1, c[3] do y[#y + 1], p[#p + 1] = c[1], c[2] end
      end
      return y, p
    end
    local golden = assert(json.decode(published))
    assert.equal(golden.article, (metrics.classification_report(pairs_of(18, 1, 6, 14))))
    assert.equal(golden.repo_head, (metrics.classification_report(pairs_of(17, 2, 0, 20))))
    assert.equal(golden.repo_6b579ed, (metrics.classification_report(pairs_of(17, 2, 6, 14))))
    local y, p = pairs_of(17, 2, 6, 14)
    assert.equal(golden.names_digits4,
      (metrics.classification_report(y, p, { names = { "COVID-19", "Normal" }, digits = 4 })))
    assert.equal(golden.zero_div, (metrics.classification_report({ 0, 0, 1 }, { 0, 0, 0 })))
    assert.equal(golden.three, (metrics.classification_report({ 0, 0, 1, 1, 2, 2, 2 }, { 0, 1, 1, 1, 2, 2, 0 },
      { names = { "COVID-19", "Normal", "a very long class name" } })))
    assert.equal(golden.micro, (metrics.classification_report({ 0, 1, 2 }, { 0, 1, 1 }, { labels = { 0, 1 } })))
  end)

  it("counts the confusion matrix as scikit-learn does", function()
    for _, case in ipairs(reference.reports) do
      assert.same(case.confusion, (metrics.confusion_matrix(case.y, case.p, { labels = case.labels })))
    end
  end)

  it("takes label tensors", function()
    if not luma.tensor then return pending "luma.tensor is not there yet" end
    local y <close> = luma.tensor({ 1, 2, 2, 1 }, "i32")
    local value, correct, n = metrics.accuracy(y, { 1, 2, 1, 1 })
    assert.same({ 0.75, 3, 4 }, { value, correct, n })
  end)

  it("names what is undefined instead of hiding it", function()
    local s = metrics.scores({ 1, 1, 2 }, { 1, 1, 1 })
    assert.equal(1, #s.warnings)
    assert.truthy(s.warnings[1]:find("class '2' is 0/0", 1, true))
    assert.equal(0.0, s.classes[2].precision)
    local empty = metrics.scores({}, {}, { labels = { 1, 2 } })
    assert.equal(4, #empty.warnings)
    assert.is_true(empty.accuracy ~= empty.accuracy)
  end)

  it("gives Wilson's interval as SciPy does", function()
    for _, case in ipairs(reference.wilson) do
      local w = metrics.wilson(case[1], case[2], case[3])
      close(case[4], w.lo)
      close(case[5], w.hi)
    end
    assert.is_true(metrics.wilson(0, 0).value ~= metrics.wilson(0, 0).value)
    assert.error_matches(function() metrics.wilson(3, 2) end, "3 successes of 2")
  end)

  it("gives areas and DeLong's interval", function()
    for _, case in ipairs(reference.aucs) do
      local auc = metrics.roc_auc(case.y, case.s)
      close(case.sklearn, auc.value)
      close(case.ap, metrics.average_precision(case.y, case.s))
      if case.delong then
        close(case.delong.lo, auc.lo)
        close(case.delong.hi, auc.hi)
      end
    end
  end)

  it("averages one against the rest, and agrees with the two-class area", function()
    for _, case in ipairs(reference.ovr) do
      local classes = {}
      for c = 1, #case.p[1] do classes[c] = c - 1 end
      local auc = metrics.roc_auc_ovr(case.y, case.p, { classes = classes })
      close(case.value, auc.value)
      close(case.sd, (auc.value - auc.lo) / require "luma.base.distributions".normal_quantile(0.975), 1e-10)
    end
    local two, rows = reference.aucs[4], {}
    for i, s in ipairs(two.s) do rows[i] = { s, -s } end
    local joint, single = metrics.roc_auc_ovr(two.y, rows, { classes = { 1, 0 } }), metrics.roc_auc(two.y, two.s)
    close(single.value, joint.value)
    close(single.lo, joint.lo)
  end)

  it("does not claim certainty at perfect separation", function()
    local auc = metrics.roc_auc({ 1, 1, 1, 0, 0, 0, 0 }, { 9, 8, 7, 3, 2, 1, 0 })
    assert.equal(1.0, auc.value)
    close(0.025 ^ (1 / 3), auc.lo)
    assert.equal(1.0, auc.hi)
    local none = metrics.roc_auc({ 1, 1 }, { 1, 2 })
    assert.is_true(none.value ~= none.value)
  end)

  it("draws curves from corner to corner", function()
    local points = metrics.roc_curve({ 1, 0, 1, 0 }, { 0.9, 0.9, 0.5, 0.1 })
    assert.same({ 0.0, 0.0 }, { points[1].fpr, points[1].tpr })
    assert.same({ 0.5, 0.5 }, { points[2].fpr, points[2].tpr })
    assert.same({ 1.0, 1.0 }, { points[#points].fpr, points[#points].tpr })
  end)

  it("weights a mean by samples", function()
    local mean = metrics.Mean()
    mean:add(1, 32):add(0, 24)
    close(32 / 56, mean:value())
    assert.equal("0.5714", tostring(mean))
  end)

  it("says what is wrong with its arguments", function()
    assert.error_matches(function() metrics.accuracy({ 1 }, { 1, 2 }) end, "accuracy: 1 true labels but 2 predictions")
    assert.error_matches(function() metrics.classification_report({ 1 }, { 1 }, { digit = 3 }) end,
      "unknown option 'digit'")
    assert.error_matches(function() metrics.classification_report({ 1 }, { 1 }, { digits = -1 }) end, "digits must be")
    assert.error_matches(function() metrics.roc_auc({ 1, 0 }, { 0 / 0, 1 }) end, "score of sample 1 is NaN")
  end)
end)
