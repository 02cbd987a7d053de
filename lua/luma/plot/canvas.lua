--- A page of boxes, lines and words, written as SVG by ourselves or as PNG by
-- gnuplot.  Points from the top left, y downwards.

local child = require "luma.base.child"
local text = require "luma.base.text"

local Canvas = {}
Canvas.__index = Canvas

local canvas = {}

function canvas.new() return setmetatable({ items = {}, width = 100, height = 100 }, Canvas) end

function Canvas:size(width, height) self.width, self.height = math.ceil(width), math.ceil(height) end

local function add(self, kind, item)
  item.kind = kind
  self.items[#self.items + 1] = item
end

--- style: fill, stroke, round = radius of the corners, dashed
function Canvas:rect(x, y, w, h, style) add(self, "rect", { x = x, y = y, w = w, h = h, style = style }) end
function Canvas:circle(x, y, r, style) add(self, "circle", { x = x, y = y, r = r, style = style }) end
--- points: { {x, y}, ... }
function Canvas:line(points, style) add(self, "line", { points = points, style = style }) end
function Canvas:arrow(points, style) add(self, "arrow", { points = points, style = style }) end
--- Words centred on (x, y).  style: size, bold, colour, anchor = "left"|"right",
-- turned = read from below
function Canvas:text(x, y, words, style) add(self, "text", { x = x, y = y, words = words, style = style }) end

-- ---- SVG ----

local function points_text(points)
  local out = {}
  for i, p in ipairs(points) do out[i] = ("%.1f,%.1f"):format(p[1], p[2]) end
  return table.concat(out, " ")
end

local anchors = { left = "start", right = "end" }

local svg = {
  rect = function(i)
    return ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%g" fill="%s" stroke="%s"%s/>'):format(i.x, i.y,
      i.w, i.h, i.style.round or 0, i.style.fill, i.style.stroke, i.style.dashed and ' stroke-dasharray="5 4"' or "")
  end,
  circle = function(i)
    return ('<circle cx="%.1f" cy="%.1f" r="%g" fill="%s" stroke="%s"/>'):format(i.x, i.y, i.r, i.style.fill,
      i.style.stroke)
  end,
  line = function(i)
    return ('<polyline points="%s" fill="none" stroke="%s"/>'):format(points_text(i.points), i.style.stroke)
  end,
  arrow = function(i)
    return ('<polyline points="%s" fill="none" stroke="%s" marker-end="url(#tip)"/>'):format(points_text(i.points),
      i.style.stroke)
  end,
  text = function(i)
    local s = i.style
    local tag = '<text x="%.1f" y="%.1f" font-size="%g" fill="%s" text-anchor="%s" '
      .. 'dominant-baseline="central"%s%s>%s</text>'
    return tag:format(i.x, i.y, s.size, s.colour, anchors[s.anchor] or "middle", s.bold and ' font-weight="bold"' or "",
        s.turned and (' transform="rotate(-90 %.1f %.1f)"'):format(i.x, i.y) or "", text.html(i.words))
  end,
}

--- The page as a complete SVG document.
function Canvas:svg(title)
  local out = {
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" '
      .. 'font-family="DejaVu Sans, Verdana, sans-serif">'):format(self.width, self.height, self.width, self.height),
    ("<title>%s</title>"):format(text.html(title or "figure")),
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
      .. '<path d="M0,0.5 L8,4 L0,7.5 z" fill="#6a737d"/></marker></defs>',
    '<rect width="100%" height="100%" fill="#ffffff"/>',
  }
  for _, item in ipairs(self.items) do out[#out + 1] = svg[item.kind](item) end
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

-- ---- gnuplot ----

-- Corners of a rounded box as a polygon.
local function outline(i)
  local r = math.min(i.style.round or 0, i.w / 2, i.h / 2)
  if r == 0 then return { { i.x, i.y }, { i.x + i.w, i.y }, { i.x + i.w, i.y + i.h }, { i.x, i.y + i.h } } end
  local points = {}
  local left, right, top, bottom = i.x + r, i.x + i.w - r, i.y + r, i.y + i.h - r
  local corners = { { right, top, -90 }, { right, bottom, 0 }, { left, bottom, 90 }, { left, top, 180 } }
  for _, corner in ipairs(corners) do
    for step = 0, 6 do
      local a = math.rad(corner[3] + 15 * step)
      points[#points + 1] = { corner[1] + r * math.cos(a), corner[2] + r * math.sin(a) }
    end
  end
  return points
end

local function at(p) return ("%.2f,%.2f"):format(p[1], p[2]) end

local function quote(s) return "'" .. s:gsub("%c", " "):gsub("'", "''") .. "'" end

-- Each gives a line of the script; n numbers it, so that later items lie above.
local plot = {
  rect = function(i, n)
    local p = outline(i)
    local corners = {}
    for k, point in ipairs(p) do corners[k] = at(point) end
    corners[#corners + 1] = at(p[1])
    return ("set object %d polygon from %s front fc rgb '%s' fs solid 1 border lc rgb '%s' lw 1.2%s"):format(n,
      table.concat(corners, " to "), i.style.fill, i.style.stroke, i.style.dashed and " dt (6,5)" or "")
  end,
  circle = function(i, n)
    return ("set object %d circle at %s size first %g front fc rgb '%s' fs solid 1 border lc rgb '%s' lw 1.2"):format(n,
      at { i.x, i.y }, i.r, i.style.fill, i.style.stroke)
  end,
}

--- The page as PNG bytes (at `scale` pixels a point) | nil, message, code.
--
-- gnuplot draws all objects before all arrows before all labels, whatever their
-- order; so lines are drawn as thin polygons, to stay in the order of the page.
function Canvas:png(opts)
  opts = opts or {}
  local scale = opts.scale or 2
  local out = { "set encoding utf8",
    ("set terminal pngcairo noenhanced size %d,%d fontscale %g linewidth %g font 'DejaVu Sans,10'"):format(
      self.width * scale, self.height * scale, scale * 0.75, scale) .. " background rgb '#ffffff'",
    "unset border", "unset tics", "unset key", "unset colorbox", "set lmargin 0", "set rmargin 0", "set tmargin 0",
    "set bmargin 0", ("set xrange [0:%d]"):format(self.width), ("set yrange [%d:0]"):format(self.height) }
  local n = 0
  local function object(line)
    out[#out + 1] = line
  end
  local function stroke(points, colour)
    local path = {}
    for k, p in ipairs(points) do path[k] = at(p) end
    for k = #points - 1, 1, -1 do path[#path + 1] = at(points[k]) end -- and back: closed, no area
    n = n + 1
    object(("set object %d polygon from %s front fs empty border lc rgb '%s' lw 1.2"):format(n,
      table.concat(path, " to "), colour))
  end
  for _, item in ipairs(self.items) do
    if plot[item.kind] then
      n = n + 1
      object(plot[item.kind](item, n))
    elseif item.kind == "text" then
      local s = item.style
      object(("set label %s at %s %s%s front textcolor rgb '%s' font '%s,%g'"):format(quote(item.words),
        at { item.x, item.y }, s.anchor == "left" and "left" or s.anchor == "right" and "right" or "center",
        s.turned and " rotate by 90" or "", s.colour, s.bold and "DejaVu Sans:Bold" or "DejaVu Sans", s.size))
    else
      stroke(item.points, item.style.stroke)
      if item.kind == "arrow" then
        local a, b = item.points[#item.points - 1], item.points[#item.points]
        local dx, dy = b[1] - a[1], b[2] - a[2]
        local d = math.sqrt(dx * dx + dy * dy)
        dx, dy = dx / d, dy / d
        local tip = { b, { b[1] - 7 * dx - 3 * dy, b[2] - 7 * dy + 3 * dx },
          { b[1] - 7 * dx + 3 * dy, b[2] - 7 * dy - 3 * dx } }
        n = n + 1
        object(("set object %d polygon from %s to %s to %s to %s front fc rgb '%s' fs solid 1 noborder"):format(n,
          at(tip[1]), at(tip[2]), at(tip[3]), at(tip[1]), item.style.stroke))
      end
    end
  end
  out[#out + 1] = "plot NaN\n"
  local bytes, message, code = child.run("gnuplot", { "-" }, table.concat(out, "\n"))
  if not bytes then return nil, message, code end
  if bytes:sub(1, 4) ~= "\x89PNG" then return nil, "gnuplot made no picture", "plot" end
  return bytes
end

return canvas
