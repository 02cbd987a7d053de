-- Random numbers: reproducible, independent of threads, well distributed.
describe("random", function()
  local luma = require "luma"

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end

  it("tensors follow luma.seed", function()
    luma.seed(42)
    local a, b, c = luma.rand(5), luma.randn(5), luma.randperm(5)
    luma.seed(42)
    assert.is_true(a:equal(luma.rand(5)))
    assert.is_true(b:equal(luma.randn(5)))
    assert.is_true(c:equal(luma.randperm(5)))
    luma.seed(42, 1) -- straight to the second stream
    assert.is_true(b:equal(luma.randn(5)))
    luma.seed(43)
    assert.is_false(a:equal(luma.rand(5)))
  end)

  it("have the moments and ranges they should", function()
    luma.seed(1)
    local n = 200000
    for _, dtype in ipairs { "f32", "f64" } do
      local u, z = luma.rand(n, dtype), luma.randn(n, dtype)
      assert.near(0.5, u:mean():item(), 0.003)
      assert.near(math.sqrt(1 / 12), u:std():item(), 0.003)
      assert.truthy(u:min():item() >= 0 and u:max():item() < 1)
      assert.near(0, z:mean():item(), 0.01)
      assert.near(1, z:std():item(), 0.01)
      assert.near(3, (z ^ 4):mean():item(), 0.1)
      assert.near(0, (z[{ { 1, n - 1 } }] * z[{ { 2, n } }]):mean():item(), 0.01) -- neighbours do not correlate
    end
    assert.near(0.3, luma.bernoulli(0.3, n):mean():item(), 0.005)
    assert.equal(0, luma.bernoulli(0, n, "u8"):sum():item())
    assert.equal(n, luma.bernoulli(1, n, "i32"):sum():item())
    local d = luma.randint(-2, 3, n)
    for v = -2, 3 do assert.near(1 / 6, d:eq(v):mean():item(), 0.005) end
    assert.equal(0, (d:lt(-2) + d:gt(3)):sum():item())
    assert.equal(2147483647, luma.randint(2147483647, 2147483647, 1):item())
    local p = luma.randperm(1000)
    assert.is_true(p:sort():equal(luma.arange(1, 1000, "i32")))
  end)

  it("do not depend on the number of threads", function()
    local threads = luma.threads()
    local function draw()
      luma.seed(9)
      return luma.rand(100001):bytes() .. luma.randn(50001, "f64"):bytes() .. luma.bernoulli(0.5, 70001, "u8"):bytes()
        .. luma.randint(1, 100, 40001):bytes()
    end
    luma.threads(1)
    local one = draw()
    for n = 2, 3 do
      luma.threads(n)
      assert.is_true(one == draw())
    end
    luma.threads(threads)
  end)

  it("generators are functions of seed and stream", function()
    local a, b = luma.rng(7), luma.rng(7)
    for _ = 1, 10 do assert.equal(a:uniform(), b:uniform()) end
    assert.not_equal(luma.rng(7, 1):uniform(), luma.rng(7):uniform())
    assert.not_equal(luma.rng(8):uniform(), luma.rng(7):uniform())
    luma.seed(7)
    assert.not_equal(luma.rng(7):uniform(), luma.rand(1, "f64"):item()) -- never luma.seed's streams
  end)

  it("fork by name, whatever was drawn before", function()
    local r = luma.rng(3)
    local first = r:fork(5):uniform()
    r:uniform()
    assert.equal(first, r:fork(5):uniform())
    assert.not_equal(first, r:fork(6):uniform())
    assert.not_equal(r:fork(5):uniform(), r:fork "5":uniform())
    local sum = 0
    for i = 1, 2000 do sum = sum + r:fork(i):uniform() end
    assert.near(0.5, sum / 2000, 0.03) -- first draws of children spread evenly
  end)

  it("save and restore their state through JSON-safe strings", function()
    local r = luma.rng(-5, 12)
    r:normal()
    local state = r:state()
    assert.equal("fffffffffffffffb", state.seed)
    local want = { r:uniform(), r:normal(), r:int(1, 100) }
    local s = luma.rng(0):set_state(state)
    assert.same(want, { s:uniform(), s:normal(), s:int(1, 100) })
    fails("seed must be 16 hexadecimal digits, got 'xyz'", r.set_state, r, { seed = "xyz" })
  end)

  it("draw numbers in range", function()
    local r = luma.rng(1)
    local seen, heads = {}, 0
    for _ = 1, 2000 do
      local u = r:uniform(-2, 3)
      assert.truthy(u >= -2 and u < 3)
      seen[r:int(1, 6)] = true
      heads = heads + (r:bernoulli(0.25) and 1 or 0)
    end
    assert.equal(6, #seen)
    assert.near(500, heads, 80)
    assert.truthy(math.type(r:int(math.mininteger, math.maxinteger)) == "integer")
    assert.equal(4, r:uniform(4, 4))
    local z, n = 0, 5000
    for _ = 1, n do z = z + r:normal(10, 2) end
    assert.near(10, z / n, 0.15)
    fails("high 1 is below low 2", r.uniform, r, 2, 1)
    fails("probability must be in 0..1, got 2", r.bernoulli, r, 2)
    fails("luma.Rng expected, got number", r.uniform, 5)
  end)

  it("shuffle and permute", function()
    local r = luma.rng(2)
    local t = r:shuffle { "a", "b", "c", "d" }
    table.sort(t)
    assert.same({ "a", "b", "c", "d" }, t)
    local p = r:permutation(50)
    assert.equal("number", type(p[1]))
    table.sort(p)
    for i = 1, 50 do assert.equal(i, p[i]) end
    assert.equal("i32", r:permutation(5, { tensor = true }):dtype())
    local counts = {}
    for _ = 1, 6000 do
      local q = r:permutation(3)
      local key = table.concat(q)
      counts[key] = (counts[key] or 0) + 1
    end
    for _, c in pairs(counts) do assert.near(1000, c, 150) end
  end)

  it("fill tensors from a generator", function()
    local a, b = luma.rng(4), luma.rng(4)
    assert.is_true(luma.rand(3, 3, { rng = a }):equal(luma.rand(3, 3, { rng = b })))
    assert.is_false(luma.rand(3, { rng = a }):equal(luma.rand(3, { rng = luma.rng(4) })))
    assert.equal("f64", luma.randn(2, { dtype = "f64" }):dtype())
    fails("option rng must be a luma.Rng, got table", luma.rand, 2, { rng = {} })
    fails("unknown option 'seed' (known: rng, dtype)", luma.rand, 2, { seed = 1 })
    fails("rand: i32 not supported (f32, f64)", luma.rand, 2, "i32")
    fails("bernoulli' (probability must be in 0..1, got 1.5)", luma.bernoulli, 1.5, 2)
  end)
end)
