-- The parts of the main job that need no network: settings, numbers, state.
local luma = require "luma"
local evaluate = require "luma.study.covid.evaluate"
local settings = require "luma.study.covid.options"
local State = require "luma.study.covid.state"
local files = luma.files

local folder = require "support.folder"
local tmpdir, remove_all = folder.new, folder.remove

describe("the settings of a run", function()
  it("has the presets of the article and the quick ones", function()
    local c = settings.resolve {}
    assert.same({ "quick", 4, "tiny", "embedded", true }, { c.preset, c.views, c.base, c.weights, c.group })
    assert.equal(20, settings.resolve({ preset = "standard" }).views)
    local article = settings.resolve { preset = "article" }
    assert.same({ 0, 500 }, { article.views, article.epochs })
  end)

  it("takes the article's choices when faithful", function()
    local c = settings.resolve { faithful = true }
    assert.same({ "unit", false, 0, "keras-1.1.0" }, { c.scale, c.group, c.val, c.augment.compat })
  end)

  it("answers every mistake in one line", function()
    local function fails(args, words)
      local ok, message = pcall(settings.resolve, args)
      assert.is_false(ok)
      assert.truthy(message:find(words, 1, true), message)
      assert.falsy(message:find("\n", 1, true))
      assert.falsy(message:find("%.lua:%d"))
    end
    fails({ data = "/nowhere/at/all" }, "--data: /nowhere/at/all: no such folder")
    fails({ data = "." , normals = "0" }, "--normals must be a whole number from 1 on, got '0'")
    fails({ data = ".", normals = "many" }, "--normals must be")
    fails({ weights = "/nowhere.h5" }, "--weights: /nowhere.h5: no such file")
    fails({ weights = "/tmp" }, "--weights: /tmp: is not a file")
    fails({ base = "vgg19" }, "--base vgg19 needs --weights FILE")
    fails({ preset = "slow" }, "--preset must be quick, standard or article, got 'slow'")
    fails({ epochs = "1.5" }, "--epochs must be a whole number")
    fails({ folds = "1" }, "--folds must be a whole number in 2..100, got '1'")
    fails({ threads = "0" }, "--threads must be a whole number in 1..64")
    fails({ metadata = "x.csv" }, "--metadata goes with --data DIR")
  end)
end)

describe("the numbers of a run", function()
  local classes = { "COVID-19", "Normal" }
  local function predictions(list)
    local out = {}
    for i, one in ipairs(list) do
      out[i] = { truth = one[1], predicted = one[2], p = one[2] == 1 and { 0.9, 0.1 } or { 0.2, 0.8 } }
    end
    return out
  end

  it("has what the contract of metrics.json asks for", function()
    local n = evaluate.numbers(predictions { { 1, 1 }, { 1, 2 }, { 2, 2 }, { 2, 2 } }, classes)
    assert.equal(0.75, n.accuracy.value)
    assert.is_true(n.accuracy.lo < 0.75 and n.accuracy.hi > 0.75)
    assert.same({ { 1, 1 }, { 0, 2 } }, n.confusion)
    assert.equal(0.75, n.auc.value)
    assert.is_number(n.f1["COVID-19"])
    assert.is_number(n.f1.macro)
    assert.truthy(n.report:find("    COVID-19       1.00      0.50      0.67         2\n", 1, true))
  end)

  it("names the accuracy trap of the author's history", function()
    local list = {}
    for i = 1, 19 do list[i] = { 1, 2 } end
    for i = 20, 328 do list[i] = { 2, 2 } end
    local n = evaluate.numbers(predictions(list), classes)
    local traps = evaluate.traps(n, { ["COVID-19"] = 92, Normal = 1541 }, classes)
    assert.equal("Accuracy trap: accuracy is 0.94, yet not one of 19 COVID-19 images was recognised (recall 0.00). "
      .. "Always answering 'Normal' would score 0.94.", traps[1])
    assert.truthy(table.concat(traps, " "):find("out of balance (1541 against 92 images)", 1, true))
    n = evaluate.numbers(predictions { { 1, 2 }, { 1, 1 }, { 2, 1 }, { 2, 2 } }, classes)
    assert.equal("Accuracy 0.50 is no better than always answering 'COVID-19' (0.50).",
      evaluate.traps(n, { ["COVID-19"] = 2, Normal = 2 }, classes)[1])
  end)

  it("says nothing where there is nothing to say, and warns of perfection", function()
    local n = evaluate.numbers(predictions { { 1, 1 }, { 1, 2 }, { 2, 2 }, { 2, 2 } }, classes)
    assert.same({}, setmetatable(evaluate.traps(n, { ["COVID-19"] = 2, Normal = 2 }, classes), nil))
    n = evaluate.numbers(predictions { { 1, 1 }, { 2, 2 } }, classes)
    assert.truthy(evaluate.traps(n, { ["COVID-19"] = 1, Normal = 1 }, classes)[1]:find("No mistake in 2 images"))
  end)

  it("survives a class without samples", function()
    local n = evaluate.numbers(predictions { { 2, 2 }, { 2, 1 } }, classes)
    assert.is_true(n.auc.value ~= n.auc.value)
    assert.truthy(luma.json.encode(n):find('"value": null', 1, true))
    assert.truthy(evaluate.traps(n, {}, classes)[1]:find("No test image is COVID-19", 1, true))
  end)
end)

describe("the folder of a run", function()
  it("is locked, refuses a second run, and is bound to settings and inputs", function()
    local top = tmpdir()
    local dir = files.join(top, "run")
    local config = { seed = 1 }
    local state = State.create("x", dir, config)
    assert.same(config, luma.json.decode(files.read(files.join(dir, "config.json"))))
    local ok, message = pcall(State.open, dir)
    assert.is_false(ok)
    assert.truthy(message:find "in use by another run %(process %d+%)", message)
    state:bind "abc"
    local x <close> = luma.tensor { 1, 2, 3 }
    state:save("part", { x = x }, { epoch = 3 })
    state:close()

    ok, message = pcall(State.create, "x", dir, config)
    assert.is_false(ok)
    assert.truthy(message:find("already holds a run", 1, true))

    local again = State.open(dir)
    again:bind "abc"
    local tensors, info = again:load "part"
    assert.same({ 1, 2, 3 }, tensors.x:totable())
    assert.equal(3, info.epoch)
    assert.is_nil((again:load "absent"))
    tensors.x:close()
    again.digest = "other"
    assert.error_matches(function() again:load "part" end, "belongs to a run with other settings")
    assert.error_matches(function() again:bind "other" end, "changed since this run began")
    again.digest = "abc"
    again:finish()
    assert.is_false(files.exists(files.join(dir, "state")))
    remove_all(top)
  end)

  it("says what is wrong with a folder that is no run", function()
    local top = tmpdir()
    assert.error_matches(function() State.open(files.join(top, "no")) end, "no such folder")
    assert.error_matches(function() State.open(top) end, "no run here")
    assert(files.write_atomic(files.join(top, "config.json"), "{"))
    assert.error_matches(function() State.open(top) end, "config.json: not JSON")
    remove_all(top)
  end)
end)
