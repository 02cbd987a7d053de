-- The zoo: shapes and counts of the article, weight files in every layout, and
-- what happens when file and model do not fit (W7, rows M1-M3, M7, M8).
local luma = require "luma"
local files = require "luma.base.files"
local models = require "luma.models"
local store = luma.store
local summary = require "luma.nn.summary"

local dir = os.tmpname() .. ".d"
assert(files.mkdir_p(dir))
local h5_weights = "../shared/weights/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"

local function tiny() return assert(models.tiny { weights = "none" }) end

-- A copy of a model's weights: name -> tensor.
local function weights_of(model)
  local t = {}
  for name, x in pairs(models.weight_table(model)) do t[name] = x:clone() end
  return t
end

describe("models", function()
  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  it("VGG19 and VGG16 have the published shapes, weights and multiplications", function()
    local m = assert(models.vgg19 { init = "zeros" })
    local s = summary(m)
    assert.equal(20024384, s.parameters)
    assert.same({ 1, 7, 7, 512 }, s.output)
    assert.equal(19508428800, s.macs) -- 19.5 G
    assert.equal(16, #(function()
      local convs = {}
      for _, row in ipairs(s.rows) do if row.type == "Conv2d" then convs[#convs + 1] = row end end
      return convs
    end)())
    assert.equal("caffe", m.input.scale)
    assert.equal(20024384, s.trainable)
    m:freeze()
    assert.equal(0, summary(m).trainable)
    assert.equal(14714688, summary(assert(models.vgg16 { init = "zeros" })).parameters)
  end)

  it("VGG with top have the published counts #slow", function()
    local s = summary(assert(models.vgg19 { init = "zeros", top = true }))
    assert.equal(143667240, s.parameters)
    assert.same({ 1, 1000 }, s.output)
    assert.equal(138357544, summary(assert(models.vgg16 { init = "zeros", top = true })).parameters)
  end)

  it("the embedded base is small and the same each time", function()
    local a, b = assert(models.tiny()), assert(models.tiny())
    local s = summary(a)
    assert.equal(468816, s.parameters)
    assert.is_true(s.bytes <= 2000000)
    assert.same({ 1, 4, 4, 128 }, s.output)
    assert.equal(a:get("block1_conv1").weight:bytes(), b:get("block1_conv1").weight:bytes())
    assert.is_string(a.weights.note)
    local seed, stream = luma.seed()
    assert(models.tiny())
    assert.same({ seed, stream }, { luma.seed() }) -- the caller's random numbers go on undisturbed
    assert.error_matches(function() models.tiny { top = true } end, "has no top")
    assert.error_matches(function() models.tiny { weigths = "x" } end, "unknown option 'weigths'")
    assert.error_matches(function() models.build "vgg20" end,
      "no model 'vgg20' %(known: resnet50, tiny, vgg16, vgg19%)")
  end)

  it("loads its own weights back, bit for bit, from f32 or f64", function()
    local a, b = tiny(), tiny()
    local path = dir .. "/tiny.safetensors"
    assert(store.save(path, models.weight_table(a), { scale = "tf" }))
    local info = assert(models.load_weights(b, path))
    assert.equal("safetensors", info.format)
    for name, x in pairs(models.weight_table(a)) do assert.equal(x:bytes(), models.weight_table(b)[name]:bytes()) end
    local m = assert(models.tiny { weights = path })
    assert.equal("tf", m.input.scale)
    assert.is_nil(models.scale_warning(m, "tf"))
    assert.equal("tiny was trained on input scale 'tf' but is fed 'unit'", models.scale_warning(m, "unit"))
    local wide = weights_of(a)
    for name, x in pairs(wide) do wide[name] = x:to "f64" end
    assert(store.save(path, wide))
    assert(models.load_weights(b, path))
  end)

  it("is unchanged by a file that does not fit, and says which layers do not", function()
    local m, path = tiny(), dir .. "/other.safetensors"
    local before = weights_of(m)
    local function refused(change, pattern)
      local t = weights_of(tiny())
      change(t)
      assert(store.save(path, t))
      local info, message, code = models.load_weights(m, path)
      assert.is_nil(info)
      assert.matches(pattern, message)
      assert.equal("mismatch", code)
      for name, x in pairs(models.weight_table(m)) do assert.equal(before[name]:bytes(), x:bytes()) end
    end
    refused(function(t) t["block3_conv1.weight"] = luma.zeros(3, 3, 32, 63) end,
      "^tiny: block3_conv1.weight is %[3x3x32x63%] in .*/other.safetensors, the model has %[3x3x32x64%]$")
    refused(function(t) t["block3_conv1.bias"] = nil end, "^tiny: .*other.safetensors lacks block3_conv1.bias$")
    refused(function(t) t["block9_conv1.bias"] = luma.zeros(2) end, "holds what the model has not: block9_conv1.bias$")
    refused(function(t) t["block1_conv1.bias"] = luma.tensor({ 1, 2 }, "i32") end, "block1_conv1.bias is %[2%]")
    refused(function(t) t["block1_conv1.bias"] = t["block1_conv1.bias"]:to "i32" end,
      "is i32 in .*, weights are f32 or f64")
    refused(function(t) for name in pairs(t) do t[name] = nil end end,
      "holds none of the model's 20 weights; it holds nothing")
    refused(function(t)
      for name in pairs(t) do t[name] = luma.zeros(1) end
    end, "; and 17 more")
    for bad, pattern in pairs { ["/absent"] = "No such file", [""] = "is a folder",
      ["/text"] = "neither Keras HDF5 nor safetensors" } do
      assert(files.write_atomic(dir .. "/text", "<!DOCTYPE html><title>404</title>"))
      local info, message = models.load_weights(m, dir .. bad)
      assert.is_nil(info)
      assert.matches(pattern, message)
    end
    assert.error_matches(function() models.load_weights(m, 5) end, "path must be a string")
    assert(store.save(path, (function()
      local t = weights_of(tiny())
      t["block1_conv1.bias"][3] = 0 / 0
      return t
    end)()))
    assert(models.load_weights(m, path)) -- NaN comes in bit for bit (W6) ...
    local info, message = models.load_weights(m, path, { finite = true }) -- ... or is refused
    assert.is_nil(info)
    assert.matches("block1_conv1.bias': element 3 is not finite", message)
  end)

  it("leaves the classifier of a full file out of a model without top", function()
    local m = tiny()
    m.top_layers = { "fc1", "predictions" }
    local t = weights_of(m)
    t["fc1.weight"], t["predictions.bias"] = luma.zeros(2, 2), luma.zeros(2)
    assert(store.save(dir .. "/full.safetensors", t))
    local info = assert(models.load_weights(m, dir .. "/full.safetensors"))
    assert.matches("2 weights of its classifier left out", info.note)
  end)

  it("names predictions, from a file or by number", function()
    local p = luma.tensor { { 0.1, 0.7, 0.2 }, { 0.5, 0.25, 0.25 } }
    local top = assert(models.decode_predictions(p, { k = 2 }))
    assert.same({ class = 2, name = "class 2", probability = top[1][1].probability }, top[1][1])
    assert.same({ 1, 2 }, { top[2][1].class, top[2][2].class }) -- a tie: the first
    assert(files.write_atomic(dir .. "/names.json",
      '{"0":["n1","tench"],"2":["n3","great_white_shark"],"1":["n2","goldfish"]}'))
    assert.equal("goldfish", assert(models.decode_predictions(p, { classes = dir .. "/names.json" }))[1][1].name)
    assert(files.write_atomic(dir .. "/names.txt", "a\nb\r\nc\n"))
    assert.equal("b", assert(models.decode_predictions(p, { classes = dir .. "/names.txt" }))[1][1].name)
    assert(files.write_atomic(dir .. "/gap.json", '{"0":["n1","a"],"5":["n2","b"]}'))
    local got, message, code = models.decode_predictions(p, { classes = dir .. "/gap.json" })
    assert.is_nil(got)
    assert.matches("gap.json: class names are missing", message)
    assert.equal("damaged", code)
    assert.error_matches(function() models.decode_predictions(p, { classes = { "a" } }) end, "1 names for 3 classes")
  end)

  it("VGG19 takes the real Keras file: features are made, and the wrong model is refused by name", function()
    if not files.exists(h5_weights) then return pending(h5_weights .. " absent") end
    local m = assert(models.vgg19 { weights = h5_weights, cache = dir .. "/cache" })
    assert.matches("^MD5 d674a71691a83683db219a0d61e597d6 is not the official file's 253f8cb515780f3b799900260a226db6; "
      .. "shapes and names fit$", m.weights.note)
    local other, message = models.vgg16 { weights = h5_weights, cache = dir .. "/cache" }
    assert.is_nil(other)
    assert.matches("vgg16: .*holds what the model has not: block3_conv4.bias, block3_conv4.weight, ", message)
    other, message = models.tiny { weights = h5_weights, cache = dir .. "/cache" }
    assert.is_nil(other)
    assert.matches("block1_conv1.bias is %[64%] in .*, the model has %[16%]", message)
  end)
end)
