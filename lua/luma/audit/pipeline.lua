--- audit.pipeline: were all classes treated alike?  One line a property of the
-- files and of the resampling, class by class.  A difference is a road by which
-- the class can leak into the pixels.

local luma = require "luma"
local features = require "luma.audit.features"
local roc = require "luma.metrics.roc"

local pipeline = {}

local function median(list)
  if #list == 0 then return nil end
  table.sort(list)
  local k = #list // 2
  return #list % 2 == 1 and list[k + 1] or (list[k] + list[k + 1]) / 2
end

-- Colour and resampling of one image: the largest mean channel difference, the
-- sign of red minus blue, and how much of the finest octave's detail is left
-- compared with the next (low after enlarging or strong compression).
local function measure(row)
  local x = luma.image.load(row.path, { mode = "rgb", strict = false })
  if not x then return nil end
  local f <close> = x:to "f32"
  x:close()
  local h, w = f:shape()
  local red <close> = f:select(3, 1):contiguous()
  local blue <close> = f:select(3, 3):contiguous()
  local difference <close> = (red - blue):abs()
  local red_blue = red:mean():item() - blue:mean():item()
  local out = { coloured = difference:max():item() > 12, red_minus_blue = red_blue }
  if h >= 64 and w >= 64 then
    local even <close> = f[{ { 1, h - h % 4 }, { 1, w - w % 4 }, 2 }]:contiguous()
    local eh, ew = even:shape()
    local half <close> = luma.image.resize(even, eh // 2, ew // 2, { method = "area" })
    local quarter <close> = luma.image.resize(half, eh // 4, ew // 4, { method = "area" })
    local up <close> = luma.image.resize(half, eh, ew)
    local up2 <close> = luma.image.resize(quarter, eh // 2, ew // 2)
    local fine = (even - up):square():mean():item()
    local next_octave = (half - up2):square():mean():item()
    out.detail = math.log((fine + 1e-3) / (next_octave + 1e-3))
  end
  return out
end

local function share_text(part, whole)
  if whole == 0 then return "n/a" end
  return ("%d of %d"):format(part, whole)
end

-- Per class, the text of a property and the numbers behind it.
local properties = {
  { name = "file format", text = function(v)
    local png = 0
    for _, f in ipairs(v) do if f.file.description and f.file.description.format == "png" then png = png + 1 end end
    return share_text(png, #v) .. " PNG"
  end, number = function(f) return f.file.description and f.file.description.format == "png" and 1 or 0 end },
  { name = "JPEG quality", text = function(v)
    local list = {}
    for _, f in ipairs(v) do list[#list + 1] = f.file.description and f.file.description.quality end
    return #list > 0 and ("median %g"):format(median(list)) or "n/a"
  end, number = function(f) return f.file.description and f.file.description.quality end },
  { name = "image size", text = function(v)
    local heights, widths = {}, {}
    for _, f in ipairs(v) do
      heights[#heights + 1], widths[#widths + 1] = f.file.height, f.file.width
    end
    return #heights > 0 and ("median %g x %g"):format(median(heights), median(widths)) or "n/a"
  end, number = function(f) return f.file.height and f.file.height * f.file.width end },
  { name = "aspect", text = function(v)
    local list = {}
    for _, f in ipairs(v) do list[#list + 1] = f.file.height and f.file.width / f.file.height end
    return #list > 0 and ("median %.2f"):format(median(list)) or "n/a"
  end, number = function(f) return f.file.height and f.file.width / f.file.height end },
  { name = "colour", text = function(v)
    local n = 0
    for _, f in ipairs(v) do if f.look and f.look.coloured then n = n + 1 end end
    return share_text(n, #v) .. " coloured"
  end, number = function(f) return f.look and (f.look.coloured and 1 or 0) end },
  { name = "channel order", text = function(v)
    local bluer, n = 0, 0
    for _, f in ipairs(v) do
      if f.look and f.look.coloured then
        n = n + 1
        if f.look.red_minus_blue < 0 then bluer = bluer + 1 end
      end
    end
    return n > 0 and share_text(bluer, n) .. " coloured images bluer than red" or "no colour to tell"
  end, number = function(f) return f.look and f.look.red_minus_blue end },
  { name = "fine detail", text = function(v)
    local list = {}
    for _, f in ipairs(v) do list[#list + 1] = f.look and f.look.detail end
    return #list > 0 and ("median log energy ratio %.2f"):format(median(list)) or "n/a"
  end, number = function(f) return f.look and f.look.detail end },
}

-- The one-against-the-rest area that lies furthest from 0.5 with certainty.
local function strongest(classes, facts, number)
  local best
  for _, class in ipairs(classes) do
    local labels, scores, sides = {}, {}, { 0, 0 }
    for _, f in ipairs(facts) do
      local v = number(f)
      if v then
        local label = f.class == class and 1 or 2
        labels[#labels + 1], scores[#scores + 1] = label, v
        sides[label] = sides[label] + 1
      end
    end
    if sides[1] > 1 and sides[2] > 1 then
      local auc = roc.roc_auc(labels, scores, { positive = 1 })
      local certain = math.max(auc.lo - 0.5, 0.5 - auc.hi)
      if not best or certain > best.certain then best = { class = class, auc = auc, certain = certain } end
    end
  end
  return best
end

--- Compares the classes of an index.  Returns a list of
-- {name=, classes={class=text}, differs=, class=, auc={value, lo, hi}, sentence=}.
function pipeline.compare(index, step)
  local facts, by_class = {}, {}
  for _, class in ipairs(index.classes) do by_class[class] = {} end
  for _, row in ipairs(index) do
    local f = { class = row.class, file = features.read_file(row.path), look = measure(row) }
    facts[#facts + 1] = f
    table.insert(by_class[row.class], f)
    if step then step() end
  end
  local out = {}
  for _, p in ipairs(properties) do
    local item = { name = p.name, classes = {} }
    local words = {}
    for _, class in ipairs(index.classes) do
      item.classes[class] = p.text(by_class[class])
      words[#words + 1] = ("%s: %s"):format(class, item.classes[class])
    end
    local found = strongest(index.classes, facts, p.number)
    item.differs = found ~= nil and found.certain > 0
    if found then item.class, item.auc = found.class, found.auc end
    item.sentence = ("%s %s (%s)."):format(p.name:gsub("^%l", string.upper),
      item.differs and "differs between the classes" or "is alike", table.concat(words, "; "))
    out[#out + 1] = item
  end
  return out
end

return pipeline
