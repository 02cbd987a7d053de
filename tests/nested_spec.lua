-- Nested cross-validation and what hangs on it: the grid, the choice, threshold
-- and temperature, looks at a test set, and the run itself on phantoms.
local luma = require "luma"
local evaluate = require "luma.study.covid.evaluate"
local grid = require "luma.study.covid.grid"
local judge = require "luma.study.covid.judge"
local looks = require "luma.study.covid.looks"
local settings = require "luma.study.covid.options"
local files = luma.files

local folder = require "support.folder"
local tmpdir, remove_all = folder.new, folder.remove

describe("the grid", function()
  it("is every combination, the last name fastest", function()
    assert.same({ { rate = 1e-3, dropout = 0.3 }, { rate = 1e-3, dropout = 0.5 }, { rate = 1e-4, dropout = 0.3 },
      { rate = 1e-4, dropout = 0.5 } }, grid.parse "rate=1e-3, 1e-4; dropout=0.3,0.5")
    assert.same({ { epochs = 30 } }, grid.parse "epochs=30,30")
    assert.equal("rate 0.001, epochs 30, l2 0.5", grid.words { l2 = 0.5, epochs = 30, rate = 1e-3 })
  end)

  it("answers every mistake in one line", function()
    local function fails(args, words)
      local ok, message = pcall(settings.resolve, args)
      assert.is_false(ok)
      assert.equal(words, message)
    end
    local names = "(names: rate, dropout, epochs, l2; c for --head logistic)"
    fails({ grid = "speed=3" }, "--grid: 'speed=3' is not NAME=VALUE,... " .. names)
    fails({ grid = "rate" }, "--grid: 'rate' is not NAME=VALUE,... " .. names)
    fails({ grid = "" }, "--grid: nothing to choose from " .. names)
    fails({ grid = "rate=" }, "--grid: rate has no value")
    fails({ grid = "rate=1e-3,fast" }, "--grid: rate must be a number above 0 up to 10, got 'fast'")
    fails({ grid = "rate=0" }, "--grid: rate must be a number above 0 up to 10, got '0'")
    fails({ grid = "epochs=1.5" }, "--grid: epochs must be a whole number from 1 up to 1e+06, got '1.5'")
    fails({ grid = "dropout=1" }, "--grid: dropout must be a number from 0 up to 0.99, got '1'")
    fails({ grid = "rate=nan" }, "--grid: rate must be a number above 0 up to 10, got 'nan'")
    fails({ grid = "rate=1;rate=2" }, "--grid: rate is given twice")
    fails({ grid = "rate=1", faithful = true },
      "--grid chooses without the test part, which --faithful uses as validation: give one of them")
    fails({ grid = "rate=1", preset = "article" }, "--grid needs kept features: --preset quick or standard")
    fails({ inner = "3" }, "--inner goes with --grid")
    fails({ prevalence = "1" }, "--prevalence must be a number between 0 and 1, got '1'")
    fails({ sensitivity = "95" }, "--sensitivity must be a number between 0 and 1, got '95'")
    fails({ classes = "A,B" }, "--classes goes with --data DIR")
    fails({ data = "tests", classes = "COVID-19," },
      "--classes must name two or more, with commas between, got 'COVID-19,'")
    local many = {}
    for i = 1, 300 do many[i] = i end
    fails({ grid = "epochs=" .. table.concat(many, ",") }, "--grid: more than 256 combinations")
  end)
end)

describe("what validation images decide", function()
  local truth = { 1, 1, 1, 2, 2, 2 }
  local p = { { 0.9, 0.1 }, { 0.8, 0.2 }, { 0.3, 0.7 }, { 0.4, 0.6 }, { 0.35, 0.65 }, { 0.1, 0.9 } }

  it("Youden's threshold, or the highest that finds the stated share", function()
    local made = judge.make(truth, p, { classes = 2, positive = 1, from = "here" })
    assert.equal(0.8, made.threshold)
    assert.same({ 6, "here", "Youden" }, { made.n, made.from, made.rule })
    assert.near(luma.metrics.temperature(truth, p), made.temperature, 0)
    assert.equal(0.3, judge.make(truth, p, { classes = 2, positive = 1, sensitivity = 0.9 }).threshold)
    local one = { { p = { 0.79, 0.21 } }, { p = { 0.8, 0.2 } } }
    judge.apply(made, one)
    assert.same({ 2, 1 }, { one[1].decided, one[2].decided })
    assert.near(1, one[1].tempered[1] + one[1].tempered[2], 1e-12)
  end)

  it("the positive class is the one that is not normal", function()
    assert.equal(1, evaluate.positive { "COVID-19", "Normal" })
    assert.equal(2, evaluate.positive { "Normal", "opacity" })
    local made = judge.make(truth, p, { classes = 2, positive = 2 })
    local one = { { p = { 0.4, 0.6 } }, { p = { 0.45, 0.55 } } }
    judge.apply(made, one)
    assert.equal(0.6, made.threshold)
    assert.same({ 2, 1 }, { one[1].decided, one[2].decided })
  end)

  it("nothing where they show one class, and no threshold for three", function()
    assert.is_nil(judge.make({ 1, 1 }, { { 0.9, 0.1 }, { 0.8, 0.2 } }, { classes = 2, positive = 1 }))
    local made = judge.make({ 1, 2, 3 }, { { 0.5, 0.3, 0.2 }, { 0.4, 0.4, 0.2 }, { 0.2, 0.2, 0.6 } },
      { classes = 3, positive = 1 })
    assert.is_nil(made.threshold)
    assert.is_number(made.temperature)
  end)
end)

describe("looks at a test set", function()
  it("count the runs beside it, each once", function()
    local top = tmpdir()
    local function state(name)
      local dir = files.join(top, name)
      assert(files.mkdir_p(dir))
      return { dir = dir, write = function(_, file, bytes)
        assert(files.write_atomic(files.join(dir, file), bytes))
      end }
    end
    local image = files.join(top, "x.png")
    assert(files.write_atomic(image, "bytes"))
    local a, b = { path = image, class = "A" }, { path = image, class = "B" }
    local both = looks.digest { a, b }
    assert.equal(both, looks.digest { b, a })
    assert.not_equal(both, looks.digest { a })
    assert.equal(1, looks.note(state "one", both).count)
    assert.equal(1, looks.note(state "one", both).count)
    assert.equal(2, looks.note(state "two", both).count)
    assert.equal(1, looks.note(state "three", looks.digest { a }).count)
    assert.equal(3, looks.note(state "four", both).count)
    assert.truthy(looks.words { count = 3 }:find("Look number 3", 1, true))
    assert.truthy(looks.words { count = 1 }:find("first look", 1, true))
    remove_all(top)
  end)
end)

describe("a nested run on phantoms #slow", function()
  local function covid(args, dir)
    for key, v in pairs { phantoms = "36", seed = "3" } do args[key] = args[key] or v end
    args.out = dir
    assert.equal(0, require("luma.study.covid.run").start(args, function() end))
    return luma.json.decode(assert(files.read(files.join(dir, "metrics.json"))))
  end

  it("chooses inside each training part, reports it, and resumes to the same numbers", function()
    local top = tmpdir()
    local args = { folds = "3", grid = "rate=1e-3,1e-4;epochs=2,4", inner = "2", epochs = "3", prevalence = "0.1" }
    local m = covid(args, files.join(top, "a"))
    assert.equal(3, #m.folds)
    for _, f in ipairs(m.folds) do
      assert.equal(4, #f.tried)
      local least = f.tried[1]
      for _, one in ipairs(f.tried) do
        if one.log_loss < least.log_loss then least = one end
      end
      assert.same(least.setting, f.chosen)
    end
    assert.equal(36, m.details.n)
    assert.is_true(m.details.mcc.lo <= m.details.mcc.value and m.details.mcc.value <= m.details.mcc.hi)
    assert.equal(0.1, m.details.diagnostic[1].prevalence)
    assert.equal(3, #m.details.judged.judges)
    assert.equal("inner folds", m.details.judged.judges[1].from)
    assert.equal(1, m.looks.count)
    assert.equal(m.accuracy.value, m.details.accuracy.value)
    local page = assert(files.read(files.join(top, "a", "report.html")))
    for _, words in ipairs { "Nested cross-validation", "Matthews", "Where the model looks", "PPV at 10 %",
      "First look", "too few" } do
      assert.truthy(page:lower():find(words:lower(), 1, true), words)
    end

    -- The same again, stopped after the second training of a choice and continued.
    local head = require "luma.study.covid.head"
    local train, calls = head.train, 0
    head.train = function(task)
      calls = calls + 1
      if calls == 6 then error(luma.core.interrupt, 0) end
      return train(task)
    end
    args.out = files.join(top, "b")
    local code = require("luma.study.covid.run").start(args, function() end)
    head.train = train
    assert.equal(130, code)
    assert.is_true(files.exists(files.join(top, "b", "state", "choice-1.safetensors")))
    assert.equal(0, require("luma.study.covid.run").resume(args.out, function() end))
    local again = luma.json.decode(assert(files.read(files.join(args.out, "metrics.json"))))
    for _, key in ipairs { "folds", "details", "heat", "chosen", "tried", "confusion", "auc" } do
      assert.same(m[key], again[key])
    end
    remove_all(top)
  end)

  it("findings of the covid-chestxray collection, prepared and grouped by patient", function()
    local dir = "../shared/data/covid-chestxray"
    if not files.is_dir(dir) then return pending(dir .. " absent") end
    local top = tmpdir()
    local out = files.join(top, "run")
    local run = require("luma.study.covid.run")
    assert.error_matches(function() run.start({ data = dir, out = out }, function() end) end,
      "name the findings to tell apart, e.g. --classes COVID-19,SARS", nil, true)
    assert.error_matches(function()
      run.start({ data = dir, classes = "A,B", out = files.join(top, "other") }, function() end)
    end, "no frontal radiograph has the finding 'A'", nil, true)
    -- One radiograph is published there under two patients, cropped differently: no split by patient helps.
    local args = { data = dir, classes = "COVID-19,SARS,Streptococcus", folds = "2", epochs = "3" }
    assert.error_matches(function() covid(args, files.join(top, "refused")) end, "copies %(pneumonia%-7.jpg = strep")
    args.allow_leak = true
    local m = covid(args, files.join(top, "run2"))
    assert.matches("pneumonia%-7.jpg = strep.*the score flatters", m.audit.warning)
    assert.same({ "COVID-19", "SARS", "Streptococcus" }, { table.unpack(m.classes) })
    assert.equal(m.n, m.details.n)
    assert.equal(0, m.split.shared_patients)
    assert.is_number(m.data.classes[1].patients)
    assert.equal("validation part", (m.details.judged or { judges = { { from = "validation part" } } }).judges[1].from)
    remove_all(top)
  end)

  it("three classes train and report as two do", function()
    local top = tmpdir()
    local raw = files.join(top, "raw")
    local drawn = assert(luma.data.phantom { dir = raw, count = 36, seed = 5, size = 128,
      classes = { "Normal", "opacity", "effusion" } })
    for _, row in ipairs(drawn) do
      local dir = files.join(top, "sets", row.class)
      assert(files.mkdir_p(dir))
      assert(files.write_atomic(files.join(dir, files.basename(row.path)), assert(files.read(row.path))))
    end
    local m = covid({ data = files.join(top, "sets"), folds = "2", grid = "epochs=2,4", inner = "2",
      allow_leak = true },
      files.join(top, "run"))
    assert.equal(3, #m.classes)
    assert.equal(3, #m.confusion)
    assert.equal(3, #m.details.diagnostic)
    assert.truthy(m.auc.method:find("macro", 1, true))
    assert.is_nil(m.details.judged.threshold)
    assert.is_number(m.details.judged.tempered.brier.value)
    assert.equal(3, #m.heat.classes)
    local page = assert(files.read(files.join(top, "run", "report.html")))
    for _, class in ipairs(m.classes) do assert.truthy(page:find(class, 1, true)) end
    remove_all(top)
  end)
end)
