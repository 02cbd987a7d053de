--- audit.transformed: one radiograph twice, the second time mirrored, turned,
-- inverted, cropped, tilted by a few degrees, or with other contrast.
--
-- Two radiographs of different people agree in everything coarse, so coarse
-- agreement proves nothing.  Step one compares descriptors of the middle
-- frequencies (what 24 x 24 cells show and 8 x 8 do not) of every image with those
-- of every changed version of every other: one matrix product per kind of change.
-- Step two aligns the few pairs that agree, and asks for agreement in detail that
-- only the same exposure has (48 x 48 cells against 16 x 16).  On 158 real films
-- copies reach 0.93 and more there, films of one patient on different days at most
-- 0.74.

local luma = require "luma"
local image = luma.image

local transformed = {}

--- candidate: agreement of the middle frequencies from which a pair is aligned;
-- alike: from which one that was left unaligned for want of time is counted;
-- near, suspect: agreement in detail after alignment from which a pair is called so,
-- at least; pairs: so many (and one more per image) are aligned, the most alike
-- first; every_change: more images than this are compared mirrored, turned and
-- inverted only.
transformed.limits = { candidate = 0.8, alike = 0.88, near = 0.9, suspect = 0.8, pairs = 20, every_change = 4000 }

local THUMB, FINE, BLOCK = 64, 128, 256

-- A window that is 1 in the middle and 0 at the edge: what a crop or a turn brings
-- in or takes away at the edge does not count.
local function window(side)
  local row = {}
  for i = 1, side do row[i] = math.sin(math.pi * (i - 0.5) / side) end
  local r <close> = luma.tensor(row):reshape(side, 1)
  local c <close> = r:reshape(1, side)
  local product <close> = r:matmul(c)
  return product:reshape(1, side, side, 1):clone()
end

-- Rows of unit length (n, cells^2): what cells x cells show of x (n, side, side, 1)
-- and coarse x coarse do not.
local function band(x, win, coarse, cells)
  local n, side = x:shape()
  local tiny <close> = image.resize(x, coarse, coarse, { method = "area" })
  local smooth <close> = image.resize(tiny, side, side)
  local rest <close> = (x - smooth) * win
  local small <close> = image.resize(rest, cells, cells, { method = "area" })
  local flat <close> = small:reshape(n, cells * cells)
  local mean <close> = flat:mean(2, true)
  local centred <close> = flat - mean
  local energy <close> = (centred * centred):sum(2, true)
  local norm <close> = energy:sqrt():clamp(1e-3) -- an image without detail agrees with none
  return centred / norm
end

-- ---- the changes ----

-- The map from output to input pixels of a square: scaled by (p[1], p[2]), turned
-- by p[3] radians, moved by (p[4], p[5]) sides; rows first.
local function matrix(p, side)
  local c, s, m = math.cos(p[3]), math.sin(p[3]), (side - 1) / 2
  local a, b, d, e = p[1] * c, -p[1] * s, p[2] * s, p[2] * c
  return { a, b, m + p[4] * side - a * m - b * m, d, e, m + p[5] * side - d * m - e * m }
end

local flips = {
  { name = nil, apply = function(x) return x:clone() end },
  { name = "mirrored", whole = true, apply = image.flip_left_right },
  { name = "upside down", whole = true, apply = image.flip_up_down },
  { name = "turned by 180 degrees", whole = true, apply = function(x)
    local y <close> = image.flip_up_down(x)
    return image.flip_left_right(y)
  end },
  { name = "turned by 90 degrees and mirrored", whole = true, apply = image.transpose },
  { name = "turned by 90 degrees", whole = true, apply = function(x)
    local y <close> = image.transpose(x)
    return image.flip_left_right(y)
  end },
  { name = "turned by 90 degrees", whole = true, apply = function(x)
    local y <close> = image.transpose(x)
    return image.flip_up_down(y)
  end },
}

-- { flip, params } of each change that step one tries.
local function changes(every)
  local list, still = {}, { 1, 1, 0, 0, 0 }
  for _, flip in ipairs(flips) do list[#list + 1] = { flip = flip, params = still } end
  if not every then return list end
  local function add(...) list[#list + 1] = { flip = flips[1], params = { ... } } end
  for _, kept in ipairs { 0.95, 0.9, 0.8 } do
    list[#list + 1] = { flip = flips[2], params = { kept, kept, 0, 0, 0 } }
  end
  for _, degrees in ipairs { -4, -2, 2, 4 } do add(1, 1, math.rad(degrees), 0, 0) end
  add(0.85, 0.85, 0, 0, 0)
  add(0.8, 0.8, 0, 0, 0)
  for at = -1, 1 do -- a band of the height or width: black bars that one copy still has
    add(0.8, 1, 0, at * 0.1, 0)
    add(1, 0.8, 0, 0, at * 0.1)
  end
  for _, cut in ipairs { 0.05, 0.1 } do -- taken off both sides, one, or unequally
    local kept, move = 1 - cut, cut / 2
    for y = -1, 1 do
      for x = -1, 1 do add(kept, kept, 0, y * move, x * move) end
    end
    for _, sign in ipairs { -1, 1 } do
      add(kept, 1, 0, sign * move, 0)
      add(1, kept, 0, 0, sign * move)
    end
  end
  return list
end

local function warped(x, list, side)
  local params = {}
  for k, p in ipairs(list) do
    params[k] = { matrix = matrix(p, side), fill = "nearest", sample = "bilinear" }
  end
  return image.warp_batch(x, #list == 1 and params[1] or params)
end

local function changed(x, change)
  local flipped = change.flip.apply(x)
  local p = change.params
  if p[1] == 1 and p[2] == 1 and p[3] == 0 and p[4] == 0 and p[5] == 0 then return flipped end
  local out = warped(flipped, { p }, THUMB)
  flipped:close()
  return out
end

-- ---- step one ----

local function block_of(images, heads, first, last)
  local bytes = {}
  for k = first, last do bytes[#bytes + 1] = images[heads[k]].thumb end
  local raw <close> = luma.from_bytes(table.concat(bytes), "u8", last - first + 1, THUMB, THUMB, 1)
  return raw:to "f32"
end

-- The most alike change of every pair of heads that may be one image: a list of
-- { a, b, change, sign, r }, a and b positions in heads, most alike first.
local function candidates(images, heads, limits)
  local n = #heads
  local win <close> = window(THUMB)
  local parts = {}
  for first = 1, n, BLOCK do
    local x <close> = block_of(images, heads, first, math.min(n, first + BLOCK - 1))
    parts[#parts + 1] = band(x, win, 8, 24)
  end
  local all <close> = luma.concat(parts, 1)
  for _, part in ipairs(parts) do part:close() end
  local columns <close> = all:transpose(1, 2):contiguous()
  local best, list = {}, {}
  for _, change in ipairs(changes(n <= limits.every_change)) do
    for first = 1, n, BLOCK do
      local x <close> = block_of(images, heads, first, math.min(n, first + BLOCK - 1))
      local y <close> = changed(x, change)
      local rows <close> = band(y, win, 8, 24)
      local r <close> = rows:matmul(columns)
      local size <close> = r:abs()
      local high <close> = size:ge(limits.candidate)
      local places <close> = high:nonzero()
      for _, place in ipairs(places:totable()) do
        local a, b = first + place[1] - 1, place[2]
        if a ~= b then
          local value, key = r[place[1]][b], math.min(a, b) * n + math.max(a, b)
          local kept = best[key]
          if not kept then
            kept = { r = -1 }
            best[key], list[#list + 1] = kept, kept
          end
          if math.abs(value) > kept.r then
            kept.a, kept.b, kept.change, kept.sign, kept.r = a, b, change, value < 0 and -1 or 1, math.abs(value)
          end
        end
      end
    end
  end
  table.sort(list, function(p, q)
    if p.r ~= q.r then return p.r > q.r end
    if p.a ~= q.a then return p.a < q.a end
    return p.b < q.b
  end)
  return list
end

-- ---- step two ----

local function open(path)
  local x <close> = image.load(path, { mode = "gray", strict = false })
  if not x then return nil end
  local small <close> = image.resize(x, FINE, FINE, { method = "area" })
  local wide <close> = small:reshape(1, FINE, FINE, 1)
  return wide:to "f32"
end

-- Agreement of x under each of a list of parameters with y's rows.
local function agreement(x, y, list, win, coarse, cells)
  local repeated <close> = x:expand(#list, FINE, FINE, 1):contiguous()
  local moved <close> = warped(repeated, list, FINE)
  local rows <close> = band(moved, win, coarse, cells)
  local product <close> = (rows * y):sum(2)
  return product:totable()
end

-- Steps of a fiftieth and less, one parameter at a time, while agreement grows.
local function align(x, y, start, sign, win)
  local target <close> = band(y, win, 8, 48)
  local best = start
  local top = sign * agreement(x, target, { best }, win, 8, 48)[1]
  local step, rounds = { 0.03, 0.03, 0.03, 0.02, 0.02 }, 0
  for _ = 1, 24 do
    local list = {}
    for d = 1, 5 do
      for _, way in ipairs { -1, 1 } do
        local p = { table.unpack(best) }
        p[d] = p[d] + way * step[d]
        list[#list + 1] = p
      end
    end
    local chosen
    for k, r in ipairs(agreement(x, target, list, win, 8, 48)) do
      if sign * r > top then top, chosen = sign * r, list[k] end
    end
    if chosen then
      best = chosen
    else
      rounds = rounds + 1
      if rounds == 4 then break end
      for d = 1, 5 do step[d] = step[d] / 2 end
    end
  end
  local fine <close> = band(y, win, 16, 48)
  return sign * agreement(x, fine, { best }, win, 16, 48)[1], best
end

-- What was done to the image, in words.
local function how(change, sign, p)
  local out = { change.flip.name }
  local degrees = math.deg(p[3])
  if math.abs(degrees) > 1 then out[#out + 1] = ("tilted by %.0f degrees"):format(math.abs(degrees)) end
  if math.abs(p[1] - 1) > 0.015 or math.abs(p[2] - 1) > 0.015 or math.abs(p[4]) > 0.015 or math.abs(p[5]) > 0.015 then
    out[#out + 1] = "cropped"
  end
  if sign < 0 then out[#out + 1] = "inverted" end
  return #out > 0 and table.concat(out, ", ") or "changed in contrast or detail"
end

-- The agreements from which a pair is near or suspect in this collection: pictures
-- that are more alike by nature (drawn ones) need more.  The pairs that are no copy
-- say how much: those below 0.95, by their median and spread after Fisher's
-- transform; with fewer than 30 of them the fixed limits stand.
function transformed.thresholds(agreements)
  local limits, z = transformed.limits, {}
  for _, r in ipairs(agreements) do
    if r < 0.95 then z[#z + 1] = 0.5 * math.log((1 + r) / (1 - r)) end
  end
  if #z < 30 then return limits.near, limits.suspect end
  table.sort(z)
  local middle, away = z[#z // 2 + 1], {}
  for i, v in ipairs(z) do away[i] = math.abs(v - middle) end
  table.sort(away)
  local spread = 1.4826 * away[#away // 2 + 1]
  local function at(times)
    local e = math.exp(2 * (middle + times * spread))
    return (e - 1) / (e + 1)
  end
  return math.max(limits.near, at(5.5)), math.max(limits.suspect, at(5))
end

-- Aligns candidates in order: a list of { i, j, r, how }, and how many were left.
local function aligned(index, heads, known, list, most, win)
  local out, left, held_at, held = {}, 0, nil, nil
  for _, c in ipairs(list) do
    local i, j = heads[c.a], heads[c.b]
    if known[math.min(i, j) .. " " .. math.max(i, j)] then goto continue end
    if #out >= most then
      left = left + (c.r >= transformed.limits.alike and 1 or 0)
      goto continue
    end
    if held_at ~= j then
      if held then held:close() end
      held_at, held = j, open(index[j].path)
    end
    do
      local x <close> = open(index[i].path)
      if x and held then
        local flipped <close> = c.change.flip.apply(x)
        local r, p = align(flipped, held, c.change.params, c.sign, win)
        out[#out + 1] = { i = math.min(i, j), j = math.max(i, j), r = r, how = how(c.change, c.sign, p) }
      end
    end
    ::continue::
  end
  if held then held:close() end
  return out, left
end

--- Finds changed copies.
-- @param index, images the index and the facts of its images (audit.reader)
-- @param heads row numbers to compare, one per exact image
-- @param known set of "i j" (i < j) pairs that need not be compared
-- @param visit function(i, j, kind, r, how): kind "near" or "suspect"; r the
--   agreement in detail
-- @return how many alike pairs were left unaligned
function transformed.find(index, images, heads, known, visit)
  local limits = transformed.limits
  if #heads < 2 then return 0 end
  local win <close> = window(FINE)
  local found, left = aligned(index, heads, known, candidates(images, heads, limits), limits.pairs + #heads, win)
  local agreements = {}
  for k, one in ipairs(found) do agreements[k] = one.r end
  local near, suspect = transformed.thresholds(agreements)
  for _, one in ipairs(found) do
    if one.r >= suspect then visit(one.i, one.j, one.r >= near and "near" or "suspect", one.r, one.how) end
  end
  return left
end

return transformed
