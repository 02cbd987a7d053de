--- audit.bars: the article's claim, counted: black bars on almost all normal
-- images against 10 to 20 % of the others, before and after preparation.

local luma = require "luma"
local interval = require "luma.metrics.interval"
local features = require "luma.study.audit.features"

local bars = {}

-- Whether the scanner would remove a row or column of a u8 image.
local function has_bar(x)
  local found = luma.image.black_bars(x)
  return #found.rows > 0 or #found.cols > 0
end

-- The image as luma's preparation leaves it: bars off, square, 224 x 224.
-- Nil when nothing is left.
local function prepared(x)
  local found = luma.image.black_bars(x)
  local h, w = x:shape()
  if #found.rows >= h or #found.cols >= w then return nil end
  local cropped <close> = luma.image.remove(x, found.rows, found.cols)
  local height, width = cropped:shape()
  local side = math.min(height, width)
  local square <close> = luma.image.crop(cropped, {
    top = (height - side) // 2 + 1, left = (width - side) // 2 + 1, height = side, width = side })
  return luma.image.resize(square, features.SIDE, features.SIDE)
end

--- Whether a u8 image has black rows or columns (the scanner's rule, inside its
-- protected window), and whether luma's preparation leaves any.
function bars.look(x)
  local before = has_bar(x)
  local after <close> = prepared(x)
  return before, after ~= nil and has_bar(after)
end

--- Counts images with at least one black row or column, per class, as they lie on
-- disk and after luma's preparation.  images: facts of the index's images with
-- bar_before and bar_after (audit.reader).
-- Returns {before={class={value, lo, hi, count, n}}, after={...}, sentence=}.
function bars.count(index, images)
  local tally = {}
  for _, class in ipairs(index.classes) do tally[class] = { n = 0, before = 0, after = 0 } end
  for i, row in ipairs(index) do
    local t = tally[row.class]
    t.n = t.n + 1
    if images[i].bar_before then t.before = t.before + 1 end
    if images[i].bar_after then t.after = t.after + 1 end
  end
  local out = { before = {}, after = {} }
  for class, t in pairs(tally) do
    for _, when in ipairs { "before", "after" } do
      local share = interval.wilson(t[when], t.n)
      share.count, share.n = t[when], t.n
      out[when][class] = share
    end
  end
  local words, left = {}, 0
  for _, class in ipairs(index.classes) do
    local b = out.before[class]
    words[#words + 1] = ("%d of %d %s (%.0f %%)"):format(b.count, b.n, class, 100 * b.count / math.max(b.n, 1))
    left = left + out.after[class].count
  end
  out.sentence = ("Black rows or columns: %s; after luma's preparation %s."):format(table.concat(words, ", "),
    left == 0 and "none" or ("%d of %d images"):format(left, #index))
  return out
end

return bars
