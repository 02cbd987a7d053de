-- The zoo against PyTorch on the same weights, and batch-norm folded away.
local luma = require "luma"
local files = require "luma.base.files"
local models, nn, store = luma.models, luma.nn, luma.store

local dir = os.tmpname() .. ".d"
assert(files.mkdir_p(dir))
local h5_weights = "../shared/weights/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
local photograph = "../shared/data/article/covid_adjusted"

-- ||a - b|| / ||b||, in double.
local function distance(a, b)
  a, b = a:to "f64", b:to "f64"
  return ((a - b):pow(2):sum():item() / math.max(1e-300, b:pow(2):sum():item())) ^ 0.5
end

local function torch_says(name, model, x)
  assert(store.save(dir .. "/w.safetensors", models.weight_table(model)))
  assert(store.save_npy(dir .. "/x.npy", x))
  local command = "/usr/bin/python3 tests/reference/zoo_torch.py %s '%s/w.safetensors' '%s/x.npy' '%s/y.npy'"
  assert.is_true(os.execute(command:format(name, dir, dir, dir)))
  return assert(store.load_npy(dir .. "/y.npy"))
end

local has_torch = os.execute "/usr/bin/python3 -c 'import torch' 2>/dev/null"

-- Random statistics, so that batch-norm has something to do.
local function stir(model)
  for _, module in model:walk() do
    if module.type == "BatchNorm2d" then
      local c = module.channels
      module.weight:copy_(luma.rand(c) + 0.5)
      module.bias:copy_(luma.randn(c) * 0.1)
      module.running_mean:copy_(luma.randn(c) * 0.1)
      module.running_var:copy_(luma.rand(c) + 0.5)
    end
  end
  return model
end

describe("the zoo", function()
  before_each(function() luma.seed(11) end)
  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  it("folds batch-norm into convolutions without changing what the network says", function()
    local net = stir(nn.Sequential {
      nn.Conv2d(3, 8, 3, { stride = 2, pad = 1, bias = false }), nn.BatchNorm2d(8, { eps = 1e-2 }), nn.ReLU(),
      nn.Residual(nn.Sequential { nn.Conv2d(8, 8, 3, { pad = "same", groups = 2 }), nn.BatchNorm2d(8), nn.ReLU() },
        { shortcut = nn.Sequential { nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8) } }),
      nn.Conv2d(8, 4, 1), nn.GlobalAvgPool2d() })
    local folded = models.fold_batch_norm(net)
    local x = luma.randn(2, 9, 9, 3)
    assert.is_true(distance(folded(x), net(x)) < 1e-6)
    assert.is_nil(tostring(folded):find "BatchNorm")
    assert.is_truthy(tostring(net):find "BatchNorm")
  end)

  it("agrees with PyTorch: the embedded base, 1e-5 #slow", function()
    if not has_torch then return pending "PyTorch absent" end
    local m = assert(models.tiny())
    local x = luma.rand(3, 128, 128, 3)
    assert.is_true(distance(m(x), torch_says("tiny", m, x)) < 1e-5)
  end)

  it("agrees with PyTorch: VGG19 with ImageNet's weights on radiographs, 1e-5 #slow", function()
    if not has_torch then return pending "PyTorch absent" end
    if not files.exists(h5_weights) then return pending(h5_weights .. " absent") end
    local m = assert(models.vgg19 { weights = h5_weights, cache = dir })
    local x
    local names = files.list(photograph)
    if names then
      local image = assert(luma.image.load(photograph .. "/" .. names[1], "rgb"))
      x = luma.image.scale_input(image, "caffe"):reshape(1, 224, 224, 3)
    else
      x = luma.randn(1, 224, 224, 3) * 60
    end
    local want = torch_says("vgg19", m, x)
    local plain, compiled = distance(m(x), want), distance(m:freeze():compile()(x), want)
    assert.is_true(plain < 1e-5, ("relative L2 %g"):format(plain)) -- 2.6e-6 when this was written
    assert.is_true(compiled < 1e-5, ("relative L2, compiled, %g"):format(compiled))
  end)

  it("agrees with PyTorch: ResNet50 on random weights, folded or not, 1e-5 #slow", function()
    if not has_torch then return pending "PyTorch absent" end
    local m = stir(assert(models.resnet50 { top = true, init = "he_normal" })):freeze()
    local x = luma.randn(2, 224, 224, 3)
    local want = torch_says("resnet50", m, x)
    local plain, folded = distance(m(x), want), distance(models.fold_batch_norm(m)(x), want)
    assert.is_true(distance(m:compile()(x), want) < 1e-5)
    assert.is_true(plain < 1e-5, ("relative L2 %g"):format(plain))
    assert.is_true(folded < 1e-5, ("relative L2, folded, %g"):format(folded))
  end)

  it("takes ResNet50's first release: old names, epsilon 1e-3", function()
    local m = stir(assert(models.resnet50 { init = "he_normal" }))
    local function old(name)
      local stage, block, part, kind, what = name:match "^conv(%d)_block(%d)_(%d)_(%l+)%.(%l+)$"
      if not stage then return (name:gsub("^conv1_conv", "conv1"):gsub("^conv1_bn", "bn_conv1")) end
      local branch = ({ ["0"] = "1", ["1"] = "2a", ["2"] = "2b", ["3"] = "2c" })[part]
      return ("%s%s%s_branch%s.%s"):format(kind == "bn" and "bn" or "res", stage,
        string.char(96 + tonumber(block)), branch, what)
    end
    local t = {}
    for name, x in pairs(models.weight_table(m)) do t[old(name)] = x end
    assert.is_userdata(t["bn5c_branch2b.var"])
    assert(store.save(dir .. "/old.safetensors", t))
    local other = assert(models.resnet50 { weights = dir .. "/old.safetensors" })
    assert.matches("first release: batch%-norm epsilon 1e%-3", other.weights.note)
    local mine = models.weight_table(m)
    for name, x in pairs(models.weight_table(other)) do assert.equal(mine[name]:bytes(), x:bytes()) end
    assert.equal(1e-3, other:get("conv1_bn").eps)
    assert.equal(1.001e-5, m:get("conv1_bn").eps)
  end)
end)
