-- The main job from end to end, on few phantoms.
local luma = require "luma"
local run = require "luma.study.covid.run"
local files, json, system = luma.files, luma.json, luma.core.system

local folder = require "support.folder"

local top -- made when the specs run: they may all be left out
local function at(...) return files.join(top, ...) end

local function shell(command)
  local out = os.tmpname()
  local _, _, code = os.execute(("%s >%s 2>&1 </dev/null"):format(command, out))
  local text = assert(files.read(out))
  os.remove(out)
  return code, text
end

local function quiet() end
local function read(...) return assert(files.read(at(...))) end

-- One run for all that only look at it.
local function first_run()
  if files.exists(at "first") then return end
  local code, text = shell(("scripts/luma covid --phantoms 24 --epochs 5 --out %s"):format(at "first"))
  assert.equal(0, code, text)
  assert(files.write_atomic(at "first.txt", text))
end

local function on_phantoms(out, more)
  local args = { data = at("first", "data", "prepared"), metadata = at("first", "data", "raw", "metadata.csv"),
    epochs = "6", out = at(out) }
  for key, value in pairs(more or {}) do args[key] = value end
  return args
end

describe("luma covid #slow", function()
  lazy_setup(function()
    top = folder.new()
    first_run()
  end)
  lazy_teardown(function() folder.remove(top) end)

  it("says on its first line that the data is generated", function()
    local first = read "first.txt":match "[^\n]*"
    assert.truthy(first:find("^Generated data: 24 phantom radiographs, no patient's image"))
  end)

  it("leaves every file it promises", function()
    for _, name in ipairs { "config.json", "metrics.json", "history.csv", "predictions.csv", "report.txt",
      "report.html", "head.safetensors", "plots/accuracy.png", "plots/loss.png", "plots/confusion.png",
      "sheets/normal.png", "sheets/opacity_raw.png" } do
      assert.is_true(files.is_file(at("first", name)), name)
    end
    assert.is_false(files.exists(at("first", "state")))
  end)

  it("keeps the contract of metrics.json", function()
    local m = assert(json.decode(read("first", "metrics.json")))
    assert.same({ "Normal", "opacity" }, m.classes)
    for _, key in ipairs { "train", "val", "test", "shared_patients" } do
      assert.equal("integer", math.type(m.split[key]), key)
    end
    assert.equal(24, m.split.train + m.split.val + m.split.test)
    for _, key in ipairs { "accuracy", "auc" } do
      assert.is_true(m[key].lo <= m[key].value and m[key].value <= m[key].hi, key)
    end
    assert.is_number(m.f1.Normal)
    assert.is_number(m.f1.opacity)
    assert.is_number(m.f1.macro)
    assert.equal(m.split.test, m.confusion[1][1] + m.confusion[1][2] + m.confusion[2][1] + m.confusion[2][2])
    for _, key in ipairs { "prepare", "features", "train", "total" } do assert.is_number(m.seconds[key], key) end
    assert.is_number(m.features.images)
    assert.is_number(m.features.per_second)
    assert.same({ 7, "tiny", "embedded", false }, { m.seed, m.base, m.weights, m.faithful })
    assert.equal(luma.threads(), m.threads)
    assert.is_string(m.scale)
    assert.truthy(read "first.txt":find(m.report, 1, true), "the report is printed as it is stored")
  end)

  it("has one prediction a test image and one line an epoch", function()
    local m = json.decode(read("first", "metrics.json"))
    local rows = assert(luma.data.csv.read(at("first", "predictions.csv")))
    assert.equal(m.split.test, #rows)
    for _, row in ipairs(rows) do
      assert.is_true(math.abs(tonumber(row.p_Normal) + tonumber(row.p_opacity) - 1) < 1e-5)
    end
    assert.equal(5, #assert(luma.data.csv.read(at("first", "history.csv"))))
  end)

  it("writes a report that stands alone", function()
    local page = read("first", "report.html")
    for _, words in ipairs { "Not for clinical use", "The data of this run is generated", "0.82", "0.95",
      "Classification report", "<svg", "data:image/png;base64," } do
      assert.truthy(page:find(words, 1, true), words)
    end
    assert.falsy(page:find("<script", 1, true))
    assert.falsy(page:find('src="[^d]'))
    assert.falsy(page:lower():find("[^%w]nan[^%w]"))
    assert.truthy(read("first", "report.txt"):find("weighted avg", 1, true))
  end)

  it("predicts from files as it did in the run, raw or prepared", function()
    local rows = assert(luma.data.csv.read(at("first", "predictions.csv")))
    local raw = at("first", "data", "raw", "images", (rows[1].file:gsub("%.jpg$", "")))
    local code, text = shell(("scripts/luma predict --json --model %s %s %s"):format(at "first", rows[1].path, raw))
    assert.equal(0, code, text)
    local n = 0
    for line in text:gmatch "[^\n]+" do
      local answer = json.decode(line)
      if answer then
        n = n + 1
        assert.equal(rows[1].predicted, answer.class)
        assert.is_true(math.abs(answer.probabilities.Normal - tonumber(rows[1].p_Normal)) < 1e-5)
        assert.equal(n == 2, answer.prepared_here)
      end
    end
    assert.equal(2, n)
    code, text = shell(("scripts/luma predict --model %s /nowhere.jpg README.md"):format(at "first"))
    assert.equal(1, code)
    assert.truthy(text:find("luma predict: /nowhere.jpg: ", 1, true))
    assert.truthy(text:find("luma predict: README.md: neither PNG nor JPEG", 1, true))
  end)

  it("makes its report again", function()
    local before = read("first", "report.txt")
    files.remove(at("first", "report.txt"))
    local code = shell("scripts/luma report " .. at "first")
    assert.equal(0, code)
    assert.equal(before, read("first", "report.txt"))
  end)

  it("gives the same numbers again, and on one thread", function()
    local threads = luma.threads()
    assert.equal(0, run.start(on_phantoms("again"), quiet))
    assert.equal(0, run.start(on_phantoms("one", { threads = "1" }), quiet))
    luma.threads(threads)
    for _, name in ipairs { "predictions.csv", "history.csv", "head.safetensors" } do
      assert.equal(read("again", name), read("one", name), name)
    end
  end)

  it("is interrupted in every phase and ends as if it had not been", function()
    assert.equal(0, run.start(on_phantoms("whole", { folds = "2", batch = "4" }), quiet))
    -- in features
    local code = run.start(on_phantoms("cut", { folds = "2", batch = "4" }), function(line)
      if line:match "^base " then system.interrupt_set() end
    end)
    assert.equal(130, code)
    -- in training, twice: in the middle of an epoch of the first fold, then of the second
    local fit, batches = luma.train.fit, 0
    for _, stop in ipairs { 7, 25 } do
      luma.train.fit = function(o)
        o.on_batch = function()
          batches = batches + 1
          if batches == stop then system.interrupt_set() end
        end
        return fit(o)
      end
      assert.equal(130, run.resume(at "cut", quiet))
    end
    luma.train.fit = fit
    assert.is_true(batches >= 25)
    assert.equal(0, run.resume(at "cut", quiet))
    for _, name in ipairs { "predictions.csv", "history.csv", "head.safetensors" } do
      assert.equal(read("whole", name), read("cut", name), name)
    end
    local m = json.decode(read("cut", "metrics.json"))
    assert.equal(2, #m.folds)
    assert.equal(24, m.n)
    assert.equal(24, m.folds[1].split.test + m.folds[2].split.test)
  end)

  it("writes the report of a run that ended between its numbers and its report", function()
    local report = require "luma.study.report.run"
    local write = report.write
    report.write = function() error("the disk is full", 0) end
    local ok, message = pcall(run.start, on_phantoms "late", quiet)
    assert.is_false(ok)
    assert.equal(("the disk is full (the training is kept: luma resume %s)"):format(at "late"), message)
    report.write = function() system.interrupt_set() error(luma.core.interrupt, 0) end
    assert.equal(130, run.resume(at "late", quiet))
    report.write = write
    assert.is_true(files.exists(at("late", "metrics.json")))
    assert.is_false(files.exists(at("late", "report.html")))
    assert.equal(0, run.resume(at "late", quiet))
    assert.is_true(files.exists(at("late", "report.html")))
    assert.is_false(files.exists(at("late", "state")))
    assert.equal(read("again", "predictions.csv"), read("late", "predictions.csv"))
    -- killed while the state was being removed
    assert(files.mkdir_p(at("late", "state")))
    assert(files.write_atomic(at("late", "state", "fold-0.safetensors"), "left"))
    assert.equal(0, run.resume(at "late", quiet))
    assert.is_false(files.exists(at("late", "state")))
  end)

  it("keeps features from time to time, for a run that is killed outright", function()
    local Features = require "luma.study.covid.features"
    local every, save, kept = Features.keep_every, Features.save, 0
    Features.keep_every = 0
    Features.save = function(self, state)
      save(self, state)
      kept = kept + 1
      assert(files.exists(state:path("state", "features.safetensors")))
    end
    local code = run.start(on_phantoms "often", quiet)
    Features.keep_every, Features.save = every, save
    assert.equal(0, code)
    assert.is_true(kept >= 5, kept)
    assert.equal(read("again", "predictions.csv"), read("often", "predictions.csv"))
  end)

  it("refuses to go on with other inputs", function()
    assert.equal(130, run.start(on_phantoms("changed"), function(line)
      if line:match "^base " then system.interrupt_set() end
    end))
    local config = read("changed", "config.json")
    assert(files.write_atomic(at("changed", "config.json"), (config:gsub('"epochs": 6', '"epochs": 9'))))
    assert.error_matches(function() run.resume(at "changed", quiet) end, "changed since this run began")
    for bad, words in pairs { ["{"] = "not JSON", ["[]"] = "not the settings of a run", ["{}"] = "must be a",
      [config:gsub('"data": "[^"]*"', '"data": "/nowhere"')] = "/nowhere: no such file or folder" } do
      assert(files.write_atomic(at("changed", "config.json"), bad))
      assert.error_matches(function() run.resume(at "changed", quiet) end, words, 1, true)
    end
  end)

  it("takes the article's choices when faithful, and says so", function()
    local lines = {}
    assert.equal(0, run.start(on_phantoms("faithful", { faithful = true }), function(s) lines[#lines + 1] = s end))
    local m = json.decode(read("faithful", "metrics.json"))
    assert.is_true(m.faithful)
    assert.equal("unit", m.scale)
    assert.equal(m.split.test, m.split.val)
    assert.truthy(table.concat(lines, "\n"):find("the test set serves as validation", 1, true))
  end)

  it("makes fresh views in the article's preset", function()
    assert.equal(0, run.start(on_phantoms("article", { preset = "article", epochs = "2" }), quiet))
    local m = json.decode(read("article", "metrics.json"))
    assert.equal(24, m.features.images)
    assert.equal(2, #luma.data.csv.read(at("article", "history.csv")))
  end)

  it("answers bad input in one line and leaves nothing behind", function()
    local function fails(args, words)
      -- Two images of one drawn patient are one drawing, tilted: without patients that is a leak, another fault.
      local code, text = shell(("scripts/luma covid --allow-leak --out %s %s"):format(at "bad", args))
      assert.equal(1, code, args)
      local last = text:match "([^\n]*)\n$"
      assert.truthy(last:find("^luma covid: ") and last:find(words, 1, true), text)
      assert.falsy(text:find("stack traceback", 1, true))
      assert.is_false(files.exists(at "bad"), args)
    end
    local data, prepared = at "data", at("first", "data", "prepared")
    fails("--data /nowhere", "--data: /nowhere: no such folder")
    fails("--data " .. prepared .. " --normals 0", "--normals must be a whole number from 1 on, got '0'")
    fails("--data " .. prepared .. " --weights README.md", "README.md: ")
    os.execute(("cp -r %s %s"):format(prepared, data))
    local covid = at("data", "covid_dataset.csv")
    local table_text = assert(files.read(covid))
    local victim = at("data", "covid_adjusted", (table_text:match "0,([^,\n]*),opacity"))
    local picture = assert(files.read(victim))
    assert(files.write_atomic(victim, "this is text"))
    fails("--data " .. data, "neither PNG nor JPEG")
    assert(files.write_atomic(victim, picture:sub(1, 2000)))
    fails("--data " .. data, "premature end")
    assert(files.write_atomic(victim, picture))
    assert(files.write_atomic(covid, (table_text:gsub("finding", "found"))))
    fails("--data " .. data, "no column 'finding'")
    assert(files.write_atomic(covid, (table_text:gsub("opacity", "Normal"))))
    fails("--data " .. data, "2 classes needed, found 1 (only Normal)")
    files.remove(covid)
    fails("--data " .. data, "covid_dataset.csv: no such file")
  end)
end)
