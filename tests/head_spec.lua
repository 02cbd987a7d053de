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

  it("takes the penalty that a grid names", function()
    assert.equal(5, grid.over({ c = 0.1 }, { c = 5 }).c)
    assert.equal(0.1, grid.over({ c = 0.1 }, nil).c)
    assert.equal("c 5", grid.words { c = 5 })
  end)
end)
