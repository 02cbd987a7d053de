describe("fine-tuning a base", function()
  local luma = require "luma"
  local tune = require "luma.study.covid.tune"

  local function random_input(model)
    return luma.rand(2, model.input.height, model.input.width, 3, { rng = luma.rng(1) })
  end

  it("front and back together are the model", function()
    luma.seed(2)
    local model = luma.models.tiny { weights = "none" }
    local x <close> = random_input(model)
    local whole <close> = model(x)
    local front, back = tune.split(model, "block4", true)
    local middle <close> = front(x)
    local net = back.build()
    local parts <close> = net(middle)
    assert.is_true(luma.allclose(whole, parts, { rtol = 1e-5, atol = 1e-6 }))
    local shape = back.output_shape { middle:shape() }
    assert.same({ whole:shape() }, shape)
  end)

  it("each copy of the back is trained apart from the model and from the others", function()
    luma.seed(2)
    local model = luma.models.tiny { weights = "none" }
    local _, back = tune.split(model, "block5", true)
    local a, b = back.build(), back.build()
    assert.is_true(#a:parameters() > 0)
    a:parameters()[1]:fill_(0)
    assert.is_true(b:parameters()[1]:abs():sum():item() > 0)
    assert.is_true(model:get("block5_conv1").weight:abs():sum():item() > 0)
  end)

  it("all: nothing is frozen; trained batch-norm stays as it is", function()
    local model = luma.models.tiny { weights = "none" }
    local front, back = tune.split(model, "all", false)
    assert.is_nil(front)
    assert.equal(#model:state(), #back.build():state())
    local resnet = luma.models.resnet50 { weights = "none", init = "zeros" }
    local _, last = tune.split(resnet, "conv5_block3", true)
    for _, layer in last.build():walk() do
      if layer.type == "BatchNorm2d" then assert.is_true(layer.frozen) end
    end
  end)

  it("names the stages when there is no such layer", function()
    assert.error_matches(function() tune.split(luma.models.tiny { weights = "none" }, "blockx", true) end,
      "no layer of tiny begins with 'blockx' %(stages: block1, block2, block3, block4, block5%)")
  end)

  it("nn.Unflatten undoes nn.Flatten; nn.Scale keeps its factor with the weights", function()
    local nn = luma.nn
    local net = nn.Sequential { nn.Flatten(), nn.Unflatten({ 2, 3, 4 }), nn.Scale(0.5, { name = "unit" }) }
    local x <close> = luma.rand(5, 2, 3, 4)
    assert.is_true(luma.allclose(x * 0.5, net(x)))
    local found = false
    for name in pairs(net:state()) do found = found or name:match "unit" ~= nil end
    assert.is_true(found)
    assert.equal(0, #net:parameters())
    assert.has_error(function() nn.Unflatten({}) end)
  end)
end)
