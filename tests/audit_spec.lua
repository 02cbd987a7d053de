local luma = require "luma"
local folder = require "support.folder"
local audit, data, files, json = luma.audit, luma.data, luma.files, luma.json

local function in_folder(body)
  local dir = folder.new()
  local ok, err = pcall(body, dir)
  folder.remove(dir)
  if not ok then error(err, 0) end
end

local function quiet() -- a meter that draws nothing
  return setmetatable({ add = function() end, done = function() end }, { __close = function() end })
end

local function run(index, opts)
  opts = opts or {}
  opts.meter, opts.folds = quiet, opts.folds or 3
  return audit.run(index, opts)
end

-- A gray image that is noise of its own, smooth enough for a perceptual hash.
local function picture(seed, height, width)
  local coarse = {}
  local rng = luma.rng(seed)
  for i = 1, 36 do coarse[i] = rng:uniform(70, 255) end
  local x = luma.tensor(coarse):reshape(6, 6, 1)
  return luma.image.resize(x, height, width):to "u8"
end

local function save(path, x, opts)
  assert(files.mkdir_p(files.dirname(path)))
  assert(luma.image.save(path, x, opts))
end

local function shortcut(result, name)
  for _, s in ipairs(result.shortcuts) do
    if s.name == name then return s end
  end
end

describe("an audit of phantoms", function()
  it("catches the planted bars, and after preparation shows them gone", function()
    in_folder(function(dir)
      assert(data.phantom { dir = dir .. "/raw", count = 60, size = 256, seed = 5 })
      local result = assert(run(assert(audit.open(dir .. "/raw"))))
      local bars = result.bars
      assert.is_true(bars.before.Normal.value > 0.8, bars.sentence)
      assert.is_true(bars.before.opacity.value < 0.4, bars.sentence)
      assert.is_true(bars.before.Normal.lo > bars.before.opacity.hi)
      assert.equal(0, bars.after.Normal.count)
      assert.equal(0, bars.after.opacity.count)
      assert.is_true(shortcut(result, "black_bars").above_chance)
      assert.is_true(shortcut(result, "border").above_chance)
      assert.is_true(shortcut(result, "border").auc.value > 0.8)
      assert.is_true(result.patients.multi_image > 0)
      assert.is_true(result.leakage.random_split.leaks > 0.9)
      assert.matches("keep the images of a patient together", result.leakage.sentence)

      -- The same images prepared: the scanner finds nothing, the counter no longer tells.
      local rows = {}
      for i, row in ipairs(assert(audit.open(dir .. "/raw"))) do
        rows[i] = { path = row.path, name = row.name, class = row.class, line = i, listed = row.name,
          to = row.class .. "/" .. row.name, table = row.class }
      end
      luma.prepare.run(rows, dir .. "/prepared", { name = "phantoms", progress = quiet })
      local after = assert(run(assert(audit.open(dir .. "/prepared"))))
      assert.equal(60, after.images)
      assert.equal(0, after.bars.before.Normal.count)
      assert.equal(0, after.bars.before.opacity.count)
      local counter = shortcut(after, "black_bars")
      assert.is_true(not counter or not counter.above_chance, counter and counter.sentence)
    end)
  end)
end)

describe("copies", function()
  it("are found whatever their file, size and compression, and only they", function()
    in_folder(function(dir)
      for i = 1, 12 do save(("%s/%s/%02d.png"):format(dir, i % 2 == 0 and "a" or "b", i), picture(i, 96, 80)) end
      local x = picture(1, 96, 80)
      save(dir .. "/a/copy.png", x:expand(96, 80, 3):contiguous()) -- gray as RGB: the same pixels, another class
      save(dir .. "/b/smaller.jpg", luma.image.resize(x, 72, 60, { method = "area" }), { quality = 60 })
      local result = assert(run(assert(audit.open(dir))))
      local seen = {}
      for k, pair in ipairs(result.duplicates) do
        seen[k] = ("%s %s %s %s"):format(pair.kind, pair.a, pair.b, pair.same_class)
        assert.is_true(pair.correlation >= 0.99)
        assert.is_false(pair.same_patient)
      end
      table.sort(seen)
      assert.same({ "exact copy.png 01.png false", "near copy.png smaller.jpg false" }, seen)
      assert.matches("2 pairs", audit.text(result))
      local alone = audit.copies(assert(audit.open(dir)))
      assert.equal(#result.duplicates, #alone)
      for k, pair in ipairs(alone) do assert.equal(result.duplicates[k].correlation, pair.correlation) end
    end)
  end)

  it("and patients that parts share are counted", function()
    in_folder(function(dir)
      for i = 1, 12 do
        save(("%s/%s/%s/person%d_x_%d.png"):format(dir, i % 3 == 0 and "test" or "train", i % 2 == 0 and "a" or "b",
          i % 3 == 0 and 1 or i, i), picture(i, 64, 64))
      end
      save(dir .. "/test/a/person99_x_1.png", picture(2, 64, 64))
      local result = assert(run(assert(audit.open(dir))))
      assert.same({ "test", "train" }, result.leakage.parts)
      assert.equal(1, result.leakage.shared_patients)
      assert.equal(1, result.leakage.shared_duplicates)
      assert.matches("flatters", result.leakage.sentence)
    end)
  end)

  it("stay in one fold with everything that is tied to them", function()
    local index = data.Index({
      { path = "1", class = "a", patient = "p" }, { path = "2", class = "a" }, { path = "3", class = "b" },
      { path = "4", class = "b", patient = "p" }, { path = "5", class = "b" },
    })
    local keys = audit.duplicates.together(index, { { i = 2, j = 4 } })
    assert.equal(keys[1], keys[4])
    assert.equal(keys[2], keys[4])
    assert.not_equal(keys[3], keys[5])
    assert.not_equal(keys[3], keys[1])
  end)
end)

describe("an audit", function()
  it("keeps its contract in audit.json and writes a page without foreign parts", function()
    in_folder(function(dir)
      for i = 1, 12 do save(("%s/set/%s/%02d.png"):format(dir, i <= 6 and "a" or "b", i), picture(i, 64, 64)) end
      assert(files.write_atomic(dir .. "/set/a/bad.png", "no image"))
      local result = assert(run(assert(audit.open(dir .. "/set"))))
      assert(audit.save(result, dir .. "/out"))
      local got = assert(json.decode(assert(files.read(dir .. "/out/audit.json"))))
      assert.equal(12, got.images)
      assert.same({ "a", "b" }, got.classes)
      assert.same({ known = 0, multi_image = 0, images = 0 }, got.patients)
      assert.equal(0.5, got.imbalance.majority_accuracy)
      assert.equal(0, got.leakage.shared_patients)
      assert.equal(0, got.leakage.shared_duplicates)
      assert.equal(1, #got.unread)
      assert.equal("bad.png", got.unread[1].name)
      assert.equal(0, got.bars.before.a.value)
      assert.equal(0, got.bars.after.b.value)
      assert.is_true(#got.shortcuts >= 5 and #got.pipeline >= 5)
      local last = 2
      for _, s in ipairs(got.shortcuts) do
        for _, key in ipairs { "name", "model", "sentence" } do assert.equal("string", type(s[key])) end
        for _, v in ipairs { s.auc, s.accuracy } do assert.is_true(v.lo <= v.value and v.value <= v.hi) end
        assert.equal(s.auc.lo > 0.5, s.above_chance)
        assert.is_true(s.auc.value <= last)
        last = s.auc.value
      end
      local page = assert(files.read(dir .. "/out/audit.html"))
      assert.is_nil(page:find "src=\"http")
      assert.is_nil(page:find "<script")
      assert.is_truthy(files.exists(dir .. "/out/audit.png"))
    end)
  end)

  it("reads a table with any of the usual columns, and names what is wrong with it", function()
    in_folder(function(dir)
      for i = 1, 24 do save(("%s/%02d.png"):format(dir, i), picture(i, 64, 64)) end
      local lines = { "Image,Label,subject_id,age" }
      for i = 1, 24 do lines[#lines + 1] = ("%02d.png,%s,%d,%s"):format(i, i <= 12 and "ill" or "well", i // 2,
        i <= 12 and 40 + i or "") end
      assert(files.write_atomic(dir .. "/t.csv", table.concat(lines, "\n")))
      local result = assert(run(assert(audit.open(dir .. "/t.csv"))))
      assert.same({ "ill", "well" }, result.classes)
      assert.equal(13, result.patients.known)
      assert.equal(11, result.patients.multi_image)
      local age = shortcut(result, "metadata_age")
      assert.is_true(age.above_chance)
      assert.equal("The age is known for 12 of 12 ill and 0 of 12 well: its absence alone gives the class away.",
        age.sentence)

      local function fails(text, pattern)
        assert(files.write_atomic(dir .. "/bad.csv", text))
        local index, message = audit.open(dir .. "/bad.csv")
        assert.is_nil(index)
        assert.matches(pattern, message)
      end
      fails("a,b\n1,2", "no column for the image files")
      fails("path,b\n01.png,2", "no column for the class")
      fails("path,class\n../x.png,a", "line 2: unsafe file name")
      fails("path,class\n01.png,a\n01.png,b", "line 3: '01.png' is b here and a in line 2")
      fails("path,class\nno.png,a", "none of the 1 images")
      local index, message = audit.open(dir .. "/nothing")
      assert.is_nil(index)
      assert.matches("no such file or folder", message)
    end)
  end)

  it("says what it cannot measure instead of failing", function()
    in_folder(function(dir)
      for i = 1, 6 do save(("%s/only/%02d.png"):format(dir, i), picture(i, 64, 64)) end
      local result = assert(run(assert(audit.open(dir))))
      assert.same({}, result.shortcuts)
      assert.matches("not measured", audit.text(result))
      os.execute("rm " .. dir .. "/only/*.png")
      assert(files.write_atomic(dir .. "/only/bad.png", "no image"))
      local none, message, code = run(assert(audit.open(dir)))
      assert.is_nil(none)
      assert.matches("no image could be read", message)
      assert.equal("data", code)
    end)
  end)

  it("asks a sample of many images about shortcuts, patients whole, and counts the rest on all", function()
    in_folder(function(dir)
      local lines = { "file,class,patient" }
      for i = 1, 240 do
        save(("%s/%03d.png"):format(dir, i), picture(i, 32, 32))
        lines[#lines + 1] = ("%03d.png,%s,%d"):format(i, i <= 120 and "a" or "b", i // 2)
      end
      assert(files.write_atomic(dir .. "/t.csv", table.concat(lines, "\n")))
      local result = assert(run(assert(audit.open(dir .. "/t.csv")), { sample = 20, folds = 2 }))
      assert.equal(240, result.images)
      local n = tonumber(audit.text(result):match "measured on (%d+) of 240")
      assert.is_true(n >= 200 and n <= 204, tostring(n))
      assert.equal(120, result.bars.before.a.n)
    end)
  end)

  it("gives the same numbers on one and two threads", function()
    in_folder(function(dir)
      for i = 1, 12 do save(("%s/%s/%02d.png"):format(dir, i <= 6 and "a" or "b", i), picture(i, 64, 64)) end
      local before, out = luma.threads(), {}
      for n = 1, 2 do
        luma.threads(n)
        out[n] = json.encode(audit.contract(assert(run(assert(audit.open(dir))))))
      end
      luma.threads(before)
      assert.equal(out[1], out[2])
    end)
  end)
end)

describe("the audit beside a run", function()
  local beside = require "luma.study.covid.audit"

  it("refuses a split that tears copies apart, unless told", function()
    local rows = {}
    for i = 1, 6 do rows[i] = { path = tostring(i), class = i <= 3 and "a" or "b" } end
    local index = data.Index(rows)
    local seen = { index = index, at = { 1, 2, 3, 4, 5, 6 }, duplicates = { { i = 1, j = 4, a = "one.png",
      b = "four.png" }, { i = 2, j = 3, a = "x", b = "y" } } }
    local torn = beside.leakage({ { train = { 1, 2, 3 }, val = { 5 }, test = { 4, 6 }, shared_patients = 0 } }, seen)
    assert.equal(1, torn.shared_duplicates)
    local ok, message = pcall(beside.guard, {}, torn)
    assert.is_false(ok)
    assert.equal("the test part shares 1 pair of copies (one.png = four.png) with the training part: its score would "
      .. "flatter. Remove the copies (luma audit lists them), or say --allow-leak", message)
    assert.matches("^The test part shares 1 pair of copies", (beside.guard({ allow_leak = true }, torn)))
    assert.matches("the score flatters", (beside.guard({ faithful = true }, { shared_patients = 2,
      shared_duplicates = 0 })))
    local whole = beside.leakage({ { train = { 1, 4 }, val = { 2 }, test = { 5, 6 }, shared_patients = 0 } }, seen)
    assert.equal(0, whole.shared_duplicates)
    assert.is_nil(beside.guard({}, whole))
  end)

  it("says what the model adds, and no more than the interval shows", function()
    local s = { title = "the border", auc = { value = 0.8, lo = 0.7, hi = 0.9 } }
    assert.matches("the model adds 0.10 %(95 %% interval 0.02 to 0.18%)%.$", beside.sentence(s,
      { value = 0.1, lo = 0.02, hi = 0.18 }))
    assert.matches("not shown%.$", beside.sentence(s, { value = 0.1, lo = -0.02, hi = 0.18 }))
    assert.matches("stays 0.10 below", beside.sentence(s, { value = -0.1, lo = -0.2, hi = -0.01 }))
    assert.matches("without looking at the lungs%.$", beside.sentence(s, nil))
  end)

  it("shows a planted shortcut on the run's own test images", function()
    in_folder(function(dir)
      local rows, predictions, folds = {}, {}, { { train = {}, val = {}, test = {} } }
      for i = 1, 40 do
        local x = picture(i, 64, 64)
        local class = i % 2 == 0 and "a" or "b"
        if class == "a" then x[{ { 1, 6 } }] = 0 end -- a dark strip on top of one class
        rows[i] = { path = ("%s/%02d.png"):format(dir, i), name = tostring(i), class = class }
        save(rows[i].path, x)
        local part = i <= 24 and "train" or "test"
        table.insert(folds[1][part], i)
        if part == "test" then
          predictions[#predictions + 1] = { path = rows[i].path, truth = class == "a" and 1 or 2, p = { 0.5, 0.5 } }
        end
      end
      local index = data.Index(rows)
      local seen = beside.read(index)
      local out = beside.score({ index = index, folds = folds, seen = seen, config = { seed = 1 },
        leakage = beside.leakage(folds, seen) }, predictions)
      assert.equal(1.0, out.shortcuts[1].auc.value)
      assert.is_truthy(out.against)
      assert.matches("stays 0.50 below", out.sentence)
    end)
  end)
end)

describe("the article's images", function()
  it("show their shortcuts and the patients with several images #slow", function()
    local dir, metadata = "../shared/data/article", "../shared/data/covid-chestxray/metadata.csv"
    if not files.exists(dir) then return pending "../shared/data/article absent" end
    local result = assert(run(assert(audit.open(dir, { metadata = metadata }))))
    assert.equal(96, result.images)
    for name, least in pairs { border = 0.75, thumbnail = 0.8, thumbnail_without_lungs = 0.75 } do
      local s = shortcut(result, name)
      assert.is_true(s.above_chance, s.sentence)
      assert.is_true(s.auc.value > least, s.sentence)
    end
    assert.is_true(result.patients.multi_image >= 3)
    assert.matches("0 of 50 Normal: its absence alone", shortcut(result, "metadata_view").sentence)
  end)
end)
