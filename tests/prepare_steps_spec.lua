-- The article's four preparation functions, faithful and mended: rows P1-P8.
describe("preparation step", function()
  local luma = require "luma"
  local prepare = luma.prepare

  -- A u8 image (h, w, 3) from f(y, x) -> level or {r, g, b}.
  local function picture(h, w, f)
    local rows = {}
    for y = 1, h do
      rows[y] = {}
      for x = 1, w do
        local v = f(y, x)
        rows[y][x] = type(v) == "table" and v or { v, v, v }
      end
    end
    return luma.tensor(rows, "u8")
  end

  local function zero_based(list)
    local out = {}
    for i, v in ipairs(list) do out[i] = v - 1 end
    return out
  end
  local function one_based(first, last)
    local out = {}
    for v = first, last do out[#out + 1] = v + 1 end
    return out
  end

  it("P1: black is R+G+B below 120", function()
    local function all_black(pixel)
      local rows = prepare.get_black_pixel_indices(picture(1, 1, function() return pixel end))
      return #rows == 1
    end
    assert.is_true(all_black { 39, 40, 40 })
    assert.is_false(all_black { 40, 40, 40 })
    assert.is_false(all_black { 39, 67, 45 })
    assert.is_true(all_black { 0, 0, 119 })
  end)

  it("P2: a bar is more than half black", function()
    local img = picture(4, 8, function(y, x) return x <= 3 + y and 0 or 200 end) -- 4, 5, 6, 7 of 8 black
    local rows, cols = prepare.get_black_pixel_indices(img)
    assert.same({ 2, 3, 4 }, rows)
    assert.same({ 1, 2, 3, 4, 5 }, cols) -- column 5: rows 2, 3, 4; column 6: two of four, not more than half
  end)

  it("the C scan finds what the loops by hand find", function()
    local r = luma.rng(3)
    for _, size in ipairs { { 1, 1 }, { 1, 9 }, { 9, 1 }, { 17, 23 }, { 40, 31 } } do
      local img = picture(size[1], size[2], function(y, x)
        return (y % 5 == 0 or x % 7 == 0 or r:bernoulli(0.4)) and { r:int(0, 60), r:int(0, 60), 20 } or 200
      end)
      local rows, cols = prepare.get_black_pixel_indices(img)
      local rows2, cols2 = prepare.scan_by_hand(img:totable())
      assert.same(rows2, rows)
      assert.same(cols2, cols)
    end
  end)

  it("P3: faithful refuses what is not square and says why", function()
    local wide, tall = picture(2, 3, function() return 0 end), picture(3, 2, function() return 0 end)
    for _, img in ipairs { wide, tall } do
      assert.error_matches(function() prepare.get_black_pixel_indices(img, { faithful = true }) end, "IndexError")
      assert.has_no.errors(function() prepare.get_black_pixel_indices(img) end)
    end
  end)

  it("P4, P5: faithful deletes inside 200..800 while walking, so every second index stays", function()
    local rows, cols = prepare.remove_obstructing_indices(one_based(198, 209), one_based(799, 802), { faithful = true })
    assert.same({ 198, 199, 201, 203, 205, 207, 209 }, zero_based(rows))
    assert.same({ 800, 801, 802 }, zero_based(cols))
    local all = prepare.remove_obstructing_indices(one_based(0, 1023), {}, { faithful = true })
    assert.equal(723, #all)
    local inside = 0
    for _, v in ipairs(zero_based(all)) do inside = inside + (v >= 200 and v <= 800 and 1 or 0) end
    assert.equal(300, inside)
  end)

  it("mended, nothing inside the window is removed, whatever the size", function()
    local rows, cols = prepare.remove_obstructing_indices(one_based(198, 209), one_based(799, 802))
    assert.same({ 198, 199 }, zero_based(rows))
    assert.same({ 801, 802 }, zero_based(cols))
    rows, cols = prepare.remove_obstructing_indices(one_based(0, 511), one_based(0, 255), { height = 512, width = 256 })
    assert.equal(512 - 301, #rows)
    assert.equal(256 - 151, #cols)
  end)

  it("P6: rows, then columns; empty lists change nothing", function()
    local img = picture(3, 4, function(y, x) return 10 * y + x end)
    assert.same(img:totable(), prepare.remove_black_pixels(img, {}, {}):totable())
    local cut = prepare.remove_black_pixels(img, { 2 }, { 1, 3 })
    assert.same({ 2, 2, 3 }, { cut:shape() })
    assert.same({ { { 12, 12, 12 }, { 14, 14, 14 } }, { { 32, 32, 32 }, { 34, 34, 34 } } }, cut:totable())
    assert.same({ 0, 4, 3 }, { prepare.remove_black_pixels(img, { 1, 2, 3 }, {}):shape() })
    assert.error_matches(function() prepare.remove_black_pixels(img, { 2, 2 }, {}) end, "item 2 must be")
    assert.error_matches(function() prepare.remove_black_pixels(img, { 4 }, {}) end, "1..3, got 4")
  end)

  -- rows and columns removed from 10 x 10 -> shape and verdict, faithful
  for _, case in ipairs { { 0, 2, 8, 8, true }, { 0, 3, 7, 7, true }, { 2, 2, 8, 8, true }, { 2, 0, 8, 8, true },
    { 3, 0, 7, 7, true }, { 0, 1, 0, 9, false }, { 1, 0, 9, 0, false } } do
    it(("P7, P8: %d rows and %d columns removed, faithful"):format(case[1], case[2]), function()
      local img = picture(10 - case[1], 10 - case[2], function(y, x) return 10 * y + x end)
      local out, square = prepare.adjust_aspect_ratio(img, case[1], case[2], { faithful = true })
      assert.same({ case[3], case[4], 3 }, { out:shape() })
      assert.equal(case[5], square)
      local mended, ok = prepare.adjust_aspect_ratio(img, case[1], case[2])
      local side = math.min(10 - case[1], 10 - case[2])
      assert.same({ side, side, 3 }, { mended:shape() })
      assert.is_true(ok)
    end)
  end

  it("P7: three more columns gone: one row off the bottom, one off the top, one more off the bottom", function()
    local img = picture(10, 7, function(y) return 10 * y end)
    local out = prepare.adjust_aspect_ratio(img, 0, 3, { faithful = true })
    assert.equal(20, out:totable()[1][1][1])
    assert.equal(80, out:totable()[7][1][1])
  end)

  it("all four in a row equal the C pipeline's counts", function()
    local img = picture(64, 64, function(y, x) return (y <= 5 or x > 60) and 0 or 150 end)
    local out, square, rows, cols = prepare.all(img)
    assert.equal(5, #rows)
    assert.equal(4, #cols)
    assert.is_true(square)
    assert.same({ 59, 59, 3 }, { out:shape() })
  end)
end)
