-- Every sentence against its table, and against the opposite table.
describe("sentences agree with their numbers:", function()
  local luma = require "luma"
  local answer = require "luma.study.covid.answer"
  local duplicates = require "luma.study.audit.duplicates"
  local evaluate = require "luma.study.covid.evaluate"
  local figures = require "luma.study.covid.figures"
  local run_report = require "luma.study.report.run"
  local science = require "luma.study.report.science"
  local shortcuts = require "luma.study.audit.shortcuts"
  local words = require "luma.study.audit.words"

  local function v(value, lo, hi) return { value = value, lo = lo or value - 0.05, hi = hi or value + 0.05 } end

  it("the answer", function()
    local function said(auc, strongest, generated)
      return answer.of { classes = { "COVID-19", "Normal" }, accuracy = v(0.9), auc = auc, n = 50,
        strongest = strongest, generated = generated }
    end
    local good, weak = v(0.95), { title = "a thumbnail", auc = v(0.7) }
    assert.matches("right on 0.90 %(0.85 to 0.95%) of 50 images", said(good, weak))
    assert.matches("is better than chance", said(good, weak))
    assert.matches("stays below with AUC 0.70", said(good, weak))
    assert.not_matches("lungs are read", said(good, weak))
    local strong = said(good, { title = "a thumbnail", auc = v(0.93) })
    -- A baseline that has the lungs in sight says nothing about whether they are read.
    local seeing = { title = "a thumbnail", auc = v(0.93), sees_lungs = true }
    assert.not_matches("lungs are read", said(good, seeing))
    assert.matches("more is read than coarse features: a thumbnail", said(good, seeing))
    assert.matches("does not show that lungs are read: a thumbnail reaches AUC 0.93", strong)
    assert.not_matches("stays below", strong)
    assert.matches("not shown to be better than chance.*does not show that the images", said(v(0.52), weak))
    assert.matches("worse than chance", said(v(0.3), weak))
    assert.matches("no baseline was run", said(good, nil))
    assert.matches("nothing is known", said(v(0 / 0), weak))
    assert.matches("drawn: nothing follows for patients", said(good, weak, true))
  end)

  it("where the model looks, per class", function()
    local function said(a, b)
      return science.looking_verdict { even = 0.5, outside = v(0.5), classes = { { class = "A", outside = a },
        { class = "B", outside = b } } }
    end
    local opposite = said(v(0.03), v(0.70))
    assert.matches("A: less of the heat lies outside the lungs", opposite)
    assert.matches("B: more of the heat lies outside", opposite)
    assert.matches("classes differ, so their mean describes neither", opposite)
    assert.not_matches("no preference", opposite)
    assert.matches("^In every class more of the heat", said(v(0.8), v(0.7)))
    assert.matches("^In every class less of the heat", said(v(0.2), v(0.3)))
    assert.matches("^In every class the heat lies about as an even map", said(v(0.48), v(0.52)))
    assert.equal("No map has any heat.", said(nil, nil))
  end)

  it("threshold and temperature of few images are not shown, of many they are", function()
    local function judged(n)
      return science.judged { classes = { "A", "B" }, details = { judged = { judges = { { fold = 1, n = n,
        from = "validation part", temperature = 0.05, threshold = 0.4 } }, threshold = { rule = "Youden",
        accuracy = v(0.8), diagnostic = { sensitivity = v(0.8), specificity = v(0.8) } } } } }
    end
    local page, rows = judged(19)
    assert.matches("19 images: too few", page)
    assert.not_matches("<table", page)
    assert.not_matches("0.05", page)
    assert.equal(1, #rows)
    page, rows = judged(60)
    assert.matches("<table", page)
    assert.matches("0.400", page)
    assert.not_matches("too few", page)
    assert.equal(3, #rows)
  end)

  it("patients of a split are unknown where they are unknown", function()
    local function parts(patients, shared)
      local m = { classes = { "A", "B" }, data = { words = "", found = "", split_words = "", classes = {
        { class = "A", images = 3, patients = patients }, { class = "B", images = 3 } } }, details = false,
        split = { train = 3, val = 0, test = 3, shared_patients = shared }, accuracy = v(0.5), auc = v(0.5), n = 3,
        per_class = {}, confusion = { { 1, 1 }, { 0, 1 } }, report = "", seconds = { total = 1 }, threads = 1,
        base = "x", scale = "unit", weights = "none", features = { width = 1, images = 1 }, seed = 1, digest = "",
        version = "" }
      local run = { metrics = m, config = { epochs = 1, batch = 1, dropout = 0, seed = 1, augmentation = "none" },
        classes = m.classes, predictions = {}, history = {}, dir = "/nonexistent", numbers = m }
      for _, section in ipairs(run_report.sections(run)) do
        if section.id == "data" then return section.text end
      end
    end
    assert.matches("more than one part: unknown", parts(nil, 0))
    assert.matches("more than one part: 0", parts(2, 0))
    assert.matches("more than one part: 3", parts(2, 3))
  end)

  it("whose curve is shown", function()
    local history = { { fold = 1 }, { fold = 2 }, { fold = 0 } }
    assert.matches("trained on all images", figures.whose(history, 0))
    assert.equal("Fold 2.", figures.whose(history, 2))
    assert.equal("The head of the one split.", figures.whose({ { fold = 1 }, { fold = 1 } }, 1))
  end)

  -- ---- the audit ----

  local function result(over)
    local r = { classes = { "a", "b" }, counts = { a = 5, b = 5 }, images = 10, patients = { known = 0 },
      shortcuts = {}, duplicates = {}, pipeline = {}, notes = {}, unread = {}, missing = 0, name = "x", folds = 5,
      bars = { sentence = "bars" }, leakage = { sentence = "leakage" }, imbalance = { sentence = "imbalance" } }
    for key, value in pairs(over) do r[key] = value end
    return r
  end

  it("alike files, and files that tell the classes apart", function()
    local quiet = { { name = "size", title = "the size", above_chance = false, auc = v(0.5), accuracy = v(0.5),
      model = "m", sentence = "" } }
    assert.matches("not shown to differ", words.treatment(result { shortcuts = quiet })[1])
    local loud = { { name = "file", title = "the file's size", above_chance = true, auc = v(0.71), accuracy = v(0.5),
      model = "m", sentence = "" }, { name = "sharpness", title = "the sharpness", above_chance = true,
      auc = v(0.93), accuracy = v(0.5), model = "m", sentence = "" } }
    local said = words.treatment(result { shortcuts = loud })[1]
    assert.matches("together they do: the file's size %(AUC 0.71%), the sharpness %(AUC 0.93%) tell the classes", said)
    assert.not_matches("not shown to differ", words.text(result { shortcuts = loud }))
    local differs = { { differs = true, sentence = "Image size differs." } }
    assert.same({ "Image size differs." }, words.treatment(result { shortcuts = loud, pipeline = differs }))
    assert.same({}, words.treatment(result { classes = { "a" } }))
  end)

  it("parts, copies and patients", function()
    local function index(patients)
      local rows = {}
      for i = 1, 4 do rows[i] = { path = tostring(i), class = i % 2 == 0 and "a" or "b", patient = patients[i] } end
      return luma.data.Index(rows)
    end
    local parts = { "train", "train", "test", "test" }
    local function said(patients, pairs_, given)
      return duplicates.leakage(index(patients), pairs_, given, 1).sentence
    end
    assert.matches("no known patient and no copy", said({ "p", "q", "r", "s" }, {}, parts))
    assert.matches("share 1 patient and 0 pairs of copies: a test on them flatters", said({ "p", "q", "p", "s" }, {},
      parts))
    assert.matches("no copy of an image; whether they share patients is unknown", said({}, {}, parts))
    local torn = said({}, { { i = 1, j = 3 } }, parts)
    assert.matches("share 1 pair of copies: a test on them flatters. Whether they share patients is unknown", torn)
    assert.not_matches("0 patients", torn)
    assert.matches("a split by image does not leak", said({ "p", "q", "r", "s" }, {}))
    assert.matches("the patients of 2 images are unknown", said({ "p", "q" }, {}))
    assert.matches("Patients are unknown", said({}, {}))
    assert.matches("would leak in", said({ "p", "p", "p", "q" }, {}))
  end)

  it("how many copies", function()
    assert.equal("No two images are the same or nearly so.", words.duplicates(result {}))
    local pair = { kind = "exact", same_class = false }
    assert.matches("1 pair of the same image: 1 exact, 0 near; 1 with different classes",
      words.duplicates(result { duplicates = { pair } }))
    assert.matches("none across classes", words.duplicates(result { duplicates = { { kind = "near",
      same_class = true } } }))
    assert.matches("patients unknown", words.counts(result {}))
    assert.not_matches("unknown", words.counts(result { patients = { known = 3, images = 4, multi_image = 1 } }))
  end)

  it("nothing above chance, or the shortcut that is", function()
    local low = { name = "x", title = "x", above_chance = false, auc = v(0.5), accuracy = v(0.5), sentence = "low" }
    local high = { name = "y", title = "y", above_chance = true, auc = v(0.9), accuracy = v(0.9), sentence = "high" }
    assert.matches("better than chance", table.concat(words.findings(result { shortcuts = { low } }), " "))
    local said = table.concat(words.findings(result { shortcuts = { high, low } }), " ")
    assert.matches("high", said)
    assert.not_matches("better than chance", said)
  end)

  it("the number of black rows is fed its numbers only", function()
    local features = require "luma.study.audit.features"
    local x = luma.full({ 1, 224, 224, 3 }, 200, "u8")
    x[{ 1, { 1, 10 } }] = 0
    for _, family in ipairs(features.families) do
      if family.name == "black_bars" then
        local batch <close> = features.batch(x, { {} })
        assert.same({ { 10, 0 } }, family.columns(batch))
      end
    end
    assert.is_false(shortcuts.varies { { 1, 0 }, { 1, 0 } })
  end)

  it("traps of accuracy", function()
    local function numbers(accuracy, recall)
      return { accuracy = v(accuracy), classes = { { class = "a", support = 8, recall = v(recall) },
        { class = "b", support = 8, recall = v(0.5) } } }
    end
    local function said(n) return table.concat(evaluate.traps(n, { a = 8, b = 8 }, { "a", "b" }), " ") end
    assert.matches("not one of 8 a images", said(numbers(0.5, 0)))
    assert.matches("no better than always", said(numbers(0.5, 0.5)))
    assert.equal("", said(numbers(0.9, 0.9)))
    assert.matches("No mistake in 16 images still allows", said(numbers(1, 1)))
  end)
end)
