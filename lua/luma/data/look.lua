--- luma.data.look: what a folder is, before anything is done with it: how many
-- images of what kind, which collection luma takes it for, what it would skip and why.

local core = require "luma.core"
local collections = require "luma.data.collections"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local text = require "luma.base.text"

local MOST = 500000 -- files that are walked
local SAMPLE = 2000 -- images whose headers are read
local DEPTH = 12    -- levels of folders

-- All files at and below a path: list of {path, bytes}, number of folders, whether all.
local function walk(path)
  local out, count, whole = {}, 0, true
  local function enter(dir, depth)
    count = count + 1
    local names, kinds = files.list(dir)
    for _, name in ipairs(names or {}) do
      local at = files.join(dir, name)
      if #out >= MOST or depth > DEPTH then
        whole = false
        return
      elseif kinds[name] == "directory" then
        enter(at, depth + 1)
      elseif kinds[name] == "file" then
        out[#out + 1] = at
      end
    end
  end
  if files.is_dir(path) then enter(path, 1) else out[1] = path end
  return out, count, whole
end

-- Every k-th of a list, at most `most` of them.
local function sample(list, most)
  local step, out = math.max(1, #list / most), {}
  for i = 1, math.min(#list, most) do out[i] = list[math.floor((i - 1) * step) + 1] end
  return out
end

-- Adds one to a tally kept in the order of first appearance.
local function tally(counts, key, example)
  if not counts[key] then
    counts[key] = 0
    counts[#counts + 1] = key
    counts.examples = counts.examples or {}
    counts.examples[key] = example
  end
  counts[key] = counts[key] + 1
end

-- "PNG 12, JPEG 3": the most frequent first.
local function listed(counts, most)
  local order, out = table.move(counts, 1, #counts, 1, {}), {}
  table.sort(order, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return indexes.by_bytes(a, b)
  end)
  for i = 1, math.min(#order, most or 6) do
    out[i] = ("%s %d"):format(text.printable(order[i], 50), counts[order[i]])
  end
  if #order > #out then out[#out + 1] = ("%d more"):format(#order - #out) end
  return table.concat(out, ", ")
end

-- Formats, bits and sizes of the images, and why some cannot be read.
local function headers(index)
  local kinds, faults = {}, {}
  local least, greatest, shortest, longest
  local looked = sample(index, SAMPLE)
  for _, row in ipairs(looked) do
    local info, message = core.image.info(row.path)
    if info then
      tally(kinds, ("%s of %d %s, %s"):format(info.format:upper(), info.bits, info.bits == 1 and "bit" or "bits",
        info.channels < 3 and "gray" or "colour"))
      local pixels = info.height * info.width
      if not least or pixels < least then least, shortest = pixels, ("%dx%d"):format(info.height, info.width) end
      local size = ("%dx%d"):format(info.height, info.width)
      if not greatest or pixels > greatest then greatest, longest = pixels, size end
    else
      local why = message:sub(1, #row.path + 2) == row.path .. ": " and message:sub(#row.path + 3) or message
      tally(faults, (why:gsub("%d+", "N")), row.path)
    end
  end
  return { kinds = kinds, faults = faults, looked = #looked, smallest = shortest, largest = longest }
end

-- Why a file that the index does not hold is left out.
local function reason(path, collection)
  local folder = files.basename(files.dirname(path)):lower()
  local ending = (files.basename(path):match "%.([^.]+)$" or ""):lower()
  if ending == "csv" or ending == "tsv" or ending == "txt" or ending == "json" or ending == "md" then
    return "tables and texts"
  end
  if folder:match "masks?$" then return "masks, which are never images of a class" end
  local info, message = core.image.info(path)
  if info then
    return collection == "folder" and "images outside of the class folders" or "images that nothing gives a class"
  end
  local kind = message:match "neither PNG nor JPEG, but (an? [^:,]+)" or message:match "but (gzip data)"
  if kind then return kind end
  return message:find("neither PNG nor JPEG", 1, true) and "neither images nor tables" or "damaged images"
end

--- Looks at a folder, a table or a file.
-- @return { path, files, folders, whole (whether all files were seen), collection,
--   layout, index, error, headers, left_out (a tally), patients, masks } | nil, message, code
return function(path)
  if not files.kind(path) then return nil, files.show(path) .. ": no such file or folder", "io" end
  local all, folders, whole = walk(path)
  local found = { path = path, files = #all, folders = folders, whole = whole, left_out = {}, listed = listed }
  local one = collections.recognise(path)
  found.collection, found.layout = one and one.name, one and one.layout
  local index, message = collections.open(path, { scope = "all" })
  found.index, found.error = index, not index and message or nil
  local inside, patients = {}, {}
  found.patients, found.masks, found.with_patient = 0, 0, 0
  for _, row in ipairs(index or {}) do
    inside[row.path] = true
    local key = indexes.patient_key(row)
    if key then found.with_patient = found.with_patient + 1 end
    if key and not patients[key] then patients[key], found.patients = true, found.patients + 1 end
    if row.mask then found.masks = found.masks + 1 end
  end
  if index then found.headers = headers(index) end
  local rest = {}
  for _, at in ipairs(all) do
    if not inside[at] then rest[#rest + 1] = at end
  end
  if files.is_dir(path) then
    for _, at in ipairs(sample(rest, SAMPLE)) do tally(found.left_out, reason(at, found.collection), at) end
    found.rest = #rest
  else
    found.rest = 0
  end
  return found
end
