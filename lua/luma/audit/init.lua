--- luma.audit: what a data set gives away before a model has looked at a lung.
--
--   local result = luma.audit.run(index)      -- see the contract below
--   print(luma.audit.text(result))
--
-- The result, also written as audit.json:
--   images, classes                    numbers, names
--   patients{known, multi_image}       patients known; those with several images
--   shortcuts[]{name, model, auc{value, lo, hi}, accuracy{...}, above_chance, sentence}, best first
--   duplicates[]{a, b, kind, correlation, same_class, same_patient}
--   leakage{shared_patients, shared_duplicates}
--   bars{before{class}, after{class}}  share of images with black rows or columns
--   imbalance{majority_accuracy, sentence}
--   pipeline[]{name, sentence, classes}

local luma = require "luma"
local bars = require "luma.audit.bars"
local duplicates = require "luma.audit.duplicates"
local features = require "luma.audit.features"
local options = require "luma.options"
local pipeline = require "luma.audit.pipeline"
local shortcuts = require "luma.audit.shortcuts"
local rows_of = require "luma.data.index"

local audit = { features = features, shortcuts = shortcuts, bars = bars, duplicates = duplicates, pipeline = pipeline }

-- Images that decode, as an index; the others by name and reason.
local function readable(index)
  local unread, names = {}, {}
  local kept = index:filter(function(row)
    local info, message = luma.image.info(row.path)
    if info then return true end
    unread[#unread + 1] = { name = row.name or row.path, reason = message }
    names[#names + 1] = row.name or row.path
    return false
  end)
  return kept, unread
end

-- A function(first, last) -> u8 (n, 224, 224, 3) over the index's files.
local function pixel_reader(index)
  local side = features.SIDE
  return function(first, last)
    local list = {}
    for i = first, last do
      local x <close> = assert(luma.image.load(index[i].path, { mode = "rgb", strict = false }))
      list[#list + 1] = luma.image.resize(x, side, side, { method = "area" })
    end
    local batch = luma.stack(list)
    for _, x in ipairs(list) do x:close() end
    return batch
  end
end

local function patients(index)
  local count, images = {}, 0
  for _, row in ipairs(index) do
    local key = rows_of.patient_key(row)
    if key then
      count[key] = (count[key] or 0) + 1
      images = images + 1
    end
  end
  local known, multi = 0, 0
  for _, n in pairs(count) do
    known = known + 1
    if n > 1 then multi = multi + 1 end
  end
  return { known = known, multi_image = multi, images = images }
end

local function imbalance(index)
  local counts, largest, class = index:counts(), -1, nil
  for _, name in ipairs(index.classes) do
    if counts[name] > largest then largest, class = counts[name], name end
  end
  local share = largest / #index
  return {
    majority_accuracy = share, majority_class = class,
    sentence = ("Always answering '%s' is right for %.0f %% of the images%s."):format(class, 100 * share,
      share > 0.6 and ": accuracy alone says little here, look at the recall of each class" or ""),
  }
end

--- Audits an index.  opts: folds (5), seed (0), progress (function(done, total, what)).
function audit.run(index, opts)
  local o = options.check("audit.run", opts,
    { folds = 5, seed = 0, progress = options.optional, part_of = options.optional })
  local data, unread = readable(index)
  local enough, why = data:require_classes(2)
  if not enough then return nil, why, "data" end
  local place, labels, groups, class_id = {}, {}, {}, {}
  for i, class in ipairs(data.classes) do class_id[class] = i end
  for i, row in ipairs(data) do
    place[row], labels[i], groups[i] = i, class_id[row.class], rows_of.patient_key(row) or false
  end
  local folds = {}
  for i, fold in ipairs(data:kfold { k = o.folds, seed = o.seed }) do
    folds[i] = {}
    for k, row in ipairs(fold.test) do folds[i][k] = place[row] end
  end
  local result = {
    images = #data, classes = data.classes, counts = data:counts(), patients = patients(data),
    folds = o.folds, seed = o.seed, unread = unread, name = index.name,
    imbalance = imbalance(data),
  }
  result.shortcuts = shortcuts.run(data, {
    pixels = pixel_reader(data), folds = folds, labels = labels, groups = groups, seed = o.seed,
    progress = o.progress })
  result.bars = bars.count(data)
  result.duplicates = duplicates.find(data)
  result.leakage = duplicates.leakage(data, result.duplicates, o.part_of)
  result.pipeline = pipeline.compare(data)
  return result
end

return audit
