-- Elements by place, order, joining and cutting, against tables.
describe("places", function()
  local luma = require "luma"
  local nan = 0 / 0

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end
  local function ids(t) return luma.tensor(t, "i32") end

  it("select, add and gather", function()
    local x = luma.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    for _, dtype in ipairs { "f32", "f64", "u8", "i32" } do
      local y = x:to(dtype)
      assert.same({ { 3, 1, 3 }, { 6, 4, 6 } }, y:index_select(2, { 3, 1, 3 }):totable())
      assert.same({ { 4, 5, 6 } }, y:index_select(1, ids { 2 }):totable())
      assert.same({ { 1, 3 }, { 5, 5 } }, y:gather(2, ids { { 1, 3 }, { 2, 2 } }):totable())
      assert.same({ { 4, 2, 6 } }, y:gather(1, ids { { 2, 1, 2 } }):totable())
    end
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, x:t():index_select(1, { 1, 2, 3 }):totable())
    assert.same({ { 11, 2, 3 }, { 4, 5, 6 } }, x:index_add(1, { 1 }, luma.tensor { { 10, 0, 0 } }):totable())
    assert.same({ 5, 0, 1 }, luma.zeros(3):index_add(1, { 1, 3, 1 }, luma.tensor { 2, 1, 3 }):totable())
    assert.same({ { 3, 0 }, { 0, 7 } },
      luma.zeros(2, 2, "i32"):scatter_add(2, ids { { 1, 1 }, { 2, 2 } }, ids { { 1, 2 }, { 3, 4 } }):totable())
    assert.same({ 0, 3 }, { x:index_select(1, {}):shape() })
    fails("place 4 at position 2 is not in 1..3", luma.index_select, x, 2, { 1, 4 })
    fails("place 0 at position 1 is not in 1..3", luma.gather, x, 2, ids { { 0 } })
    fails("i32 or u8 tensor of places expected, got f32 (convert with x:to('i32'))", luma.gather, x, 2, x)
    fails("only dimension 2 may be longer", luma.gather, x, 2, ids { { 1 }, { 1 }, { 1 } })
    fails("u8 not supported (f32, f64, i32)", luma.scatter_add, x:to "u8", 2, ids { { 1 } }, luma.zeros(1, 1, "u8"))
    fails("shape [1x3] expected, got [3]", luma.index_add, x, 1, { 1 }, luma.zeros(3))
    fails("f32 expected as in x, got f64", luma.index_add, x, 1, { 1 }, luma.zeros(1, 3, "f64"))
  end)

  it("make one-hot rows", function()
    assert.same({ { 0, 1, 0 }, { 1, 0, 0 } }, luma.one_hot({ 2, 1 }, 3):totable())
    assert.same({ 2, 2, 4 }, { luma.one_hot(ids { { 1, 2 }, { 3, 4 } }, 4, "u8"):shape() })
    fails("place 3 at position 1 is not in 1..2", luma.one_hot, { 3 }, 2)
  end)

  it("follow masks", function()
    local x = luma.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ 3, 4 }, x:masked_select(x:gt(2)):totable())
    assert.same({ 2, 4 }, x:masked_select(luma.tensor({ 0, 1 }, "u8")):totable())
    assert.same({ { 1, 2 }, { 0, 0 } }, x:masked_fill(x:gt(2), 0):totable())
    assert.same({ { 1, 2 }, { 2, 1 } }, luma.tensor({ { 0, 5 }, { 6, 0 } }):nonzero():totable())
    assert.same({ 0, 2 }, { luma.zeros(3, 3):nonzero():shape() })
    fails("u8 mask expected, got f32", luma.masked_fill, x, x, 0)
    fails("mask [3] does not broadcast to [2x2]", luma.masked_select, x, luma.zeros(3, "u8"))
  end)

  it("sort, stably, NaN last", function()
    local x = luma.tensor { 3, nan, 1, 2, 1 }
    assert.same({ 3, 5, 4, 1, 2 }, x:argsort():totable())
    assert.same({ 1, 4, 3, 5, 2 }, x:argsort(1, { descending = true }):totable())
    assert.same({ 1, 1, 2, 3 }, x:sort()[{ { 1, 4 } }]:totable())
    local values, places = x:topk(2)
    assert.same({ 3, 2 }, values:totable())
    assert.same({ 1, 4 }, places:totable())
    values, places = x:topk(2, 1, { largest = false })
    assert.same({ { 1, 1 }, { 3, 5 } }, { values:totable(), places:totable() })
    local m = luma.tensor { { 3, 1 }, { 2, 9 } }
    assert.same({ { 2, 1 }, { 3, 9 } }, m:sort(1):totable())
    assert.same({ { 1, 3 }, { 2, 9 } }, m:sort():totable())
    fails("k must be in 0..5, got 6", luma.topk, x, 6)
    for _, dtype in ipairs { "f32", "f64", "i32" } do
      local y = luma.tensor({ 5, -7, 300, -0.0, 0, -70000, 2 ^ 30 }, dtype)
      assert.same({ 6, 2, 4, 5, 1, 3, 7 }, y:argsort():totable(), dtype)
      assert.same({ 7, 3, 1, 4, 5, 2, 6 }, y:argsort(1, { descending = true }):totable(), dtype)
    end
    assert.same({ 2, 1, 3 }, luma.tensor({ 7, 0, 255 }, "u8"):argsort():totable())
    assert.same({ 2, 3, 1, 4 }, luma.tensor({ 1 / 0, -1 / 0, 1, nan }):argsort():totable())
    luma.seed(5)
    local big = luma.rand(3, 5000)
    local s, t = big:sort():totable(), big:totable()
    for r = 1, 3 do
      table.sort(t[r])
      assert.same(t[r], s[r])
    end
    assert.is_true(big:gather(2, big:argsort()):equal(big:sort()))
  end)

  it("join and cut", function()
    local a, b = luma.tensor { { 1, 2 } }, luma.tensor { { 3, 4 }, { 5, 6 } }
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, luma.concat({ a, b }):totable())
    assert.same({ { 1, 2, 1, 2 } }, luma.concat({ a, a }, 2):totable())
    assert.same({ { { 3, 4 }, { 5, 6 } }, { { 3, 4 }, { 5, 6 } } }, luma.stack({ b, b }):totable())
    assert.same({ 2, 2, 3 }, { luma.stack({ b, b, b }, -1):shape() })
    assert.equal("f64", luma.concat({ a, b:to "f64" }):dtype())
    assert.equal("u8", luma.concat({ a:to "u8", b:to "u8" }):dtype())
    fails("entry 2 is [2x2], which does not fit entry 1, [1x2]", luma.concat, { a, b }, 2)
    fails("entry 2: tensor expected, got number", luma.concat, { a, 1 })
    fails("no tensors given", luma.stack, {})
    local x = luma.arange(1, 7)
    local parts = x:split(3)
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 }, { 7 } },
      { parts[1]:totable(), parts[2]:totable(), parts[3]:totable() })
    assert.same({ 3, 4 }, x:split({ 2, 2, 3 })[2]:totable())
    parts = x:chunk(3)
    assert.same({ 3, 2, 2 }, { #parts[1], #parts[2], #parts[3] })
    parts[1]:fill_(0)
    assert.equal(0, x[3])
    fails("the lengths add to 4, dimension 1 has 7", luma.split, x, { 2, 2 })
    assert.same({ { 1, 2, 1, 2 }, { 1, 2, 1, 2 } }, a:tile(2, 2):totable())
    assert.equal(0, a:tile(0, 1):count())
    assert.same({ { 5, 6 }, { 3, 4 } }, b:flip(1):totable())
    assert.same({ { 4, 3 }, { 6, 5 } }, b:flip(2):totable())
    assert.same({ { 3, 5 }, { 4, 6 } }, luma.concat({ b:t() }):totable())
  end)

  it("compare wholes", function()
    local x = luma.tensor { 1, 2, 1 / 0 }
    assert.is_true(x:equal(x:clone()))
    assert.is_false(x:equal(x:to "f64"))
    assert.is_false(x:equal(luma.tensor { 1, 2 }))
    assert.is_false(luma.tensor({ nan }):equal(luma.tensor { nan }))
    assert.is_true(x:allclose(luma.tensor { 1, 2.00001, 1 / 0 }))
    assert.is_false(x:allclose(luma.tensor { 1, 2.1, 1 / 0 }))
    assert.is_true(x:allclose(luma.tensor { 1, 2.1, 1 / 0 }, { atol = 0.2 }))
    assert.is_false(x:allclose(luma.tensor { 1, 2, -1 / 0 }))
    assert.is_true(luma.tensor({ nan }):allclose(luma.tensor { nan }, { equal_nan = true }))
    assert.is_false(x:allclose(luma.tensor { 1, 2 }))
  end)
end)
