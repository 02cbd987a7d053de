-- Losses and the layers' numbers at the edges: rows N1 to N3 and N6 of the fault
-- list, Keras's and PyTorch's conventions written out in Lua.
local luma = require "luma"
local inf, nan = math.huge, 0 / 0

local function ids(list) return luma.tensor(list, "i32") end
local function near(want, got, tolerance)
  assert.is_true(math.abs(want - got) <= (tolerance or 1e-6) * math.max(1, math.abs(want)),
    ("expected %.9g, got %.9g"):format(want, got))
end

describe("softmax", function()
  it("does not overflow", function()
    local y = luma.softmax(luma.tensor { { 1000, 1001 }, { -1e30, 0 }, { 5, 5 } }):totable()
    near(0.26894143, y[1][1])
    near(0.7310586, y[1][2])
    assert.same({ 0, 1 }, y[2])
    assert.same({ 0.5, 0.5 }, y[3])
  end)
  it("of one class is 1, of -inf 0, of nothing but -inf NaN", function()
    assert.same({ { 1 } }, luma.softmax(luma.tensor { { 7 } }):totable())
    assert.same({ { 0, 1 } }, luma.softmax(luma.tensor { { -inf, 3 } }):totable())
    local y = luma.softmax(luma.tensor { { -inf, -inf } }):totable()
    assert.is_true(y[1][1] ~= y[1][1])
  end)
  it("runs along any dimension", function()
    local x = luma.randn(2, 3, 4)
    for d = 1, 3 do
      near(0, (luma.softmax(x, d):sum(d) - 1):abs():max():item())
      assert.is_true(luma.allclose(luma.log_softmax(x, d), luma.softmax(x, d):log(), { atol = 1e-5 }))
    end
    assert.error_matches(function() luma.softmax(x, 4) end, "dimension 4 is not in 1..3")
  end)
end)

describe("cross_entropy", function()
  it("is -log of the label's probability, averaged", function()
    near(-math.log(0.7310585786), luma.cross_entropy(luma.tensor { { 1000, 1001 } }, ids { 2 }):item())
    near(math.log(3), luma.cross_entropy(luma.zeros(4, 3), ids { 1, 2, 3, 3 }):item())
    near(0, luma.cross_entropy(luma.tensor { { 5 } }, ids { 1 }):item())
    near(1e30, luma.cross_entropy(luma.tensor { { -1e30, 0 } }, ids { 1 }):item())
    assert.equal(inf, luma.cross_entropy(luma.tensor { { -inf, 0 } }, ids { 1 }):item())
    near(0, luma.cross_entropy(luma.tensor { { -inf, 0 } }, ids { 2 }):item())
  end)
  it("is NaN where there is nothing to say, so that training can stop", function()
    for _, row in ipairs { { -inf, -inf }, { nan, 1 } } do
      local loss = luma.cross_entropy(luma.tensor { row }, ids { 1 }):item()
      assert.is_true(loss ~= loss)
    end
  end)
  it("weighs classes and smooths as PyTorch does", function()
    -- F.cross_entropy(x, [0, 2], weight=[1, 2, .5], label_smoothing=.1) of PyTorch 1.13
    local x = luma.tensor { { 1, 2, 0.5 }, { 0, -1, 3 } }
    near(1.22296165, luma.cross_entropy(x, ids { 1, 3 },
      { weights = luma.tensor { 1, 2, 0.5 }, smoothing = 0.1 }):item(), 1e-5)
    near(1.4644, luma.cross_entropy(x, ids { 1, 3 }, { reduction = "none" }):totable()[1], 1e-4)
  end)
  it("stays finite with weights of 0 and with an empty batch", function()
    assert.equal(0, luma.cross_entropy(luma.randn(2, 2), ids { 1, 1 }, { weights = luma.tensor { 0, 1 } }):item())
    assert.equal(0, luma.cross_entropy(luma.zeros(0, 2), luma.zeros({ 0 }, "i32")):item())
    assert.is_true(luma.cross_entropy(luma.randn(2, 2), ids { 1, 2 }, { smoothing = 1 }):item() > 0)
  end)
  it("names the label that is no class", function()
    local labels = {}
    for i = 1, 20 do labels[i] = i % 4 + 1 end
    labels[17] = 5
    assert.error_matches(function() luma.cross_entropy(luma.zeros(20, 4), ids(labels)) end,
      "bad argument #2 to 'cross_entropy' %(label 5 at position 17 is not in 1..4%)")
    labels[17] = 0
    assert.error_matches(function() luma.cross_entropy(luma.zeros(20, 4), ids(labels)) end, "label 0 at position 17")
  end)
  it("checks shapes, types and options", function()
    local x = luma.zeros(2, 3)
    assert.error_matches(function() luma.cross_entropy(x, ids { 1 }) end, "2 labels expected")
    assert.error_matches(function() luma.cross_entropy(x, luma.zeros(2)) end, "i32 tensor expected, got f32")
    assert.error_matches(function() luma.cross_entropy(luma.zeros(3), ids { 1 }) end, "rank 2 %(batch, classes%)")
    assert.error_matches(function() luma.cross_entropy(x, ids { 1, 1 }, { weight = 1 }) end, "unknown option 'weight'")
    assert.error_matches(function() luma.cross_entropy(x, ids { 1, 1 }, { weights = luma.ones(2) }) end, "3 elements")
    assert.error_matches(function() luma.cross_entropy(x, ids { 1, 1 }, { smoothing = 1.5 }) end, "in 0..1, got 1.5")
    assert.error_matches(function()
      luma.cross_entropy(x, ids { 1, 1 }, { weights = luma.tensor { 1, -1, 1 } })
    end, "weight %-1 of class 2")
  end)
end)

describe("categorical_cross_entropy", function()
  it("normalises and clips as Keras does", function()
    local function loss(p, t) return luma.categorical_cross_entropy(luma.tensor { p }, t):item() end
    near(-math.log(0.25), loss({ 0.5, 1.5 }, ids { 1 })) -- divided by the sum
    near(-math.log(1e-7), loss({ 0, 1 }, ids { 1 }), 1e-6)
    near(-math.log(1 - 1e-7), loss({ 0, 1 }, ids { 2 }), 1e-6)
    near(-0.3 * math.log(0.25) - 0.7 * math.log(0.75), loss({ 1, 3 }, luma.tensor { { 0.3, 0.7 } }))
    near(-math.log(1e-7), loss({ 0, 0 }, ids { 1 }), 1e-6)
  end)
  it("agrees with cross_entropy on probabilities that need no clipping", function()
    local x, y = luma.randn(5, 3), ids { 1, 2, 3, 1, 2 }
    near(luma.cross_entropy(x, y):item(), luma.categorical_cross_entropy(luma.softmax(x), y):item(), 1e-5)
  end)
end)

describe("binary_cross_entropy", function()
  it("is finite at the ends, from logits and from probabilities", function()
    local t = luma.tensor { 0, 1, 1 }
    near((math.log(1 + math.exp(-1000)) + 0 + 1000) / 3,
      luma.binary_cross_entropy(luma.tensor { -1000, 1000, -1000 }, t, { logits = true }):item())
    near(-math.log(1e-7), luma.binary_cross_entropy(luma.tensor { 1 }, luma.tensor { 0 }):item(), 1e-3)
    assert.error_matches(function() luma.binary_cross_entropy(luma.zeros(1), luma.full({ 1 }, 2)) end,
      "target 2 at position 1")
  end)
end)

describe("dropout", function()
  it("is the identity outside a tape and with p = 0, zero with p = 1", function()
    local x = luma.tensor { 1, inf, nan }
    assert.equal(x, luma.dropout(x, 0.5))
    assert.equal(x, luma.dropout(x, 0, { always = true }))
    assert.same({ 0, 0, 0 }, luma.dropout(x, 1, { always = true }):totable())
    local _ <close> = luma.tape()
    assert.is_true(luma.dropout(luma.ones(1000), 0.5) ~= x)
  end)
  it("keeps the mean, and follows the seed", function()
    luma.seed(1)
    local x = luma.ones(200000)
    for _, p in ipairs { 0.1, 0.5, 0.9 } do near(1, luma.dropout(x, p, { always = true }):mean():item(), 0.02) end
    luma.seed(1)
    local a = luma.dropout(x, 0.3, { always = true })
    local b = luma.dropout(x, 0.3, { always = true })
    luma.seed(1)
    assert.is_true(luma.equal(a, luma.dropout(x, 0.3, { always = true })))
    assert.is_false(luma.equal(a, b))
  end)
  it("refuses what is no probability", function()
    for _, p in ipairs { -0.1, 1.1, nan } do
      assert.has_error(function() luma.dropout(luma.ones(1), p) end)
    end
    assert.error_matches(function() luma.nn.Dropout(-0.1) end, "p must be in 0..1, got %-0.1")
  end)
end)

describe("batch_norm", function()
  it("is finite for one sample and for no variance", function()
    local one = luma.ones(3)
    local y = luma.batch_norm(luma.full({ 1, 3 }, 7), one, luma.zeros(3), luma.zeros(3), one:clone(),
      { training = true })
    assert.same({ { 0, 0, 0 } }, y:totable())
    for _, momentum in ipairs { 0, 1 } do
      local mean, var = luma.zeros(2), luma.ones(2)
      luma.batch_norm(luma.tensor { { 1, 2 }, { 3, 6 } }, nil, nil, mean, var, { training = true, momentum = momentum })
      assert.same(momentum == 1 and { 0, 0 } or { 2, 4 }, mean:totable())
      assert.same(momentum == 1 and { 1, 1 } or { 2, 8 }, var:totable()) -- unbiased
    end
  end)
  it("uses the running values outside a tape, and while frozen inside one", function()
    local bn = luma.nn.BatchNorm2d(2, { eps = 0 })
    bn.running_mean:fill_(1)
    bn.running_var:fill_(4)
    local x = luma.tensor { { 3, 5 }, { 1, 1 } }
    assert.same({ { 1, 2 }, { 0, 0 } }, bn(x):totable())
    bn:freeze()
    local _ <close> = luma.tape()
    assert.same({ { 1, 2 }, { 0, 0 } }, bn(x):totable())
    assert.same({ 1, 1 }, bn.running_mean:totable())
    bn:unfreeze()
    assert.same({ { 1, 1 }, { -1, -1 } }, bn(x):totable())
    assert.is_true(bn.running_mean:totable()[1] > 1)
  end)
end)

describe("pooling", function()
  it("fits odd sizes, and refuses a window that does not fit", function()
    for _, size in ipairs { { 1, 1 }, { 1, 7 }, { 5, 1 }, { 3, 200 } } do
      local y = luma.max_pool2d(luma.ones(1, size[1], size[2], 2), { pad = "same" })
      assert.same({ 1, (size[1] + 1) // 2, (size[2] + 1) // 2, 2 }, { y:shape() })
    end
    assert.error_matches(function() luma.max_pool2d(luma.ones(1, 1, 1, 1)) end,
      "the 2x2 window does not fit the input %[1x1x1x1%]")
    assert.error_matches(function() luma.avg_pool2d(luma.ones(1, 4, 4, 1), { pad = 2 }) end, "pad must be smaller")
    assert.error_matches(function() luma.max_pool2d(luma.ones(4, 4)) end, "rank 4")
    assert.error_matches(function() luma.max_pool2d(luma.ones(1, 4, 4, 1), { strides = 2 }) end,
      "unknown option 'strides' %(known: kernel, stride, pad, count_pad%)")
  end)
  it("leaves padding out of the mean unless told", function()
    local x = luma.ones(1, 2, 2, 1)
    assert.equal(1, luma.avg_pool2d(x, { kernel = 2, stride = 2, pad = 1 }):min():item())
    assert.equal(0.25, luma.avg_pool2d(x, { kernel = 2, stride = 2, pad = 1, count_pad = true }):max():item())
  end)
end)
