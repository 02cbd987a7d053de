-- Matrix products against three plain loops, for every layout and batch shape.
describe("matmul", function()
  local luma = require "luma"

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end

  local function check(a, b, y)
    local m, k = a:shape()
    local n = b:size(2)
    local ta, tb, ty = a:totable(), b:totable(), y:totable()
    for i = 1, m do
      for j = 1, n do
        local s = 0
        for l = 1, k do s = s + ta[i][l] * tb[l][j] end
        assert.near(s, ty[i][j], 1e-4 * math.sqrt(k))
      end
    end
  end

  it("agrees with loops for plain, transposed, sliced and odd strides", function()
    luma.seed(1)
    for _, dtype in ipairs { "f32", "f64" } do
      for _, s in ipairs { { 1, 1, 1 }, { 2, 3, 4 }, { 17, 1, 5 }, { 1, 33, 7 }, { 16, 16, 16 }, { 65, 9, 31 } } do
        local m, k, n = table.unpack(s)
        local a, b = luma.randn(m, k, dtype), luma.randn(k, n, dtype)
        local at, bt = a:t():contiguous():t(), b:t():contiguous():t()
        local wide, strided = luma.randn(m, k + 3, dtype), luma.randn(m, 2 * k, dtype)
        check(a, b, luma.matmul(a, b))
        check(at, b, at:matmul(b))
        check(a, bt, a:matmul(bt))
        check(at, bt, at:matmul(bt))
        local cut = wide:narrow(2, 2, k)
        check(cut, b, cut:matmul(b))
        local every = strided[{ {}, { 1, 2 * k, 2 } }]
        check(every, b, every:matmul(b))
        local rows = luma.randn(1, k, dtype):expand(m, k)
        check(rows, b, rows:matmul(b))
      end
    end
  end)

  it("takes vectors, batches and broadcast batches", function()
    local a, v = luma.tensor { { 1, 2 }, { 3, 4 } }, luma.tensor { 5, 6 }
    assert.same({ 17, 39 }, luma.matmul(a, v):totable())
    assert.same({ 23, 34 }, luma.matmul(v, a):totable())
    assert.equal(61, luma.matmul(v, v):item())
    assert.equal(61, v:dot(v):item())
    local x, y = luma.randn(2, 1, 3, 4), luma.randn(5, 4, 2)
    local z = luma.matmul(x, y)
    assert.same({ 2, 5, 3, 2 }, { z:shape() })
    for i = 1, 2 do
      for j = 1, 5 do assert.is_true(z[i][j]:allclose(luma.matmul(x[i][1], y[j]), { atol = 1e-5 })) end
    end
    local many = luma.randn(300, 3, 3)
    assert.is_true(luma.matmul(many, many)[300]:allclose(luma.matmul(many[300], many[300]), { atol = 1e-5 }))
    assert.same({ 4, 3 }, { luma.matmul(luma.zeros(4, 0), luma.zeros(0, 3)):shape() })
    assert.equal(0, luma.matmul(luma.zeros(4, 0), luma.zeros(0, 3)):sum():item())
    assert.equal(0, luma.matmul(luma.zeros(0, 4), luma.zeros(4, 3)):count())
  end)

  it("multiplies integers as f32 and mixed floats as f64", function()
    local i = luma.tensor({ { 1, 2 }, { 3, 4 } }, "i32")
    assert.equal("f32", luma.matmul(i, i):dtype())
    assert.same({ { 7, 10 }, { 15, 22 } }, luma.matmul(i, i:to "u8"):totable())
    assert.equal("f64", luma.matmul(i, i:to "f64"):dtype())
  end)

  it("says which sizes do not meet", function()
    fails("bad argument #2 to 'matmul' (cannot multiply [2x3] by [4x5]: 3 columns against 4 rows)",
      luma.matmul, luma.zeros(2, 3), luma.zeros(4, 5))
    fails("batch sizes differ", luma.matmul, luma.zeros(2, 3, 3), luma.zeros(5, 3, 3))
    fails("got a scalar (multiply with *)", luma.matmul, luma.zeros(2, 2), luma.tensor(2))
    fails("rank 1 (n) expected, got [2x2]", luma.dot, luma.zeros(2, 2), luma.zeros(2))
  end)
end)
