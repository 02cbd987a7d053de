--- The article's four functions, one by one, for looking at and for lessons:
-- get_black_pixel_indices -> remove_obstructing_indices -> remove_black_pixels
-- -> adjust_aspect_ratio.  prepare.run does the same work in one pass in C.
--
-- Each takes {faithful = true} for what the author's code does, its bugs
-- included, and mends them by default.  Indices are 1-based: row 1 is the
-- author's row 0, so his window 200..800 is 201..801 here.

local core = require "luma.core"
local options = require "luma.base.options"

local steps = {}

--- Rows and columns of which more than half is black.  A pixel is black when
-- the mean of its channels is below level, R+G+B < 120 for the default (P1, P2).
-- @param img u8 image (h, w) or (h, w, c)
-- @param opts level (40); faithful: a shape that is not square is an error, as
--   both scans share their loop bounds (P3)
-- @return rows, cols: ascending lists of 1-based indices
function steps.get_black_pixel_indices(img, opts)
  local o = options.check("get_black_pixel_indices", opts, { level = 40, faithful = false })
  local bars = core.image.black_bars(img, { level = o.level, faithful = o.faithful, window = false })
  return bars.rows, bars.cols
end

-- The faithful deletion while iterating: after one item is deleted, the next
-- slides into its place and is never looked at (P5).
local function delete_while_walking(list)
  local out, i = { table.unpack(list) }, 1
  while i <= #out do
    if out[i] >= 201 and out[i] <= 801 then table.remove(out, i) end
    i = i + 1
  end
  return out
end

local function outside(list, lo, hi)
  local out = {}
  for _, value in ipairs(list) do
    if value < lo or value > hi then out[#out + 1] = value end
  end
  return out
end

--- Takes the indices inside the protected window out of both lists: what lies
-- there is body, not bar.
-- @param opts height, width of the image (1024): the window is 200..800 of 1024
--   in proportion.  faithful: 201..801 (1-based) whatever the size (P4), deleted
--   while iterating, so that every second one survives (P5)
-- @return rows, cols: new lists
function steps.remove_obstructing_indices(rows, cols, opts)
  local o = options.check("remove_obstructing_indices", opts, { faithful = false, height = 1024, width = 1024 })
  if o.faithful then return delete_while_walking(rows), delete_while_walking(cols) end
  local function window(n) return (200 * n + 512) // 1024 + 1, (800 * n + 512) // 1024 + 1 end
  return outside(rows, window(o.height)), outside(cols, window(o.width))
end

--- The image without these rows, then without these columns (P6).
function steps.remove_black_pixels(img, rows, cols)
  return core.image.remove_lines(img, rows, cols)
end

--- Cuts the image square: rows off bottom and top when more columns than rows
-- were removed, columns off right and left in the other case (P7).
-- @param opts faithful: a difference of one leaves an empty image (P8: the slice
--   [:-0]); by default any image comes out square
-- @return image, true when it is square and not empty
function steps.adjust_aspect_ratio(img, rows_removed, cols_removed, opts)
  local o = options.check("adjust_aspect_ratio", opts, { faithful = false })
  local function count(list) return type(list) == "table" and #list or list end
  return core.image.cut_square(img, count(rows_removed), count(cols_removed), { faithful = o.faithful })
end

--- The four in a row.
-- @return image, square, rows, cols
function steps.all(img, opts)
  local o = options.check("prepare.all", opts, { level = 40, faithful = false })
  local rows, cols = steps.get_black_pixel_indices(img, o)
  local height, width = img:shape()
  rows, cols = steps.remove_obstructing_indices(rows, cols,
    { faithful = o.faithful, height = height, width = width })
  local cut <close> = steps.remove_black_pixels(img, rows, cols)
  local square, match = steps.adjust_aspect_ratio(cut, rows, cols, { faithful = o.faithful })
  return square, match, rows, cols
end

--- The scan by hand, as the article writes it: two loops over plain Lua tables.
-- Slow on purpose (a second for a large image): the lesson, and what the C scan
-- is held against.
-- @param pixels list of rows, each a list of pixels, each a number or a list of
--   channels (img:totable())
-- @return rows, cols as get_black_pixel_indices
function steps.scan_by_hand(pixels, level)
  level = level or 40
  local height, width = #pixels, #(pixels[1] or {})
  local function black(pixel)
    if type(pixel) == "number" then return pixel < level end
    local sum = 0
    for c = 1, math.min(#pixel, 3) do sum = sum + pixel[c] end
    return sum < level * math.min(#pixel, 3)
  end
  local rows, cols = {}, {}
  for y = 1, height do
    local count = 0
    for x = 1, width do
      if black(pixels[y][x]) then count = count + 1 end
    end
    if count > width / 2 then rows[#rows + 1] = y end
  end
  for x = 1, width do
    local count = 0
    for y = 1, height do
      if black(pixels[y][x]) then count = count + 1 end
    end
    if count > height / 2 then cols[#cols + 1] = x end
  end
  return rows, cols
end

return steps
