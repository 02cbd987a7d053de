--- audit.features: what an image file shows besides the lungs, as numbers.
--
-- A family is {name=, title=, needs=, columns(batch) -> list of rows}: one list
-- of numbers an image, NaN where something is not known.  `needs` says what the
-- family looks at: "pixels" (the image at 224 x 224), "file" (the bytes on
-- disk) or "row" (the index's columns).  audit.shortcuts asks each family how
-- well it predicts the class.

local luma = require "luma"

local features = {}

local NAN = 0 / 0

--- Side of the image that pixel families see: the article's.
features.SIDE = 224

-- ---- pixels: gray thumbnails, from batches u8 (n, 224, 224, 3) ----

-- A batch as f32 means of the three channels, area-resized to side x side: a
-- list of rows of side * side gray values in 0..1.
local function thumbnails(pixels, side)
  local gray <close> = (pixels:to "f32"):mean({ 4 }, true)
  local small <close> = luma.image.resize(gray, side, side, { method = "area" })
  local n = pixels:size(1)
  local flat <close> = small:reshape(n, side * side) / 255
  return flat:totable()
end

-- Keeps the cells of a side x side thumbnail for which keep(row, col) is true.
local function cells(pixels, side, keep)
  local places = {}
  for r = 1, side do
    for c = 1, side do
      if keep(r, c) then places[#places + 1] = (r - 1) * side + c end
    end
  end
  local rows = thumbnails(pixels, side)
  for i, row in ipairs(rows) do
    local out = {}
    for k, place in ipairs(places) do out[k] = row[place] end
    rows[i] = out
  end
  return rows
end

-- 28 x 28 cells of 8 x 8 pixels: the outer two rings are the 16-pixel border.
local function border(pixels)
  return cells(pixels, 28, function(r, c) return r <= 2 or r > 26 or c <= 2 or c > 26 end)
end

local function corners(pixels)
  return cells(pixels, 28, function(r, c) return (r <= 4 or r > 24) and (c <= 4 or c > 24) end)
end

local function thumbnail(pixels) return thumbnails(pixels, 16) end

--- The box that holds the lungs of a frontal radiograph at any size: rows 15 to
-- 85 %, columns 12.5 to 87.5 %.  A stated, fixed box; no segmentation.
features.lung_box = { top = 0.15, bottom = 0.85, left = 0.125, right = 0.875 }

local function no_lungs(pixels)
  local b = features.lung_box
  return cells(pixels, 16, function(r, c)
    local y, x = (r - 0.5) / 16, (c - 0.5) / 16
    return y < b.top or y > b.bottom or x < b.left or x > b.right
  end)
end

-- Share of pixels in each of 32 gray levels.
local function histogram(pixels)
  local n = pixels:size(1)
  local gray <close> = (pixels:to "f32"):mean({ 4 })
  local bins <close> = (gray / 8):floor():reshape(n, features.SIDE * features.SIDE)
  local rows = {}
  for i = 1, n do rows[i] = {} end
  for level = 0, 31 do
    local share <close> = bins:eq(level):to "f32":mean(2)
    for i, v in ipairs(share:totable()) do rows[i][level + 1] = v end
  end
  return rows
end

-- Mean of a (n, ...) tensor over all but the first dimension, as a list.
local function means(x)
  local n = x:size(1)
  local flat <close> = x:reshape(n, x:count() // n)
  local m <close> = flat:mean(2)
  return m:totable()
end

-- |difference| to the neighbour along dim 2 (rows) or 3 (columns).
local function differences(gray, dim)
  local length = gray:size(dim)
  return gray:narrow(dim, 2, length - 1):contiguous():sub(gray:narrow(dim, 1, length - 1):contiguous()):abs()
end

--- Sharpness and spectrum: log energy of five octaves (each scale's detail that
-- the next coarser one lacks), mean gradient along rows and columns, and
-- blocking (gradient across the 8-pixel grid of JPEG against elsewhere).
local function spectrum(pixels)
  local n, side = pixels:size(1), features.SIDE
  local rows = {}
  for i = 1, n do rows[i] = {} end
  local function put(list, f)
    for i, v in ipairs(list) do rows[i][#rows[i] + 1] = f and f(v) or v end
  end
  local function log_energy(v) return math.log(v + 1e-6) end
  local fine = (pixels:to "f32"):mean({ 4 }, true)
  for dim = 2, 3 do
    local d <close> = differences(fine, dim)
    put(means(d), log_energy)
    local grid, count = {}, 0
    for k = 8, side - 1, 8 do
      count = count + 1
      grid[count] = k
    end
    local ids <close> = luma.tensor(grid, "i32")
    local across <close> = d:index_select(dim, ids)
    local on, all = means(across), means(d)
    for i = 1, n do rows[i][#rows[i] + 1] = (on[i] + 0.1) / (all[i] + 0.1) end
  end
  for _ = 1, 5 do
    side = side // 2
    local coarse = luma.image.resize(fine, side, side, { method = "area" })
    local back <close> = luma.image.resize(coarse, side * 2, side * 2, { method = "bilinear" })
    local detail <close> = (fine - back):square()
    put(means(detail), log_energy)
    fine:close()
    fine = coarse
  end
  fine:close()
  return rows
end

-- Differences of channels: mean, largest, and share of pixels that differ by
-- more than 12 (the article's data has 9 such COVID-19 images and no normal one).
local function colour(pixels)
  local n = pixels:size(1)
  local f <close> = pixels:to "f32"
  local high <close> = f:max(4)
  local low <close> = f:min(4)
  local spread <close> = high - low
  local flat <close> = spread:reshape(n, spread:count() // n)
  local largest <close> = flat:max(2)
  local coloured <close> = flat:gt(12):to "f32":mean(2)
  local channel <close> = f:reshape(n, features.SIDE * features.SIDE, 3):mean(2)
  local average, top, share, rgb = means(spread), largest:totable(), coloured:totable(), channel:totable()
  local rows = {}
  for i = 1, n do
    rows[i] = { average[i], top[i] / 255, share[i], rgb[i][1] - rgb[i][2], rgb[i][2] - rgb[i][3] }
  end
  return rows
end

-- Black rows and columns (P1, P2) left in the image, and how dark the edges are.
local function bars(pixels)
  local rows = {}
  for i = 1, pixels:size(1) do
    local x <close> = pixels:select(1, i):contiguous()
    local found = luma.image.black_bars(x, { window = false })
    local share <close> = (found.row_counts:to "f32") / features.SIDE
    local column <close> = (found.col_counts:to "f32") / features.SIDE
    local down, across = share:totable(), column:totable()
    local side = features.SIDE
    rows[i] = { #found.rows, #found.cols, down[1], down[side], across[1], across[side] }
  end
  return rows
end

-- ---- the file ----

local function original_size(batch)
  local rows = {}
  for i, file in ipairs(batch.files) do
    local h, w = file.height, file.width
    rows[i] = h and { h / 1000, w / 1000, math.log(h * w), w / h } or { NAN, NAN, NAN, NAN }
  end
  return rows
end

local subsampling_code = { ["1x1"] = 0, ["2x1"] = 1, ["2x2"] = 2 }

local function file_traces(batch)
  local rows = {}
  for i, file in ipairs(batch.files) do
    local d = file.file
    if not d then
      rows[i] = { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN }
    else
      local function flag(v) return v and 1 or 0 end
      rows[i] = {
        math.log(d.bytes), file.height and d.bytes * 8 / (file.height * file.width) or NAN,
        flag(d.format == "png"), d.quality or NAN, d.quality_distance or NAN,
        flag(d.progressive), d.subsampling and (subsampling_code[d.subsampling] or 3) or NAN,
        flag(d.exif), d.components or NAN,
      }
    end
  end
  return rows
end

-- ---- metadata columns ----

local function field(row, key)
  local value = row[key]
  if value == nil and row.meta then value = row.meta[key] end
  if value == "" then value = nil end
  return value
end

--- One column of the index as numbers: itself when every known value is a
-- number, else one indicator for each of its 12 commonest values.  The missing
-- value is NaN (learn marks it).  Returns nil when the column is the same for all.
function features.metadata(index, key)
  local values, numeric, seen, distinct = {}, true, {}, {}
  for i, row in ipairs(index) do
    local v = field(row, key)
    values[i] = v
    if v ~= nil then
      if tonumber(v) == nil then numeric = false end
      local text = tostring(v)
      if not seen[text] then distinct[#distinct + 1] = text end
      seen[text] = (seen[text] or 0) + 1
    end
  end
  local missing = false
  for i = 1, #index do missing = missing or values[i] == nil end
  if #distinct == 0 or (#distinct == 1 and not missing) then return nil end
  table.sort(distinct, function(a, b)
    if seen[a] ~= seen[b] then return seen[a] > seen[b] end
    return a < b
  end)
  local rows = {}
  for i = 1, #index do
    local v = values[i]
    if numeric then
      rows[i] = { v ~= nil and tonumber(v) or NAN }
    else
      rows[i] = {}
      for k = 1, math.min(12, #distinct) do
        rows[i][k] = v == nil and NAN or (tostring(v) == distinct[k] and 1 or 0)
      end
    end
  end
  return rows
end

--- Columns of metadata worth asking, with the words of their sentence.
features.metadata_columns = {
  { key = "view", title = "the view (PA, AP)" }, { key = "age", title = "the age" },
  { key = "sex", title = "the sex" }, { key = "location", title = "the place" },
  { key = "modality", title = "the modality" }, { key = "source", title = "the collection the image is from" },
  { key = "date", title = "the date" },
}

--- The families that look at pixels or files; `columns` gets the batch
-- {pixels=u8 (n, 224, 224, 3), files={{height=, width=, file=audit.jpegfile}, ...}}.
local function of_pixels(f) return function(batch) return f(batch.pixels) end end
features.families = {
  { name = "border", title = "the 16-pixel border alone", needs = "pixels", columns = of_pixels(border) },
  { name = "corners", title = "the four corners alone", needs = "pixels", columns = of_pixels(corners) },
  { name = "thumbnail", title = "a 16x16 thumbnail", needs = "pixels", columns = of_pixels(thumbnail),
    lungs = true },
  { name = "thumbnail_without_lungs", title = "a 16x16 thumbnail with the lungs cut out", needs = "pixels",
    columns = of_pixels(no_lungs) },
  { name = "histogram", title = "the gray-level histogram", needs = "pixels", columns = of_pixels(histogram),
    lungs = true },
  { name = "sharpness", title = "sharpness, detail by scale and JPEG blocking", needs = "pixels",
    columns = of_pixels(spectrum), lungs = true },
  { name = "colour", title = "traces of colour", needs = "pixels", columns = of_pixels(colour) },
  { name = "black_bars", title = "the number of black rows and columns", needs = "pixels",
    columns = of_pixels(bars) },
  { name = "size", title = "the size and aspect of the image file", needs = "file", columns = original_size },
  { name = "file", title = "the file's size, compression and format", needs = "file", columns = file_traces },
}

return features
