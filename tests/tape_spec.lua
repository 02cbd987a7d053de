-- The tape: what it records, what it frees, what it refuses.
local luma = require "luma"
local nn, optim = luma.nn, luma.optim

local function live()
  collectgarbage()
  collectgarbage()
  return luma.memory().live
end

describe("tape", function()
  before_each(function() luma.seed(3) end)

  it("trains a two-layer net on exclusive or", function()
    local net = nn.Sequential { nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2) }
    local opt = optim.Adam(net:parameters(), { lr = 0.02 })
    local x, y = luma.tensor { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }, luma.tensor({ 1, 2, 2, 1 }, "i32")
    local last
    for _ = 1, 200 do
      local tape <close> = luma.tape()
      local loss = luma.cross_entropy(net(x), y)
      tape:backward(loss)
      opt:step()
      last = loss:item()
    end
    assert.is_true(last < 0.05, "loss " .. last)
    assert.same({ 1, 2, 2, 1 }, luma.argmax(net(x), 2):totable())
  end)

  it("records only what depends on something trainable", function()
    local w = luma.ones(3):requires_grad()
    local x = luma.ones(3)
    local tape <close> = luma.tape()
    local a = luma.exp(x) -- nothing trainable: not recorded
    local b = a * w
    local _ = luma.argmax(b) -- no gradient flows through it
    assert.equal(1, #tape.steps)
    tape:backward(b:sum())
    assert.same(a:totable(), w:grad():totable())
  end)

  it("assigns gradients, and accumulates over uses inside one tape", function()
    local w = luma.tensor { 2 }:requires_grad()
    for _ = 1, 2 do
      local tape <close> = luma.tape()
      tape:backward((w * w + w * 3):sum())
      assert.equal(7, w:grad():totable()[1])
    end
    do
      local tape <close> = luma.tape()
      tape:backward((w * 1):sum(), { accumulate = true })
    end
    assert.equal(8, w:grad():totable()[1])
  end)

  it("gives two leaves of a sum gradients of their own", function()
    local a, b = luma.ones(2):requires_grad(), luma.ones(2):requires_grad()
    local tape <close> = luma.tape()
    tape:backward((a + b):sum())
    luma.add_(a:grad(), 1)
    assert.same({ 2, 2 }, a:grad():totable())
    assert.same({ 1, 1 }, b:grad():totable())
  end)

  it("holds no memory after a step", function()
    local net = nn.Sequential { nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 3) }
    local opt = optim.SGD(net:parameters(), { lr = 0.1, momentum = 0.9 })
    local x, y = luma.randn(16, 20), luma.randint(1, 3, 16)
    local function step()
      local tape <close> = luma.tape()
      tape:backward(luma.cross_entropy(net(x), y))
      opt:step()
    end
    step()
    local before = live()
    collectgarbage "stop"
    for _ = 1, 10 do step() end
    local after = luma.memory().live
    collectgarbage "restart"
    assert.equal(before, after)
  end)

  it("frees everything when an error leaves the block", function()
    local w = luma.ones(1000):requires_grad()
    local before = live()
    assert.has_error(function()
      local _ <close> = luma.tape()
      local y = w * 2
      local _ = y * y
      error("stop", 0)
    end, "stop")
    collectgarbage "stop"
    local after = luma.memory().live
    collectgarbage "restart"
    assert.equal(before, after)
    assert.is_nil(luma.tape.current())
  end)

  it("names the step whose tensor was changed in place", function()
    local w = luma.ones(3):requires_grad()
    local tape <close> = luma.tape()
    local y = luma.relu(w)
    local z = y * 2
    luma.add_(y, luma.ones(3))
    assert.has_error(function() tape:backward(z:sum()) end, "tensor saved by 'mul' (step 2) was changed in place")
  end)

  it("refuses a gradient through a change in place, a second backward, a foreign loss", function()
    local w = luma.ones(3):requires_grad()
    local buffer = luma.zeros(3)
    local tape <close> = luma.tape()
    assert.error_matches(function() buffer:add_(w) end, "gradients do not flow through a change in place")
    assert.error_matches(function() tape:backward(buffer) end, "does not depend on anything trainable")
    local y = w * 2
    assert.error_matches(function() tape:backward(y) end, "one element expected, got shape %[3%]")
    tape:backward(y:sum())
    assert.error_matches(function() tape:backward(y) end, "gone back already")
  end)

  it("keeps what it is asked to keep, and the network's result until it closes", function()
    local net = nn.Sequential { nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2) }
    local kept, logits
    do
      local tape <close> = luma.tape()
      logits = net(luma.ones(4, 2))
      kept = tape:keep(luma.exp(logits))
      tape:backward(kept:sum())
      assert.equal(8, logits:count())
    end
    assert.equal(8, kept:count())
    assert.error_matches(function() logits:count() end, "closed tensor")
  end)

  it("nests: the inner tape listens until it closes", function()
    local w = luma.ones(2):requires_grad()
    local outer <close> = luma.tape()
    local a = w * 2
    do
      local inner <close> = luma.tape()
      inner:backward((w * 5):sum())
      assert.equal(5, w:grad():totable()[1])
    end
    local b = a * 3
    outer:backward(b:sum())
    assert.equal(6, w:grad():totable()[1])
  end)

  it("prints its steps", function()
    local w = luma.ones(4, 2):requires_grad()
    local tape <close> = luma.tape()
    local _ = luma.relu(w)
    assert.matches("tape: 1 steps.*1  relu +%[4x2%]%* %-> %[4x2%]", tostring(tape))
  end)

  it("says where in the net an error arose", function()
    local net = nn.Sequential { nn.Linear(2, 3), nn.Sequential { nn.ReLU(), nn.Linear(4, 1, { name = "last" }) } }
    assert.has_error(function() net(luma.ones(1, 2)) end,
      "in net[2].last Linear(4 -> 1): bad argument #2 to 'linear' (weight expects 4 inputs, x has 3)")
  end)
end)

describe("a frozen layer before a trained one", function()
  it("keeps its result for backward, and lets it go with the tape", function()
    local net = luma.nn.Sequential { luma.nn.Flatten(), luma.nn.Dropout(0.5), luma.nn.Linear(4, 2) }
    local x, y = luma.ones(3, 2, 2), luma.tensor({ 1, 2, 1 }, "i32")
    net[3].weight:clone():close()
    local function step()
      local tape <close> = luma.tape()
      tape:backward(luma.cross_entropy(net(x), y))
    end
    step() -- gradients exist from here on
    local before = luma.memory().live
    step()
    assert.equal(before, luma.memory().live)
    assert.truthy(net[3].weight:grad())
    x:close()
    y:close()
  end)
end)
