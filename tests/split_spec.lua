local luma = require "luma"
local data = luma.data
local split = require "luma.data.split"

-- An index of n rows a class; patients(class, i) gives the patient, or nil.
local function make(counts, patients)
  local rows = {}
  for class, n in pairs(counts) do
    for i = 1, n do
      rows[#rows + 1] = { path = ("/%s/%d"):format(class, i), name = ("%s%d"):format(class, i), class = class,
        registry = "test",
        patient = patients and patients(class, i) or nil, source = i % 2 == 0 and "even" or "odd" }
    end
  end
  table.sort(rows, function(a, b) return a.path < b.path end)
  return data.Index(rows)
end

local function paths(part)
  local out = {}
  for i, row in ipairs(part) do out[i] = row.path end
  return out
end

-- Every row in exactly one part, and with groups no group in two.
local function check_parts(index, parts, grouped)
  local seen, total, home = {}, 0, {}
  for p, part in ipairs(parts) do
    for _, row in ipairs(part) do
      assert.is_nil(seen[row])
      seen[row] = true
      total = total + 1
      local key = require("luma.data.index").patient_key(row)
      if grouped and key then
        assert.is_true(home[key] == nil or home[key] == p)
        home[key] = p
      end
    end
  end
  assert.equal(#index, total)
end

describe("stratify without groups", function()
  it("follows scikit-learn's ceil rule", function()
    for n, want in pairs { [92] = 19, [99] = 20, [10] = 2, [5] = 1, [1305] = 261, [8583] = 1717, [2] = 1 } do
      local s = make({ a = n }):stratify { test = 0.2, seed = 1 }
      assert.same({ n - want, want, 0 }, { #s.train, #s.test, #s.val })
    end
    local s = make({ ["COVID-19"] = 92, Normal = 99 }):stratify { test = 0.2, seed = 1 }
    assert.same({ ["COVID-19"] = 73, Normal = 79 }, s.train:counts())
    assert.same({ ["COVID-19"] = 19, Normal = 20 }, s.test:counts())
  end)

  it("is a function of the seed alone, at any thread count", function()
    local index = make { a = 30, b = 40 }
    local first = index:stratify { train = 0.7, val = 0.15, test = 0.15, seed = 7 }
    local threads = luma.threads()
    luma.threads(1)
    local again = index:stratify { train = 0.7, val = 0.15, test = 0.15, seed = 7 }
    luma.threads(threads)
    for _, name in ipairs { "train", "val", "test" } do assert.same(paths(first[name]), paths(again[name])) end
    local other = index:stratify { train = 0.7, val = 0.15, test = 0.15, seed = 8 }
    assert.not_same(paths(first.test), paths(other.test))
    assert.same(paths(index:stratify({ test = 0.2, rng = luma.rng(3) }).test),
      paths(index:stratify({ test = 0.2, rng = luma.rng(3) }).test))
    check_parts(index, { first.train, first.val, first.test })
  end)

  it("follows luma.seed when no seed is given", function()
    local index = make { a = 50 }
    local seed = luma.seed()
    luma.seed(11)
    local one = index:stratify { test = 0.2 }
    luma.rand(3) -- drawing numbers elsewhere does not move the split
    local two = index:stratify { test = 0.2 }
    luma.seed(12)
    local three = index:stratify { test = 0.2 }
    luma.seed(seed)
    assert.same(paths(one.test), paths(two.test))
    assert.not_same(paths(one.test), paths(three.test))
  end)

  it("joins the normal class first, as the article does", function()
    local s = make({ ["COVID-19"] = 10, Normal = 10 }):stratify { test = 0.2, seed = 1 }
    assert.equal("Normal", s.train[1].class)
    assert.equal("COVID-19", s.train[#s.train].class)
  end)

  it("takes the rest for the fraction left out", function()
    local s = make({ a = 100 }):stratify { train = 0.7, val = 0.15, seed = 1 }
    assert.same({ 70, 15, 15 }, { #s.train, #s.val, #s.test })
    s = make({ a = 10 }):stratify { train = 0.8, val = 0.2, seed = 1 }
    assert.same({ 8, 2, 0 }, { #s.train, #s.val, #s.test })
  end)

  it("keeps a class of one in train, and says so", function()
    local s = make({ a = 10, lone = 1, pair = 2 }):stratify { test = 0.2, val = 0.2, seed = 1 }
    assert.same({ a = 6, lone = 1, pair = 1 }, s.train:counts())
    local text = tostring(s)
    assert.matches("class lone has a single image: all of it is in train", text, 1, true)
    assert.matches("part val has no pair", text, 1, true)
    s = make({ a = 1 }):stratify { test = 0.5, seed = 1 }
    assert.matches("part test is empty", tostring(s), 1, true)
  end)

  it("refuses what makes no sense", function()
    local index = make { a = 10 }
    local function bad(o, words) assert.error_matches(function() index:stratify(o) end, words) end
    bad({}, "give at least one of train, val, test")
    bad({ train = 0.9, test = 0.2 }, "must add up to 1, got 1.1")
    bad({ train = 0.5, val = 0.2, test = 0.2 }, "must add up to 1, got 0.9")
    bad({ test = 1 }, "nothing is left for train")
    bad({ test = 19 }, "must be a fraction in 0..1, got 19")
    bad({ test = 0 / 0 }, "must be a fraction")
    bad({ tset = 0.2 }, "unknown option 'tset' %(known: group, rng, seed, test, train, val%)")
    bad({ test = 0.2, seed = 1, rng = luma.rng(1) }, "give seed or rng, not both")
    bad({ test = 0.2, group = 5 }, "group must be a field name")
  end)
end)

describe("stratify by patient", function()
  -- 60 patients a class with 1 to 4 images each.
  local function clinic()
    return make({ a = 150, b = 150 }, function(class, i) return class .. ((i * 7) % 60) end)
  end

  it("is the default where patients are known, and keeps them whole", function()
    for seed = 1, 8 do
      local index = clinic()
      local s = index:stratify { train = 0.7, val = 0.15, test = 0.15, seed = seed }
      assert.equal("patient", s.group)
      assert.equal(0, s.shared_patients)
      assert.equal(120, s.known_patients)
      check_parts(index, { s.train, s.val, s.test }, true)
      for _, name in ipairs { "val", "test" } do
        for _, class in ipairs { "a", "b" } do
          local share = s[name]:counts()[class] / 150
          assert.is_true(math.abs(share - 0.15) < 0.03, ("%s %s %g"):format(name, class, share))
        end
      end
    end
  end)

  it("draws patients of every size for the test part", function()
    local index = make({ a = 100 }, function(_, i) return i <= 40 and "p" .. (i // 10) or nil end)
    local large = 0
    for seed = 1, 40 do
      for _, row in ipairs(index:stratify({ test = 0.2, seed = seed }).test) do
        if row.patient then
          large = large + 1
          break
        end
      end
    end
    assert.is_true(large > 8) -- patients with many images are tested too, not only trained on
  end)

  it("counts the patients that a split by image shares", function()
    local s = clinic():stratify { test = 0.2, seed = 1, group = false }
    assert.is_nil(s.group)
    assert.is_true(s.shared_patients > 20)
    assert.matches("patients have images in more than one part: the scores will flatter", tostring(s), 1, true)
  end)

  it("treats an image without a patient as its own group", function()
    local index = make({ a = 20, b = 20 }, function(class, i) return class == "a" and i <= 4 and "one" or nil end)
    local s = index:stratify { test = 0.25, seed = 3 }
    check_parts(index, { s.train, s.test }, true)
    assert.equal(5, s.test:counts().b)
    assert.equal(1, s.known_patients)
  end)

  it("keeps patients of different registries apart", function()
    local rows = {}
    for i = 1, 20 do rows[i] = { path = "/" .. i, class = "a", patient = "1", registry = "r" .. i } end
    assert.equal(5, #data.Index(rows):stratify({ test = 0.25, seed = 1 }).test)
  end)

  it("keeps the only patient of a class in train", function()
    local index = make({ a = 20, rare = 5 }, function(class, i) return class == "rare" and "solo" or "p" .. i end)
    local s = index:stratify { test = 0.2, seed = 1 }
    assert.equal(5, s.train:counts().rare)
    assert.matches("class rare has a single patient", tostring(s), 1, true)
  end)

  it("handles patients with images of two classes", function()
    local index = make({ a = 60, b = 60 }, function(_, i) return "p" .. i % 30 end)
    for seed = 1, 5 do
      local s = index:stratify { train = 0.6, val = 0.2, test = 0.2, seed = seed }
      check_parts(index, { s.train, s.val, s.test }, true)
      assert.equal(0, s.shared_patients)
      assert.is_true(math.abs(s.test:counts().a - 12) <= 2)
    end
  end)

  it("groups by a field or a function", function()
    local index = make { a = 20, b = 20 }
    local s = index:stratify { test = 0.5, group = "source", seed = 1 }
    local sources = {}
    for _, row in ipairs(s.test) do sources[row.source] = true end
    assert.is_nil(next(sources, (next(sources))))
    assert.equal("source", s.group)
    assert.equal("group", index:stratify({ test = 0.2, seed = 1, group = function(row) return row.path end }).group)
  end)
end)

describe("kfold", function()
  it("tests every image once, with the classes in proportion", function()
    local index = make { a = 53, b = 47 }
    local folds = index:kfold { k = 5, seed = 2 }
    assert.equal(5, #folds)
    local seen = {}
    for _, fold in ipairs(folds) do
      check_parts(index, { fold.train, fold.test })
      for _, row in ipairs(fold.test) do seen[row] = (seen[row] or 0) + 1 end
      local c = fold.test:counts()
      assert.is_true(c.a >= 10 and c.a <= 11 and c.b >= 9 and c.b <= 10)
    end
    for _, row in ipairs(index) do assert.equal(1, seen[row]) end
    assert.equal(2, folds[2].fold)
  end)

  it("keeps patients whole", function()
    local index = make({ a = 100, b = 80 }, function(class, i) return class .. (i * 7) % 35 end)
    for _, fold in ipairs(index:kfold { k = 5, seed = 1 }) do
      check_parts(index, { fold.train, fold.test }, true)
      assert.equal(0, fold.shared_patients)
      assert.is_true(math.abs(fold.test:counts().a - 20) <= 2)
      assert.is_true(math.abs(fold.test:counts().b - 16) <= 2)
    end
  end)

  it("repeats with new shuffles, and is a function of the seed", function()
    local index = make { a = 20, b = 20 }
    local one = index:kfold { k = 4, repeats = 3, seed = 5 }
    local two = index:kfold { k = 4, repeats = 3, seed = 5 }
    assert.equal(12, #one)
    for i = 1, 12 do assert.same(paths(one[i].test), paths(two[i].test)) end
    assert.not_same(paths(one[1].test), paths(one[5].test))
    assert.equal(2, one[5].round)
  end)

  it("says what it cannot do", function()
    assert.error_matches(function() make({ a = 3 }):kfold { k = 5 } end, "5 folds need as many images, there are 3")
    assert.error_matches(function() make({ a = 9 }, function(_, i) return "p" .. i % 2 end):kfold { k = 3 } end,
      "3 folds need as many patients, there are 2")
    local folds = make({ a = 20, b = 2 }):kfold { k = 5, seed = 1 }
    assert.matches("class b has 2 images for 5 folds", tostring(folds[1]), 1, true)
  end)

  it("leaves out one source at a time", function()
    local index = make { a = 10, b = 10 }
    local folds = index:leave_one_source_out()
    assert.equal(2, #folds)
    assert.equal("even", folds[1].left_out)
    for _, row in ipairs(folds[1].test) do assert.equal("even", row.source) end
    check_parts(index, { folds[1].train, folds[1].test })
    assert.error_matches(function() index:leave_one_source_out { by = "nothing" } end, "nothing has 1 value")
  end)

  it("takes the parts a set comes with, and counts what they share", function()
    local rows = {}
    for i, part in ipairs { "train", "train", "test", "val", "test" } do
      rows[i] = { path = "/" .. i, class = i % 2 == 0 and "a" or "b", part = part, registry = "r",
        patient = i == 3 and "1" or tostring(i) }
    end
    local s = assert(data.Index(rows):given())
    assert.same({ 2, 1, 2 }, { #s.train, #s.val, #s.test })
    assert.equal(1, s.shared_patients)
    assert.matches("split as given; patients in two parts: 1", tostring(s), 1, true)
    rows[2].part = "elsewhere"
    local none, message = data.Index(rows):given()
    assert.is_nil(none)
    assert.matches("row 2 %(/2%) has part 'elsewhere', not train, val or test", message)
  end)

  it("nests: the inner folds never see the outer test", function()
    local index = make({ a = 60, b = 60 }, function(class, i) return class .. i % 25 end)
    for _, outer in ipairs(index:nested { outer = 3, inner = 2, seed = 4 }) do
      assert.equal(2, #outer.inner)
      for _, inner in ipairs(outer.inner) do
        check_parts(outer.train, { inner.train, inner.test }, true)
        assert.equal(0, (split.shared { outer.test, inner.train }))
        assert.equal(0, (split.shared { outer.test, inner.test }))
      end
    end
  end)
end)

describe("a split", function()
  it("prints the classes of every part", function()
    local s = make({ ["COVID-19"] = 92, Normal = 99 }):stratify { test = 0.2, seed = 7 }
    assert.equal([[
split by image, seed 7; patients in two parts: unknown
  class      train     val    test
  COVID-19      73       0      19
  Normal        79       0      20
  all          152       0      39]], tostring(s))
  end)
end)

describe("the encoder", function()
  it("is fitted once and shared by the parts", function()
    local index = make { Normal = 10, ["COVID-19"] = 10 }
    local s = index:stratify { test = 0.2, seed = 1 }
    assert.equal(index:encoder(), s.test:encoder())
    assert.same({ "COVID-19", "Normal" }, index:encoder().classes)
    assert.same({ 2, 2, 1, 1 }, s.test:labels():totable())
    assert.equal("i32", s.test:labels():dtype())
    local only = s.test:where { class = "Normal" } -- a new index; ask the old encoder
    assert.same({ 2, 2 }, index:encoder():encode(only):totable())
  end)
  it("encodes and decodes, two classes or more", function()
    local e = data.Encoder { "b", "a", "c", "a" }
    assert.equal(3, #e)
    assert.equal(2, e:encode "b")
    assert.equal("c", e:decode(3))
    assert.same({ "a", "c" }, e:decode { 1, 3 })
    assert.same({ "b", "a" }, e:decode(e:encode { "b", "a" }))
    assert.same({ { 0, 1, 0 }, { 1, 0, 0 } }, e:one_hot({ "b", "a" }):totable())
    assert.same({ { 1, 0 }, { 1, 0 } }, data.Encoder({ "x", "y" }):one_hot({ "x", "x" }):totable())
    assert.equal("Encoder {1 = a, 2 = b, 3 = c}", tostring(e))
  end)
  it("names an unknown class", function()
    local e = data.Encoder { "a", "b" }
    assert.error_matches(function() e:encode "z" end, "unknown class 'z' %(known: a, b%)")
    assert.error_matches(function() e:encode { "a", "z" } end, "unknown class 'z'")
    assert.error_matches(function() e:decode(3) end, "id 3 is not in 1..2")
    assert.error_matches(function() e:decode(1.5) end, "id 1.5 is not in 1..2")
  end)
end)
