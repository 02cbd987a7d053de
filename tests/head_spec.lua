-- The logistic head answers what luma.learn's regression (held to scikit-learn by
-- learn_spec) answers on the same standardised features, pooled or not, two classes
-- or more, and settings of a grid reach it.
describe("the logistic head", function()
  local luma = require "luma"
  local head = require "luma.study.covid.head"
  local grid = require "luma.study.covid.grid"

  local function task(n, places, channels, classes, pool)
    local rng = luma.rng(3)
    local x = luma.randn(n, places * channels, { rng = rng })
    local rows, numbers = {}, {}
    local names = { "a", "b", "c" }
    for i = 1, n do
      local c = (i - 1) % classes + 1
      rows[i] = { path = "p" .. i, name = "p" .. i, class = names[c] }
      numbers[i] = i
      x[{ i, c }] = x[{ i, c }] + 2
    end
    local index = luma.data.Index(rows)
    local features = { x = x, input = { width = places * channels, shape = { places, 1, channels }, pool = pool } }
    function features.rows_of(_, list) return list, list end
    function features.plain(_, list) return x:index_select(1, luma.tensor(list, "i32")) end
    return { config = { head = "logistic", c = 0.5, dropout = 0.5, epochs = 1, seed = 1 }, index = index,
      features = features, fold = 1, train = numbers, val = {} }, x
  end

  for _, case in ipairs { { 2, nil }, { 3, nil }, { 2, "gap" } } do
    local classes, pool = case[1], case[2]
    it(("with %d classes%s"):format(classes, pool and ", averaged over places" or ""), function()
      local t, x = task(60, pool and 4 or 1, 5, classes, pool)
      local net = head.train(t)
      local flat = pool and x:reshape(60, 4, 5):mean(2) or x
      local y = {}
      for i = 1, 60 do y[i] = (i - 1) % classes + 1 end
      local model = luma.learn.Logistic { c = 0.5, classes = classes }
      model:fit(flat, luma.tensor(y, "i32"))
      local want, got = model:predict(flat):totable(), head.probabilities(net, x)
      for i = 1, 60 do
        for c = 1, classes do
          assert.truthy(math.abs(want[i][c] - got[i][c]) < 2e-3, ("%d %d: %g %g"):format(i, c, want[i][c], got[i][c]))
        end
      end
    end)
  end

  it("finds a rare class when every class counts alike, with either head", function()
    local n, rare = 80, 5
    local rng = luma.rng(9)
    local x, rows, numbers = luma.randn(n, 2, { rng = rng }), {}, {}
    for i = 1, n do
      local is = i % (n // rare) == 0
      rows[i], numbers[i] = { path = "p" .. i, name = "p" .. i, class = is and "rare" or "usual" }, i
      if is then x[{ i, 1 }] = x[{ i, 1 }] + 1.2 end
    end
    local index = luma.data.Index(rows)
    local features = { x = x, input = { width = 2, shape = { 1, 1, 2 } } }
    function features.rows_of(_, list) return list, list end
    function features.plain(_, list) return x:index_select(1, luma.tensor(list, "i32")) end
    local function once(list)
      local given = false
      return function()
        if given then return nil end
        given = true
        return features:plain(list), list
      end
    end
    function features.plain_batches(_, list) return once(list) end
    function features.training_batches(_, list) return once(list) end
    for _, kind in ipairs { "logistic", "adam" } do
      local found = {}
      for _, weights in ipairs { "none", "balanced" } do
        local net = head.train { config = { head = kind, c = 1, dropout = 0, epochs = 300, seed = 1, rate = 0.05,
          batch = n, schedule = "constant", class_weights = weights }, index = index, features = features, fold = 1,
          train = numbers, val = {} }
        found[weights] = 0
        for i, p in ipairs(head.probabilities(net, x)) do
          if rows[i].class == "rare" and head.argmax(p) == 1 then found[weights] = found[weights] + 1 end
        end
      end
      assert.is_true(found.balanced >= 3 and found.none <= 1, ("%s: %d, %d"):format(kind, found.none, found.balanced))
    end
    local w = head.class_weights({ class_weights = "balanced" }, index, numbers)
    assert.near(n / (2 * rare), w[1], 1e-5)
    assert.near(n / (2 * (n - rare)), w[2], 1e-5)
    assert.is_nil(head.class_weights({}, index, numbers))
    local settings = require "luma.study.covid.options"
    assert.equal("balanced", settings.resolve({ class_weights = "balanced" }).class_weights)
    assert.error_matches(function() settings.resolve { class_weights = "some" } end,
      "%-%-class%-weights must be one of none, balanced, got 'some'")
    assert.error_matches(function() settings.resolve { class_weights = "balanced", faithful = true } end,
      "%-%-class%-weights balanced does not go with %-%-faithful")
  end)

  it("takes the penalty that a grid names", function()
    assert.equal(5, grid.over({ c = 0.1 }, { c = 5 }).c)
    assert.equal(0.1, grid.over({ c = 0.1 }, nil).c)
    assert.equal("c 5", grid.words { c = 5 })
  end)
end)
