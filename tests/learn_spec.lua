describe("learn", function()
  local luma = require "luma"
  local learn = require "luma.learn"
  local cjson = require "cjson"
  local reference
  do
    local f <close> = assert(io.open("tests/reference/learn.json"))
    reference = cjson.decode(f:read "a")
  end

  local function near(want, got, tolerance, where)
    for i, row in ipairs(want) do
      for j, v in ipairs(row) do
        assert.is_true(math.abs(v - got[i][j]) <= tolerance * math.max(1, math.abs(v)),
          ("%s at %d, %d: %.12g, the reference has %.12g"):format(where, i, j, got[i][j], v))
      end
    end
  end

  -- Area under the curve by counting pairs.
  local function auc(scores, labels)
    local wins, pairs_ = 0, 0
    for i, p in ipairs(labels) do
      for j, q in ipairs(labels) do
        if p == 2 and q == 1 then
          pairs_ = pairs_ + 1
          wins = wins + (scores[i] > scores[j] and 1 or scores[i] == scores[j] and 0.5 or 0)
        end
      end
    end
    return wins / pairs_
  end

  it("logistic regression has scikit-learn's coefficients (learn.logistic_fit, learn.logistic_predict)", function()
    for _, case in ipairs(reference.logistic) do
      local x, y = luma.tensor(case.x, "f32"), luma.tensor(case.y, "i32")
      local model = learn.Logistic { classes = case.classes, c = case.c, tolerance = 1e-10 }:fit(x, y)
      near(case.coef, model.theta:totable(), 1e-5, "coefficient")
      near(case.proba, model:predict(x):totable(), 1e-5, "probability")
    end
  end)

  it("a class of weight 2 counts as if each of its rows stood there twice", function()
    for _, classes in ipairs { 2, 3 } do
      local rng, x, y, x2, y2 = luma.rng(4), {}, {}, {}, {}
      for i = 1, 40 do
        local class = i % classes + 1
        local row = { rng:uniform(-1, 1) + class, rng:uniform(-1, 1) }
        for n = 1, class == 2 and 2 or 1 do
          x2[#x2 + 1], y2[#y2 + 1] = row, class
          if n == 1 then x[#x + 1], y[#y + 1] = row, class end
        end
      end
      local function fit(rows, labels, weights)
        return (luma.core.learn.logistic_fit(luma.tensor(rows), luma.tensor(labels, "i32"), { classes = classes,
          tolerance = 1e-10, weights = weights and luma.tensor(weights, "f32") })):totable()
      end
      local weights = classes == 2 and { 1, 2 } or { 1, 2, 1 }
      near(fit(x2, y2), fit(x, y, weights), 1e-7, "coefficient")
      local plain = fit(x, y)
      assert.is_true(math.abs(plain[1][3] - fit(x, y, weights)[1][3]) > 0.05)
    end
    local x, y = luma.tensor { { 1 }, { 2 } }, luma.tensor({ 1, 2 }, "i32")
    for _, bad in ipairs { luma.ones(3), luma.tensor({ 1, 1 }, "i32"), 7 } do
      assert.error_matches(function() luma.core.learn.logistic_fit(x, y, { weights = bad }) end,
        "weights must be a plain f32 tensor of 2 elements")
    end
    assert.error_matches(function()
      luma.core.learn.logistic_fit(x, y, { weights = luma.tensor { 1, -1 } })
    end, "weight %-1 of class 2")
  end)

  it("one tree cuts where scikit-learn's does (learn.forest_fit, learn.forest_predict)", function()
    local case = reference.tree
    local x, y = luma.tensor(case.x, "f32"), luma.tensor(case.y, "i32")
    local model = learn.Forest {
      classes = 3, trees = 1, max_depth = 4, min_leaf = 5, features = 6, bootstrap = false }:fit(x, y)
    near(case.proba, model:predict(luma.tensor(case.probe, "f32")):totable(), 1e-6, "leaf frequency")
  end)

  it("the forest is as good as scikit-learn's", function()
    local case = reference.forest
    local x, y = luma.tensor(reference.tree.x, "f32"), luma.tensor(case.y, "i32")
    local proba = learn.Forest { trees = 200, seed = 5 }:fit(x, y):predict(luma.tensor(reference.tree.probe, "f32"))
    local scores = {}
    for i, p in ipairs(proba:totable()) do scores[i] = p[2] end
    assert.near(case.auc, auc(scores, case.truth), 0.02 + case.spread)
  end)

  it("the same seed grows the same forest on 1 and 2 threads", function()
    local before = luma.threads()
    local x, y = luma.tensor(reference.tree.x, "f32"), luma.tensor(reference.forest.y, "i32")
    local function bytes(threads)
      luma.threads(threads)
      return learn.Forest { trees = 20, seed = 9 }:fit(x, y):predict(x):bytes()
    end
    local one, two = bytes(1), bytes(2)
    luma.threads(before)
    assert.equal(one, two)
  end)

  it("fills missing values and lets their absence speak", function()
    local nan = 0 / 0
    local rows, labels = {}, {}
    for i = 1, 40 do
      rows[i] = { i % 2 == 0 and nan or 1 + i % 3, 0.5 }
      labels[i] = i % 2 + 1
    end
    local x, y = luma.tensor(rows, "f32"), luma.tensor(labels, "i32")
    local proba = learn.Logistic { c = 10 }:fit(x, y):predict(x):totable()
    for i, p in ipairs(proba) do assert.is_true(p[labels[i]] > 0.9) end
  end)

  it("predicts each fold from the others", function()
    local case = reference.logistic[1]
    local x, y = luma.tensor(case.x, "f32"), luma.tensor(case.y, "i32")
    local folds = { {}, {}, {} }
    for i = 1, #case.y do table.insert(folds[i % 3 + 1], i) end
    local out = learn.cross_predict(function() return learn.Logistic() end, x, y, folds)
    assert.equal(#case.y, #out)
    for _, p in ipairs(out) do assert.near(1, p[1] + p[2], 1e-9) end
  end)

  it("says what is wrong with labels and features", function()
    local x = luma.tensor({ { 1, 2 }, { 3, 4 } }, "f32")
    assert.error_matches(function() luma.core.learn.forest_fit(x, luma.tensor({ 1, 5 }, "i32")) end,
      "bad argument #2 to 'learn.forest_fit' %(label 5 at position 2 is not in 1..2%)")
    assert.error_matches(function() luma.core.learn.logistic_fit(x, luma.tensor({ 1 }, "i32")) end,
      "bad argument #2 to 'learn.logistic_fit' %(1 labels for 2 rows%)")
    local bad = luma.tensor({ { 1, 0 / 0 }, { 3, 4 } }, "f32")
    assert.error_matches(function() luma.core.learn.forest_fit(bad, luma.tensor({ 1, 2 }, "i32")) end,
      "value at row 1, feature 2 is not finite")
    local model = learn.Forest { trees = 2 }:fit(x, luma.tensor({ 1, 2 }, "i32"))
    assert.error_matches(function() model:predict(luma.tensor({ { 1, 2, 3 } }, "f32")) end,
      "x has 3 features, the model was fitted on 2")
    assert.has_error(function() learn.Forest { tree = 1 } end)
  end)
end)
