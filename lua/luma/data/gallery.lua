--- luma.data.gallery: the article's picture sheets: 40 images in 5 rows of 8
-- under a title, 720 x 432 pixels, white, without axes; and the nine sheets
-- of its augmentation chapter.
--
--   local sheets = gallery.augmentations(x_train)          -- (n, h, w, 3), [0, 1]
--   assert(gallery.save("out", sheets))                    -- out/adjusted-contrast.png, ...

local core = require "luma.core"
local files = require "luma.base.files"
local image = require "luma.image"
local options = require "luma.base.options"
local plot = require "luma.plot"

local gallery = {}

--- One sheet, as the article's plot_images draws it.
-- @param images list of images or batch; f32 counts as [0, 1] and is clipped;
--   the first rows x cols are shown
-- @param title a line of 24 points above the tiles
-- @param opts {rows=5, cols=8, width=720, height=432}
-- @return u8 tensor (height, width, 3); and why the title is missing, if gnuplot,
--   which writes it, is absent
function gallery.plot_images(images, title, opts)
  local o = options.check("plot_images", opts, { rows = 5, cols = 8, width = 720, height = 432 })
  local rows = options.integer("plot_images", "rows", o.rows, 1, 1000)
  local cols = options.integer("plot_images", "cols", o.cols, 1, 1000)
  local tiles = {}
  for i = 1, math.min(#images, rows * cols) do
    tiles[i] = core.is_tensor(images) and images:select(1, i) or images[i]
  end
  local heading, margin, gap = 56, 8, 3
  local side = math.min((o.width - 2 * margin - (cols - 1) * gap) // cols,
    (o.height - heading - margin - (rows - 1) * gap) // rows)
  if side < 1 then
    error(("plot_images: %d x %d tiles do not fit %gx%g pixels"):format(rows, cols, o.width, o.height), 2)
  end
  local figure = core.full({ o.height, o.width, 3 }, 255, "u8")
  local sheet = image.sheet(tiles, { rows = rows, cols = cols, gap = gap, height = side, width = side })
  local h, w = sheet:shape()
  local left = (o.width - w) // 2
  figure[{ { heading + 1, heading + h }, { left + 1, left + w } }] = sheet
  local bytes, why = plot.caption(title, { width = o.width, height = heading, size = 24 }):png()
  if not bytes then return figure, why end
  local caption, message = image.decode(bytes, "rgb")
  if not caption then return figure, message end
  figure[{ { 1, heading } }] = caption
  return figure
end

-- The file name of a title: lower case, words joined.
local function slug(title) return (title:lower():gsub("[^%w]+", "-"):gsub("%-+$", "")) end

--- The nine sheets of the article's augmentation chapter, on its first 40
-- training images.
-- @param x batch (n, h, w, 3), f32 in [0, 1] or u8
-- @param opts {faithful=false, count=40, last=}: faithful repeats the loop that turns `image`,
--   the last file loaded, instead of each image, so that a rotated sheet shows one picture 40
--   times; `last` is that image (default: the last of x)
-- @return list of {title=, name=, images=}
function gallery.augmentations(x, opts)
  local o = options.check("augmentations", opts, { faithful = false, count = 40, last = options.optional })
  if not core.is_tensor(x) or x:rank() ~= 4 or x:size(4) ~= 3 or x:size(1) == 0 then
    error("augmentations: a batch (n, h, w, 3) of at least one image expected", 2)
  end
  local function unit(t) return t:dtype() == "u8" and image.scale_input(t, "unit") or t end
  local last = unit(o.last or x:select(1, #x))
  local shown = unit(x:narrow(1, 1, math.min(#x, options.integer("augmentations", "count", o.count, 1))):contiguous())
  local sheets = {}
  local function add(title, images) sheets[#sheets + 1] = { title = title, name = slug(title), images = images } end
  add("Adjusted Contrast", image.adjust_contrast(shown, 2))
  add("Adjusted Saturation", image.adjust_saturation(shown, 3))
  add("Flipped Left Right", image.flip_left_right(shown))
  local down = image.flip_up_down(shown)
  add("Flipped Up Down", down)
  add("Flipped Up Down Left Right", image.flip_left_right(down))
  for _, degrees in ipairs { 45, 135, 225, 315 } do
    local turned
    if o.faithful then
      local one = image.rotate(last, degrees)
      turned = {}
      for i = 1, #shown do turned[i] = one end
    else
      turned = image.rotate(shown, degrees)
    end
    add(("Rotated %d Degrees"):format(degrees), turned)
  end
  return sheets
end

--- The overview sheets before and after preparation: "Positive COVID-19 Cases"
-- and "Negative COVID-19 Cases".
-- @param positive images (list or batch)
-- @param negative images (list or batch)
function gallery.overview(positive, negative)
  return {
    { title = "Positive COVID-19 Cases", name = "positive-covid-19-cases", images = positive },
    { title = "Negative COVID-19 Cases", name = "negative-covid-19-cases", images = negative },
  }
end

--- Draws sheets and writes each as dir/<name>.png.
-- @return list of paths | nil, message, code; and why titles are missing, if they are
function gallery.save(dir, sheets, opts)
  local made, message, code = files.mkdir_p(dir)
  if not made then return nil, message, code end
  local paths, note = {}, nil
  for i, sheet in ipairs(sheets) do
    local figure, why = gallery.plot_images(sheet.images, sheet.title, opts)
    note = note or why
    local path = files.join(dir, sheet.name .. ".png")
    local ok, text, kind = image.save(path, figure)
    if not ok then return nil, text, kind end
    paths[i] = path
  end
  return paths, note
end

return gallery
