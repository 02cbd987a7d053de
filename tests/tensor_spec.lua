-- Tensors from Lua and back, views, arithmetic: what a user does first.
describe("tensor", function()
  local luma = require "luma"

  it("comes from nested tables and goes back", function()
    local x = luma.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.same({ 2, 3 }, { x:shape() })
    assert.equal("f32", x:dtype())
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, x:totable())
    assert.equal(2, #x)
    assert.equal(6, x[2][3])
    assert.same({ 2, 5 }, x[{ {}, 2 }]:totable())
    assert.equal(21, x:sum():item())
  end)

  it("does arithmetic with broadcasting", function()
    local x = luma.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ { 11, 22 }, { 13, 24 } }, (x + luma.tensor { 10, 20 }):totable())
    assert.same({ { 1, 4 }, { 9, 16 } }, (x ^ 2):totable())
    assert.same({ { 7, 10 }, { 15, 22 } }, luma.matmul(x, x):totable())
  end)
end)
