--- audit.bars: the article's claim, counted: black bars on almost all normal
-- images against 10 to 20 % of the others, before and after preparation.

local luma = require "luma"
local interval = require "luma.metrics.interval"
local features = require "luma.audit.features"

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

--- Counts images with at least one black row or column outside the protected
-- window, per class, as they lie on disk and after luma's preparation.
-- Returns {before={class={value, lo, hi, count, n}}, after={...}, unread=}.
function bars.count(index, step)
  local tally = {}
  for _, class in ipairs(index.classes) do tally[class] = { n = 0, before = 0, after = 0 } end
  local unread = 0
  for _, row in ipairs(index) do
    local x <close> = luma.image.load(row.path, "native")
    if not x then
      unread = unread + 1
    else
      local t = tally[row.class]
      t.n = t.n + 1
      if has_bar(x) then t.before = t.before + 1 end
      local after <close> = prepared(x)
      if after and has_bar(after) then t.after = t.after + 1 end
    end
    if step then step() end
  end
  local out = { before = {}, after = {}, unread = unread }
  for class, t in pairs(tally) do
    for _, when in ipairs { "before", "after" } do
      local share = interval.wilson(t[when], t.n)
      share.count, share.n = t[when], t.n
      out[when][class] = share
    end
  end
  return out
end

return bars
