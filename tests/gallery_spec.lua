-- The article's picture sheets: titles, geometry, which tile shows what, and
-- the loop that turned one picture forty times.
describe("gallery", function()
  local luma = require "luma"
  local gallery = luma.data.gallery
  local image = luma.image
  local plot = require "luma.plot"
  local files = require "luma.base.files"

  -- n images that differ: a corner of their own brightness on colour.
  local function images(n)
    local x = luma.full({ n, 16, 16, 3 }, 0.5)
    for i = 1, n do
      x[{ i, { 1, 8 }, { 1, 8 } }] = i / (n + 1)
      x[{ i, {}, {}, 1 }] = 0.25
    end
    return x
  end

  it("has the article's nine augmentation sheets with their titles", function()
    local x = images(42)
    local sheets = gallery.augmentations(x)
    local titles = {}
    for i, sheet in ipairs(sheets) do titles[i] = sheet.title end
    assert.same({ "Adjusted Contrast", "Adjusted Saturation", "Flipped Left Right", "Flipped Up Down",
      "Flipped Up Down Left Right", "Rotated 45 Degrees", "Rotated 135 Degrees", "Rotated 225 Degrees",
      "Rotated 315 Degrees" }, titles)
    for _, sheet in ipairs(sheets) do assert.equal(40, #sheet.images, sheet.title) end
    local first = x[1]
    assert.equal(image.adjust_contrast(first, 2):bytes(), sheets[1].images[1]:clone():bytes())
    assert.equal(image.adjust_saturation(first, 3):bytes(), sheets[2].images[1]:clone():bytes())
    assert.equal(image.flip_left_right(first):bytes(), sheets[3].images[1]:clone():bytes())
    assert.equal(image.flip_up_down(first):bytes(), sheets[4].images[1]:clone():bytes())
    assert.equal(image.rotate(first, 180):bytes(), sheets[5].images[1]:clone():bytes())
    assert.equal(image.rotate(x[40], 225):bytes(), sheets[8].images[40]:clone():bytes())
    assert.equal("rotated-45-degrees", sheets[6].name)
  end)

  it("faithful turns the last image forty times", function()
    local x = images(41)
    local sheet = gallery.augmentations(x, { faithful = true })[6]
    local want = image.rotate(x[41], 45):bytes()
    assert.equal(40, #sheet.images)
    for i = 1, 40 do assert.equal(want, sheet.images[i]:bytes()) end
  end)

  it("draws 5 rows of 8 on 720 x 432 white pixels under a title", function()
    local figure, why = gallery.plot_images(images(40), "Adjusted Contrast")
    assert.same({ 432, 720, 3 }, { figure:shape() })
    assert.same({ 255, 255, 255 }, figure[{ 432, 1 }]:totable())
    local runs, inside = 0, false -- tiles along a line through the first row of them
    for j = 1, 720 do
      local white = figure[{ 100, j, 1 }] == 255
      if not white and not inside then runs = runs + 1 end
      inside = not white
    end
    assert.equal(8, runs)
    if not plot.available() then
      assert.truthy(why)
      return pending "gnuplot absent"
    end
    assert.is_nil(why)
    local ink = figure[{ { 1, 56 } }]:lt(128):to "f32":sum():item()
    assert.is_true(ink > 500, "the title is written: " .. ink)
  end)

  it("writes files that can be read again", function()
    local dir = os.tmpname()
    os.remove(dir)
    local paths = assert(gallery.save(dir, gallery.overview({ images(1)[1] }, images(3))))
    assert.equal(2, #paths)
    for _, path in ipairs(paths) do
      local x = assert(image.load(path, "rgb"))
      assert.same({ 432, 720, 3 }, { x:shape() })
      os.remove(path)
    end
    assert.equal(files.join(dir, "positive-covid-19-cases.png"), paths[1])
    os.remove(dir)
  end)

  it("refuses what it cannot show", function()
    local ok, message = pcall(gallery.augmentations, luma.zeros(0, 4, 4, 3))
    assert.is_false(ok)
    assert.truthy(message:find("a batch (n, h, w, 3) of at least one image expected", 1, true))
    ok, message = pcall(gallery.plot_images, images(2), "x", { rows = 500 })
    assert.is_false(ok)
    assert.truthy(message:find("500 x 8 tiles do not fit 720x432 pixels", 1, true))
  end)
end)
