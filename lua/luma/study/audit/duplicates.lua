--- audit.duplicates: the same radiograph twice.  Exact copies by the digest of
-- their pixels (so that a re-saved header does not hide them), near copies by
-- perceptual hash and then correlation at full size, changed ones (mirrored, turned,
-- inverted, cropped, tilted) by audit.transformed, within and across classes,
-- patients and parts.

local luma = require "luma"
local options = require "luma.base.options"
local rows_of = require "luma.data.index"
local text = require "luma.base.text"
local transformed = require "luma.study.audit.transformed"

local duplicates = {}

--- Hash bits that may differ for a pair to be looked at; the correlation of small
-- versions from which it is compared at full size; the correlation there from
-- which it counts as a near duplicate; copies of one image that are all named
-- against each other (of more, each is named against the first).
duplicates.bits, duplicates.small, duplicates.threshold, duplicates.all = 10, 0.97, 0.99, 6

local function gray(path)
  local x = luma.image.load(path, { mode = "gray", strict = false })
  return x
end

-- Correlation of two images at the smaller one's size.
local function correlation(x, y)
  local h, w = x:shape()
  local h2, w2 = y:shape()
  if h2 * w2 < h * w then
    x, y, h, w, h2, w2 = y, x, h2, w2, h, w
  end
  if h2 == h and w2 == w then return luma.image.correlation(x, y) end
  local small <close> = luma.image.resize(y, h, w, { method = "area" })
  return luma.image.correlation(x, small)
end

-- Groups of rows with one digest, and the first row of each group in order.
local function copies(images)
  local groups, heads = {}, {}
  for i, f in ipairs(images) do
    local group = groups[f.digest]
    if not group then
      group = {}
      groups[f.digest] = group
      heads[#heads + 1] = i
    end
    group[#group + 1] = i
  end
  return groups, heads
end

-- Calls visit(i, j, r) for pairs of heads that are near copies.
local function near_copies(index, images, heads, o, visit)
  local hashes, thumbs = {}, {}
  for k, i in ipairs(heads) do hashes[k] = images[i].hash end
  local found <close> = luma.image.hash_pairs(hashes, o.bits)
  local side = math.tointeger(math.sqrt(#(images[heads[1]].thumb)))
  local function thumb(i)
    thumbs[i] = thumbs[i] or luma.from_bytes(images[i].thumb, "u8", side, side, 1)
    return thumbs[i]
  end
  local held_at, held -- the first image of several pairs is decoded once
  for k = 1, found:size(1) do
    local pair = found[k]
    local i, j = heads[pair[1]], heads[pair[2]]
    if luma.image.correlation(thumb(i), thumb(j)) >= o.small then
      if held_at ~= i then
        if held then held:close() end
        held_at, held = i, gray(index[i].path)
      end
      local other <close> = gray(index[j].path)
      local r = held and other and correlation(held, other)
      if r and r >= o.threshold then visit(i, j, r) end
    end
  end
  if held then held:close() end
end

--- Finds duplicate images of an index, given the facts of its images
-- (audit.reader): exact ones have the same gray pixels, near ones correlate at
-- full size.  opts: bits (10), small (0.97), threshold (0.99).
-- Returns a list of {a=, b=, kind="exact"|"near"|"suspect", correlation=,
-- same_class=, same_patient=, i=, j=, how=}: a and b are names, i < j row numbers,
-- exact first, then near, then suspect, each by correlation.  how says what was done
-- to a changed copy; its correlation is that of the details after alignment.
-- Second: how many alike pairs were not compared in detail.
function duplicates.find(index, images, opts)
  local o = options.check("audit.duplicates", opts, {
    bits = duplicates.bits, small = duplicates.small, threshold = duplicates.threshold })
  local found = {}
  local known = {}
  local function add(i, j, kind, r, how)
    known[i .. " " .. j] = true
    local p, q = rows_of.patient_key(index[i]), rows_of.patient_key(index[j])
    found[#found + 1] = {
      a = index[i].name or index[i].path, b = index[j].name or index[j].path, i = i, j = j, kind = kind,
      correlation = r, same_class = index[i].class == index[j].class, same_patient = p ~= nil and p == q,
      patients_known = p ~= nil and q ~= nil, how = how,
    }
  end
  local groups, heads = copies(images)
  for _, i in ipairs(heads) do
    local group = groups[images[i].digest]
    for a = 1, #group <= duplicates.all and #group - 1 or 1 do
      for b = a + 1, #group do add(group[a], group[b], "exact", 1.0) end
    end
  end
  if #heads > 1 then
    near_copies(index, images, heads, o, function(i, j, r) add(i, j, "near", r) end)
  end
  local left = transformed.find(index, images, heads, known, add)
  local order = { exact = 1, near = 2, suspect = 3 }
  table.sort(found, function(a, b)
    if a.kind ~= b.kind then return order[a.kind] < order[b.kind] end
    if a.correlation ~= b.correlation then return a.correlation > b.correlation end
    if a.i ~= b.i then return a.i < b.i end
    return a.j < b.j
  end)
  return found, left
end

--- Which images must stay together in a split: a list (row number -> key), nil
-- for an image that is alone.  Images of one patient and copies of one image have
-- one key.
function duplicates.together(index, found)
  local root = {}
  local function find(key)
    while root[key] and root[key] ~= key do key = root[key] end
    return key
  end
  local function join(a, b)
    a, b = find(a), find(b)
    if a ~= b then root[b] = a end
  end
  for i, row in ipairs(index) do
    local key = rows_of.patient_key(row)
    if key then join("patient " .. key, "image " .. i) end
  end
  for _, pair in ipairs(found) do join("image " .. pair.i, "image " .. pair.j) end
  local out, count = {}, {}
  for i = 1, #index do
    out[i] = find("image " .. i)
    count[out[i]] = (count[out[i]] or 0) + 1
  end
  return out, count
end

-- Keys with images in more than one part.
local function crossing(keys, part_of)
  local home, count = {}, 0
  for i, key in pairs(keys) do
    local part = part_of[i]
    if part then
      if home[key] == nil then
        home[key] = part
      elseif home[key] ~= part and home[key] ~= 0 then
        home[key] = 0
        count = count + 1
      end
    end
  end
  return count
end

local function crossing_pairs(found, part_of)
  local count = 0
  for _, pair in ipairs(found) do
    local a, b = part_of[pair.i], part_of[pair.j]
    if pair.kind ~= "suspect" and a and b and a ~= b then count = count + 1 end
  end
  return count
end

local ROUNDS = 200

-- What splitting by image at random (four fifths to one fifth, each class for
-- itself) would share: how often anything at all, and how much on average.
local function random_split(index, keys, found, seed)
  local rng, by_class = luma.rng(seed):fork "audit leakage", {}
  for i, row in ipairs(index) do
    by_class[row.class] = by_class[row.class] or {}
    table.insert(by_class[row.class], i)
  end
  local leaks, sum, torn = 0, 0, 0
  for _ = 1, ROUNDS do
    local part_of = {}
    for _, class in ipairs(index.classes) do
      local list = by_class[class] or {}
      local held = math.ceil(#list / 5)
      for k, at in ipairs(rng:permutation(#list)) do part_of[list[at]] = k <= held and "test" or "train" end
    end
    local patients, pairs_ = crossing(keys, part_of), crossing_pairs(found, part_of)
    if patients + pairs_ > 0 then leaks = leaks + 1 end
    sum, torn = sum + patients, torn + pairs_
  end
  return { leaks = leaks / ROUNDS, shared_patients = sum / ROUNDS, shared_duplicates = torn / ROUNDS, rounds = ROUNDS }
end

--- What parts share.  part_of: row number -> part name, or nil when the set comes
-- without parts: then nothing has leaked yet, and random_split says what a split
-- by image would do.  Returns {shared_patients=, shared_duplicates=, parts=,
-- random_split={leaks=, shared_patients=,
-- shared_duplicates=, rounds=}, sentence=}.
function duplicates.leakage(index, found, part_of, seed)
  local keys, named = {}, {}
  for i, row in ipairs(index) do
    keys[i] = rows_of.patient_key(row)
    if part_of and part_of[i] then named[part_of[i]] = true end
  end
  local parts = {}
  for part in pairs(named) do parts[#parts + 1] = part end
  table.sort(parts)
  local patients = next(keys) ~= nil
  local out = { shared_patients = 0, shared_duplicates = 0, parts = parts, patients_known = patients }
  if #parts > 1 then
    out.shared_patients, out.shared_duplicates = crossing(keys, part_of), crossing_pairs(found, part_of)
    local where = table.concat(parts, ", ")
    local copies_ = text.plural(out.shared_duplicates, "pair") .. " of copies"
    if out.shared_patients + out.shared_duplicates > 0 then
      out.sentence = ("The parts (%s) share %s: a test on them flatters.%s"):format(where, patients
        and text.plural(out.shared_patients, "patient") .. " and " .. copies_ or copies_,
        patients and "" or " Whether they share patients is unknown.")
    else
      out.sentence = patients and ("The parts (%s) share no known patient and no copy of an image."):format(where)
        or ("The parts (%s) share no copy of an image; whether they share patients is unknown."):format(where)
    end
    return out
  end
  out.random_split = random_split(index, keys, found, seed or 0)
  local r = out.random_split
  if r.leaks > 0 then
    local what = {}
    if r.shared_patients > 0 then what[1] = ("%.1f patients"):format(r.shared_patients) end
    if r.shared_duplicates > 0 then what[#what + 1] = ("%.1f pairs of copies"):format(r.shared_duplicates) end
    out.sentence = ("A split by image at random would leak in %.0f %% of cases (on average %s in both parts): %s.")
      :format(100 * r.leaks, table.concat(what, " and "), r.shared_duplicates > 0
        and "remove the copies, and keep the images of a patient together" or "keep the images of a patient together, "
        .. "as luma covid does")
  elseif patients then
    local unknown = 0
    for i = 1, #index do unknown = unknown + (keys[i] and 0 or 1) end
    out.sentence = unknown == 0 and "No patient has several images and there are no copies: a split by image does not "
      .. "leak." or ("No known patient has several images and there are no copies; the patients of %d images are "
      .. "unknown, so whether a split by image leaks cannot be told."):format(unknown)
  else
    out.sentence = "Patients are unknown: whether a split leaks cannot be told beyond copies, of which there are none."
  end
  return out
end

return duplicates
