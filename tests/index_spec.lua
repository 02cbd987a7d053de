-- Indexing, slicing, assignment and views: 1-based, inclusive, negative from the end.
describe("index", function()
  local luma = require "luma"
  local x

  before_each(function() x = luma.arange(1, 24):reshape(2, 3, 4) end)

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end

  it("selects with integers", function()
    assert.same({ 3, 4 }, { x[1]:shape() })
    assert.equal(24, x[2][3][4])
    assert.equal(24, x[-1][-1][-1])
    assert.equal(7, x[{ 1, 2, 3 }])
    assert.equal(7, x[1.0][2][3])
    assert.same(x[2]:totable(), x:get(2):totable())
    assert.same({ 5, 6, 7, 8 }, x:select(2, 2)[1]:totable())
    fails("index 4 is not in 1..2 or -2..-1 of dimension 1", function() return x[4] end)
    fails("index 3 is not in 1..2", function() return x:get(3) end)
    assert.is_nil(x[3]) -- one past the end: ipairs(x) ends there
    fails("index 0 is not in 1..2", function() return x[0] end)
    fails("index must be a whole number, got 1.5", function() return x[1.5] end)
    fails("index must be a whole number, got", function() return x[0 / 0] end)
    fails("4 indices for [2x3x4]", function() return x[{ 1, 1, 1, 1 }] end)
    fails("integer or table of ranges expected, got boolean", function() return x[true] end)
    assert.is_nil(x.nothing)
  end)

  it("slices with ranges", function()
    assert.same({ { 2, 3 }, { 6, 7 }, { 10, 11 } }, x[{ 1, {}, { 2, 3 } }]:totable())
    assert.same({ 1, 3 }, x[{ 1, 1, { 1, 4, 2 } }]:totable())
    assert.same({ 3, 4 }, x[{ 1, 1, { -2, -1 } }]:totable())
    assert.same({ 2, 0, 4 }, { x[{ {}, { 2, 1 } }]:shape() }) -- empty
    assert.same({ 1 }, x[{ 1, 1, { 1, 4, 100 } }]:totable())
    fails("range 2..5 does not lie in 1..3 of dimension 2", function() return x[{ 1, { 2, 5 } }] end)
    fails("range 3..1 does not lie in 1..3 of dimension 1", function() return luma.zeros(3)[{ { 3, 1 } }] end)
    fails("step 0 of dimension 1 must be at least 1", function() return x[{ { 1, 2, 0 } }] end)
    fails("a range is {first, last} or {first, last, step}", function() return x[{ { 1 } }] end)
  end)

  it("shares memory between views", function()
    local v = x[{ {}, { 2, 3 }, { 1, 2 } }]
    v:fill_(0)
    assert.equal(0, x[1][2][1])
    assert.equal(5 + 6 + 9 + 10 + 17 + 18 + 21 + 22, 300 - x:sum():item())
  end)

  it("assigns numbers and broadcast tensors", function()
    x[1] = 5
    assert.equal(60, x[1]:sum():item())
    x[{ 2, {}, { 1, 2 } }] = luma.tensor { 7, 8 }
    assert.same({ 7, 8, 15, 16 }, x[2][1]:totable())
    x[{ 2, 3, 4 }] = -1
    assert.equal(-1, x[2][3][4])
    x:set({ 1, 1, 1 }, luma.tensor(9, "i32"))
    assert.equal(9, x[1][1][1])
    local u = luma.zeros(2, "u8")
    u[1] = 255
    fails("256 does not fit u8", function() u[2] = 256 end)
    fails("shape [3] does not go into [2]", function() u[{ {} }] = luma.zeros(3) end)
    fails("tensor or number expected, got string", function() u[1] = "x" end)
  end)

  it("copies overlapping views through a temporary", function()
    local y = luma.arange(1, 5)
    y[{ { 2, 5 } }] = y[{ { 1, 4 } }]
    assert.same({ 1, 1, 2, 3, 4 }, y:totable())
    local m = luma.arange(1, 4):reshape(2, 2)
    m:copy_(m:t())
    assert.same({ { 1, 3 }, { 2, 4 } }, m:totable())
    m:add_(m:t())
    assert.same({ { 2, 5 }, { 5, 8 } }, m:totable())
    m:sub_(m[1])
    assert.same({ { 0, 0 }, { 3, 3 } }, m:totable())
  end)

  it("changes geometry without a copy where it can", function()
    assert.same({ 4, 6 }, { x:reshape(4, -1):shape() })
    assert.same({ 6, 4 }, { x:reshape { 6, 4 }:shape() })
    x:reshape(24)[1] = 99
    assert.equal(99, x[1][1][1])
    local p = x:permute(3, 1, 2)
    assert.same({ 4, 2, 3 }, { p:shape() })
    assert.equal(x[2][3][1], p[1][2][3])
    assert.equal(x[2][3][1], x:transpose(1, 3)[1][3][2])
    assert.same({ 24 }, { x:flatten():shape() })
    assert.same({ 2, 12 }, { x:flatten(2):shape() })
    assert.same({ 1, 2, 3, 4 }, { x:unsqueeze(1):shape() })
    assert.same({ 2, 3, 4, 1 }, { x:unsqueeze(-1):shape() })
    assert.same({ 2, 3, 4 }, { x:unsqueeze(2):squeeze():shape() })
    assert.same({ 3 }, { luma.zeros(1, 3, 1):squeeze(1):squeeze(-1):shape() })
    assert.same({ { 1, 1 }, { 2, 2 } }, luma.tensor({ { 1 }, { 2 } }):expand(2, 2):totable())
    assert.same({ { 2, 3 }, { 6, 7 }, { 10, 11 } }, x[1]:narrow(2, 2, 2):totable())
    fails("cannot reshape [2x3x4] to [5x5]", luma.reshape, x, 5, 5)
    fails("does not divide into the sizes given", luma.reshape, x, 5, -1)
    fails("dimension 1 is named twice", luma.permute, x, 1, 1, 2)
    fails("cannot expand [2x3x4] to [2x3]", luma.expand, x, 2, 3)
    fails("rank 2 (rows, columns) expected, got [2x3x4]", luma.t, x)
    fails("dimension 1 has size 2, not 1", luma.squeeze, x, 1)
  end)

  it("sets in place and counts the changes", function()
    local version = luma.core.hook.version
    local y = luma.zeros(3)
    local before = version(y)
    y:fill_(2):mul_(3):div_(2):zero_():copy_(luma.tensor { 1, 2, 3 })
    y[1] = 4
    assert.equal(before + 6, version(y))
    assert.same({ 4, 2, 3 }, y:totable())
  end)
end)
