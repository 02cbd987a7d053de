-- Checkpoints as trees, and model directories: exact, whole, and loadable
-- without the script that made them (W11, W12, D1).
local luma = require "luma"
local files = require "luma.base.files"
local nn, store = luma.nn, luma.store

local dir = os.tmpname() .. ".d"
assert(files.mkdir_p(dir))
local path = dir .. "/state.safetensors"

describe("a checkpoint tree", function()
  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  it("comes back exactly: numbers, strings, keys, tensors, nesting", function()
    local tree = { epoch = 12, big = math.maxinteger, small = math.mininteger, lr = 0.1, tiny = 5e-324, one = 1.0,
      inf = math.huge, minus = -math.huge, zero = -0.0,
      text = "a/b\n\"é", empty = "", yes = true, no = false, none = {},
      model = { ["block1.weight"] = luma.randn(2, 3), ["a/b~c#1"] = luma.tensor { 1 } },
      list = { 3, 1.5, "x", { deep = { luma.tensor({ 7 }, "i32") } } }, [5] = "five", ["5"] = "text five" }
    assert(store.save_tree(path, tree, { kind = "checkpoint", version = 2 }))
    local bytes = files.read(path)
    local back = assert(store.load_tree(path, { kind = "checkpoint", version = 2, need = { "model", "epoch" } }))
    local function same(a, b)
      assert.equal(type(a), type(b))
      if type(a) == "userdata" then
        assert.equal(a:dtype(), b:dtype())
        assert.equal(a:bytes(), b:bytes())
      elseif type(a) == "table" then
        for key in pairs(a) do same(a[key], b[key]) end
        for key in pairs(b) do assert.is_not_nil(a[key]) end
      else
        assert.equal(a, b)
        assert.equal(math.type(a), math.type(b))
      end
    end
    same(tree, back)
    assert.equal(-math.huge, 1 / back.zero)
    assert(store.save_tree(path, tree, { kind = "checkpoint", version = 2 }))
    assert.equal(bytes, files.read(path))
    assert(store.save_tree(path, { x = 0 / 0 }))
    back = assert(store.load_tree(path))
    assert.is_true(back.x ~= back.x)
  end)

  it("is refused when newer, incomplete, of another kind, or not one (W12)", function()
    local function refused(opts, pattern, code)
      local got, message, what = store.load_tree(path, opts)
      assert.is_nil(got)
      assert.matches(pattern, message)
      assert.equal(code or "damaged", what)
    end
    assert(store.save_tree(path, { model = { w = luma.zeros(2) } }, { kind = "checkpoint", version = 3 }))
    refused({ kind = "checkpoint", version = 2 },
      "written by a newer luma %(checkpoint version 3; this one reads up to 2%)",
      "unsupported")
    refused({ kind = "checkpoint", version = 3, need = { "model", "optimiser" } },
      "an incomplete checkpoint: it lacks optimiser %(it holds model%)")
    refused({ kind = "head", version = 3 }, "a checkpoint, not a head")
    assert(store.save(path, { w = luma.zeros(2) }))
    refused({ kind = "checkpoint" }, "plain tensors, not a checkpoint written by luma")
    for key, value in pairs { a = "x:1", b = "i:1.5", c = "i:x", d = "f:1", e = "b:maybe", f = "" } do
      assert(store.save(path, {}, { ["~format"] = "luma 1", ["~kind"] = "tree 1", [key] = value }))
      refused({}, ("'%s' has no value"):format(key))
    end
    local tags = { ["~format"] = "luma 1", ["~kind"] = "tree 1", ["a"] = "i:1" }
    assert(store.save(path, { ["a/b"] = luma.zeros(1) }, tags))
    refused({}, "is there twice")
    local loop = {}
    loop.loop = loop
    assert.error_matches(function() store.save_tree(path, loop) end, "loop is a cycle")
    assert.error_matches(function() store.save_tree(path, { f = print }) end, "f is a function; only tables")
    assert.error_matches(function() store.save_tree(path, { [1.5] = 1 }) end,
      "a key must be a string or a whole number")
  end)
end)

describe("a model directory", function()
  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)
  local home = dir .. "/model"

  local function network()
    return nn.Sequential { name = "small",
      nn.Conv2d(3, 4, 3, { pad = "same", stride = 2, name = "conv" }), nn.ReLU(), nn.MaxPool2d(2),
      nn.Residual(nn.Sequential { nn.Conv2d(4, 4, { 1, 3 }, { pad = { 0, 1, 0, 1 }, bias = false }), nn.Tanh() }),
      nn.Concat { nn.Checkpoint(nn.Conv2d(4, 2, 1)), nn.Sequential { nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2) } },
      nn.AvgPool2d(2, { stride = 1 }), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 3, { name = "head" }),
      nn.Softmax(-1) }
  end

  it("holds all that prediction needs", function()
    local net = network()
    net:get("conv"):freeze()
    assert(store.save_model(home, { net = net, architecture = "small", classes = { "a", "b", "c" }, scale = "tf",
      input = { height = 8, width = 8, channels = 3 }, preparation = { size = 8, level = 40, faithful = false },
      notes = "made by a test" }))
    local saved = assert(store.load_model(home))
    assert.same({ "a", "b", "c" }, saved.classes)
    assert.same({ size = 8, level = 40, faithful = false }, saved.preparation)
    assert.equal("tf", saved.scale)
    assert.equal("small", saved.architecture)
    assert.equal(8, saved.input.height)
    local x = luma.randn(2, 8, 8, 3)
    assert.equal(net(x):bytes(), saved.net(x):bytes())
    assert.equal(tostring(net), tostring(saved.net))
    assert.equal(#net:parameters(), #saved.net:parameters()) -- what was frozen is frozen
  end)

  it("is replaced whole; the old weights go", function()
    assert(store.save_model(home, { net = network(), classes = { "a", "b", "c" } }))
    assert(store.save_model(home, { net = network(), classes = { "a", "b", "c" } }))
    local names = files.list(home, true)
    assert.equal(2, #names)
    assert(store.load_model(home))
  end)

  it("is refused when damaged, newer or foreign, and runs nothing", function()
    local json = files.join(home, "model.json")
    local good = assert(files.read(json))
    local function refused(text, pattern, code)
      assert(files.write_atomic(json, text))
      local got, message, what = store.load_model(home)
      assert.is_nil(got)
      assert.matches(pattern, message)
      assert.equal(code or "damaged", what)
      assert(files.write_atomic(json, good))
    end
    local function changed(from, to)
      local text, n = good:gsub(from, to, 1)
      assert.equal(1, n)
      return text
    end
    refused("{", "not JSON")
    refused("[1]", "not a model that luma saved")
    refused(changed('"version": 1', '"version": 2'),
      "written by a newer luma %(luma 0.1, format 2; this one reads up to 1%)",
      "unsupported")
    refused(changed('"type": "Softmax"', '"type": "Lambda"'),
      "its network cannot be built: unknown layer type 'Lambda'")
    refused(changed('"cout": 4', '"cout": 5'), "weights%-%x+.safetensors: .*conv.weight is", "mismatch")
    refused(changed('"cout": 4', '"cout": -4'), "its network cannot be built: Conv2d: output channels must be")
    refused(changed('"weights": "weights', '"weights": "../weights'), "names no weight file")
    local weights = files.join(home, (good:match '"weights": "([^"]+)"'))
    local bytes = assert(files.read(weights))
    assert(files.write_atomic(weights, bytes:sub(1, -2) .. "\1"))
    local got, message = store.load_model(home)
    assert.is_nil(got)
    assert.matches("damaged %(its MD5 is not the one in its name%)", message)
    os.remove(weights)
    assert.is_nil((store.load_model(home)))
    got, message = store.load_model(dir .. "/nowhere")
    assert.is_nil(got)
    assert.matches("nowhere/model.json: no such file", message)
    assert.error_matches(function() store.save_model(home, { classes = {} }) end, "option net must be a network")
    assert.error_matches(function() store.save_model(home, { net = network(), lasses = {} }) end,
      "unknown option 'lasses'")
  end)
end)
