-- Compiled networks against the same network run layer by layer, and against
-- the double loops of luma.ref.
local luma = require "luma"
local nn = luma.nn

--- Relative L2 distance of a from b.
local function distance(a, b)
  local d <close> = a:to "f64" - b:to "f64"
  return (d * d):sum():item() ^ 0.5 / math.max(1e-30, (b:to "f64" * b:to "f64"):sum():item() ^ 0.5)
end

local function small_vgg()
  luma.seed(3)
  return nn.Sequential {
    nn.Conv2d(3, 16, 3, { pad = "same", init = "he_normal", name = "c1" }), nn.ReLU(),
    nn.Conv2d(16, 32, 3, { pad = "same", init = "he_normal" }), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 40, 3, { pad = "same", init = "he_normal" }), nn.ReLU(),
    nn.Conv2d(40, 40, 3, { pad = "same", init = "he_normal" }), nn.ReLU(), nn.MaxPool2d(2),
    nn.Dropout(0.5),
    nn.Conv2d(40, 64, 1, { init = "he_normal" }),
    nn.Conv2d(64, 16, 5, { pad = 2, stride = 2, init = "he_normal" }), nn.ReLU(),
    nn.MaxPool2d(3, { stride = 1, pad = 1 }),
  }:freeze()
end

--- The same by the reference, in double from end to end.
local function reference(net, x)
  local list, i = net.children, 1
  while list[i] do
    local layer = list[i][2]
    if layer.type == "Conv2d" then
      x = luma.ref.conv2d(x, layer.weight, layer.bias, layer.options)
    elseif layer.type == "ReLU" then
      x = x:clamp(0, math.huge)
    elseif layer.type == "MaxPool2d" then
      x = luma.max_pool2d(x:to "f32", layer.options) -- picks values, rounds none of ours below 1e-7
    end
    i = i + 1
  end
  return x
end

describe("compile", function()
  it("computes what the network computes, for any number of images", function()
    local net = small_vgg()
    local fast <close> = net:compile { height = 37, width = 30, channels = 3, batch = 4 }
    for _, n in ipairs { 1, 2, 3, 4, 5, 9, 17 } do
      local x = luma.randn(n, 37, 30, 3)
      local y, want = fast(x), net(x)
      assert.same({ want:shape() }, { y:shape() })
      assert.same({ want:shape() }, fast:output_shape { n, 37, 30, 3 })
      assert.is_true(distance(y, want) < 1e-5, n)
    end
    assert.same({ 0, 5, 4, 16 }, { fast(luma.zeros(0, 37, 30, 3)):shape() })
  end)

  it("stays within 1e-5 of double arithmetic", function()
    local net = small_vgg()
    local fast <close> = net:compile { height = 20, width = 23, channels = 3 }
    local x = luma.randn(2, 20, 23, 3)
    assert.is_true(distance(fast(x), reference(net, x)) < 5e-6)
  end)

  it("gives an image the same bits alone and in a batch, with one thread and with two", function()
    local net = small_vgg()
    local fast <close> = net:compile { height = 32, width = 32, channels = 3, batch = 3 }
    local x = luma.randn(5, 32, 32, 3)
    local before = luma.threads()
    luma.threads(1)
    local one = fast(x)
    luma.threads(2)
    local two = fast(x)
    luma.threads(before)
    assert.is_true(luma.equal(one, two))
    for i = 1, 5 do assert.is_true(luma.equal(fast(x:narrow(1, i, 1)), one:narrow(1, i, 1))) end
  end)

  it("fuses what it can", function()
    local fast <close> = small_vgg():compile { height = 64, width = 64, channels = 3 }
    local steps, bytes = fast:info()
    local seen = {}
    for _, s in ipairs(steps) do
      seen[#seen + 1] = s.op .. (s.relu and "+relu" or "") .. (s.pooled and "+pool" or "")
    end
    assert.same({ "conv+relu", "conv+relu+pool", "conv+relu", "conv+relu+pool", "conv", "conv+relu", "max_pool" }, seen)
    local plain = luma.info().isa == "plain"
    assert.equal(plain and "gemm" or "direct", steps[1].algorithm)
    assert.is_true(bytes > 0)
    assert.matches("^Compiled%(64x64x3, 7 steps%)", tostring(fast))
  end)

  it("runs residual blocks and other layers", function()
    luma.seed(4)
    local net = nn.Sequential {
      nn.Conv2d(3, 16, 3, { pad = 1 }), nn.ReLU(),
      nn.Residual(nn.Sequential { nn.Conv2d(16, 16, 3, { pad = 1 }), nn.ReLU(), nn.Conv2d(16, 16, 3, { pad = 1 }) }),
      nn.ReLU(),
      nn.Residual(nn.Conv2d(16, 32, 1, { stride = 2 }), { shortcut = nn.Conv2d(16, 32, 1, { stride = 2 }) }),
      nn.GlobalAvgPool2d(), nn.Linear(32, 5),
    }:freeze()
    local fast <close> = net:compile { height = 12, width = 12, channels = 3 }
    local x = luma.randn(3, 12, 12, 3)
    assert.is_true(distance(fast(x), net(x)) < 1e-5)
  end)

  it("takes its image size from the model, and says when an image has another", function()
    local net = small_vgg()
    net.input = { height = 16, width = 18, channels = 3, scale = "caffe" }
    local fast <close> = net:compile()
    assert.same({ 1, 2, 2, 16 }, { fast(luma.zeros(1, 16, 18, 3)):shape() })
    local ok, err = pcall(fast, luma.zeros(1, 17, 18, 3))
    assert.is_false(ok)
    assert.matches("compiled for images of shape %[1x16x18x3%], got %[1x17x18x3%]", err)
    ok, err = pcall(small_vgg().compile, small_vgg())
    assert.is_false(ok)
    assert.matches("the images' height must be a whole number >= 1, got nil", err)
  end)

  it("frees the copies that folding made as well", function()
    local function grown(release)
      local net = nn.Sequential { nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32) }:freeze()
      local before = luma.memory().live
      net:compile { height = 8, width = 8, channels = 32, release = release }
      return luma.memory().live - before
    end
    collectgarbage()
    collectgarbage "stop" -- what is freed, is freed by the call itself
    local kept, released = grown(false), grown(true)
    collectgarbage "restart"
    assert.equal(2 * 9 * 32 * 32 * 4, kept - released)
  end)

  it("can hold the weights once, and gives everything back", function()
    collectgarbage()
    collectgarbage()
    local before = luma.memory().live
    do
      local net = nn.Sequential { nn.Conv2d(32, 32, 3, { pad = 1 }), nn.ReLU() }
      local fast = net:compile { height = 16, width = 16, channels = 32, release = true }
      assert.is_false((pcall(net, luma.zeros(1, 16, 16, 32))))
      local x = luma.zeros(1, 16, 16, 32)
      fast(x):close()
      x:close()
      fast:close()
      assert.is_false((pcall(fast, luma.zeros(1, 16, 16, 32))))
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, luma.memory().live)
  end)

  it("fails cleanly wherever memory runs out", function()
    local net = small_vgg()
    local x = luma.randn(2, 20, 20, 3)
    local want = net(x)
    for nth = 1, 40 do
      luma.core.hook.fail_nth(nth)
      local ok, fast = pcall(net.compile, net, { height = 20, width = 20, channels = 3 })
      local y
      if ok then ok, y = pcall(fast, x) end
      luma.core.hook.fail_nth(0)
      if ok then
        assert.is_true(distance(y, want) < 1e-5)
        fast:close()
      end
    end
  end)

  -- The whole of VGG19 in double loops, on a small image: about half a minute.
  for _, kind in ipairs { "random", "published" } do
    it("#slow keeps VGG19's features within 1e-5 of double arithmetic, " .. kind .. " weights", function()
      local path = "../shared/weights/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
      local folder = "../shared/data/article/covid_adjusted"
      for _, needed in ipairs(kind == "published" and { path, folder } or {}) do
        if not luma.files.exists(needed) then return pending(needed .. " absent") end
      end
      luma.seed(5)
      local options = kind == "published" and { weights = path } or { init = "he_normal" }
      local net = assert(luma.models.vgg19(options)):freeze()
      local x = luma.rand(1, 64, 64, 3)
      if kind == "published" then -- a radiograph, as the network was trained to see images
        local names = assert(luma.files.list(folder))
        table.sort(names)
        local film = assert(luma.image.load(luma.files.join(folder, names[1]), { mode = "rgb" }))
        x = luma.image.resize(film:to "f32", 64, 64):reshape(1, 64, 64, 3) - 118
      end
      local fast <close> = net:compile { height = 64, width = 64, channels = 3 }
      local err = distance(fast(x), reference(net, x))
      assert.is_true(err < 1e-5, tostring(err))
    end)
  end
end)
