describe("explain", function()
  local luma = require "luma"
  local nn, explain = luma.nn, luma.explain

  -- A net whose class 1 looks only at the top left quarter of an 8 x 8 image.
  local function corner_net()
    luma.seed(3)
    local net = nn.Sequential { nn.Conv2d(1, 2, 1, { name = "see" }), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
      nn.Linear(128, 2, { name = "say" }) }
    local weight = luma.zeros(128, 2)
    for r = 1, 4 do
      for c = 1, 4 do weight[{ ((r - 1) * 8 + c - 1) * 2 + 1, 1 }] = 1 end
    end
    local state = net:state()
    for name, t in pairs(state) do
      if name:match "see.*weight" then t:copy_(luma.full({ 1, 1, 1, 2 }, 1.0)) end
      if name:match "bias" then t:zero_() end
      if name:match "say.*weight" then t:copy_(weight) end
    end
    return net
  end

  local function share_top_left(map)
    local inside = map:narrow(1, 1, 4):narrow(2, 1, 4):contiguous():sum():item()
    return inside / map:sum():item()
  end

  it("saliency and occlusion find the place the net looks at", function()
    local net = corner_net()
    local x = luma.ones(1, 8, 8, 1)
    local map, class = explain.saliency(net, x, { class = 1 })
    assert.equal(1, class)
    assert.near(1, share_top_left(map), 1e-6)
    local hidden = explain.occlusion(function(b) return luma.softmax(net(b), 2) end, x * 0.1,
      { class = 1, patch = 2, stride = 2 })
    assert.near(1, share_top_left(hidden), 1e-5)
  end)

  it("Grad-CAM weighs channels by their mean gradient, as the formula says", function()
    luma.seed(5)
    local net = nn.Sequential { nn.Conv2d(3, 4, 3, { pad = "same", name = "c" }), nn.ReLU(), nn.Flatten(),
      nn.Linear(6 * 6 * 4, 3) }
    local x = luma.randn(1, 6, 6, 3)
    local map = explain.gradcam(net, x, { class = 2 }):totable()
    local a = luma.relu(net[1](x)):totable()[1]
    local w = net[4].weight:totable()
    for r = 1, 6 do
      for c = 1, 6 do
        local sum = 0
        for ch = 1, 4 do
          local mean = 0
          for i = 1, 36 do mean = mean + w[(i - 1) * 4 + ch][2] / 36 end
          sum = sum + mean * a[r][c][ch]
        end
        assert.near(math.max(sum, 0), map[r][c], 1e-5)
      end
    end
  end)

  it("names layers, and refuses one that is not there", function()
    local net = corner_net()
    local x = luma.ones(1, 8, 8, 1)
    assert.same({ 8, 8 }, { explain.gradcam(net, x, { layer = "see" }):shape() })
    assert.error_matches(function() explain.gradcam(net, x, { layer = "nowhere" }) end, "no layer 'nowhere'")
    assert.error_matches(function() explain.saliency(net, x, { class = 7 }) end, "class must be in 1..2, got 7")
    assert.error_matches(function() explain.saliency(net, luma.ones(2, 8, 8, 1)) end, "one image expected")
  end)

  it("measures heat outside the lungs", function()
    local share, even = explain.outside_share(luma.ones(200, 200))
    assert.near(even, share, 0.01)
    local edge = luma.zeros(20, 20)
    edge:narrow(1, 1, 1):fill_(1)
    assert.near(1, explain.outside_share(edge), 1e-12)
    local none = explain.outside_share(luma.zeros(4, 4))
    assert.is_true(none ~= none)
  end)

  it("overlays: cold shows the picture, hot does not", function()
    local picture = luma.full({ 16, 16, 1 }, 100, "u8")
    local map = luma.zeros(4, 4)
    map[{ 4, 4 }] = 2
    local out = explain.overlay(picture, map)
    assert.same({ 16, 16, 3 }, { out:shape() })
    assert.same({ 100, 100, 100 }, out[1][1]:totable())
    assert.is_true(out[16][16]:totable()[1] > 180)
  end)

  it("tells a map that depends on the weights from one that does not", function()
    local map = luma.arange(1, 36):to "f32":reshape(6, 6)
    assert.near(1, explain.rank_correlation(map, map * 3 + 1), 1e-12)
    assert.near(-1, explain.rank_correlation(map, map * -1), 1e-12)
    local mean = explain.sanity(map, function(seed) return luma.rand(6, 6, { rng = luma.rng(seed) }) end)
    assert.is_true(math.abs(mean) < 0.4)
    assert.near(1, (explain.sanity(map, function() return map:clone() end, 2)), 1e-12)
  end)
end)
