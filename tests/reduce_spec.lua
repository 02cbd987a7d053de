-- Reductions against plain loops in double, over every choice of dimensions.
describe("reductions", function()
  local luma = require "luma"
  local nan, inf = 0 / 0, 1 / 0

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end

  -- The obvious way: groups of numbers, one group an output.
  local function naive(x, dims, f)
    local size, over = { x:shape() }, {}
    for _, d in ipairs(dims) do over[d] = true end
    local flat, groups, order = x:flatten():totable(), {}, {}
    for linear = 0, #flat - 1 do
      local rest, key = linear, {}
      for d = #size, 1, -1 do
        if not over[d] then table.insert(key, 1, rest % size[d]) end
        rest = rest // size[d]
      end
      local name = table.concat(key, ",")
      if not groups[name] then
        groups[name] = {}
        order[#order + 1] = name
      end
      table.insert(groups[name], flat[linear + 1])
    end
    local out = {}
    for i, name in ipairs(order) do out[i] = f(groups[name]) end
    return out
  end

  local fold = {
    sum = function(g) local s = 0 for _, v in ipairs(g) do s = s + v end return s end,
    prod = function(g) local s = 1 for _, v in ipairs(g) do s = s * v end return s end,
    max = function(g) return math.max(table.unpack(g)) end,
    min = function(g) return math.min(table.unpack(g)) end,
    any = function(g) for _, v in ipairs(g) do if v ~= 0 then return 1 end end return 0 end,
    all = function(g) for _, v in ipairs(g) do if v == 0 then return 0 end end return 1 end,
  }
  fold.mean = function(g) return fold.sum(g) / #g end
  fold.var = function(g)
    local m, s = fold.mean(g), 0
    for _, v in ipairs(g) do s = s + (v - m) ^ 2 end
    return s / #g
  end
  fold.std = function(g) return math.sqrt(fold.var(g)) end
  fold.norm = function(g) local s = 0 for _, v in ipairs(g) do s = s + v * v end return math.sqrt(s) end
  fold.argmax = function(g) local b = 1 for i, v in ipairs(g) do if v > g[b] then b = i end end return b end
  fold.argmin = function(g) local b = 1 for i, v in ipairs(g) do if v < g[b] then b = i end end return b end

  it("agree with plain loops for every set of dimensions, type and layout", function()
    luma.seed(11)
    local base = luma.rand(3, 4, 2, 17) - 0.4
    local ints = luma.randint(0, 3, 3, 4, 2, 17)
    local sets = { { 1 }, { 2 }, { 3 }, { 4 }, { 1, 2 }, { 1, 4 }, { 2, 3 }, { 1, 2, 3 }, { 2, 3, 4 }, { 1, 2, 3, 4 } }
    local inputs = { base, base:to "f64", base:transpose(1, 4), base:permute(3, 1, 4, 2), ints, ints:to "u8",
      base[{ {}, { 2, 4, 2 }, {}, { 3, 12 } }] }
    for _, x in ipairs(inputs) do
      for _, dims in ipairs(sets) do
        for name, f in pairs(fold) do
          local want, got = naive(x, dims, f), luma[name](x, dims)
          local flat = got:flatten():totable()
          assert.equal(#want, #flat, name)
          local tolerance = got:dtype() == "f64" and 1e-12 or 2e-6
          for i, v in ipairs(want) do
            assert.near(v, flat[i], tolerance * math.max(1, math.abs(v)), name)
          end
        end
      end
    end
  end)

  it("keep or drop the reduced dimensions", function()
    local x = luma.ones(2, 3, 4)
    assert.same({ 2, 4 }, { x:sum(2):shape() })
    assert.same({ 2, 1, 4 }, { x:sum(2, true):shape() })
    assert.same({ 1, 1, 1 }, { x:mean(nil, true):shape() })
    assert.same({ 3 }, { x:max({ 1, -1 }):shape() })
    assert.same({ 2, 1, 4 }, { x:std(2, { keepdim = true, correction = 1 }):shape() })
    assert.equal(0, x:sum():rank())
    fails("dimension -2 is named twice", luma.sum, x, { 2, -2 })
    fails("dimension 4 is not in 1..3 or -3..-1", luma.sum, x, 4)
    fails("unknown option 'keep' (known: keepdim)", luma.sum, x, 1, { keep = true })
    fails("keepdim must be true or false, got number", luma.sum, x, 1, 1)
  end)

  it("give the types they promise", function()
    local i, u, f, d = luma.ones(2, "i32"), luma.ones(2, "u8"), luma.ones(2), luma.ones(2, "f64")
    assert.same({ "f64", "f64", "f32", "f64" }, { i:sum():dtype(), u:sum():dtype(), f:sum():dtype(), d:sum():dtype() })
    assert.same({ "f32", "f64" }, { u:mean():dtype(), d:mean():dtype() })
    assert.same({ "u8", "i32" }, { u:max():dtype(), i:min():dtype() })
    assert.same({ "i32", "u8" }, { f:argmax():dtype(), f:any():dtype() })
    assert.equal(255 * 1000, luma.full({ 1000 }, 255, "u8"):sum():item())
  end)

  it("sum 16.7 million numbers exactly enough #slow", function()
    local n = 1 << 24
    local x = luma.full({ n }, 0.1)
    local tenth = x[1] -- 0.1 as f32
    assert.near(1, x:mean():item() / tenth, 1e-7)
    assert.near(1, x:to("f64"):sum():item() / (tenth * n), 1e-12)
    assert.near(0, x:std():item(), 1e-9)
    x[n] = 1e9
    assert.equal(n, x:argmax():item())
    assert.near((1e9 + tenth * (n - 1)) / n, x:mean():item(), 1e-5)
  end)

  it("survive large offsets in var, and squares beyond f32 in norm", function()
    local x = luma.tensor({ 1e8 + 1, 1e8 + 2, 1e8 + 3 }, "f64")
    assert.near(2 / 3, x:var():item(), 1e-9)
    assert.near(1, x:var(nil, { correction = 1 }):item(), 1e-9)
    local wide = luma.full({ 10, 16 }, 1e8, "f64")
    wide[{ 3, {} }] = 1e8 + 5
    assert.near(2.25, wide:var(1)[7], 1e-7)
    assert.near(1e30 * math.sqrt(2) / 1e30, luma.tensor({ 1e30, 1e30 }):norm():item() / 1e30, 1e-6)
    assert.truthy(luma.tensor({ 1 }):var(nil, { correction = 1 }):isnan():item() == 1)
  end)

  it("let NaN through, and find the first", function()
    local x = luma.tensor { 3, nan, 5, nan }
    for _, name in ipairs { "sum", "mean", "prod", "min", "max", "var", "std", "norm" } do
      local v = luma[name](x):item()
      assert.truthy(v ~= v, name)
    end
    assert.equal(2, x:argmax():item())
    assert.equal(2, x:argmin():item())
    local long = luma.rand(70000)
    long[65999] = nan
    assert.equal(65999, long:argmax():item())
    assert.truthy(long:max():isnan():item() == 1)
    local columns = luma.zeros(5, 9)
    columns[{ 4, 2 }] = nan
    assert.same({ 1, 4, 1 }, columns:argmax(1)[{ { 1, 3 } }]:totable())
    assert.equal(1, luma.tensor({ -inf, -inf }):argmax():item())
    assert.equal(-inf, luma.tensor({ -inf, -inf }):max():item())
  end)

  it("take the first of equals", function()
    assert.equal(2, luma.tensor({ 1, 5, 5, 0, 0 }):argmax():item())
    assert.equal(4, luma.tensor({ 1, 5, 5, 0, 0 }):argmin():item())
    assert.equal(1, luma.zeros(200000):argmax():item())
  end)

  it("know what nothing sums to", function()
    local x = luma.zeros(0, 3)
    assert.same({ 0, 0, 0 }, x:sum(1):totable())
    assert.same({ 1, 1, 1 }, x:prod(1):totable())
    assert.equal(0, x:sum():item())
    assert.equal(1, x:mean():isnan():item())
    assert.equal(1, x:all():item())
    assert.equal(0, x:any():item())
    assert.equal(0, x:max(2):count())
    fails("bad argument #1 to 'max' ([0x3] has no elements to compare)", luma.max, x, 1)
    fails("has no elements to compare", luma.argmin, luma.zeros(0))
  end)

  it("run along a dimension with cumsum", function()
    local x = luma.tensor { { 1, 2 }, { 3, 4 }, { 5, 6 } }
    assert.same({ { 1, 2 }, { 4, 6 }, { 9, 12 } }, x:cumsum():totable())
    assert.same({ { 1, 3 }, { 3, 7 }, { 5, 11 } }, x:cumsum(2):totable())
    assert.same({ { 1, 3 }, { 3, 7 }, { 5, 11 } }, x:t():contiguous():t():cumsum(-1):totable())
    assert.equal("f64", luma.ones(2, "u8"):cumsum():dtype())
    assert.equal(0, luma.zeros(0):cumsum():count())
  end)
end)
