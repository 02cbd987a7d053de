-- Planted faults in the embedded base's space: odd pictures, swapped labels, a
-- column that shows in the images; and what is said when they are not there.
describe("the audit in feature space", function()
  local luma = require "luma"
  local folder = require "support.folder"
  local reader = require "luma.study.audit.reader"
  local space = require "luma.study.audit.space"
  local image, learn = luma.image, luma.learn

  local dir
  setup(function()
    dir = folder.new()
    assert(luma.data.phantom { dir = dir, count = 200, size = 256, seed = 11 })
  end)
  teardown(function() folder.remove(dir) end)

  local function phantoms(most)
    local rows, count = {}, {}
    for _, row in ipairs(assert(luma.audit.open(dir))) do
      count[row.class] = (count[row.class] or 0) + 1
      if count[row.class] <= most / 2 then
        rows[#rows + 1] = { path = row.path, name = row.name, class = row.class, patient = row.patient }
      end
    end
    return rows
  end

  local function seen(rows)
    local found = reader.read(luma.data.Index(rows), { space = true })
    return found.index, found.space
  end

  it("finds pictures that are no radiographs, and no radiograph", function()
    local rows, odd = phantoms(60), {}
    local index, numbers = seen(rows)
    assert.same({}, space.outliers(index, numbers))
    local ramp = (luma.arange(1, 300):reshape(1, 300) * luma.ones(300, 1)):reshape(300, 300, 1)
    local page = luma.full({ 300, 300, 1 }, 255, "u8")
    for i = 1, 20 do page[{ { i * 14, i * 14 + 4 }, { 20, 200 + i * 4 } }] = 0 end
    for name, x in pairs { ramp = (ramp * 0.8):to "u8", page = page,
      noise = (luma.rand(300, 300, 3, { rng = luma.rng(1) }) * 255):to "u8" } do
      odd[#odd + 1] = name .. ".png"
      local path = ("%s/%s.png"):format(dir, name)
      assert(image.save(path, x))
      rows[#rows + 1] = { path = path, name = name .. ".png", class = "Normal" }
    end
    index, numbers = seen(rows)
    local found = {}
    for k, one in ipairs(space.outliers(index, numbers)) do found[k] = one.name end
    table.sort(odd)
    table.sort(found)
    assert.same(odd, found)
    local said = space.sentences { outliers = space.outliers(index, numbers) }
    assert.matches("^3 images are unlike all others", said[1])
    assert.same({}, space.sentences { outliers = {}, labels = { list = {} }, acquisition = {} })
  end)

  -- Folds by patient over the rows of an index.
  local function folds_of(index)
    local number, out = {}, {}
    for i, row in ipairs(index) do number[row] = i end
    for k, fold in ipairs(index:kfold { k = 5, seed = 1 }) do
      out[k] = {}
      for j, row in ipairs(fold.test) do out[k][j] = number[row] end
    end
    return out
  end

  it("names swapped labels far above their share: half of them, at seven times the precision of chance", function()
    local index, numbers = seen(phantoms(200))
    local hits, named, planted = 0, 0, 0
    for seed = 1, 3 do
      local labels, swapped = {}, {}
      for i, row in ipairs(index) do labels[i] = row.class == index.classes[1] and 1 or 2 end
      for k, i in ipairs(luma.rng(seed):permutation(#index)) do
        if k <= 10 then labels[i], swapped[i] = 3 - labels[i], true end
      end
      local found = space.labels(index, numbers, { labels = labels, folds = folds_of(index) })
      assert.is_true(found.auc.value > 0.85)
      planted = planted + 10
      for _, one in ipairs(found.list) do
        named = named + 1
        if swapped[one.i] then hits = hits + 1 end
      end
    end
    local recall, precision = hits / planted, hits / named
    assert.is_true(recall >= 0.5 and precision >= 0.35, ("recall %.2f, precision %.2f"):format(recall, precision))
  end)

  it("confident learning: who reaches another class's mean, and nobody else", function()
    local labels = { 1, 1, 1, 2, 2, 2 }
    local p = { { 0.9, 0.1 }, { 0.8, 0.2 }, { 0.1, 0.9 }, { 0.2, 0.8 }, { 0.3, 0.7 }, { 0.55, 0.45 } }
    local found = learn.label_errors(labels, p) -- means 0.6 and 0.65: the third reaches 0.65, the last not 0.6
    assert.same({ { i = 3, other = 2, p_label = 0.1, p_other = 0.9 } }, found)
    assert.same({}, learn.label_errors({ 1, 1, 2, 2, 2, 2 }, { p[1], p[2], p[3], p[4], p[5], { 0.2, 0.8 } }))
    assert.same({}, learn.label_errors({}, {}))
  end)

  it("judges no label by a model that ranks badly", function()
    local rows, numbers, rng = {}, {}, luma.rng(2)
    for i = 1, 40 do
      rows[i] = { path = tostring(i), class = i % 2 == 0 and "a" or "b" }
      numbers[i] = { rng:uniform(0, 1), rng:uniform(0, 1) }
    end
    local index, labels = luma.data.Index(rows), {}
    for i, row in ipairs(index) do labels[i] = row.class == "a" and 1 or 2 end
    local found = space.labels(index, numbers, { labels = labels, folds = folds_of(index) })
    assert.is_true(found.auc.value < 0.7)
    assert.same({}, found.list)
  end)

  it("reads a planted column within a class, and not a drawn one", function()
    local rows = phantoms(120)
    for i, row in ipairs(rows) do
      row.view = i % 2 == 0 and "AP" or "PA"
      row.patient = nil
      if row.view == "AP" and row.class == "Normal" then -- another scanner: blurred
        local x = assert(image.load(row.path, "gray"))
        row.path = ("%s/blurred-%d.png"):format(dir, i)
        assert(image.save(row.path, image.resize(image.resize(x, 64, 64, { method = "area" }), 256, 256)))
      end
    end
    local index, numbers = seen(rows)
    local keys = {}
    for i = 1, #index do keys[i] = i end
    local found = space.acquisition(index, numbers, { { key = "view", title = "the view" },
      { key = "country", title = "the country" } }, keys, 1)
    assert.equal(2, #found)
    for _, one in ipairs(found) do
      assert.same({ "AP", "PA" }, one.values)
      assert.equal(60, one.n)
      if one.class == "Normal" then assert.is_true(one.auc.value > 0.95) else assert.is_true(one.auc.lo < 0.5) end
    end
    local said = space.sentences { acquisition = found }
    assert.equal(1, #said)
    assert.matches("^Within Normal, the view can be read from the images", said[1])
  end)
end)
