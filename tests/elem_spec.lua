-- Elementwise ops against plain Lua, one element at a time: every type, every
-- kind of broadcast, in place, and the stated accuracy of luma's own functions.
describe("elementwise", function()
  local luma = require "luma"
  local nan, inf = 0 / 0, 1 / 0

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end
  local function list(x) return x:flatten():totable() end

  it("computes + - * / ^ // % as Lua does", function()
    local p, q = { 7, -7, 7, -7, 0.5, 9 }, { 2, 2, -2, -2, 0.25, 3 }
    for _, dtype in ipairs { "f32", "f64" } do
      local a, b = luma.tensor(p, dtype), luma.tensor(q, dtype)
      for name, f in pairs {
        add = function(u, v) return u + v end, sub = function(u, v) return u - v end,
        mul = function(u, v) return u * v end, div = function(u, v) return u / v end,
        idiv = function(u, v) return u // v end, mod = function(u, v) return u % v end,
      } do
        local want = {}
        for i = 1, #p do want[i] = f(p[i], q[i]) end
        assert.same(luma.tensor(want, dtype):totable(), luma[name](a, b):totable(), name)
        assert.same(luma[name](a, b):totable(), f(a, b):totable(), name)
        assert.same(luma[name](a, luma.full({ 6 }, 2, dtype)):totable(), f(a, 2):totable(), name)
        assert.same(luma[name](luma.full({ 6 }, 2, dtype), b):totable(), f(2, b):totable(), name)
      end
      assert.same({ 49, 49, 49, 49, 0.25, 81 }, (a ^ 2):totable())
      assert.same({ 8, 0.125 }, luma.pow(2, luma.tensor({ 3, -3 }, dtype)):totable())
      assert.same({ -7, 7, -7, 7, -0.5, -9 }, (-a):totable())
    end
  end)

  it("keeps integers whole, and wraps", function()
    local a, b = luma.tensor({ 7, -7, 2147483647 }, "i32"), luma.tensor({ 2, 2, 1 }, "i32")
    assert.equal("i32", (a + b):dtype())
    assert.same({ 9, -5, -2147483648 }, (a + b):totable())
    assert.same({ 3, -4, 2147483647 }, (a // b):totable())
    assert.same({ 1, 1, 0 }, (a % b):totable())
    assert.same({ 14, -14, -2 }, (a * 2):totable())
    assert.same({ 3.5, -3.5 }, (a / b)[{ { 1, 2 } }]:totable())
    assert.equal("f32", (a / b):dtype())
    assert.equal("f32", (a * 0.5):dtype())
    local u = luma.tensor({ 200, 100 }, "u8")
    assert.equal("i32", (u + u):dtype())
    assert.same({ 400, 200 }, (u + u):totable())
    assert.same({ -55, -155 }, (u - 255):totable())
    assert.equal("u8", u:minimum(u):dtype())
    assert.equal("f64", (a + luma.zeros(3, "f64")):dtype())
    assert.equal("i32", (u + luma.tensor({ 1, 2 }, "i32")):dtype())
    assert.same({ -2147483648 }, (luma.tensor({ -2147483648 }, "i32") // -1):totable())
    assert.same({ 0 }, (luma.tensor({ -2147483648 }, "i32") % -1):totable())
    fails("bad argument #2 to 'idiv' (integer division by zero)", function() return a // 0 end)
    fails("integer division by zero", function() return a % luma.tensor({ 1, 0, 1 }, "i32") end)
    fails("4294967296 does not fit i32", function() return a + (1 << 32) end)
  end)

  it("broadcasts like NumPy, whatever the strides", function()
    local shapes = {
      { { 3, 4 }, { 4 } }, { { 3, 1 }, { 1, 4 } }, { { 2, 3, 4 }, { 3, 1 } }, { { 5 }, {} }, { {}, {} },
      { { 0, 3 }, { 3 } }, { { 2, 1, 3, 1 }, { 4, 1, 5 } }, { { 7, 3 }, { 3 } }, { { 100, 3 }, { 1, 3 } },
    }
    for _, pair in ipairs(shapes) do
      local a, b = luma.rand(pair[1]), luma.rand(pair[2])
      for variant = 1, 2 do
        if variant == 2 and a:rank() >= 2 then a = a:transpose(1, 2):contiguous():transpose(1, 2) end
        local y = a - b
        local size, ta, tb = { y:shape() }, a:totable(), b:totable()
        local function at(t, shape, index)
          local v = t
          for d, n in ipairs(shape) do
            local i = index[#index - #shape + d]
            v = v[n == 1 and 1 or i]
          end
          return v
        end
        local index, ty = {}, y:totable()
        local function walk(d, part)
          if d > #size then
            local want = luma.tensor(at(ta, pair[1], index) - at(tb, pair[2], index)):item()
            assert.equal(want, part)
            return
          end
          for i = 1, size[d] do
            index[d] = i
            walk(d + 1, part[i])
          end
        end
        walk(1, ty)
      end
    end
    fails("bad argument #2 to 'add' (shapes [2x3] and [4] do not broadcast)", luma.add, luma.zeros(2, 3), luma.zeros(4))
    fails("at least one tensor expected, got two numbers", luma.add, 1, 2)
    fails("bad argument #2 to 'add' (tensor or number expected, got string)", luma.add, luma.zeros(1), "1")
  end)

  it("compares any types exactly", function()
    local a = luma.tensor { 1, 2, 3, nan }
    assert.same({ 0, 1, 0, 0 }, a:eq(2):totable())
    assert.same({ 1, 0, 1, 1 }, a:ne(2):totable())
    assert.same({ 1, 0, 0, 0 }, a:lt(2):totable())
    assert.same({ 1, 1, 0, 0 }, a:le(2):totable())
    assert.same({ 0, 0, 1, 0 }, a:gt(2):totable())
    assert.same({ 0, 1, 1, 0 }, a:ge(2):totable())
    assert.equal("u8", a:eq(a):dtype())
    local i = luma.tensor({ 16777217 }, "i32")
    assert.same({ 0 }, i:eq(luma.tensor { 16777216 }):totable()) -- f32 alone could not tell
    assert.same({ 1 }, luma.tensor({ 3 }, "u8"):gt(2.5):totable())
    assert.same({ 1 }, luma.lt(2.5, luma.tensor({ 3 }, "u8")):totable())
    assert.same({ 0, 1 }, luma.tensor({ 0, 255 }, "u8"):ge(luma.tensor({ 1, 255 }, "i32")):totable())
  end)

  it("carries NaN and infinities", function()
    local x = luma.tensor { nan, 1, inf, -inf }
    local function same(want, y)
      for k, v in ipairs(y:totable()) do
        assert.truthy(v == want[k] or (v ~= v and want[k] ~= want[k]), tostring(v) .. " at " .. k)
      end
    end
    same({ nan, 1, 2, -inf }, x:minimum(2))
    same({ nan, 2, inf, 2 }, luma.maximum(2, x))
    same({ nan, 1, 2, -2 }, x:clamp(-2, 2))
    same({ nan, 1, inf, inf }, x:abs())
    same({ nan, 1, 1, -1 }, x:sign())
    same({ nan, math.exp(1), inf, 0 }, x:to("f64"):exp())
    same({ nan, 1, 1, -1 }, luma.tensor({ nan, 40, inf, -inf }):tanh())
    same({ nan, 1, 1, 0 }, luma.tensor({ nan, 100, inf, -inf }):sigmoid())
    assert.same({ 1, 0, 0, 0 }, x:isnan():totable())
    assert.same({ 0, 1, 0, 0 }, x:isfinite():totable())
    assert.same({ 0, 0, 1 }, luma.tensor({ nan, 2, 0 }):logical_not():totable())
    assert.same({ 1 }, luma.tensor({ 3 }, "i32"):isfinite():totable())
  end)

  it("knows the functions of one tensor", function()
    local v = { 0.1, 0.5, 1, 2.5, 3.7 }
    for name, f in pairs {
      sqrt = math.sqrt, exp = math.exp, log = math.log, sin = math.sin, cos = math.cos,
      square = function(a) return a * a end, reciprocal = function(a) return 1 / a end,
      expm1 = function(a) return math.exp(a) - 1 end, log1p = function(a) return math.log(1 + a) end,
      tanh = function(a) return 1 - 2 / (math.exp(2 * a) + 1) end,
      sigmoid = function(a) return 1 / (1 + math.exp(-a)) end,
      floor = function(a) return math.floor(a) end, ceil = function(a) return math.ceil(a) end,
      neg = function(a) return -a end, abs = math.abs,
    } do
      local y64, y32 = luma[name](luma.tensor(v, "f64")):totable(), luma[name](luma.tensor(v)):totable()
      for k, a in ipairs(v) do
        assert.near(f(a), y64[k], 1e-14 * math.max(1, math.abs(f(a))), name)
        assert.near(f(a), y32[k], 1e-6 * math.max(1, math.abs(f(a))), name)
      end
    end
    assert.same({ -2, 0, 0, 2, 2 }, luma.tensor({ -1.5, -0.5, 0.5, 1.5, 2.5 }):round():abs():mul(
      luma.tensor { -1, 1, 1, 1, 1 }):totable())
    assert.same({ 2, 3, 4 }, luma.tensor({ 1, 3, 9 }, "u8"):clamp(2, 4):totable())
    assert.equal("u8", luma.tensor({ 1 }, "u8"):floor():dtype())
    assert.same({ 1, 1 }, luma.tensor({ -1, 1 }, "i32"):abs():totable())
    assert.equal("f32", luma.tensor({ 4 }, "u8"):sqrt():dtype())
    fails("low 3 is above high 2", luma.clamp, luma.zeros(1), 3, 2)
    fails("luma.Tensor expected, got number", luma.exp, 2)
  end)

  -- Distance in units in the last place of the true value rounded to f32.
  local function ulps(y, want)
    if want == 0 then return y == 0 and 0 or inf end
    local e = math.max(-126, math.floor(math.log(math.abs(want), 2)))
    return math.abs(y - want) / 2.0 ^ (e - 23)
  end

  it("keeps the accuracy it states for exp, tanh and sigmoid in f32", function()
    local n = 20001
    local function worst(name, low, high, f)
      local x = luma.linspace(low, high, n)
      local xs, ys, most = x:totable(), luma[name](x):totable(), 0
      for k = 1, n do most = math.max(most, ulps(ys[k], f(xs[k]))) end
      return most
    end
    local function tanh(a)
      if math.abs(a) < 1e-4 then return a - a ^ 3 / 3 end
      local e = math.exp(2 * math.abs(a))
      return (e - 1) / (e + 1) * (a < 0 and -1 or 1)
    end
    assert.truthy(worst("exp", -87, 88.7, math.exp) <= 2)
    assert.truthy(worst("exp", -1, 1, math.exp) <= 2)
    assert.truthy(worst("tanh", -10, 10, tanh) <= 4)
    assert.truthy(worst("tanh", -0.01, 0.01, tanh) <= 4)
    assert.truthy(worst("sigmoid", -80, 80, function(a) return 1 / (1 + math.exp(-a)) end) <= 4)
    local edges = luma.tensor({ -200, -104, -103, -90, 89, 200 }):exp():totable()
    assert.same({ 0, 0 }, { edges[1], edges[2] })
    assert.truthy(edges[3] > 0 and edges[3] < 2e-45 and edges[4] > 8e-40 and edges[4] < 9e-40) -- subnormal
    assert.same({ inf, inf }, { edges[5], edges[6] })
  end)

  it("selects with where", function()
    local m = luma.tensor({ 1, 0, 2 }, "u8")
    assert.same({ 1, -1, 3 }, luma.where(m, luma.tensor { 1, 2, 3 }, -1):totable())
    assert.same({ { 1, 9, 1 }, { 1, 8, 1 } }, luma.where(m, 1, luma.tensor { { 9 }, { 8 } }):totable())
    assert.equal("i32", luma.where(m, 1, 0):dtype())
    assert.equal("u8", luma.where(m, m, m):dtype())
    assert.same({ 1, 0 }, luma.where(luma.tensor { 0.5, 0 }, 1, 0):totable())
  end)

  it("works in place", function()
    local x = luma.tensor { { 1, 2 }, { 3, 4 } }
    local same = x:add_(1):sub_(luma.tensor { 1, 2 }):mul_(luma.tensor({ { 2 }, { 3 } }, "i32")):div_(2)
    assert.is_true(rawequal(same, x))
    assert.same({ { 1, 1 }, { 4.5, 4.5 } }, x:totable())
    x[{ {}, 1 }]:mul_(10)
    assert.same({ { 10, 1 }, { 45, 4.5 } }, x:totable())
    fails("u8 not supported (f32, f64, i32)", function() luma.zeros(1, "u8"):add_(1) end)
    fails("f32 does not go into i32 in place", function() luma.zeros(1, "i32"):add_(luma.zeros(1)) end)
    fails("1.5 does not fit i32", function() luma.zeros(1, "i32"):add_(1.5) end)
    fails("shape [2x2] does not go into [2]", function() luma.zeros(2):add_(luma.zeros(2, 2)) end)
  end)

  it("takes empty tensors everywhere", function()
    for _, op in ipairs { "neg", "exp", "sqrt", "floor", "isnan", "abs", "sigmoid" } do
      assert.same({ 0, 3 }, { luma[op](luma.zeros(0, 3)):shape() })
    end
    assert.same({ 0 }, list(luma.zeros(0) + 1)[1] == nil and { 0 } or {})
    assert.equal(0, luma.zeros(2, 0):add_(1):count())
  end)
end)
