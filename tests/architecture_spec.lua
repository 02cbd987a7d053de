-- Seeing a network: the summary's numbers and the picture's parts (row M11).
local luma = require "luma"
local files = require "luma.base.files"
local models, nn, plot = luma.models, luma.nn, luma.plot
local parts = require "luma.plot.parts"

describe("a summary", function()
  it("counts ResNet50 as Keras does", function()
    local s = assert(models.resnet50 { init = "zeros" }):summary()
    assert.equal(23587712, s.parameters)
    assert.equal(23534592, s.trainable)
    assert.same({ 1, 7, 7, 2048 }, s.output)
    assert.matches("23,587,712 parameters %(94.4 MB%), 23,534,592 trainable, 53,120 frozen or kept", tostring(s))
    local top = assert(models.resnet50 { init = "zeros", top = true }):summary()
    assert.equal(25636712, top.parameters)
  end)

  it("shows each layer once, with its output and work", function()
    local net = nn.Sequential { nn.Conv2d(3, 8, 3, { pad = "same", name = "conv" }), nn.ReLU(), nn.Flatten(),
      nn.Linear(8 * 36, 2, { name = "dense" }) }
    net:freeze "conv"
    local s = net:summary { 4, 6, 6, 3 }
    assert.same({ name = "conv", type = "Conv2d", shape = { 4, 6, 6, 8 }, parameters = 224, trainable = 0,
      macs = 4 * 36 * 27 * 8 }, s.rows[1])
    assert.same({ 4, 2 }, s.output)
    assert.equal(578, s.trainable)
    assert.equal(224 + 578, s.parameters)
    local text = tostring(s)
    assert.matches("conv +Conv2d +6x6x8 +224 +no", text)
    assert.matches("dense +Linear +2 +578 +yes", text)
    assert.matches("802 parameters", text)
    local wide = nn.Sequential { nn.Concat { nn.Conv2d(3, 4, 1), nn.Checkpoint(nn.Conv2d(3, 2, 1)) }, nn.Flatten() }
    local branches = wide:summary { 1, 2, 2, 3 }
    assert.same({ 1, 24 }, branches.output)
    assert.equal(4 * 4 + 4 * 2, branches.parameters)
    assert.equal(4 * (3 * 4 + 3 * 2), branches.macs)
    local shared = nn.Linear(5, 5)
    assert.equal(30, nn.Sequential { shared, nn.ReLU(), shared }:summary().parameters) -- tied weights count once
    assert.error_matches(function() nn.Sequential { nn.ReLU() }:summary() end, "the input's shape is needed")
    assert.error_matches(function() net:summary { 1, 6, 6, 4 } end, "weight expects 3 channels, input has 4")
  end)
end)

describe("an architecture figure", function()
  it("brackets repeated layers, and marks ReLU and softmax", function()
    local list, normed = parts(models.vgg19 { init = "zeros" }, { 1, 224, 224, 3 })
    local seen = {}
    for _, p in ipairs(list) do seen[#seen + 1] = ("%s x%d %s"):format(p.label, p.count, table.concat(p.marks)) end
    assert.same({ "3×3 conv, 64 x2 R", "2×2 max pool x1 ", "3×3 conv, 128 x2 R", "2×2 max pool x1 ",
      "3×3 conv, 256 x4 R", "2×2 max pool x1 ", "3×3 conv, 512 x4 R", "2×2 max pool x1 ", "3×3 conv, 512 x4 R",
      "2×2 max pool x1 " }, seen)
    assert.is_false(normed)
  end)

  it("draws ResNet50's blocks: 3, 4, 6, 3, the first of each with a convolution beside it", function()
    local net = assert(models.resnet50 { init = "zeros", top = true })
    local list, normed = parts(net, { 1, 224, 224, 3 })
    assert.is_true(normed)
    local counts, shortcuts = {}, {}
    for _, p in ipairs(list) do
      if p.kind == "block" then
        counts[#counts + 1] = p.count
        shortcuts[#shortcuts + 1] = p.shortcut or "-"
      end
    end
    assert.same({ 1, 2, 1, 3, 1, 5, 1, 2 }, counts)
    assert.same({ "1×1, 256", "-", "1×1, 512 /2", "-", "1×1, 1024 /2", "-", "1×1, 2048 /2", "-" }, shortcuts)
    assert.same({ "S" }, list[#list].marks)
    local svg = plot.architecture(net):svg()
    assert.matches("^<svg ", svg)
    assert.is_truthy(svg:find(">×5<", 1, true))
    assert.is_truthy(svg:find("global avg pool", 1, true))
    local open, close = 0, 0
    for _ in svg:gmatch "<text" do open = open + 1 end
    for _ in svg:gmatch "</text>" do close = close + 1 end
    assert.equal(open, close)
  end)

  it("is written as SVG, and as PNG where gnuplot is", function()
    local dir = os.tmpname() .. ".d"
    assert(files.mkdir_p(dir))
    finally(function() os.execute(("rm -rf '%s'"):format(dir)) end)
    local figure = plot.architecture(assert(models.tiny()), { title = "Tiny <base> & 'all'" })
    assert(figure:save(dir .. "/tiny.svg"))
    assert.is_truthy(files.read(dir .. "/tiny.svg"):find("Tiny &lt;base&gt; &amp;", 1, true))
    assert.error_matches(function() figure:save(dir .. "/tiny.pdf") end, "must end in .svg or .png")
    assert.error_matches(function() plot.architecture(nn.Sequential { nn.ReLU() }) end, "option shape is needed")
    if not plot.available() then return pending "gnuplot absent" end
    assert(figure:save(dir .. "/tiny.png"))
    local x = assert(luma.image.load(dir .. "/tiny.png"))
    assert.is_true(x:size(2) > 800 and x:size(3) == 3)
  end)
end)
