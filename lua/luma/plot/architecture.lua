--- plot.architecture: a network as a picture, in the manner of the article's
-- overview: convolutions as standing boxes, repeated parts bracketed with their
-- number, R where a ReLU and S where a softmax follows, batch-norm left out.
--
--   local figure = require "luma.plot.architecture" (models.vgg19 { top = true })
--   figure:save "vgg19.svg"        -- or .png (drawn by gnuplot)
--
-- The picture is made in three steps: the layers become parts (parts.lua), the
-- parts get places on a page (here), and the page is written as SVG or handed to
-- gnuplot (canvas.lua).

local canvas = require "luma.plot.canvas"
local options = require "luma.base.options"
local parts_of = require "luma.plot.parts"

local colours = {
  conv = { "#cfe3f7", "#3b76af" }, pool = { "#f9d5cf", "#c0533f" }, dense = { "#d5ecd0", "#4a9440" },
  flatten = { "#e8e4f2", "#8272b0" }, avg = { "#f9d5cf", "#c0533f" }, other = { "#ececec", "#777777" },
  block = { "#fbfbf7", "#b5b09a" }, input = { "#ffffff", "#555555" },
}
local INK, FAINT, YELLOW, GOLD = "#24292f", "#6a737d", "#ffd84d", "#b48a00"

local GAP, WIDTH, DISC = 13, 26, 8
local INDENT = 12 -- of a block's frame around its boxes

-- The height of a box tells how large its feature map is.
local function height_of(part)
  local side = part.out and #part.out == 4 and part.out[2]
  if not side then return 120 end
  return 104 + 10 * math.log(math.max(1, side), 2)
end

-- Width of a part, drawn once.
local function width_of(part)
  if part.kind ~= "block" then return WIDTH end
  local w = 2 * INDENT
  for i, below in ipairs(part.parts) do w = w + width_of(below) + (i > 1 and GAP or 0) end
  return w + GAP + 22 -- the sum
end

local function marks(c, part, x, y)
  for i, mark in ipairs(part.marks) do
    local cx = x - (#part.marks - i) * (2 * DISC + 2)
    c:circle(cx, y, DISC, { fill = YELLOW, stroke = GOLD })
    c:text(cx, y, mark, { size = 10, bold = true, colour = INK })
  end
end

local function box(c, part, x, axis)
  local h, w = height_of(part), WIDTH
  local fill, stroke = table.unpack(colours[part.kind] or colours.other)
  c:rect(x, axis - h / 2, w, h, { fill = fill, stroke = stroke, round = 4 })
  c:text(x + w / 2, axis, part.label, { size = 11, turned = true, colour = INK })
  marks(c, part, x + w - 1, axis + h / 2 - 2)
  return w
end

local function arrow(c, x1, x2, y) c:arrow({ { x1, y }, { x2, y } }, { stroke = FAINT }) end

-- A residual block: the branch on the axis, the shortcut over it.
local function block(c, part, x, axis)
  local w, tallest = width_of(part), 0
  for _, below in ipairs(part.parts) do tallest = math.max(tallest, height_of(below)) end
  local top, bottom = axis - tallest / 2 - 46, axis + tallest / 2 + 16
  c:rect(x, top, w, bottom - top, { fill = colours.block[1], stroke = colours.block[2], round = 8, dashed = true })
  local at, over = x + INDENT, axis - tallest / 2 - 22
  local split = x + 4
  for i, below in ipairs(part.parts) do
    if i > 1 then arrow(c, at - GAP, at, axis) end
    at = at + box(c, below, at, axis) + GAP
  end
  local sum = at + 9
  arrow(c, at - GAP, sum - 9, axis)
  c:arrow({ { split, axis }, { split, over }, { sum, over }, { sum, axis - 9 } }, { stroke = FAINT })
  c:line({ { x, axis }, { x + INDENT, axis } }, { stroke = FAINT })
  if part.shortcut then
    local middle, sw = (split + sum) / 2, 16 + 6.4 * utf8.len(part.shortcut)
    local fill, stroke = table.unpack(colours.conv)
    c:rect(middle - sw / 2, over - 10, sw, 20, { fill = fill, stroke = stroke, round = 4 })
    c:text(middle, over, part.shortcut, { size = 10, colour = INK })
  end
  c:circle(sum, axis, 9, { fill = "#ffffff", stroke = FAINT })
  c:text(sum, axis, "+", { size = 14, colour = INK })
  marks(c, part, sum + 9, axis + 19)
  c:line({ { sum + 9, axis }, { x + w, axis } }, { stroke = FAINT })
  return w, top, bottom
end

-- "4x" under a bracket from x1 to x2.
local function bracket(c, x1, x2, y, count)
  c:line({ { x1, y }, { x1, y + 7 }, { x2, y + 7 }, { x2, y } }, { stroke = INK })
  c:text((x1 + x2) / 2, y + 18, ("×%d"):format(count), { size = 13, bold = true, colour = INK })
end

local function size_text(shape)
  if not shape then return "" end
  return table.concat(shape, "×", 2)
end

-- The rows of parts: a new one where the page would become wider than `limit`.
local function rows_of(list, limit)
  local rows, row, x = {}, {}, 0
  for _, part in ipairs(list) do
    local w = width_of(part) + 2 * GAP
    if x + w > limit and #row > 0 then
      rows[#rows + 1] = row
      row, x = {}, 0
    end
    row[#row + 1] = part
    x = x + w
  end
  rows[#rows + 1] = row
  return rows
end

-- Above and below the axis that a row needs.
local function extent(row)
  local above, below = 40, 40
  for _, part in ipairs(row) do
    local tallest = height_of(part)
    for _, inner in ipairs(part.parts or {}) do tallest = math.max(tallest, height_of(inner)) end
    above = math.max(above, tallest / 2 + (part.kind == "block" and 50 or 4))
    below = math.max(below, tallest / 2 + (part.kind == "block" and 20 or 8))
  end
  return above, below + 44
end

local function legend(c, y, list, normed)
  local seen = {}
  local function note(part)
    seen[part.kind] = true
    for _, mark in ipairs(part.marks) do seen[mark] = true end
    for _, below in ipairs(part.parts or {}) do note(below) end
  end
  for _, part in ipairs(list) do note(part) end
  local x = 24
  local function entry(kind, label)
    if not seen[kind] then return end
    local fill, stroke = table.unpack(colours[kind])
    c:rect(x, y - 7, 14, 14, { fill = fill, stroke = stroke, round = 3 })
    c:text(x + 20, y, label, { size = 11, anchor = "left", colour = FAINT })
    x = x + 34 + 6.6 * #label
  end
  entry("conv", "convolution")
  entry("pool", "pooling")
  entry("flatten", "flatten")
  entry("dense", "dense")
  for _, mark in ipairs { { "R", "ReLU" }, { "S", "softmax" } } do
    if seen[mark[1]] then
      c:circle(x + 7, y, DISC, { fill = YELLOW, stroke = GOLD })
      c:text(x + 7, y, mark[1], { size = 10, bold = true, colour = INK })
      c:text(x + 21, y, mark[2], { size = 11, anchor = "left", colour = FAINT })
      x = x + 36 + 6.6 * #mark[2]
    end
  end
  if normed then
    c:text(x, y, "/2: stride 2; batch-norm after each convolution is not drawn",
      { size = 11, anchor = "left", colour = FAINT })
  end
end

local function draw_row(c, row, axis, first, last, input)
  local x = 24
  if first then
    c:text(x, axis, size_text(input), { size = 11, anchor = "left", colour = INK })
    x = x + 9 + 7 * utf8.len(size_text(input))
  end
  for i, part in ipairs(row) do
    arrow(c, x, x + GAP + 4, axis)
    x = x + GAP + 4
    local start, width, top, bottom = x, WIDTH, axis - height_of(part) / 2, axis + height_of(part) / 2 + 8
    if part.kind == "block" then
      width, top, bottom = block(c, part, x, axis)
    else
      box(c, part, x, axis)
    end
    x = x + width
    if part.count > 1 then bracket(c, start - 3, x + 3, bottom + 1, part.count) end
    if part.kind ~= "conv" and part.out then
      local y = part.kind == "block" and bottom + (part.count > 1 and 34 or 14) or top - 16
      c:text(start + width / 2, y, size_text(part.out), { size = 10, colour = FAINT })
    end
    x = x + 4
  end
  if not last then
    arrow(c, x, x + 22, axis)
    c:text(x + 30, axis, "…", { size = 14, colour = FAINT })
  end
  return x + (last and 0 or 44)
end

local Figure = {}
Figure.__index = Figure

--- The figure of a network.  opts: title; shape = input with its batch (default:
-- what the model states); width = of the page, at most, in points.
-- @return figure: figure:svg() -> text; figure:png() -> bytes | nil, message, code;
--   figure:save("x.svg" | "x.png") -> true | nil, message, code
local function architecture(net, opts)
  opts = options.check("plot.architecture", opts, { title = options.optional, shape = options.optional, width = 1180 })
  local shape = opts.shape
  if not shape then
    if not net.input then error("plot.architecture: option shape is needed, for example {1, 224, 224, 3}", 2) end
    shape = { 1, net.input.height, net.input.width, net.input.channels }
  end
  local list, normed = parts_of(net, shape)
  local rows = rows_of(list, opts.width - 140)
  local c = canvas.new()
  local title = opts.title or (net.architecture or net.name or "network"):gsub("^vgg", "VGG"):gsub("^resnet", "ResNet")
  c:text(24, 26, title, { size = 19, bold = true, anchor = "left", colour = INK })
  local y, width = 50, 400
  for i, row in ipairs(rows) do
    local above, below = extent(row)
    local right = draw_row(c, row, y + above, i == 1, i == #rows, shape)
    width = math.max(width, right + 24)
    y = y + above + below
  end
  legend(c, y + 12, list, normed)
  c:size(width, y + 34)
  return setmetatable({ canvas = c, parts = list, title = title }, Figure)
end

function Figure:svg() return self.canvas:svg(self.title) end

function Figure:png(opts) return self.canvas:png(opts) end

--- Writes the picture, as the name's ending says: .svg or .png.
function Figure:save(path)
  local bytes, message, code
  if path:lower():match "%.png$" then
    bytes, message, code = self:png()
  elseif path:lower():match "%.svg$" then
    bytes = self:svg()
  else
    error("figure:save: the name must end in .svg or .png", 2)
  end
  if not bytes then return nil, message, code end
  return require("luma.base.files").write_atomic(path, bytes)
end

return architecture
