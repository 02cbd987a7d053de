-- 02 Black pixels: the article's scan, by hand and in C.
--
--   scripts/luma examples/02_black_pixels.lua
--
-- Radiographs from different hospitals come with black bars of different sizes.
-- A network can learn the bars instead of the lungs, so the article removes
-- them: a row or column goes when more than half of its pixels are black.

local luma = require "luma"
local uv = require "luv"
local data, image, prepare = luma.data, luma.image, luma.prepare

-- What is black?  The mean of red, green and blue below 40.
local function is_black(r, g, b) return (r + g + b) / 3 < 40 end
print("article's example {39, 67, 45}: mean", (39 + 67 + 45) / 3, "black?", is_black(39, 67, 45))
print("sum 119:", is_black(39, 40, 40), "sum 120:", is_black(40, 40, 40))

-- A drawn radiograph (no patient's): the default data of luma.
local index = assert(data.phantom { dir = "runs/examples/phantoms", count = 24, seed = 7 })
local row
for _, candidate in ipairs(index) do
  if candidate.meta.bars ~= "0 0 0 0" then row = row or candidate end
end
local x = assert(image.load(row.path, "gray"))
print("\nimage", row.name, "class", row.class, "shape", x:shape())
print("bars drawn into it (top left bottom right):", row.meta.bars)

-- By hand: two loops over a million pixels, as the article's Python does it.
local function seconds(f)
  local started = uv.hrtime()
  local a, b = f()
  return (uv.hrtime() - started) / 1e9, a, b
end
local slow, rows, cols = seconds(function() return prepare.scan_by_hand(x:totable(), 40) end)
print(("\nby hand: %d rows and %d columns to remove, in %.3f s"):format(#rows, #cols, slow))

-- In C: the same answer, one pass over the pixels.
local fast, bars = seconds(function() return image.black_bars(x, { window = false }) end)
print(("in C:    %d rows and %d columns to remove, in %.6f s (%.0f times faster; the article took 14 s)"):format(
  #bars.rows, #bars.cols, fast, slow / fast))
assert(#bars.rows == #rows and #bars.cols == #cols)
for i, v in ipairs(cols) do assert(bars.cols[i] == v) end

-- More than half, not half: of 1024 pixels 512 black ones are not enough.
local half = luma.full({ 1024, 1024 }, 200, "u8")
half[{ 1, { 1, 512 } }] = 0
half[{ 2, { 1, 513 } }] = 0
print("\nrow 1 with 512 black pixels, row 2 with 513: removed rows",
  table.concat(image.black_bars(half, { window = false }).rows, " "))

-- The middle is protected: a dark lung must not be taken for a bar.  The article
-- wrote rows 200 to 800, whatever the size of the image; luma takes the same
-- share of any size, and the article's numbers only when it is to be faithful.
local dark = luma.zeros({ 512, 512 }, "u8")
print(("all-black 512x512: %d rows go; faithful, with the window fixed at 200..800: %d"):format(
  #image.black_bars(dark).rows, #image.black_bars(dark, { faithful = true }).rows))
