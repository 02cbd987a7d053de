-- Tensors from nothing, from Lua and from bytes, and back; what they are; print.
describe("tensor", function()
  local luma = require "luma"

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end

  it("comes from nested tables and goes back", function()
    local x = luma.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.same({ 2, 3 }, { x:shape() })
    assert.equal("f32", x:dtype())
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, x:totable())
    assert.equal(2, #x)
    assert.equal(6, x:count())
    assert.equal(2, x:rank())
    assert.equal(3, x:size(2))
    assert.equal(3, x:size(-1))
    assert.is_true(x:is_contiguous())
    assert.is_false(x:t():is_contiguous())
    assert.equal(7, luma.tensor(7):item())
    assert.equal(0, luma.tensor(7):rank())
    assert.same({}, luma.tensor({}):totable())
    assert.same({ 1, 255 }, luma.tensor({ 1, 255 }, "u8"):totable())
    assert.equal("integer", math.type(luma.tensor({ 1 }, "i32"):item()))
    assert.equal("float", math.type(luma.tensor({ 1 }):item()))
  end)

  it("refuses what is no even table of fitting numbers", function()
    fails("bad argument #1 to 'tensor' (uneven nesting: 1 entries at depth 2 before element 3, not 2)",
      luma.tensor, { { 1, 2 }, { 3 } })
    fails("element 2: number expected, got string", luma.tensor, { 1, "2" })
    fails("element 1: 256 does not fit u8", luma.tensor, { 256 }, "u8")
    fails("element 2: 1.5 does not fit i32", luma.tensor, { 1, 1.5 }, "i32")
    fails("copy it with x:clone()", luma.tensor, luma.zeros(1))
    local loop = {}
    loop[1] = loop
    fails("tables are nested deeper than 8", luma.tensor, loop)
    fails("dtype must be f32, f64, u8 or i32, got f16", luma.tensor, { 1 }, "f16")
  end)

  it("is made of one value", function()
    assert.same({ { 0, 0 }, { 0, 0 } }, luma.zeros(2, 2):totable())
    assert.same({ 1, 1, 1 }, luma.ones({ 3 }, "u8"):totable())
    assert.same({ 2.5, 2.5 }, luma.full({ 2 }, 2.5):totable())
    assert.same({ 3, 4 }, { luma.empty(3, 4, "f64"):shape() })
    fails("300 does not fit u8", luma.full, { 2 }, 300, "u8")
    fails("a dtype is all that may follow a table of sizes", luma.zeros, { 2 }, 3)
    fails("size 1 of the shape must be a whole number >= 0, got -1", luma.zeros, -1)
    fails("at most 8 dimensions, got 9", luma.zeros, 1, 1, 1, 1, 1, 1, 1, 1, 1)
  end)

  it("counts and spaces", function()
    assert.same({ 1, 2, 3 }, luma.arange(1, 3):totable())
    assert.same({ 5, 3, 1 }, luma.arange(5, 1, -2, "i32"):totable())
    assert.equal(11, luma.arange(0, 1, 0.1, "f64"):count())
    assert.equal(0, luma.arange(1, 0):count())
    assert.same({ 0, 0.25, 0.5, 0.75, 1 }, luma.linspace(0, 1, 5):totable())
    assert.same({ 3 }, luma.linspace(3, 9, 1):totable())
    assert.same({ { 1, 0, 0 }, { 0, 1, 0 } }, luma.eye(2, 3):totable())
    assert.equal("u8", luma.eye(2, "u8"):dtype())
    fails("step must not be 0", luma.arange, 1, 2, 0)
  end)

  it("refuses sizes that overflow or pass the budget", function()
    fails("zeros: shape [2147483648x2147483648x4] is too large", luma.zeros, 2 ^ 31, 2 ^ 31, 4)
    fails("not enough memory for", luma.zeros, 2 ^ 31, 2 ^ 20, "u8")
    assert.equal(0, luma.zeros(0, 2 ^ 62):count())
  end)

  it("goes to bytes and back", function()
    local x = luma.tensor({ { 1, 2 }, { 3, 4 } })
    assert.equal(("<ffff"):pack(1, 2, 3, 4), x:bytes())
    assert.equal(("<ffff"):pack(1, 3, 2, 4), x:t():bytes())
    assert.same(x:totable(), luma.from_bytes(x:bytes(), "f32", 2, 2):totable())
    assert.same({ 1, 2 }, luma.from_bytes(("<i4i4"):pack(1, 2), "i32"):totable())
    fails("f32 [3] is not 8 bytes", luma.from_bytes, ("x"):rep(8), "f32", 3)
  end)

  it("converts: halves to even, held in range, NaN to 0", function()
    local x = luma.tensor { -3, 0.5, 1.5, 2.5, 254.7, 300, 0 / 0, 1 / 0 }
    assert.same({ 0, 0, 2, 2, 255, 255, 0, 255 }, x:to("u8"):totable())
    assert.same({ -3, 0, 2, 2, 255, 300, 0, 2147483647 }, x:to("i32"):totable())
    local same = x:to "f32"
    same:fill_(1)
    assert.equal(-3, x[1]) -- always a copy
    assert.same({ 1, 2 }, luma.tensor({ 1, 2 }, "u8"):to("f64"):totable())
    assert.same(x:clone():bytes(), x:bytes())
    local t = luma.tensor({ { 1, 2 }, { 3, 4 } }):t()
    assert.same({ { 1, 3 }, { 2, 4 } }, t:contiguous():totable())
    assert.is_true(t:contiguous():is_contiguous())
  end)

  it("prints small ones as rows and large ones as a line", function()
    assert.equal("Tensor f32 [2x2]\n   1  -2\n   3   4", tostring(luma.tensor { { 1, -2 }, { 3, 4 } }))
    assert.equal("Tensor f32 [2]\n  0.5000  1.0000", luma.tensor({ 0.5, 1 }):tostring())
    assert.equal("Tensor f32 []\n  3", tostring(luma.tensor(3)))
    assert.equal("Tensor u8 [0x3]", tostring(luma.zeros(0, 3, "u8")))
    assert.equal("Tensor f32 [3]\n  nan  inf    1", tostring(luma.tensor { 0 / 0, 1 / 0, 1 }))
    assert.truthy(tostring(luma.zeros(2, 1, 1)):find("\n[2]\n", 1, true))
    assert.equal("Tensor f32 [32x224x224x3] 18.4 MB", tostring(luma.zeros(1):expand(32, 224, 224, 3)))
    assert.truthy(tostring(luma.tensor { 1e-5, 1 }):find("1.0000e-05", 1, true))
  end)

  it("sums itself up", function()
    local s = luma.tensor({ 1, 2, 3, 0 / 0, 1 / 0 }):stats()
    assert.same({ 1, 2, 3, 5, 1, 1 }, { s.min, s.mean, s.max, s.count, s.nan, s.inf })
    assert.near(math.sqrt(2 / 3), s.std, 1e-12)
    assert.equal("min 1  mean 2  max 3  std 0.816497  (5 elements, 1 NaN, 1 infinite)", tostring(s))
  end)

  it("closes at once, and says so when used later", function()
    local x = luma.zeros(1000)
    local live = luma.memory().live
    local view = x:narrow(1, 1, 10)
    x:close()
    assert.equal(live, luma.memory().live) -- the view holds the buffer
    assert.equal(0, view[1])
    view:close()
    assert.equal(live - 4000, luma.memory().live)
    x:close() -- twice is fine
    fails("attempt to use a closed tensor", function() return x[1] end)
    fails("attempt to use a closed tensor", function() return #x end)
    fails("attempt to use a closed tensor", function() return x + 1 end)
    fails("attempt to use a closed tensor", function() return tostring(x) end)
    fails("attempt to use a closed tensor", luma.concat, { x })
    do
      local y <close> = luma.zeros(5)
      view = y
    end
    assert.is_false(luma.is_tensor(view))
    assert.is_true(luma.is_tensor(luma.zeros(1)))
    assert.is_false(luma.is_tensor "x")
    assert.equal("luma.Tensor", getmetatable(x)) -- its __gc is out of reach
  end)

  it("cannot be closed by a finalizer while an op may be reading it", function()
    local x = luma.ones(100)
    setmetatable({}, { __gc = function() x:close() end })
    collectgarbage()
    assert.equal(100, x:sum():item()) -- left to the collector
  end)

  it("names what it wanted instead", function()
    fails("bad argument #1 to 'sum' (luma.Tensor expected, got no value)", luma.sum)
    fails("bad argument #1 to 'item' (one element expected, got [2])", luma.item, luma.zeros(2))
    fails("bad argument #2 to 'size' (dimension 3 is not in 1..2 or -2..-1)", luma.size, luma.zeros(2, 2), 3)
  end)
end)
