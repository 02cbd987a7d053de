--- audit.duplicates: the same radiograph twice.  Exact copies by the digest of
-- their pixels (so that a re-saved header does not hide them), near copies by
-- perceptual hash and then correlation at full size, within and across classes,
-- patients and parts.

local luma = require "luma"
local options = require "luma.options"
local rows_of = require "luma.data.index"

local duplicates = {}

--- Hash bits that may differ for a pair to be looked at, and the correlation from
-- which it counts as a near duplicate.
duplicates.bits, duplicates.threshold = 10, 0.98

local function gray(path)
  local x, message = luma.image.load(path, { mode = "gray", strict = false })
  if not x then return nil, message end
  return x
end

-- Correlation of two files at the smaller one's size.
local function correlation(a, b)
  local x = gray(a)
  local y = gray(b)
  if not x or not y then return nil end
  local h, w = x:shape()
  local h2, w2 = y:shape()
  if h2 * w2 < h * w then
    x, y, h, w, h2, w2 = y, x, h2, w2, h, w
  end
  if h2 ~= h or w2 ~= w then
    local small = luma.image.resize(y, h, w, { method = "area" })
    y:close()
    y = small
  end
  local r = luma.image.correlation(x, y)
  x:close()
  y:close()
  return r
end

--- Finds duplicate images of an index.  opts: bits (10), threshold (0.98),
-- step (function(), once an image).
-- Returns a list of {a=, b=, kind="exact"|"near", correlation=, same_class=,
-- same_patient=, i=, j=}: a and b are names, i and j row numbers, exact first,
-- then by correlation.
function duplicates.find(index, opts)
  local o = options.check("audit.duplicates", opts, {
    bits = duplicates.bits, threshold = duplicates.threshold, step = options.optional })
  local digests, hashes = {}, {}
  for i, row in ipairs(index) do
    local x <close> = gray(row.path)
    if x then
      digests[i] = luma.core.system.md5(table.concat({ x:shape() }, "x") .. x:bytes())
      hashes[i] = luma.image.hash(x)
    else
      digests[i], hashes[i] = "unread " .. i, nil
    end
    if o.step then o.step() end
  end
  -- Unread images have no hash: hash only those that have, and map back.
  local list, origin = {}, {}
  for i = 1, #index do
    if hashes[i] then list[#list + 1], origin[#origin + 1] = hashes[i], i end
  end
  local found = {}
  if #list < 2 then return found end
  local pairs_ <close> = luma.image.hash_pairs(list, o.bits)
  for _, pair in ipairs(pairs_:totable()) do
    local i, j = origin[pair[1]], origin[pair[2]]
    local exact = digests[i] == digests[j]
    local r = exact and 1.0 or correlation(index[i].path, index[j].path)
    if r and (exact or r >= o.threshold) then
      local p, q = rows_of.patient_key(index[i]), rows_of.patient_key(index[j])
      found[#found + 1] = {
        a = index[i].name or index[i].path, b = index[j].name or index[j].path, i = i, j = j,
        kind = exact and "exact" or "near", correlation = r,
        same_class = index[i].class == index[j].class, same_patient = p ~= nil and p == q,
      }
    end
  end
  table.sort(found, function(a, b)
    if a.kind ~= b.kind then return a.kind == "exact" end
    if a.correlation ~= b.correlation then return a.correlation > b.correlation end
    if a.i ~= b.i then return a.i < b.i end
    return a.j < b.j
  end)
  return found
end

--- What parts share.  part_of: list (row number -> part name), or nil when the
-- index is not split (one part: nothing can leak yet).  Returns
-- {shared_patients=, shared_duplicates=, parts=}.
function duplicates.leakage(index, found, part_of)
  local where, shared, named = {}, 0, {}
  for i, row in ipairs(index) do
    local key, part = rows_of.patient_key(row), part_of and part_of[i]
    if part then named[part] = true end
    if key and part then
      where[key] = where[key] or { count = 0 }
      if not where[key][part] then
        where[key][part] = true
        where[key].count = where[key].count + 1
        if where[key].count == 2 then shared = shared + 1 end
      end
    end
  end
  local crossing = 0
  for _, pair in ipairs(found) do
    if part_of and part_of[pair.i] ~= part_of[pair.j] then crossing = crossing + 1 end
  end
  local parts = {}
  for part in pairs(named) do parts[#parts + 1] = part end
  table.sort(parts)
  return { shared_patients = shared, shared_duplicates = crossing, parts = parts }
end

return duplicates
