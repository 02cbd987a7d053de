-- The inner steps of optimisers and of the training loop's watch over NaN.
describe("step", function()
  local luma = require "luma"
  local step = luma.core.step

  it("scale_ multiplies in place and counts as a change", function()
    local x = luma.tensor { 1, -2, 0 }
    local version = luma.core.hook.version(x)
    step.scale_(x, 0.5)
    assert.same({ 0.5, -1, 0 }, x:totable())
    assert.equal(version + 1, luma.core.hook.version(x))
  end)

  it("sum_squares sums in double", function()
    assert.equal(25, step.sum_squares(luma.tensor { 3, 4 }))
    local x = luma.full({ 100000 }, 0.1)
    assert.near(100000 * x[1] ^ 2, step.sum_squares(x), 1e-7)
  end)

  it("first_nonfinite finds the first NaN or infinity", function()
    local x = luma.zeros(5)
    assert.is_nil((step.first_nonfinite(x)))
    x[4] = 1 / 0
    local at, value = step.first_nonfinite(x)
    assert.same({ 4, 1 / 0 }, { at, value })
    x[2] = 0 / 0
    assert.equal(2, (step.first_nonfinite(x)))
  end)
end)
