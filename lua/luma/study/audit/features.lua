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

local Batch = {}
Batch.__index = Batch

--- Side of the image that pixel families see: the article's.
features.SIDE = 224

-- ---- pixels: what a batch of u8 (n, 224, 224, 3) is turned into, once ----

--- A batch for the families: pixels u8 (n, 224, 224, 3) and facts of the files.
-- Gray versions are made when first asked for and released by close().
function features.batch(pixels, files) return setmetatable({ pixels = pixels, files = files, made = {} }, Batch) end

function Batch:close()
  for _, x in pairs(self.made) do
    if luma.core.is_tensor(x) then x:close() end
  end
  self.made = {}
end
Batch.__close = Batch.close

-- Gray, u8 (n, 224, 224, 1).
function Batch:gray()
  self.made.gray = self.made.gray or luma.image.rgb_to_gray(self.pixels)
  return self.made.gray
end

-- The gray image area-resized to side x side: a list of rows of side * side
-- values in 0..1.
function Batch:thumbnails(side)
  local rows = self.made[side]
  if not rows then
    local fine <close> = self:gray():to "f32"
    local small <close> = luma.image.resize(fine, side, side, { method = "area" })
    local flat <close> = small:reshape(self.pixels:size(1), side * side) / 255
    rows = flat:totable()
    self.made[side] = rows
  end
  return rows
end

-- Keeps the cells of a side x side thumbnail for which keep(row, col) is true.
local function cells(batch, side, keep)
  local places = {}
  for r = 1, side do
    for c = 1, side do
      if keep(r, c) then places[#places + 1] = (r - 1) * side + c end
    end
  end
  local rows = {}
  for i, row in ipairs(batch:thumbnails(side)) do
    local out = {}
    for k, place in ipairs(places) do out[k] = row[place] end
    rows[i] = out
  end
  return rows
end

-- 28 x 28 cells of 8 x 8 pixels: the outer two rings are the 16-pixel border.
local function border(batch)
  return cells(batch, 28, function(r, c) return r <= 2 or r > 26 or c <= 2 or c > 26 end)
end

local function corners(batch)
  return cells(batch, 28, function(r, c) return (r <= 4 or r > 24) and (c <= 4 or c > 24) end)
end

local function thumbnail(batch) return batch:thumbnails(16) end

--- The box that holds the lungs of a frontal radiograph at any size: rows 15 to
-- 85 %, columns 12.5 to 87.5 %.  A stated, fixed box; no segmentation.
features.lung_box = { top = 0.15, bottom = 0.85, left = 0.125, right = 0.875 }

local function no_lungs(batch)
  local b = features.lung_box
  return cells(batch, 16, function(r, c)
    local y, x = (r - 0.5) / 16, (c - 0.5) / 16
    return y < b.top or y > b.bottom or x < b.left or x > b.right
  end)
end

-- Share of pixels in each of 32 gray levels.
local function histogram(batch)
  local rows, area = {}, features.SIDE * features.SIDE -- a multiple of 8
  local bytes = batch:gray():bytes()
  for i = 1, batch.pixels:size(1) do
    local count = {}
    for level = 0, 255 do count[level] = 0 end
    for at = (i - 1) * area + 1, i * area, 8 do
      local p, q, r, s, t, u, v, w = bytes:byte(at, at + 7)
      count[p] = count[p] + 1
      count[q] = count[q] + 1
      count[r] = count[r] + 1
      count[s] = count[s] + 1
      count[t] = count[t] + 1
      count[u] = count[u] + 1
      count[v] = count[v] + 1
      count[w] = count[w] + 1
    end
    local row = {}
    for bin = 0, 31 do
      local sum = 0
      for level = 8 * bin, 8 * bin + 7 do sum = sum + count[level] end
      row[bin + 1] = sum / area
    end
    rows[i] = row
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
local function spectrum(batch)
  local n, side = batch.pixels:size(1), features.SIDE
  local rows = {}
  for i = 1, n do rows[i] = {} end
  local function put(list, f)
    for i, v in ipairs(list) do rows[i][#rows[i] + 1] = f and f(v) or v end
  end
  local function log_energy(v) return math.log(v + 1e-6) end
  local fine = batch:gray():to "f32"
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
local function colour(batch)
  local rows = {}
  for i, file in ipairs(batch.files) do
    rows[i] = { 0.0, 0.0, 0.0, 0.0, 0.0 }
    if file.channels ~= 1 then
      local f <close> = batch.pixels:select(1, i):to "f32"
      local high <close> = f:max(3)
      local low <close> = f:min(3)
      local spread <close> = high - low
      local coloured <close> = spread:gt(12):to "f32"
      local channel <close> = f:reshape(features.SIDE * features.SIDE, 3):mean(1)
      local rgb = channel:totable()
      rows[i] = { spread:mean():item(), spread:max():item() / 255, coloured:mean():item(), rgb[1] - rgb[2],
        rgb[2] - rgb[3] }
    end
  end
  return rows
end

-- Per image: how many black rows and columns (P1, P2) are left in it.
local function bars(batch)
  local rows, gray = {}, batch:gray()
  for i = 1, gray:size(1) do
    local x <close> = gray:select(1, i):contiguous()
    local found = luma.image.black_bars(x, { window = false })
    rows[i] = { #found.rows, #found.cols }
  end
  return rows
end

-- Per image: which fraction of its first and last row and column is dark.
local function dark_edges(batch)
  local rows, gray = {}, batch:gray()
  for i = 1, gray:size(1) do
    local x <close> = gray:select(1, i):contiguous()
    local found = luma.image.black_bars(x, { window = false })
    local share <close> = (found.row_counts:to "f32") / features.SIDE
    local column <close> = (found.col_counts:to "f32") / features.SIDE
    local down, across = share:totable(), column:totable()
    local side = features.SIDE
    rows[i] = { down[1], down[side], across[1], across[side] }
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

--- Columns that tell how an image was taken, with a few values each.
features.acquisition_columns = {
  { key = "view", title = "the view" }, { key = "source", title = "the collection" },
  { key = "modality", title = "the modality" }, { key = "location", title = "the place" },
  { key = "country", title = "the country" }, { key = "device", title = "the device" },
  { key = "sex", title = "the sex" },
}

--- The families that look at pixels or files; `lungs` says how the lungs are in
-- view, where they are; `columns` gets the batch
-- features.batch, whose files are {{height=, width=, channels=, file=audit.jpegfile}, ...}.
features.families = {
  { name = "border", title = "the 16-pixel border alone", needs = "pixels", columns = border },
  { name = "corners", title = "what is in the four corners", needs = "pixels", columns = corners },
  { name = "thumbnail", title = "a 16x16 thumbnail", needs = "pixels", columns = thumbnail,
    lungs = "at a size at which no finding is visible" },
  { name = "thumbnail_without_lungs", title = "a 16x16 thumbnail with the lungs cut out", needs = "pixels",
    columns = no_lungs },
  { name = "histogram", title = "the gray-level histogram", needs = "pixels", columns = histogram,
    lungs = "without any shape" },
  { name = "sharpness", title = "the sharpness (detail by scale, JPEG blocking)", needs = "pixels",
    columns = spectrum, lungs = "without any shape" },
  { name = "colour", title = "the trace of colour", needs = "pixels", columns = colour },
  { name = "black_bars", title = "the number of black rows and columns", needs = "pixels",
    columns = bars },
  { name = "dark_edges", title = "the darkness of the outermost rows and columns", needs = "pixels",
    columns = dark_edges },
  { name = "size", title = "the size and aspect of the image file", needs = "file", columns = original_size },
  { name = "file", title = "the file's size, compression and format", needs = "file", columns = file_traces },
}

return features
