--- audit.figure: the audit's pictures: the areas with their intervals as a chart,
-- the mean image of each class with and without the lungs beside examples, and
-- copies side by side.

local luma = require "luma"
local canvas = require "luma.plot.canvas"
local features = require "luma.study.audit.features"
local text = require "luma.base.text"

local figure = {}

local INK, SOFT, GRID = "#24292f", "#6a737d", "#d0d7de"
local ABOVE, LUNGS, CHANCE = "#c2410c", "#b58900", "#6a9fb5"

-- ---- chart ----

-- Where things stand: names beside the bars on a wide page, above them on a
-- narrow one.
local wide = { row = 22, left = 300, span = 330, right = 110, width = 740, name = 288, anchor = "right", up = 0,
  keys = { 40, 270, 500 }, foot = 26 }
local narrow = { row = 36, left = 12, span = 350, right = 60, width = 420, name = 12, anchor = "left", up = 16,
  keys = { 12, 12, 12 }, foot = 66 }

-- The chart as a canvas: one row a shortcut, its area and interval.
local function draw(result, place)
  local c, list = canvas.new(), result.shortcuts
  local height = 46 + place.row * #list
  c:size(place.width, (height + place.foot + 3) // 4 * 4) -- a multiple of 4: whole pixels at scale 1.25
  local function x(v) return place.left + place.span * (math.max(0.3, math.min(1, v)) - 0.3) / 0.7 end
  if place == wide then
    c:text(place.name, 20, "AUC of this alone, 95 % interval", { size = 11, colour = SOFT, anchor = "right" })
  end
  for _, tick in ipairs { 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0 } do
    local style = { stroke = tick == 0.5 and INK or GRID }
    if place == wide then
      c:line({ { x(tick), 32 }, { x(tick), height } }, style)
    else -- beside each bar only: the names stand free
      for i = 1, #list do
        local y = 31 + place.row * i
        c:line({ { x(tick), y - 8 }, { x(tick), y + 8 } }, style)
      end
    end
    c:text(x(tick), 20, tick == 0.5 and "chance" or ("%.1f"):format(tick), { size = 11, colour = SOFT })
  end
  for i, s in ipairs(list) do
    local y = 38 + place.row * i - (place == wide and 11 or 7)
    local colour = not s.above_chance and CHANCE or s.lungs and LUNGS or ABOVE
    c:text(place.name, y - place.up, text.printable((s.title:gsub("^the ", "")), 46), { size = 12, colour = INK,
      anchor = place.anchor })
    c:rect(x(s.auc.lo), y - 2, math.max(1, x(s.auc.hi) - x(s.auc.lo)), 4, { fill = colour, stroke = colour })
    c:circle(x(s.auc.value), y, 5, { fill = colour, stroke = colour })
    c:text(place.left + place.span + 14, y, ("%.2f"):format(s.auc.value), { size = 12, bold = true, colour = INK,
      anchor = "left" })
  end
  for k, key in ipairs { { ABOVE, "above chance, no lung needed" }, { LUNGS, "above chance, lungs in view" },
    { CHANCE, "not above chance" } } do
    local at, y = place.keys[k], height + 12 + (place == wide and 0 or 18 * (k - 1))
    c:circle(at, y, 5, { fill = key[1], stroke = key[1] })
    c:text(at + 12, y, key[2], { size = 11, colour = SOFT, anchor = "left" })
  end
  return c
end

--- The chart as SVG for a page, narrow enough for a phone: no background, ink
-- that follows the page's.
function figure.chart(result)
  local svg = draw(result, narrow):svg "How well each shortcut tells the classes apart"
  svg = svg:gsub('<rect width="100%%" height="100%%" fill="#ffffff"/>', ""):gsub(INK, "currentColor")
  return '<figure style="max-width:32rem">' .. svg .. "</figure>\n"
end

-- ---- pictures ----

local TILE, GAP, TITLE, TILES = 116, 4, 26, 8
local WIDE = TILES * TILE + (TILES - 1) * GAP

-- An image with the box of the lungs painted out.
local function without_lungs(x)
  local h, w = x:shape()
  local b, y = features.lung_box, x:clone()
  y[{ { math.floor(b.top * h) + 1, math.floor(b.bottom * h) },
    { math.floor(b.left * w) + 1, math.floor(b.right * w) } }] = 255
  return y
end

-- Where a class is brighter (red) or darker (blue) than the others, stretched to
-- the largest difference.
local function against(mean, others)
  local d <close> = (mean - others) / math.max(8, (mean - others):abs():max():item())
  local up <close> = d:clamp(0, 1)
  local down <close> = (d * -1):clamp(0, 1)
  return luma.stack({ 1 - down, 1 - up - down, 1 - up }, 3):clamp(0, 1)
end

-- Example files of a class, of different patients where they are known.
local function examples(index, class, count)
  local list, seen = {}, {}
  for _, row in ipairs(index) do
    if #list == count then break end
    local person = row.patient or row
    if row.class == class and not seen[person] then
      seen[person] = true
      local x = luma.image.load(row.path, { mode = "rgb", strict = false })
      if x then
        list[#list + 1] = luma.image.resize(x, TILE, TILE, { method = "area" })
        x:close()
      end
    end
  end
  return list
end

-- A line of words as pixels of a width, or nil without gnuplot.
local function title(words, width)
  local bytes = luma.plot.caption(words, { width = width, height = TITLE, size = 12 }):png()
  return bytes and luma.image.decode(bytes, "rgb")
end

-- Pieces (h, w, 3) below each other on white, with the same width.
local function stacked(pieces)
  local height, width = 0, 0
  for _, x in ipairs(pieces) do
    height, width = height + x:size(1) + GAP, math.max(width, x:size(2))
  end
  local out, top = luma.full({ height, width, 3 }, 255, "u8"), 1
  for _, x in ipairs(pieces) do
    local h, w = x:size(1), x:size(2)
    local left = (width - w) // 2 + 1
    out[{ { top, top + h - 1 }, { left, left + w - 1 }, {} }] = x
    top = top + h + GAP
  end
  return out
end

local CLASSES = 8 -- at most so many rows

--- The picture page as PNG bytes: the chart (left out on request), then a row a class.
function figure.picture(result, without_chart)
  local pieces = {}
  if #result.shortcuts > 0 and not without_chart then
    local bytes = draw(result, wide):png { scale = 1.25 }
    local chart = bytes and luma.image.decode(bytes, "rgb")
    if chart then pieces[1] = chart end
  end
  for k = 1, math.min(CLASSES, #result.classes) do
    local class = result.classes[k]
    local mean = result.means[class]
    if mean then
      local others, n = nil, 0
      for other, m in pairs(result.means) do
        if other ~= class then
          others = others and others + m or m
          n = n + 1
        end
      end
      local gray = mean:to "u8"
      local tiles = { gray, without_lungs(gray) }
      if others then tiles[3] = against(mean, others / n) end
      for _, x in ipairs(examples(result.index, class, TILES - #tiles)) do tiles[#tiles + 1] = x end
      local shown = others and ", the same without lungs, brighter (red) or darker (blue) than the rest"
        or ", the same without lungs"
      pieces[#pieces + 1] = title(("%s: mean of %d%s, examples"):format(text.printable(class, 40),
        result.counts[class], shown), WIDE)
      pieces[#pieces + 1] = luma.image.sheet(tiles, { rows = 1, cols = TILES, gap = GAP, height = TILE, width = TILE })
    end
  end
  if #pieces == 0 then return nil end
  return luma.image.encode(stacked(pieces), "png")
end

local PAIRS, SIDE = 8, 200

--- Copies side by side as PNG bytes, or nil when there are none.
function figure.pairs(result)
  local pieces = {}
  for k = 1, math.min(PAIRS, #result.duplicates) do
    local d, tiles = result.duplicates[k], {}
    for _, i in ipairs { d.i, d.j } do
      local x = luma.image.load(result.index[i].path, { mode = "rgb", strict = false })
      if x then tiles[#tiles + 1] = x end
    end
    if #tiles == 2 then
      local classes = { result.index[d.i].class, result.index[d.j].class }
      local sheet = luma.image.sheet(tiles, { rows = 1, cols = 2, gap = GAP, height = SIDE, width = SIDE })
      pieces[#pieces + 1] = stacked { title(("%d: %s, %.3f"):format(k, d.how and text.printable(d.how, 40) or d.kind,
        d.correlation), 2 * SIDE + GAP), sheet,
        title(text.printable(classes[1], 18) .. " | " .. text.printable(classes[2], 18), 2 * SIDE + GAP) }
    end
    for _, x in ipairs(tiles) do x:close() end
  end
  if #pieces == 0 then return nil end
  local h, w = pieces[1]:shape()
  return luma.image.encode(luma.image.sheet(pieces, { cols = math.min(2, #pieces), gap = 12, height = h, width = w }),
    "png")
end

return figure
