-- Optimisers beside their formulas, groups, states, and what they refuse.
local luma = require "luma"
local nn, optim, core = luma.nn, luma.optim, luma.core

-- A parameter with a gradient put there by hand.
local function parameter(values)
  return luma.tensor(values):requires_grad()
end
local function give(p, values)
  core.hook.grad(p, luma.tensor(values))
end
local function near(want, p)
  for i, v in ipairs(p:totable()) do
    assert.is_true(math.abs(want[i] - v) < 1e-6, ("element %d: %.9g, expected %.9g"):format(i, v, want[i]))
  end
end

local gradients = { { 0.5, -1, 1e-4 }, { 0.25, 2, -1e-4 }, { -3, 0, 0 }, { 1, 1, 1 }, { 0.1, -0.2, 0.3 } }

describe("an optimiser", function()
  -- name, options, update(w, g, t, s): the formula in double
  local rules = {
    { "SGD", { lr = 0.1 }, function(w, g) return w - 0.1 * g end },
    { "SGD", { lr = 0.1, momentum = 0.9 }, function(w, g, _, s)
      s.v = 0.9 * (s.v or 0) + g
      return w - 0.1 * s.v
    end },
    { "SGD", { lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 0.01 }, function(w, g, _, s)
      g = g + 0.01 * w
      s.v = 0.9 * (s.v or 0) + g
      return w - 0.1 * (g + 0.9 * s.v)
    end },
    { "Adam", { lr = 0.01 }, function(w, g, t, s)
      s.m, s.v = 0.9 * (s.m or 0) + 0.1 * g, 0.999 * (s.v or 0) + 0.001 * g * g
      local rate = 0.01 * math.sqrt(1 - 0.999 ^ t) / (1 - 0.9 ^ t)
      return w - rate * s.m / (math.sqrt(s.v) + 1e-7)
    end },
    { "AdamW", { lr = 0.01, weight_decay = 0.1 }, function(w, g, t, s)
      s.m, s.v = 0.9 * (s.m or 0) + 0.1 * g, 0.999 * (s.v or 0) + 0.001 * g * g
      local rate = 0.01 * math.sqrt(1 - 0.999 ^ t) / (1 - 0.9 ^ t)
      return w * (1 - 0.01 * 0.1) - rate * s.m / (math.sqrt(s.v) + 1e-7)
    end },
  }
  for number, rule in ipairs(rules) do
    it(("%s follows its formula (%d)"):format(rule[1], number), function()
      local p = parameter { 1, -2, 0.5 }
      local opt = optim[rule[1]]({ p }, rule[2])
      local w, state = { 1, -2, 0.5 }, { {}, {}, {} }
      for t, g in ipairs(gradients) do
        give(p, g)
        opt:step()
        for i = 1, 3 do w[i] = rule[3](w[i], g[i], t, state[i]) end
        near(w, p)
      end
    end)
  end

  it("has groups with rates of their own, which a new rate keeps in proportion", function()
    local a, b = parameter { 1 }, parameter { 1 }
    local opt = optim.SGD({ { params = { a }, lr = 1 }, { params = { b } } }, { lr = 0.1 })
    give(a, { 1 })
    give(b, { 1 })
    opt:step()
    near({ 0 }, a)
    near({ 0.9 }, b)
    opt:lr(0.5)
    opt:step()
    near({ -0.5 }, a)
    near({ 0.85 }, b)
  end)

  it("continues from its state", function()
    local function run(stop)
      local p = parameter { 1, -2, 0.5 }
      local opt = optim.Adam({ p }, { lr = 0.01 })
      for t, g in ipairs(gradients) do
        if t == stop then
          local state = opt:state()
          opt = optim.Adam({ p }, { lr = 1 })
          assert(opt:load_state(state))
        end
        give(p, g)
        opt:step()
      end
      return p:bytes()
    end
    assert.equal(run(), run(3))
  end)

  it("refuses another optimiser's state and leaves its own alone", function()
    local p = parameter { 1, 2 }
    local opt = optim.Adam { p }
    give(p, { 1, 1 })
    opt:step()
    local ok, message, code = opt:load_state(optim.SGD({ p }):state())
    assert.is_nil(ok)
    assert.matches("the state is of SGD", message)
    assert.equal("mismatch", code)
    local state = opt:state()
    state.tensors["1.m"] = luma.zeros(3)
    assert.matches("is %[3%], the parameter %[2%]", select(2, opt:load_state(state)))
    assert.equal(1, opt.steps)
  end)

  it("says what is wrong with its arguments", function()
    local p = parameter { 1 }
    for _, lr in ipairs { -1, 0 / 0, math.huge } do
      assert.error_matches(function() optim.SGD({ p }, { lr = lr }) end, "option lr must be a finite number")
    end
    assert.error_matches(function() optim.Adam({ p }, { rate = 1 }) end, "unknown option 'rate'")
    assert.error_matches(function() optim.Adam {} end, "no parameters to train")
    assert.error_matches(function() optim.Adam { p, p } end, "parameter 2 is in two groups")
    assert.error_matches(function() optim.Adam({ p }):step() end, "no parameter has a gradient")
    optim.SGD({ p }, { lr = 0 }) -- legal: nothing moves
  end)

  it("gives the same bits on one and on two threads", function()
    local function run(n)
      local threads = luma.threads()
      luma.threads(n)
      luma.seed(8)
      local p = luma.randn(100000):requires_grad()
      core.hook.grad(p, luma.randn(100000))
      local opt = optim.AdamW { p }
      for _ = 1, 3 do opt:step() end
      luma.threads(threads)
      return p:bytes()
    end
    assert.is_true(run(1) == run(2))
  end)
end)

describe("an initialiser", function()
  it("has the spread it promises", function()
    luma.seed(6)
    local limit = math.sqrt(6 / (25088 + 2)) -- article row M4: 0.01546
    local w = nn.init.glorot_uniform { 25088, 2 }
    assert.is_true(math.abs(limit - 0.01546) < 1e-5)
    assert.is_true(w:max():item() <= limit and w:min():item() >= -limit)
    assert.is_true(w:max():item() > 0.99 * limit)
    local he = nn.init.he_normal { 3, 3, 64, 64 }
    assert.is_true(math.abs(he:std():item() / math.sqrt(2 / (9 * 64)) - 1) < 0.02)
    assert.is_true(math.abs(nn.init.glorot_normal({ 300, 100 }):std():item() / math.sqrt(2 / 400) - 1) < 0.02)
    assert.is_true(nn.init.he_uniform({ 50, 100 }):max():item() <= math.sqrt(6 / 50))
    assert.error_matches(function() nn.Linear(2, 2, { init = "hi" }) end, "unknown initialiser 'hi'")
  end)
end)

describe("a network", function()
  local function network()
    return nn.Sequential { nn.Conv2d(3, 4, 3, { pad = "same", name = "block1_conv1" }),
      nn.BatchNorm2d(4, { name = "block1_bn" }), nn.ReLU(),
      nn.Sequential { name = "block2", nn.Conv2d(4, 8, 3, { stride = 2 }), nn.ReLU() },
      nn.Flatten(), nn.Linear(8 * 3 * 3, 2, { name = "head" }) }
  end

  it("names, counts, freezes and thaws its parameters", function()
    local net = network()
    local names = {}
    for i, p in ipairs(net:named_parameters()) do names[i] = p[1] end
    assert.same({ "block1_conv1.weight", "block1_conv1.bias", "block1_bn.weight", "block1_bn.bias", "block2.1.weight",
      "block2.1.bias", "head.weight", "head.bias" }, names)
    net:freeze()
    assert.equal(0, #net:parameters())
    net:unfreeze "block2"
    assert.equal(2, #net:parameters())
    net:unfreeze("block1_bn")
    assert.equal(4, #net:parameters())
    net:freeze "block2.1.bias"
    assert.equal(3, #net:parameters())
    assert.error_matches(function() net:unfreeze "block9" end, "nothing is named 'block9'")
    local all, trained = net:count_parameters()
    assert.equal(3 * 3 * 3 * 4 + 4 + 8 + 3 * 3 * 4 * 8 + 8 + 72 * 2 + 2, all)
    assert.equal(8 + 288, trained)
  end)

  it("records nothing of a frozen part", function()
    local net = network()
    net:freeze()
    net:unfreeze "head"
    local tape <close> = luma.tape()
    net(luma.ones(2, 8, 8, 3))
    assert.equal(1, #tape.steps)
  end)

  it("knows its shapes and its work", function()
    local net = network()
    assert.same({ 2, 2 }, net:output_shape { 2, 8, 8, 3 })
    assert.same({ net(luma.ones(2, 8, 8, 3)):shape() }, net:output_shape { 2, 8, 8, 3 })
    assert.equal(8 * 8 * 4 * 27 + 8 * 8 * 4 + 9 * 8 * 36 + 72 * 2, net:macs { 1, 8, 8, 3 })
    assert.has_error(function() net:output_shape { 1, 8, 8, 1 } end, "Conv2d: weight expects 3 channels, input has 1")
  end)

  it("takes a state whole or not at all", function()
    local net, other = network(), network()
    assert(net:load_state(other:state()))
    local x = luma.randn(1, 8, 8, 3)
    assert.is_true(luma.equal(net(x), other(x)))
    local state = network():state()
    state["head.weight"], state.extra = luma.zeros(2, 2), luma.zeros(1)
    state["head.bias"] = nil
    local ok, message = net:load_state(state)
    assert.is_nil(ok)
    assert.matches("head.weight is %[2x2%], the model has %[72x2%]", message)
    assert.matches("missing: head.bias; not in the model: extra", message)
    assert.is_true(luma.equal(net(x), other(x)))
  end)

  it("leaves no activation behind outside a tape", function()
    local net = network()
    local x = luma.ones(2, 8, 8, 3)
    local y = net(x)
    collectgarbage()
    collectgarbage()
    local before = luma.memory().live
    collectgarbage "stop"
    local again = net(x)
    local grown = luma.memory().live - before
    collectgarbage "restart"
    assert.equal(2 * 2 * 4, grown)
    assert.is_true(luma.equal(y, again))
  end)
end)
