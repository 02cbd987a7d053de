-- 03 Preparation: the article's four functions, and its bugs, live.
--
--   scripts/luma examples/03_preparation.lua
--
-- get_black_pixel_indices -> remove_obstructing_indices -> remove_black_pixels ->
-- adjust_aspect_ratio.  Each exists twice: as the author wrote it (faithful) and
-- mended (the default).

local luma = require "luma"
local data, files, image, prepare = luma.data, luma.files, luma.image, luma.prepare

local index = assert(data.phantom { dir = "runs/examples/phantoms", count = 24, seed = 7 })

-- One image through the four steps.
local row
for _, candidate in ipairs(index) do
  if not row and candidate.meta.bars ~= "0 0 0 0" then row = candidate end
end
local x = assert(image.load(row.path, "gray"))
local rows, cols = prepare.get_black_pixel_indices(x)
print(("%s: %d black rows, %d black columns"):format(row.name, #rows, #cols))
rows, cols = prepare.remove_obstructing_indices(rows, cols, { height = x:size(1), width = x:size(2) })
print(("outside the protected middle: %d rows, %d columns"):format(#rows, #cols))
local without = prepare.remove_black_pixels(x, rows, cols)
print("bars removed:", without:shape())
local square, whole = prepare.adjust_aspect_ratio(without, rows, cols)
print("cut square:", square:shape())
assert(whole)
local ready = image.resize(square, 224, 224)
print("resized:", ready:shape())

-- Before, bars removed, squared: the article's figure for one image.
assert(files.mkdir_p "runs/examples")
assert(image.save("runs/examples/03_steps.png", image.sheet({ x, without, square }, { rows = 1, cols = 3,
  height = 300, width = 300, gap = 8 })))
print "picture: runs/examples/03_steps.png\n"

-- Bug 1: both scans share their loop bounds, so an image that is not square
-- ends in an IndexError there.  Faithful says why; mended just works.
local wide = luma.full({ 600, 800 }, 120, "u8")
local ok, message = pcall(prepare.get_black_pixel_indices, wide, { faithful = true })
print("faithful, 600x800:", ok, message)
print("mended, 600x800: ", pcall(prepare.get_black_pixel_indices, wide))

-- Bug 2: deleting from a list while walking over it skips the next item.  The
-- author's rows 198 to 209 (0-based) all belong to the protected window from 200
-- on, yet every second one survives as "to be removed".
local found = {}
for v = 198, 209 do found[#found + 1] = v + 1 end -- 1-based here
local kept = prepare.remove_obstructing_indices(found, {}, { faithful = true })
for i, v in ipairs(kept) do kept[i] = v - 1 end
print("faithful keeps of 198..209:", table.concat(kept, " "))
assert(table.concat(kept, " ") == "198 199 201 203 205 207 209")
local mended = prepare.remove_obstructing_indices(found, {})
for i, v in ipairs(mended) do mended[i] = v - 1 end
print("mended keeps:              ", table.concat(mended, " "))

-- Bug 3: when one column more than rows was removed, half of the difference is
-- 0, and img[:-0] in Python is not everything but nothing.  The image is lost:
-- that explains how 99 images became 92.
local ten = luma.full({ 10, 9 }, 120, "u8")
local lost, fits = prepare.adjust_aspect_ratio(ten, 0, 1, { faithful = true })
print("\nfaithful, one column removed from 10x10:", lost:shape())
print("kept?", fits)
local saved, now = prepare.adjust_aspect_ratio(ten, 0, 1)
print("mended:", saved:shape())
assert(not fits and now)

-- A whole collection goes through the same steps in C, in parallel:
--   scripts/luma prepare --source covid-chestxray --in DIR --out DIR [--faithful]
local items = {}
for i = 1, 8 do items[i] = { index[i].path, ("runs/examples/03_prepared_%d.jpg"):format(i) } end
local results = luma.core.prepare.batch(items)
for i, result in ipairs(results) do
  print(("%-22s %-8s %4d x %-4d rows off %3d, columns off %3d, side %4d, %.1f ms"):format(index[i].name,
    result.status, result.height, result.width, result.rows_removed, result.cols_removed, result.side,
    1000 * result.seconds))
end
