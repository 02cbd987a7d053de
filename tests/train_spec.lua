-- The training loop: histories, schedules, stopping, clipping, checkpoints.
local luma = require "luma"
local core, nn, optim, train = luma.core, luma.nn, luma.optim, luma.train

-- Two noisy clouds, as batches of 8 in an order that follows luma.seed.
local function clouds(n)
  luma.seed(77)
  local x = luma.randn(n, 4)
  local ids = {}
  for i = 1, n do
    ids[i] = i % 2 + 1
    x[i]:add_(ids[i] == 1 and 0.8 or -0.8)
  end
  local y = luma.tensor(ids, "i32")
  return function()
    local order = luma.randperm(n)
    local at = 0
    return function()
      if at >= n then return nil end
      local len = math.min(8, n - at)
      local part = order:narrow(1, at + 1, len)
      at = at + len
      return luma.index_select(x, 1, part), luma.index_select(y, 1, part), { { path = "case" .. at .. ".png" } }
    end
  end
end

local function network()
  luma.seed(5)
  local net = nn.Sequential { nn.Linear(4, 8), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2) }
  return net, optim.Adam(net:parameters(), { lr = 0.01 })
end

local function bytes(net)
  local state, names, out = net:state(), {}, {}
  for name in pairs(state) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do out[i] = state[name]:bytes() end
  return table.concat(out)
end

local function temporary()
  local path = os.tmpname()
  os.remove(path)
  return path
end

describe("train.fit", function()
  local data = clouds(52)

  it("learns, and its history is weighted by samples", function()
    local net, opt = network()
    local history, why = train.fit { net = net, optimiser = opt, data = data, epochs = 25, validate = data }
    assert.equal("done", why)
    assert.equal(25, #history)
    local row = history[25]
    assert.is_true(row.val_accuracy > 0.85, tostring(row.val_accuracy))
    assert.is_true(row.loss < history[1].loss)
    assert.equal(0, (row.accuracy * 52) % 1) -- whole samples of 52, not a mean over batches
    local seen = train.evaluate(net, data)
    assert.equal(52, seen.count)
    assert.is_true(math.abs(seen.loss - row.val_loss) < 1e-9)
  end)

  it("continues from a checkpoint to the same bits, interrupted in any batch", function()
    local net, opt = network()
    local whole = train.fit { net = net, optimiser = opt, data = data, epochs = 4, validate = data }
    local want = bytes(net)
    for _, stop_at in ipairs { 1, 7, 9, 14, 20 } do
      local path = temporary()
      local count = 0
      local function again(interrupt)
        local net2, opt2 = network()
        local history, why = train.fit { net = net2, optimiser = opt2, data = data, epochs = 4, validate = data,
          checkpoint = path, on_batch = interrupt and function()
            count = count + 1
            if count == stop_at then core.system.interrupt_set() end
          end }
        return net2, history, why
      end
      local _, _, why = again(true)
      assert.equal("interrupted", why)
      assert.is_false(core.system.interrupted())
      luma.seed(123456) -- a new process would not have the stream either
      local net2, history
      net2, history, why = again(false)
      assert.equal("done", why)
      assert.is_true(bytes(net2) == want, "differs when stopped at batch " .. stop_at)
      assert.equal(#whole, #history)
      for i, row in ipairs(whole) do
        assert.equal(row.loss, history[i].loss)
        assert.equal(row.val_loss, history[i].val_loss)
        assert.equal(row.accuracy, history[i].accuracy)
      end
      os.remove(path)
    end
  end)

  it("refuses a file that is no training state, or another network's", function()
    local path = temporary()
    assert(luma.store.save(path, { x = luma.ones(1) }))
    local net, opt = network()
    assert.error_matches(function()
      train.fit { net = net, optimiser = opt, data = data, epochs = 1, checkpoint = path }
    end, "no training state")
    train.fit { net = net, optimiser = opt, data = data, epochs = 1, checkpoint = path, resume = false }
    local other = nn.Sequential { nn.Linear(4, 2) }
    assert.error_matches(function()
      train.fit { net = other, optimiser = optim.Adam(other:parameters()), data = data, epochs = 2, checkpoint = path }
    end, "which is not here")
    os.remove(path)
  end)

  it("stops early and restores the best weights", function()
    local net, opt = network()
    local val, at = { 0.5, 0.4, 0.6, 0.7, 0.8 }, {}
    local history, why = train.fit { net = net, optimiser = opt, data = data, epochs = 20,
      validate = data, stop = { patience = 2 },
      on_epoch = function(row) at[row.epoch] = true end,
      loss = function(out, y)
        local loss = luma.cross_entropy(out, y)
        return luma.tape.current() and loss or loss * 0 + (val[#at + 1] or 1)
      end }
    assert.equal("stopped early", why)
    assert.equal(4, #history)
    -- The weights are those after epoch 2.
    local net2, opt2 = network()
    train.fit { net = net2, optimiser = opt2, data = data, epochs = 2, validate = data }
    assert.is_true(bytes(net) == bytes(net2))
  end)

  it("gathers batches into the same step as one large batch", function()
    luma.seed(2)
    local x, y = luma.randn(12, 4), luma.randint(1, 2, 12)
    local function parts(sizes)
      return function()
        local at, i = 0, 0
        return function()
          i = i + 1
          if not sizes[i] then return nil end
          local a, b = x:narrow(1, at + 1, sizes[i]), y:narrow(1, at + 1, sizes[i])
          at = at + sizes[i]
          return a, b
        end
      end
    end
    local function run(sizes, accumulate)
      luma.seed(5)
      local net = nn.Sequential { nn.Linear(4, 2, { l2 = 0.01 }) }
      train.fit { net = net, optimiser = optim.SGD(net:parameters(), { lr = 0.5 }), data = parts(sizes), epochs = 2,
        accumulate = accumulate }
      return net[1].weight
    end
    assert.is_true(luma.allclose(run({ 12 }, 1), run({ 5, 4, 3 }, 3), { rtol = 1e-5, atol = 1e-6 }))
  end)

  it("clips by norm and by value", function()
    for _, how in ipairs { { norm = 0.1 }, { value = 0.01 } } do
      local net = network()
      local before = net[1].weight:clone()
      local opt = optim.SGD(net:parameters(), { lr = 1 })
      train.fit { net = net, optimiser = opt, data = data, epochs = 1, clip = how, on_batch = function(run)
        run.data = function() return function() end end
      end }
      local moved = (net[1].weight - before):abs():max():item()
      assert.is_true(moved > 0 and moved <= 7 * (how.norm or how.value) + 1e-6)
    end
  end)

  it("names epoch, batch, layer and files when the loss is not finite", function()
    local net, opt = network()
    net[5].weight:fill_(0 / 0)
    assert.error_matches(function() train.fit { net = net, optimiser = opt, data = data, epochs = 1 } end,
      "the loss is not finite %(.*nan%) at epoch 1, batch 1: weight 5.weight holds such values; batch of case8.png")
    net = nn.Sequential { nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2) }
    net[1].weight:fill_(3e38)
    assert.error_matches(function()
      train.fit { net = net, optimiser = optim.SGD(net:parameters()), data = data, epochs = 1 }
    end, "first in net%[1%] Linear%(4 %-> 2%)")
  end)

  it("checks its options", function()
    local net, opt = network()
    assert.error_matches(function() train.fit { net = net, optimiser = opt, data = data } end,
      "option epochs is needed")
    assert.error_matches(function() train.fit { net = net, optimiser = opt, data = data, epochs = 1, batch = 3 } end,
      "unknown option 'batch'")
    assert.error_matches(function()
      train.fit { net = net, optimiser = opt, epochs = 1, data = function() return function() end end }
    end, "gave no batch")
  end)

  it("holds memory level over 200 steps", function()
    local net, opt = network()
    local x, y = luma.randn(64, 4), luma.randint(1, 2, 64)
    local function once()
      local tape <close> = luma.tape()
      tape:backward(luma.cross_entropy(net(x), y))
      opt:step()
    end
    once()
    collectgarbage()
    collectgarbage()
    local before = luma.memory().live
    for _ = 1, 200 do once() end
    collectgarbage()
    assert.equal(before, luma.memory().live)
  end)
end)

describe("a schedule", function()
  local s = optim.schedule
  it("moves the rate as said", function()
    assert.equal(1, s.step { every = 2, factor = 0.5 }:rate(1, 2, 0))
    assert.equal(0.25, s.step { every = 2, factor = 0.5 }:rate(1, 5, 0))
    assert.equal(1, s.cosine { epochs = 5 }:rate(1, 1, 0))
    assert.is_true(math.abs(s.cosine { epochs = 4 }:rate(1, 3, 0) - 0.5) < 1e-12)
    assert.equal(0.1, s.cosine { epochs = 5, floor = 0.1 }:rate(1, 9, 0))
    local warm = s.warm_up { steps = 4, after = s.step { every = 1, factor = 0.5 } }
    assert.equal(0.25, warm:rate(1, 1, 0))
    assert.equal(0.5, warm:rate(1, 2, 10))
    local plateau = s.plateau { patience = 2, factor = 0.5, monitor = "val_accuracy" }
    for _, a in ipairs { 0.5, 0.6, 0.6, 0.6 } do plateau:observe { val_accuracy = a } end
    assert.equal(0.5, plateau:rate(1, 1, 0))
    local copy = s.plateau { patience = 2, factor = 0.5, monitor = "val_accuracy" }
    copy:load_state(plateau:state())
    assert.equal(0.5, copy:rate(1, 1, 0))
  end)
  it("refuses nonsense", function()
    assert.error_matches(function() s.cosine {} end, "epochs must be a number > 0")
    assert.error_matches(function() s.step { every = 0 } end, "every must be a number > 0")
  end)
end)
