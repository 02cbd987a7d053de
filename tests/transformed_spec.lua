-- Changed copies: each planted kind is found, films of different people are not.
describe("changed copies", function()
  local luma = require "luma"
  local duplicates = require "luma.study.audit.duplicates"
  local folder = require "support.folder"
  local reader = require "luma.study.audit.reader"
  local transformed = require "luma.study.audit.transformed"
  local files, image = luma.files, luma.image

  local function cut(x, top, left, bottom, right)
    local h, w = x:shape()
    local t, l = math.floor(top * h), math.floor(left * w)
    return image.crop(x, { top = t + 1, left = l + 1, height = h - t - math.floor(bottom * h),
      width = w - l - math.floor(right * w) })
  end
  local kinds = {
    { "mirrored", image.flip_left_right },
    { "upside down", image.flip_up_down },
    { "turned by 90 degrees", function(x) return image.flip_left_right(image.transpose(x)) end },
    { "turned by 180 degrees", function(x) return image.flip_left_right(image.flip_up_down(x)) end },
    { "inverted", function(x) return (255 - x:to "f32"):to "u8" end },
    { "cropped", function(x) return cut(x, 0.05, 0.05, 0.05, 0.05) end },
    { "cropped", function(x) return cut(x, 0.1, 0.1, 0.1, 0.1) end },
    { "cropped", function(x) return cut(x, 0, 0, 0.1, 0.1) end },
    { "tilted by 3 degrees", function(x) return image.rotate(x, 3, { sample = "bilinear" }) end },
    { "changed in contrast", function(x) return ((x:to "f32" / 255):pow(0.6) * 255):to "u8" end },
    { "mirrored, cropped, inverted", function(x)
      return cut(image.flip_left_right((255 - x:to "f32"):to "u8"), 0.05, 0.05, 0.05, 0.05)
    end },
  }

  -- Plants `each` copies of every kind among the sources and counts what is found.
  local function planted(dir, sources, each)
    local rows, of, rng = {}, {}, luma.rng(3)
    for i, path in ipairs(sources) do rows[i] = { path = path, name = "o" .. i, class = "a" } end
    for k, kind in ipairs(kinds) do
      local order = rng:permutation(#sources)
      for q = 1, each do
        local i = order[q]
        local path = ("%s/%d-%d.jpg"):format(dir, k, i)
        assert(image.save(path, kind[2](assert(image.load(sources[i], "gray"))), { quality = 80 }))
        rows[#rows + 1] = { path = path, name = ("%d-o%d"):format(k, i), class = "b" }
        of[("o%d %d-o%d"):format(i, k, i)] = k
      end
    end
    local seen = reader.read(luma.data.Index(rows), { copies = true })
    local hits, wrong = {}, {}
    for _, pair in ipairs((duplicates.find(seen.index, seen.images))) do
      local k = of[pair.a .. " " .. pair.b]
      if k and pair.kind ~= "suspect" then
        if pair.how then assert.truthy(pair.how:find(kinds[k][1], 1, true), kinds[k][1] .. " <> " .. pair.how) end
        hits[k] = (hits[k] or 0) + 1
      elseif pair.a:match "o%d+$" ~= pair.b:match "o%d+$" then
        wrong[#wrong + 1] = ("%s %s %s"):format(pair.kind, pair.a, pair.b)
      end
    end
    return hits, wrong, #rows
  end

  it("of every kind are found among drawn chests, and no two patients are confused", function()
    local dir = folder.new()
    finally(function() folder.remove(dir) end)
    assert(luma.data.phantom { dir = dir .. "/raw", count = 24, size = 256, seed = 5 })
    local sources = {}
    for _, name in ipairs(files.list(dir .. "/raw/images")) do
      if name:match "%-1%.jpeg$" then sources[#sources + 1] = dir .. "/raw/images/" .. name end
    end
    local hits, wrong = planted(dir, sources, 4)
    for k in ipairs(kinds) do assert.equal(4, hits[k] or 0, kinds[k][1]) end
    assert.same({}, wrong)
  end)

  it("of every kind are found among real films: 12 of 12, none wrong", function()
    local top, sources = "../shared/data/article", {}
    if not files.exists(top) then return pending "../shared/data/article absent" end
    for _, half in ipairs { "covid_adjusted", "normal_dataset" } do
      for _, name in ipairs(files.list(files.join(top, half))) do
        if name:match "%.jpg$" then sources[#sources + 1] = files.join(top, half, name) end
      end
    end
    local dir = folder.new()
    finally(function() folder.remove(dir) end)
    local hits, wrong, n = planted(dir, sources, 12)
    for k in ipairs(kinds) do assert.equal(12, hits[k] or 0, kinds[k][1]) end
    assert.same({}, wrong)
    assert.is_true(n * (n - 1) / 2 > 10000)
  end)

  it("published under two patients are found: the one pair of the raw collection", function()
    local top, rows = "../shared/data/covid-chestxray/images", {}
    if not files.exists(top) then return pending(top .. " absent") end
    for i, name in ipairs(files.list(top)) do rows[i] = { path = files.join(top, name), name = name, class = "x" } end
    local seen, found = reader.read(luma.data.Index(rows), { copies = true }), {}
    for k, pair in ipairs((duplicates.find(seen.index, seen.images))) do
      found[k] = ("%s %s %s"):format(pair.kind, pair.a, pair.b)
    end
    assert.same({ "near pneumonia-7.jpg streptococcus-pneumoniae-pneumonia-temporal-evolution-1-day1.jpg" }, found)
  end)

  it("need more agreement where all pictures are alike", function()
    local alike, distinct = {}, {}
    for i = 1, 100 do alike[i], distinct[i] = 0.8 + 0.001 * i, 0.4 + 0.002 * i end
    local near, suspect = transformed.thresholds(alike)
    assert.is_true(near > 0.93 and suspect > 0.92 and near > suspect)
    assert.same({ 0.9, 0.8 }, { transformed.thresholds(distinct) })
    assert.same({ 0.9, 0.8 }, { transformed.thresholds { 0.93, 0.94 } })
  end)

  it("that are only suspect are named, but refuse no run", function()
    local words = require "luma.study.audit.words"
    local beside = require "luma.study.covid.audit"
    local pair = { i = 1, j = 2, a = "a", b = "b", kind = "suspect", how = "tilted by 2 degrees", correlation = 0.85 }
    assert.equal("No two images are certainly the same. 1 pair may be of one image: look at them.",
      words.duplicates { duplicates = { pair } })
    assert.equal("suspect: a and b, tilted by 2 degrees, correlation 0.850", words.pair { kind = "suspect", a = "a",
      b = "b", how = "tilted by 2 degrees", correlation = 0.85, same_class = true })
    local folds = { { train = { 1 }, val = {}, test = { 2 } } }
    local function torn(kind)
      pair.kind = kind
      return beside.leakage(folds, { at = { 1, 2 }, duplicates = { pair } }).shared_duplicates
    end
    assert.same({ 0, 1 }, { torn "suspect", torn "near" })
  end)
end)
