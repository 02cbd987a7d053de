-- A small conv - batch-norm - residual net beside the same net in PyTorch
-- (tests/reference/make_small_net.py): activations, gradients, ten losses.
local luma = require "luma"
local nn, optim = luma.nn, luma.optim

local ref = assert(luma.store.load "tests/reference/small_net.safetensors")

-- Largest difference relative to the largest reference value.
local function off(x, want)
  local d = (x:to "f64" - want:to "f64"):abs():max():item()
  return d / math.max(1e-3, want:to("f64"):abs():max():item())
end
local function close(x, name, tolerance)
  local d = off(x, ref[name])
  assert.is_true(d < (tolerance or 2e-5), ("%s is off by %.3g"):format(name, d))
end

local function network()
  local bn = { eps = 1e-5, momentum = 0.9 }
  local function norm(name) return nn.BatchNorm2d(8, { eps = bn.eps, momentum = bn.momentum, name = name }) end
  local net = nn.Sequential {
    nn.Conv2d(3, 8, 3, { pad = 1, bias = false, name = "conv1" }),
    norm "bn1",
    nn.ReLU(),
    nn.Residual(nn.Sequential {
      nn.Conv2d(8, 8, 3, { pad = 1, name = "res_conv1" }),
      norm "res_bn",
      nn.ReLU(),
      nn.Conv2d(8, 8, 1, { name = "res_conv2" }),
    }, { name = "block" }),
    nn.ReLU { name = "residual" },
    nn.MaxPool2d(3, { stride = 2, pad = 1, name = "pool" }),
    nn.Conv2d(8, 12, 3, { stride = 2, pad = 1, groups = 2, name = "conv2" }),
    nn.LeakyReLU(0.1, { name = "leaky" }),
    nn.GlobalAvgPool2d(),
    nn.Linear(12, 3, { name = "dense" }),
  }
  for _, p in ipairs(net:named_parameters()) do
    p[2]:copy_(assert(ref["weight." .. p[1]:match "([%w_]+%.[%w_]+)$"], p[1]))
  end
  return net
end

local function loss_of(net, x)
  return luma.cross_entropy(net(x), ref.labels, { weights = ref.class_weights, smoothing = 0.1 })
end

local function ten_losses(net, opt)
  local losses = {}
  for i = 1, 10 do
    local tape <close> = luma.tape()
    local loss = loss_of(net, ref.input)
    tape:backward(loss)
    opt:step()
    losses[i] = loss:item()
  end
  return luma.tensor(losses)
end

describe("the small net of PyTorch", function()
  it("has the same activations and gradients", function()
    local net = network()
    local x = ref.input:clone():requires_grad()
    local tape <close> = luma.tape()
    local h, seen = x, {}
    for i = 1, #net do
      h = net[i](h)
      seen[net.children[i][1]] = h
    end
    for _, name in ipairs { "conv1", "bn1", "residual", "pool" } do close(seen[name], "activation." .. name) end
    close(seen.leaky, "activation.conv2")
    close(h, "activation.logits")
    local loss = luma.cross_entropy(h, ref.labels, { weights = ref.class_weights, smoothing = 0.1 })
    close(loss, "loss")
    tape:backward(loss)
    close(x:grad(), "gradient.input", 1e-4)
    for _, p in ipairs(net:named_parameters()) do
      -- A bias before batch-norm has gradient 0: there is only noise to compare.
      if p[1]:match "res_conv1%.bias$" then
        assert.is_true(p[2]:grad():abs():max():item() < 1e-5)
      else
        close(p[2]:grad(), "gradient." .. p[1]:match "([%w_]+%.[%w_]+)$", 1e-4)
      end
    end
  end)

  it("has the same ten losses with Nesterov SGD, and the same net afterwards", function()
    local net = network()
    close(ten_losses(net, optim.SGD(net:parameters(), { lr = 0.05, momentum = 0.9, nesterov = true,
      weight_decay = 1e-2 })), "losses.sgd", 1e-4)
    close(net:get("bn1").running_mean, "after.bn1.running_mean", 1e-4)
    close(net:get("bn1").running_var, "after.bn1.running_var", 1e-4)
    close(net(ref.input), "after.logits", 1e-3)
  end)

  it("has the same ten losses with Adam", function()
    local net = network()
    close(ten_losses(net, optim.Adam(net:parameters(), { lr = 0.01 })), "losses.adam", 2e-4)
  end)

  it("has the same gradients when activations are recomputed", function()
    local function gradients(wrap)
      local net = network()
      local list = {}
      for i = 1, #net do list[i] = net[i] end
      local whole = wrap(list)
      local x = ref.input:clone():requires_grad()
      local tape <close> = luma.tape()
      tape:backward(loss_of(whole, x))
      local out = { x:grad():bytes() }
      for _, p in ipairs(net:named_parameters()) do out[#out + 1] = p[2]:grad():bytes() end
      out[#out + 1] = net:get("bn1").running_var:bytes()
      return table.concat(out), #tape.steps
    end
    local plain = gradients(nn.Sequential)
    local recomputed = gradients(function(list)
      list.recompute = true
      return nn.Sequential(list)
    end)
    assert.is_true(plain == recomputed)
    local parts = gradients(function(list)
      local first = { table.unpack(list, 1, 4) }
      return nn.Sequential { nn.Checkpoint(nn.Sequential(first)), table.unpack(list, 5) }
    end)
    assert.is_true(plain == parts)
  end)
end)
