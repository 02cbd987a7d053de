--- luma.audit: what a data set gives away before a model has looked at a lung.
--
--   local index = assert(luma.audit.open "folder or table.csv")
--   local result = assert(luma.audit.run(index))
--   print(luma.audit.text(result))
--   assert(luma.audit.save(result, "out"))     -- audit.json, audit.png, audit.html
--
-- The result, also written as audit.json:
--   images, classes                    number; names, with counts in `counts`
--   patients{known, multi_image}       patients known; those with several images
--   shortcuts[]{name, model, auc{value, lo, hi}, accuracy{...}, above_chance, sentence}, best first
--   duplicates[]{a, b, kind, how, correlation, same_class, same_patient}: kind exact, near or suspect
--   leakage{shared_patients, shared_duplicates, parts, random_split, sentence}
--   bars{before{class}, after{class}, sentence}  share of images with black rows or columns, with interval
--   imbalance{majority_accuracy, majority_class, sentence}
--   pipeline[]{name, classes, differs, sentence}
--   unread[]{name, class, reason}, notes[]
--   outliers[]{name, class, spread}    images unlike all others
--   labels{auc, list[]{name, class, other, p_class, p_other}}   labels that a model would change
--   acquisition[]{column, class, values, n, auc}   columns that can be read from the images within one class

local luma = require "luma"
local bars = require "luma.study.audit.bars"
local collections = require "luma.data.collections"
local duplicates = require "luma.study.audit.duplicates"
local features = require "luma.study.audit.features"
local indexes = require "luma.data.index"
local options = require "luma.base.options"
local page = require "luma.study.audit.page"
local pipeline = require "luma.study.audit.pipeline"
local reader = require "luma.study.audit.reader"
local shortcuts = require "luma.study.audit.shortcuts"
local space = require "luma.study.audit.space"
local words = require "luma.study.audit.words"

--- Opens a path as an index, named after it; options as luma.data.collections.open's.
local function open(path, opts)
  local given = { scope = "audit" }
  for key, value in pairs(opts or {}) do given[key] = value end
  return collections.open(path, given)
end

local audit = { features = features, shortcuts = shortcuts, bars = bars, duplicates = duplicates, pipeline = pipeline,
  reader = reader, open = open, text = words.text, save = page.save,
  sections = page.sections, contract = page.contract }

local function patients(index)
  local count, images = {}, 0
  for _, row in ipairs(index) do
    local key = indexes.patient_key(row)
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
  local sentence = ("Always answering '%s' is right for %.0f %% of the images."):format(class, 100 * share)
  if share > 0.6 then
    sentence = ("Always answering '%s' has accuracy %.2f and recall 0 for every other class: accuracy alone says "
      .. "little here."):format(class, share)
  end
  return { majority_accuracy = share, majority_class = class, sentence = sentence }
end

local LEAST = 5 -- images of a class that the shortcuts are asked about

-- What the shortcuts are asked about: the classes with enough images, as an
-- index, and the numbers of its rows in the whole.  When only one class has
-- enough, it is asked against all others together.
local function question(index, notes)
  local counts, small, large, pooled = index:counts(), {}, {}, 0
  for _, class in ipairs(index.classes) do
    if counts[class] >= LEAST then
      large[#large + 1] = class
    else
      small[#small + 1], pooled = ("%s (%d)"):format(class, counts[class]), pooled + counts[class]
    end
  end
  local rest, place, label = nil, {}, {}
  if #large == 1 and pooled >= LEAST then
    rest = "not " .. large[1]
    notes[#notes + 1] = ("shortcuts: %s against all others, of which no class has %d images"):format(large[1], LEAST)
  elseif #small > 0 then
    notes[#notes + 1] = ("too few images to ask whether shortcuts tell them apart: %s"):format(
      table.concat(small, ", "))
  end
  for _, class in ipairs(index.classes) do label[class] = counts[class] >= LEAST and class or rest end
  for i, row in ipairs(index) do
    if label[row.class] then place[#place + 1] = i end
  end
  return index:relabel(label), place
end

-- Folds that keep patients and copies together; as many as there are groups.
local function folds_of(asked, keys, o, notes)
  local key_of, place, distinct, count = {}, {}, {}, 0
  for i, row in ipairs(asked) do
    key_of[row], place[row] = keys[i], i
    if not distinct[keys[i]] then
      distinct[keys[i]], count = true, count + 1
    end
  end
  local k = math.min(o.folds, count)
  if k < 2 then return nil end
  if k < o.folds then notes[#notes + 1] = ("%d folds: there are no more independent images"):format(k) end
  local folds = {}
  for i, fold in ipairs(asked:kfold { k = k, seed = o.seed, group = function(row) return key_of[row] end }) do
    folds[i] = {}
    for n, row in ipairs(fold.test) do folds[i][n] = place[row] end
  end
  return folds
end

-- At most about `most` of the asked rows: each class in proportion (of a small
-- one at least 100), images that belong together whole, drawn by the seed.
local function sample(asked, place, together, most, seed)
  local counts, quota, taken, chosen, members = asked:counts(), {}, {}, {}, {}
  for _, class in ipairs(asked.classes) do
    quota[class], taken[class] = math.max(math.ceil(most * counts[class] / #asked), 100), 0
  end
  for i in ipairs(asked) do
    local key = together[place[i]]
    members[key] = members[key] or {}
    table.insert(members[key], i)
  end
  for _, i in ipairs(luma.rng(seed):fork "audit sample":permutation(#asked)) do
    if not chosen[i] and taken[asked[i].class] < quota[asked[i].class] then
      for _, k in ipairs(members[together[place[i]]]) do
        chosen[k] = true
        taken[asked[k].class] = taken[asked[k].class] + 1
      end
    end
  end
  local rows, kept = {}, {}
  for i, row in ipairs(asked) do
    if chosen[i] then rows[#rows + 1], kept[#kept + 1] = row, place[i] end
  end
  return indexes.new(rows, { name = asked.name, classes = asked.classes }), kept
end

local function ask(result, seen, together, o, step)
  local asked, place = question(seen.index, result.notes)
  if #asked.classes < 2 then
    result.notes[#result.notes + 1] = ("shortcuts are not measured: %s with at least %d images"):format(
      #asked.classes == 1 and "only " .. asked.classes[1] .. " is there" or "there is no class", LEAST)
    return {}, asked
  end
  if #asked > o.sample then
    local all = #asked
    asked, place = sample(asked, place, together, o.sample, o.seed)
    result.notes[#result.notes + 1] = ("shortcuts are measured on %d of %d images, drawn by class and patient"):format(
      #asked, all)
  end
  local labels, keys, tables, class_id = {}, {}, {}, {}
  for i, class in ipairs(asked.classes) do class_id[class] = i end
  for i, row in ipairs(asked) do labels[i], keys[i] = class_id[row.class], together[place[i]] end
  for name, rows in pairs(seen.tables) do
    tables[name] = {}
    for i, at in ipairs(place) do tables[name][i] = rows[at] end
  end
  local folds = folds_of(asked, keys, o, result.notes)
  if not folds then
    result.notes[#result.notes + 1] = "shortcuts are not measured: all images belong together"
    return {}, asked
  end
  result.folds, result.asked = #folds, asked.classes
  local rows = {}
  for i, at in ipairs(place) do rows[i] = seen.space[at] end
  local setting = { labels = labels, folds = folds, groups = keys }
  result.labels = space.labels(asked, rows, setting)
  for _, one in ipairs(result.labels.list) do one.i = place[one.i] end -- row numbers of the whole index
  result.acquisition = space.acquisition(asked, rows, features.acquisition_columns, keys, o.seed)
  return shortcuts.run(asked, { tables = tables, labels = labels, groups = keys, folds = folds, seed = o.seed,
    step = step }), asked
end

local function parts_of(index)
  local out, any = {}, false
  for i, row in ipairs(index) do
    if row.part then out[i], any = row.part, true end
  end
  return any and out or nil
end

--- Audits an index.  opts: folds (5), seed (0), sample (1000: of more images so
-- many are asked about shortcuts; everything else looks at all), meter (function(what, total) -> an
-- object with add(n) and done(), luma.progress by default), part_of (row -> part;
-- row.part by default).
-- Returns the result | nil, message, code.
function audit.run(index, opts)
  local o = options.check("audit.run", opts, { folds = 5, seed = 0, sample = 1000,
    meter = luma.progress, part_of = options.optional })
  options.integer("audit.run", "sample", o.sample, 10)
  options.integer("audit.run", "folds", o.folds, 2, 100)
  local meter <close> = o.meter("reading", #index, { unit = "images" })
  local seen = reader.read(index, { step = function() meter:add(1) end, space = true })
  meter:done()
  local data = seen.index
  if #data == 0 then
    return nil, #seen.unread > 0 and ("%s: no image could be read (%s)"):format(index.name, seen.unread[1].reason)
      or index.name .. ": no images", "data"
  end
  local result = {
    name = index.name, images = #data, classes = data.classes, counts = data:counts(), patients = patients(data),
    folds = o.folds, seed = o.seed, unread = seen.unread, missing = #data.missing, notes = {},
    imbalance = imbalance(data), version = luma._VERSION,
  }
  for _, note in ipairs(index.notes) do result.notes[#result.notes + 1] = note end
  result.outliers = space.outliers(data, seen.space)
  local left
  result.duplicates, left = duplicates.find(data, seen.images)
  if left > 0 then
    result.notes[#result.notes + 1] = ("%d pairs of images that are alike were not compared in detail: mirrored, "
      .. "cropped or tilted copies among them are not named"):format(left)
  end
  local part_of = parts_of(data)
  if o.part_of then
    part_of = {}
    for i, row in ipairs(data) do part_of[i] = o.part_of(row) end
  end
  result.leakage = duplicates.leakage(data, result.duplicates, part_of, o.seed)
  result.bars = bars.count(data, seen.images)
  result.pipeline = pipeline.compare(data, seen.images)
  local asking <close> = o.meter("shortcuts", shortcuts.count(), { unit = "questions" })
  result.shortcuts = ask(result, seen, duplicates.together(data, result.duplicates), o, function(title)
    asking:add(1, title)
  end)
  asking:done()
  result.index, result.means = data, seen.means -- for the pictures; not written to audit.json
  return result
end

--- Only the copies of an index: what audit.duplicates finds, and the images read.
-- opts: bits, small, threshold, as there; step (function(), once an image).
function audit.copies(index, opts)
  local o = options.check("audit.copies", opts, { bits = duplicates.bits, small = duplicates.small,
    threshold = duplicates.threshold, step = options.optional })
  local seen = reader.read(index, { step = o.step, copies = true })
  o.step = nil
  return duplicates.find(seen.index, seen.images, o), seen.index
end

--- The strongest shortcut that looks at neither lungs nor metadata, or nil: what a
-- model has to beat.
function audit.baseline(result)
  for _, s in ipairs(result.shortcuts) do
    if not s.lungs and not s.metadata then return s end
  end
end

return audit
