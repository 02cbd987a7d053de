--- audit.pipeline: were all classes treated alike?  One line a property of the
-- files and of the resampling, class by class.  A difference is a road by which
-- the class can leak into the pixels.

local luma = require "luma"
local roc = require "luma.metrics.roc"

local pipeline = {}

local function median(list)
  if #list == 0 then return nil end
  table.sort(list)
  local k = #list // 2
  return #list % 2 == 1 and list[k + 1] or (list[k] + list[k + 1]) / 2
end

-- Detail of the finest octave against the next, as a log ratio of energies: low
-- after enlarging or strong compression.  The middle of the image, at most 512
-- pixels a side; nil for images under 64.
local function detail(gray)
  local h, w = gray:shape()
  local eh, ew = math.min(h // 4 * 4, 512), math.min(w // 4 * 4, 512)
  if eh < 64 or ew < 64 then return nil end
  local middle <close> = luma.image.crop(gray, { top = (h - eh) // 2 + 1, left = (w - ew) // 2 + 1, height = eh,
    width = ew })
  local fine <close> = middle:to "f32"
  local half <close> = luma.image.resize(fine, eh // 2, ew // 2, { method = "area" })
  local quarter <close> = luma.image.resize(half, eh // 4, ew // 4, { method = "area" })
  local up <close> = luma.image.resize(half, eh, ew)
  local up2 <close> = luma.image.resize(quarter, eh // 2, ew // 2)
  local lost = (fine - up):square():mean():item()
  local next_octave = (half - up2):square():mean():item()
  return math.log((lost + 1e-3) / (next_octave + 1e-3))
end

--- Colour and resampling of one u8 image (h, w, c) and its gray version:
-- {coloured=, red_minus_blue=, detail=}.
function pipeline.look(x, gray)
  local _, _, channels = x:shape()
  local out = { coloured = false, red_minus_blue = 0.0, detail = detail(gray) }
  if channels == 3 then
    local red <close> = x:select(3, 1):to "f32"
    local blue <close> = x:select(3, 3):to "f32"
    local difference <close> = red - blue
    local size <close> = difference:abs()
    out.coloured = size:max():item() > 12
    out.red_minus_blue = difference:mean():item()
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
    for _, f in ipairs(v) do if f.file.format == "png" then png = png + 1 end end
    return share_text(png, #v) .. " PNG"
  end, number = function(f) return f.file.format == "png" and 1 or 0 end },
  { name = "JPEG quality", text = function(v)
    local list = {}
    for _, f in ipairs(v) do list[#list + 1] = f.file.quality end
    return #list > 0 and ("median %g"):format(median(list)) or "n/a"
  end, number = function(f) return f.file.quality end },
  { name = "image size", text = function(v)
    local heights, widths = {}, {}
    for _, f in ipairs(v) do
      heights[#heights + 1], widths[#widths + 1] = f.height, f.width
    end
    return #heights > 0 and ("median %g x %g"):format(median(heights), median(widths)) or "n/a"
  end, number = function(f) return f.height * f.width end },
  { name = "aspect", text = function(v)
    local list = {}
    for _, f in ipairs(v) do list[#list + 1] = f.width / f.height end
    return #list > 0 and ("median %.2f"):format(median(list)) or "n/a"
  end, number = function(f) return f.width / f.height end },
  { name = "colour", text = function(v)
    local n = 0
    for _, f in ipairs(v) do if f.look.coloured then n = n + 1 end end
    return share_text(n, #v) .. " coloured"
  end, number = function(f) return f.look.coloured and 1 or 0 end },
  { name = "channel order", text = function(v)
    local bluer, n = 0, 0
    for _, f in ipairs(v) do
      if f.look.coloured then
        n = n + 1
        if f.look.red_minus_blue < 0 then bluer = bluer + 1 end
      end
    end
    return n > 0 and share_text(bluer, n) .. " coloured images bluer than red" or "no colour to tell"
  end, number = function(f) return f.look.coloured and f.look.red_minus_blue or nil end },
  { name = "fine detail", text = function(v)
    local list = {}
    for _, f in ipairs(v) do list[#list + 1] = f.look.detail end
    return #list > 0 and ("median log energy ratio %.2f"):format(median(list)) or "n/a"
  end, number = function(f) return f.look.detail end },
}

local LEAST = 5 -- images on either side of a comparison

-- The one-against-the-rest area that lies furthest from 0.5 with certainty.
local function strongest(index, images, number)
  local best
  for _, class in ipairs(index.classes) do
    local labels, scores, sides = {}, {}, { 0, 0 }
    for i, f in ipairs(images) do
      local v = number(f)
      if v then
        local label = index[i].class == class and 1 or 2
        labels[#labels + 1], scores[#scores + 1] = label, v
        sides[label] = sides[label] + 1
      end
    end
    if sides[1] >= LEAST and sides[2] >= LEAST then
      local auc = roc.roc_auc(labels, scores, { positive = 1 })
      local certain = math.max(auc.lo - 0.5, 0.5 - auc.hi)
      if not best or certain > best.certain then best = { class = class, auc = auc, certain = certain } end
    end
  end
  return best
end

--- Compares the classes of an index, given the facts of its images
-- (audit.reader).  Returns a list of
-- {name=, classes={class=text}, differs=, class=, auc={value, lo, hi}, sentence=}.
function pipeline.compare(index, images)
  local by_class = {}
  for _, class in ipairs(index.classes) do by_class[class] = {} end
  for i, row in ipairs(index) do table.insert(by_class[row.class], images[i]) end
  local out = {}
  for _, p in ipairs(properties) do
    local item = { name = p.name, classes = {} }
    local words = {}
    for _, class in ipairs(index.classes) do
      item.classes[class] = p.text(by_class[class])
      words[#words + 1] = ("%s: %s"):format(class, item.classes[class])
    end
    local found = strongest(index, images, p.number)
    item.differs = found ~= nil and found.certain > 0
    if found then item.class, item.auc = found.class, found.auc end
    item.sentence = ("%s %s (%s%s)."):format(p.name:gsub("^%l", string.upper),
      item.differs and "differs between the classes" or "is not shown to differ", table.concat(words, "; "),
      item.auc and ("; AUC of this alone %.2f, %.2f to %.2f"):format(item.auc.value, item.auc.lo, item.auc.hi) or "")
    out[#out + 1] = item
  end
  return out
end

return pipeline
