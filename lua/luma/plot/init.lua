--- plot: figures through gnuplot, as PNG for files and SVG for the report.
--
--   local p = plot.lines { title = "Loss", xlabel = "Epoch", series = { { name = "Training", y = losses } } }
--   assert(p:save "loss.png")        -- or p:png(), p:svg(): bytes | nil, message
--
-- gnuplot runs as a child process that is fed its script on standard input; no
-- shell is involved, and names are quoted as data.  Where gnuplot is absent the
-- methods return nil and a message, and a run goes on without plots.

local child = require "luma.base.child"
local files = require "luma.base.files"
local options = require "luma.base.options"
local text = require "luma.base.text"

local plot = {}

-- Light: for paper and, with currentColor, for both schemes of the report.
-- Dark: matplotlib's dark_background, as in the author's notebook.
local themes = {
  light = { back = "#ffffff", ink = "#24292f", grid = "#c8ccd2",
    lines = { "#1f77b4", "#e0701a", "#2a9d4e", "#c23b4b", "#7b58b5", "#8c6a4f" } },
  dark = { back = "#000000", ink = "#ffffff", grid = "#3a3a3a",
    lines = { "#8dd3c7", "#feffb3", "#bfbbd9", "#fa8174", "#81b1d2", "#fdb462" } },
}

local Plot = {}
Plot.__index = Plot
Plot.__name = "luma.Plot"

-- A string as gnuplot data: single quotes protect everything but themselves.
local function quote(s)
  return "'" .. text.printable(s, 120):gsub("'", "''") .. "'"
end

-- The same where gnuplot takes the text for a format, as it does labels of tics.
local function quote_tic(s)
  return (quote(s):gsub("%%", "%%%%"))
end

local function number(v)
  if v ~= v or v == math.huge or v == -math.huge then return "NaN" end
  return ("%.8g"):format(v)
end

-- A named block of data rows for the script.
local function block(name, rows)
  local out = { "$" .. name .. " << EOD" }
  for _, row in ipairs(rows) do out[#out + 1] = table.concat(row, " ") end
  out[#out + 1] = "EOD\n"
  return table.concat(out, "\n")
end

local function new(body, opts)
  return setmetatable({
    body = body, title = opts.title, square = opts.square, width = opts.width or 640, height = opts.height or 420,
    theme = themes[opts.dark and "dark" or "light"],
  }, Plot)
end

local function script(self, format)
  local t = self.theme
  local width, height = self.width, self.height
  if format == "svg" then -- in a page: small enough for two side by side, and the page sets the colours
    t, height = themes.light, math.min(height * 460 // width, self.square and 460 or 340)
    width = 460
  end
  local terminal = format == "png"
    and ("pngcairo noenhanced size %d,%d font 'DejaVu Sans,%d' background rgb '%s'"):format(width, height,
      math.max(11, height // 50), t.back)
    or ("svg noenhanced size %d,%d dynamic font 'sans-serif,12'"):format(width, height)
  local out = {
    "set encoding utf8", "set terminal " .. terminal,
    ("set border 3 lc rgb '%s'"):format(t.ink), ("set tics nomirror out textcolor rgb '%s'"):format(t.ink),
    ("set grid lc rgb '%s' lw 0.6 dt 1"):format(t.grid), ("set key textcolor rgb '%s' samplen 2"):format(t.ink),
    ("set title textcolor rgb '%s' font ',%d'"):format(t.ink, math.max(15, height // 40)),
    ("set xlabel textcolor rgb '%s'"):format(t.ink), ("set ylabel textcolor rgb '%s'"):format(t.ink),
    "set lmargin 9", "set rmargin 3",
  }
  if self.title then out[#out + 1] = "set title " .. quote(self.title) end
  return table.concat(out, "\n") .. "\n" .. self.body(t) .. "\n"
end

local serial = 0

-- Makes gnuplot's SVG fit to stand inside a page: no prolog, ids of its own, ink
-- that follows the page's colour, a label for those who cannot see it.
local function embeddable(svg, self)
  serial = serial + 1
  local prefix = ("p%d-"):format(serial)
  svg = svg:gsub("^.-<svg", "<svg", 1):gsub("<desc>.-</desc>", ""):gsub("<title>.-</title>", "")
  svg = svg:gsub('id="', 'id="' .. prefix):gsub("id='", "id='" .. prefix):gsub("url%(#", "url(#" .. prefix)
    :gsub("href='#", "href='#" .. prefix):gsub('href="#', 'href="#' .. prefix)
  local r, g, b = themes.light.ink:match "#(%x%x)(%x%x)(%x%x)"
  local ink = ("rgb%%(%%s*%d,%%s*%d,%%s*%d%%)"):format(tonumber(r, 16), tonumber(g, 16), tonumber(b, 16))
  svg = svg:gsub(ink, "currentColor"):gsub("black", "currentColor")
  return (svg:gsub("<svg", ('<svg role="img" aria-label="%s"'):format(text.html(self.title or "plot")), 1))
end

--- The figure as PNG bytes; nil, message, code without gnuplot.
function Plot:png()
  local bytes, message, code = child.run("gnuplot", { "-" }, script(self, "png"))
  if not bytes then return nil, message, code end
  if bytes:sub(1, 4) ~= "\x89PNG" then return nil, "gnuplot made no picture", "plot" end
  return bytes
end

--- The figure as an SVG element to put into a page; nil, message, code without gnuplot.
function Plot:svg()
  local bytes, message, code = child.run("gnuplot", { "-" }, script(self, "svg"))
  if not bytes then return nil, message, code end
  if not bytes:find("<svg", 1, true) then return nil, "gnuplot made no picture", "plot" end
  return embeddable(bytes, self)
end

--- Writes the figure as PNG; true, or nil, message, code.
function Plot:save(path)
  local bytes, message, code = self:png()
  if not bytes then return nil, message, code end
  return files.write_atomic(path, bytes)
end

--- gnuplot's version, or nil and why there is none.
function plot.available()
  local out, message = child.run("gnuplot", { "--version" }, "")
  return out and out:match "gnuplot [%d.]+", message
end

local frame = {
  title = options.optional, xlabel = options.optional, ylabel = options.optional, dark = false,
  width = 640, height = 420, xrange = options.optional, yrange = options.optional, key = "bottom right",
  series = options.optional, diagonal = false, square = false,
}

--- Lines: plot.lines{ series = { {name=, y=, x=1..n, points=false, steps=false, dashed=false}, ... },
-- title=, xlabel=, ylabel=, xrange={lo,hi}, yrange=, key="bottom right", diagonal=false,
-- square=false, dark=false, width=640, height=420 } -> plot
function plot.lines(opts)
  local o = options.check("plot.lines", opts, frame)
  return new(function(theme)
    local out, parts = {}, {}
    if o.xlabel then out[#out + 1] = "set xlabel " .. quote(o.xlabel) end
    if o.ylabel then out[#out + 1] = "set ylabel " .. quote(o.ylabel) end
    local drawable = false
    for _, s in ipairs(o.series) do
      for _, y in ipairs(s.y) do drawable = drawable or number(y) ~= "NaN" end
    end
    for axis, range in pairs { x = o.xrange or false, y = o.yrange or false } do
      if not drawable then -- gnuplot calls a figure without points an error
        out[#out + 1] = ("set %srange [0:1]"):format(axis)
      elseif range then
        out[#out + 1] = ("set %srange [%s:%s]"):format(axis, range[1] and number(range[1]) or "*",
          range[2] and number(range[2]) or "*")
      end
    end
    out[#out + 1] = o.key and "set key " .. o.key or "unset key"
    if o.square then out[#out + 1] = "set size square" end
    if o.diagonal then
      out[#out + 1] = ("set arrow from graph 0,0 to graph 1,1 nohead lc rgb '%s' dt 2 back"):format(theme.grid)
    end
    for i, s in ipairs(o.series) do
      local rows = {}
      for k, y in ipairs(s.y) do rows[k] = { number(s.x and s.x[k] or k), number(y) } end
      if #rows == 0 then rows[1] = { "NaN", "NaN" } end
      out[#out + 1] = block("d" .. i, rows)
      local with = s.steps and "fsteps" or (s.points or #rows == 1) and "linespoints pt 7 ps 0.7" or "lines"
      parts[#parts + 1] = ("$d%d using 1:2 with %s lw 2.2 lc rgb '%s'%s title %s"):format(i, with,
        theme.lines[(i - 1) % #theme.lines + 1], s.dashed and " dt 2" or "", quote(s.name or ""))
    end
    return table.concat(out, "\n") .. "\nplot " .. table.concat(parts, ", ")
  end, o)
end

--- The training curves, as the article and its notebook drew them.  history is a
-- list of {epoch, loss, accuracy, val_loss, val_accuracy}; style is "article"
-- (accuracy and loss together), "accuracy" or "loss" (720x720, dark);
-- held_out names the second line ("Testing" where the test set serves as validation).
function plot.training(history, style, held_out)
  local function column(key)
    local x, y = {}, {}
    for _, row in ipairs(history) do
      if row[key] then x[#x + 1], y[#y + 1] = row.epoch, row[key] end
    end
    return x, y
  end
  local function series(key, name)
    local x, y = column(key)
    return { name = name, x = x, y = y }
  end
  if style == "article" then
    return plot.lines { title = "Model Accuracy & Loss", xlabel = "Epoch", key = "center right",
      series = { series("accuracy", "Accuracy"), series("loss", "Loss") }, yrange = { 0 } }
  elseif style == "accuracy" or style == "loss" then
    local word = style == "accuracy" and "Accuracy" or "Loss"
    local lines = { series(style, "Training") }
    local held = series("val_" .. style, held_out or "Validation")
    if #held.y > 0 then lines[2] = held end
    return plot.lines { title = "Model " .. word, xlabel = "Epoch", ylabel = word, dark = true, width = 720,
      height = 720, series = lines, key = style == "accuracy" and "bottom right" or "top right",
      yrange = style == "accuracy" and { false, 1 } or { 0 } }
  end
  error(("plot.training: style must be article, accuracy or loss, got '%s'"):format(tostring(style)), 2)
end

--- A confusion matrix: rows are the truth, columns what was said; shade by row share.
function plot.confusion(rows, names, opts)
  local side = 400 + 40 * math.min(#names, 12)
  local o = options.check("plot.confusion", opts,
    { title = "Confusion", dark = false, width = side, height = side - 40 })
  return new(function(theme)
    local cells, labels, n = {}, {}, #names
    for i, row in ipairs(rows) do
      local sum = 0
      for _, v in ipairs(row) do sum = sum + v end
      for j, v in ipairs(row) do
        local share = sum > 0 and v / sum or 0
        cells[#cells + 1] = { j, n + 1 - i, number(share) }
        labels[#labels + 1] = ("set label '%d' at %d,%d center front font ',16' textcolor rgb '%s'"):format(v, j,
          n + 1 - i, share > 0.5 and "#ffffff" or "#1b2733")
      end
    end
    local xtics, ytics = {}, {}
    for i, name in ipairs(names) do
      xtics[i] = ("%s %d"):format(quote_tic(name), i)
      ytics[i] = ("%s %d"):format(quote_tic(name), n + 1 - i)
    end
    local longest = 0
    for _, name in ipairs(names) do longest = math.max(longest, text.len(name)) end
    local out = { block("d", cells), "unset key", "unset colorbox", "unset grid", "set size square",
      "set palette defined (0 '#e8f1fa', 1 '#12558f')", "set cbrange [0:1]",
      ("set lmargin %d"):format(math.min(longest, 24) + 6),
      ("set xrange [0.5:%g]"):format(n + 0.5), ("set yrange [0.5:%g]"):format(n + 0.5),
      "set xtics (" .. table.concat(xtics, ", ") .. ")" .. (longest * n > 40 and " rotate by -30" or ""),
      "set ytics (" .. table.concat(ytics, ", ") .. ")", "set tics scale 0",
      "set xlabel 'predicted'", "set ylabel 'true'", "unset border",
      table.concat(labels, "\n"), "plot $d using 1:2:3 with image pixels" }
    return table.concat(out, "\n")
  end, { title = o.title, dark = o.dark, width = o.width, height = o.height, square = true })
end

--- ROC curves: a list of {name=, points=} with points from metrics.roc_curve.
function plot.roc(curves, opts)
  local o = options.check("plot.roc", opts, { title = "ROC", dark = false, width = 520, height = 520 })
  local series = {}
  for i, curve in ipairs(curves) do
    local x, y = {}, {}
    for k, p in ipairs(curve.points) do x[k], y[k] = p.fpr, p.tpr end
    series[i] = { name = curve.name, x = x, y = y }
  end
  return plot.lines { title = o.title, xlabel = "false positive rate", ylabel = "true positive rate", series = series,
    xrange = { 0, 1 }, yrange = { 0, 1.005 }, square = true, diagonal = true, dark = o.dark, width = o.width,
    height = o.height }
end

--- Precision-recall curves: a list of {name=, points=} with points from
-- metrics.precision_recall_curve.
function plot.precision_recall(curves, opts)
  local o = options.check("plot.precision_recall", opts,
    { title = "Precision and recall", dark = false, width = 520, height = 520 })
  local series = {}
  for i, curve in ipairs(curves) do
    local x, y = {}, {}
    for k, p in ipairs(curve.points) do x[k], y[k] = p.recall, p.precision end
    series[i] = { name = curve.name, x = x, y = y }
  end
  return plot.lines { title = o.title, xlabel = "recall", ylabel = "precision", series = series, key = "bottom left",
    xrange = { 0, 1 }, yrange = { 0, 1.005 }, square = true, dark = o.dark, width = o.width, height = o.height }
end

--- A reliability diagram: bins is a list of {confidence=, accuracy=, count=}; empty ones are left out.
function plot.reliability(bins, opts)
  local o = options.check("plot.reliability", opts,
    { title = "Reliability", dark = false, width = 520, height = 520 })
  local x, y = {}, {}
  for _, bin in ipairs(bins) do
    if bin.count > 0 then x[#x + 1], y[#y + 1] = bin.confidence, bin.accuracy end
  end
  return plot.lines { title = o.title, xlabel = "confidence", ylabel = "share correct", key = "top left",
    series = { { name = "observed", x = x, y = y, points = true } }, xrange = { 0, 1 }, yrange = { 0, 1.005 },
    square = true, diagonal = true, dark = o.dark, width = o.width, height = o.height }
end

--- A line of text alone, black on white: the title of a contact sheet (24 pt in the article).
function plot.caption(words, opts)
  local o = options.check("plot.caption", opts, { width = 720, height = 48, size = 24 })
  local p = new(function()
    return ("unset border; unset tics; unset key; set lmargin 0; set rmargin 0; set tmargin 0; set bmargin 0\n"
      .. "set label %s at screen 0.5,0.5 center font ',%d' textcolor rgb '#000000'\n"
      .. "set xrange [0:1]; set yrange [0:1]\nplot NaN"):format(quote(words), o.size)
  end, o)
  return p
end

--- A picture of a network (see luma.plot.architecture): figure:save "net.svg".
function plot.architecture(net, opts) return require "luma.plot.architecture"(net, opts) end

return plot
