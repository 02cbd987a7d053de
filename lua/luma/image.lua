--- luma.image: pictures as tensors, (h, w, c) or (h, w), u8 or f32.
-- Reading and writing, sizes, warps, colour and the black-bar scanner are C ops
-- (luma.help "image."); what is composed of them is here.

local core = require "luma.core"
local options = require "luma.base.options"

local image = {}
for name, op in pairs(core.image) do image[name] = op end

--- The box of an image without its black edges: rows and columns are taken off
-- each side while more than `share` of their pixels are darker than `level`.
-- @param x one u8 image
-- @param opts {level=40, share=0.5}
-- @return {top=, left=, height=, width=} for image.crop, 1-based; of a wholly
--   black image height and width are 0, which crop refuses
function image.content_box(x, opts)
  local o = options.check("content_box", opts, { level = 40, share = 0.5 })
  if not (o.share >= 0 and o.share <= 1) then
    error(("content_box: option share must be in 0..1, got %s"):format(o.share), 2)
  end
  if not core.is_tensor(x) or x:dtype() ~= "u8" or x:rank() > 3 then
    error("content_box: one u8 image expected, got " .. tostring(x):match "^[^\n]*", 2)
  end
  local bars = image.black_bars(x, { level = o.level, window = false })
  local function trim(counts, length)
    local list, first = counts:totable(), 1
    local last = #list
    while first <= last and list[first] > o.share * length do first = first + 1 end
    while last >= first and list[last] > o.share * length do last = last - 1 end
    return first, last - first + 1
  end
  local h, w = x:shape()
  local top, height = trim(bars.row_counts, w)
  local left, width = trim(bars.col_counts, h)
  if height == 0 or width == 0 then return { top = 1, left = 1, height = 0, width = 0 } end
  return { top = top, left = left, height = height, width = width }
end

-- Any picture as u8 RGB: f32 is taken as [0, 1] and clipped, as matplotlib's
-- imshow does; gray is repeated.
local function as_rgb(x, fname, which)
  if not core.is_tensor(x) then
    error(("%s: tile %d: tensor expected, got %s"):format(fname, which, type(x)), 3)
  end
  local rank = x:rank()
  if rank < 2 or rank > 3 then error(("%s: tile %d: rank 2 or 3 expected, got %d"):format(fname, which, rank), 3) end
  if x:dtype() ~= "u8" then x = (x:to "f32":clamp(0, 1) * 255):to "u8" end
  local h, w, c = x:shape()
  if h == 0 or w == 0 then error(("%s: tile %d is empty (%dx%d)"):format(fname, which, h, w), 3) end
  if c == 3 then return x end
  if c == 4 then return x[{ {}, {}, { 1, 3 } }]:contiguous() end
  if rank == 3 and c ~= 1 then
    error(("%s: tile %d: 1, 3 or 4 channels expected, got %d"):format(fname, which, c), 3)
  end
  return x:reshape(h, w, 1):expand(h, w, 3):contiguous()
end

--- A contact sheet: tiles in rows, left to right, top to bottom.
-- @param tiles list of images, or a batch (n, h, w, c); f32 counts as [0, 1]
-- @param opts {rows=, cols=, gap=2, background=255, height=, width=}: as many
--   columns as make it about square by default; tiles of other sizes than
--   height x width (the first tile's) are resized; places without a tile stay empty
-- @return u8 tensor (h, w, 3)
function image.sheet(tiles, opts)
  local o = options.check("sheet", opts, { rows = options.optional, cols = options.optional, gap = 2,
    background = 255, height = options.optional, width = options.optional })
  local list = {}
  if core.is_tensor(tiles) then
    if tiles:rank() ~= 4 then error("sheet: a list of images or a batch (n, h, w, c) expected", 2) end
    for i = 1, #tiles do list[i] = tiles:select(1, i) end
  elseif type(tiles) == "table" then
    list = tiles
  else
    error(("sheet: a list of images expected, got %s"):format(type(tiles)), 2)
  end
  local n = #list
  if n == 0 then error("sheet: at least one image expected", 2) end
  local cols = o.cols and options.integer("sheet", "cols", o.cols, 1)
    or o.rows and (n + o.rows - 1) // options.integer("sheet", "rows", o.rows, 1)
    or math.ceil(math.sqrt(n))
  local rows = o.rows and options.integer("sheet", "rows", o.rows, 1) or (n + cols - 1) // cols
  if rows * cols < n then error(("sheet: %d images do not fit %d x %d places"):format(n, rows, cols), 2) end
  local gap = options.integer("sheet", "gap", o.gap, 0, 10000)
  local h, w = as_rgb(list[1], "sheet", 1):shape()
  h = options.integer("sheet", "height", o.height or h, 1, 20000)
  w = options.integer("sheet", "width", o.width or w, 1, 20000)
  local sheet = core.full({ rows * h + (rows - 1) * gap, cols * w + (cols - 1) * gap, 3 }, o.background, "u8")
  for i = 1, n do
    local tile = as_rgb(list[i], "sheet", i)
    if tile:size(1) ~= h or tile:size(2) ~= w then
      local shrinks = tile:size(1) > h or tile:size(2) > w
      tile = image.resize(tile, h, w, { method = shrinks and "area" or "bilinear" })
    end
    local top, left = (i - 1) // cols * (h + gap), (i - 1) % cols * (w + gap)
    sheet[{ { top + 1, top + h }, { left + 1, left + w } }] = tile
  end
  return sheet
end

--- One image changed at random: draws from a recipe and applies it.
-- @param x image (h, w, c) or (h, w)
-- @param recipe a luma.data.augment recipe, or the options of one
-- @param rng a luma.rng
-- @return the changed image, and the parameters drawn
function image.augment(x, recipe, rng)
  local augment = require "luma.data.augment"
  if not core.is_tensor(x) or x:rank() < 2 or x:rank() > 3 then
    error("augment: one image (h, w, c) or (h, w) expected", 2)
  end
  if type(rng) ~= "userdata" then error(("augment: a luma.rng expected, got %s"):format(type(rng)), 2) end
  if not recipe.draw then recipe = augment.new(recipe) end
  local h, w = x:shape()
  local params = recipe:draw(rng, h, w)
  return recipe:apply(x, params), params
end

return image
