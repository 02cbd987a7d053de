--- luma.data.sources: readers of the collections the article is made of, each
-- from the layout it is published in.  A row whose image is absent is normal
-- life: it is left out, counted and named in index.missing.  A name that leads
-- out of its folder, or one image with two classes, is an error.

local csv = require "luma.base.csv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"

local sources = {}

local function fail(message, code) return nil, message, code or "data" end

-- A folder that must be there.
local function need_folder(dir, why)
  local kind = files.kind(dir)
  if kind == "directory" then return true end
  return fail(("%s: %s%s"):format(files.show(dir), kind and "is not a folder" or "no such folder", why or ""), "io")
end

-- The column that one of several spellings names (case does not matter).
local function column(rows, ...)
  for _, want in ipairs { ... } do
    for _, name in ipairs(rows.columns) do
      if name:lower() == want then return name end
    end
  end
end

-- "finding = COVID-19, view = PA or AP" for messages.
local function words(conditions)
  local out = {}
  for key, want in pairs(conditions) do
    if type(want) == "table" then want = table.concat(want, " or ") end
    if type(want) == "function" then want = "(a test)" end
    out[#out + 1] = ("%s = %s"):format(key, tostring(want))
  end
  table.sort(out, indexes.by_bytes)
  return table.concat(out, ", ")
end

-- The values a column holds, the most frequent first, for the message that
-- nothing matched.
local function values(rows, name)
  local counts, list = {}, {}
  for _, row in ipairs(rows) do
    local value = row[name] or "(empty)"
    if not counts[value] then list[#list + 1] = value end
    counts[value] = (counts[value] or 0) + 1
  end
  table.sort(list, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return indexes.by_bytes(a, b)
  end)
  for i, value in ipairs(list) do list[i] = ("%s (%d)"):format(files.show(value), counts[value]) end
  if #list > 8 then list[9] = "..." end
  return table.concat(list, ", ", 1, math.min(#list, 9))
end

-- Turns CSV rows into index rows.
--   rows: the parsed CSV;  dir: folder of the images
--   each(csv_row) -> row fields (name, class, patient, ...) or nil to leave it out
-- Returns rows, missing, notes | nil, message, code
local function gather(rows, dir, each)
  local out, missing, seen, doubles = {}, {}, {}, 0
  for i, meta in ipairs(rows) do
    local row = each(meta)
    if row then
      local line = rows.lines[i]
      if not row.class then
        return fail(("%s: line %d: no finding"):format(files.show(rows.path), line))
      end
      local path, exists, why = files.inside(dir, row.name or "")
      if not path then
        return fail(("%s: line %d: %s"):format(files.show(rows.path), line, exists), why)
      end
      local before = seen[row.name]
      if before and before.class ~= row.class then
        return fail(("%s: lines %d and %d give '%s' two classes, %s and %s"):format(files.show(rows.path),
          before.line, line, files.show(row.name), before.class, row.class))
      elseif before then
        doubles = doubles + 1
      else
        row.path, row.meta, row.line = path, meta, line
        seen[row.name] = row
        if exists then
          out[#out + 1] = row
        else
          missing[#missing + 1] = { name = row.name, path = path, line = line, class = row.class,
            meta = meta, reason = "no such file" }
        end
      end
    end
  end
  local notes = {}
  if doubles > 0 then
    notes[1] = ("%s: %d rows name an image a second time (same class); each image is kept once"):format(
      files.basename(rows.path), doubles)
  end
  if #out == 0 and #missing > 0 then
    return fail(("%s: none of the %d images is there (the first: %s)"):format(files.show(dir), #missing,
      files.show(missing[1].name)), "io")
  end
  return out, missing, notes
end

-- Keeps in `conditions` only real ones: nil and "any" ask for nothing.
local function only_real(conditions)
  for key, want in pairs(conditions) do
    if want == "any" or want == false then conditions[key] = nil end
  end
  return conditions
end

-- The finding of a label: since October 2020 the collection writes the way to it,
-- "Pneumonia/Viral/COVID-19".
local function leaf(label)
  return label and label:match "[^/]+$" or label
end

--- The covid-chestxray-dataset: DIR/metadata.csv and DIR/images/.
-- Conditions match exactly: finding "COVID-19" does not take "COVID-19, ARDS", but
-- it does take today's "Pneumonia/Viral/COVID-19".
-- @param dir the folder
-- @param opts finding ("COVID-19"), modality ("X-ray"; "CT" takes the CT rows),
--   view ("PA"): a value, a list, or "any"; classes: a list of findings, the
--   same as finding; where: {column = value, list or function}; images: folder
--   of the images ("images")
-- @return index; class is the finding, patient the patient id, offset the day
--   since the first symptoms | nil, message, code
function sources.covid_chestxray(dir, opts)
  local o = options.check("data.covid_chestxray", opts, {
    finding = "COVID-19", modality = "X-ray", view = "PA", classes = options.optional,
    where = options.optional, images = "images",
  })
  local ok, message, code = need_folder(dir)
  if not ok then return nil, message, code end
  local rows
  rows, message, code = csv.read(files.join(dir, "metadata.csv"), { require = { "finding", "filename" } })
  if not rows then return nil, message, code end
  local finding = o.classes or o.finding
  local conditions = only_real { finding = finding, modality = o.modality, view = o.view }
  for key, want in pairs(o.where or {}) do conditions[key] = want end
  only_real(conditions)
  local column_of = {}
  for key in pairs(conditions) do
    column_of[key] = column(rows, key:lower())
    if not column_of[key] then
      return fail(("%s: no column '%s' to select by (columns: %s)"):format(files.show(rows.path), key,
        table.concat(rows.columns, ", ")))
    end
  end
  local images = files.join(dir, o.images)
  ok, message, code = need_folder(images, " (the images belong there)")
  if not ok then return nil, message, code end
  local patient, offset = column(rows, "patientid", "patient_id", "patient"), column(rows, "offset")
  local unlabelled = 0
  local list, missing, notes = gather(rows, images, function(meta)
    if not meta.finding then
      unlabelled = unlabelled + 1
      return nil
    end
    for key, want in pairs(conditions) do
      local value = meta[column_of[key]]
      if not indexes.wanted(value, want) and not (key == "finding" and indexes.wanted(leaf(value), want)) then
        return nil
      end
    end
    return {
      name = meta.filename, original = meta.filename, class = leaf(meta.finding), source = "covid-chestxray",
      registry = "covid-chestxray", patient = patient and meta[patient], view = meta.view, sex = meta.sex,
      age = csv.number(meta.age), modality = meta.modality, offset = offset and csv.number(meta[offset]),
      survival = meta.survival,
    }
  end)
  if not list then return nil, missing, notes end
  if #list == 0 then
    local hints = {}
    for key in pairs(conditions) do
      hints[#hints + 1] = ("%s holds %s"):format(key, values(rows, column_of[key]))
    end
    table.sort(hints, indexes.by_bytes)
    return fail(("%s: no row with %s; %s"):format(files.show(rows.path), words(conditions), table.concat(hints, "; ")))
  end
  table.insert(notes, 1, ("%s: %d rows, %d with %s"):format(files.basename(rows.path), #rows, #list + #missing,
    next(conditions) and words(conditions) or "a finding"))
  if unlabelled > 0 then notes[#notes + 1] = ("%d rows without a finding are left out"):format(unlabelled) end
  return indexes.new(list, { name = "covid-chestxray", missing = missing, notes = notes })
end

--- The RSNA pneumonia set: DIR/stage_2_detailed_class_info.csv (patientId,
-- class) and DIR/stage_2_train_images_jpg/<patientId>.jpg.
-- @param dir the folder
-- @param opts class ("Normal"): a class, a list, or "any"; head: only the first
--   n rows of that class, in file order
-- @return index; every image is a patient of its own | nil, message, code
function sources.rsna(dir, opts)
  local o = options.check("data.rsna", opts, { class = "Normal", head = options.optional })
  local ok, message, code = need_folder(dir)
  if not ok then return nil, message, code end
  local rows
  rows, message, code = csv.read(files.join(dir, "stage_2_detailed_class_info.csv"),
    { require = { "patientId", "class" } })
  if not rows then return nil, message, code end
  local images = files.join(dir, "stage_2_train_images_jpg")
  local dicom = files.is_dir(files.join(dir, "stage_2_train_images"))
  ok, message, code = need_folder(images, dicom and
    "; stage_2_train_images holds DICOM files, which luma does not read: convert them to JPEG or PNG" or nil)
  if not ok then return nil, message, code end
  if o.head then options.integer("data.rsna", "head", o.head, 1) end
  local condition = only_real { class = o.class }
  local taken, seen = 0, {}
  local list, missing, notes = gather(rows, images, function(meta)
    if condition.class ~= nil and not indexes.wanted(meta.class, condition.class) then return nil end
    if not meta.class then return nil end
    local id = meta.patientId
    if id and not seen[id] then
      if o.head and taken >= o.head then return nil end
      seen[id] = true
      taken = taken + 1
    end
    return { name = id and id .. ".jpg", original = id and id .. ".jpg", class = meta.class, patient = id,
      source = "rsna", registry = "rsna" }
  end)
  if not list then return nil, missing, notes end
  if #list == 0 then
    return fail(("%s: no row with %s; class holds %s"):format(files.show(rows.path), words(condition),
      values(rows, "class")))
  end
  table.insert(notes, 1, ("%s: %d rows, %d images %s"):format(files.basename(rows.path), #rows, #list + #missing,
    next(condition) and "with " .. words(condition) or "in all"))
  return indexes.new(list, { name = "rsna", missing = missing, notes = notes })
end

-- ---- the article's own folder ----

local ARTICLE_COLUMNS = { "unnamed 1", "filename", "finding" }

-- How many different values a column holds.
local function distinct(rows, name)
  local seen, count = {}, 0
  for _, row in ipairs(rows) do
    if row[name] and not seen[row[name]] then
      seen[row[name]] = true
      count = count + 1
    end
  end
  return count
end

-- One of its two tables.  The author's script writes the header only when the
-- very first image keeps its shape, so tables without a header are read too.
local function article_table(dir, name, folder)
  local rows, message, code = csv.read(files.join(dir, name),
    { require = { "filename", "finding" }, fallback = ARTICLE_COLUMNS })
  if not rows then return nil, message, code end
  local images = files.join(dir, folder)
  local ok
  ok, message, code = need_folder(images, " (" .. name .. " names its images)")
  if not ok then return nil, message, code end
  return rows, images
end

-- file name -> CSV row with a patient, from a covid-chestxray metadata file.
local function read_patients(path)
  local rows, message, code = csv.read(path, { require = { "filename" } })
  if not rows then return nil, message, code end
  local patient = column(rows, "patientid", "patient_id", "patient")
  if not patient then
    return fail(("%s: no column 'patientid' (columns: %s)"):format(files.show(path), table.concat(rows.columns, ", ")))
  end
  local by_name = {}
  for _, row in ipairs(rows) do
    if row.filename then by_name[row.filename] = row end
  end
  return by_name, patient
end

--- The article's prepared set: DIR/covid_dataset.csv with covid_adjusted/ and
-- DIR/normal_xray_dataset.csv with normal_dataset/.  The second may be missing
-- when the first names several classes (a set that luma prepared).
-- @param dir the folder
-- @param opts normals (99): the first so many normal rows, in file order, or
--   "all"; metadata: CSV that knows the patients (DIR/metadata.csv when it is
--   there): a published name less its appended ".jpg" is its file name
-- @return index, normals first as in the article; an image without a patient
--   is its own group | nil, message, code
function sources.article(dir, opts)
  local o = options.check("data.article", opts, { normals = options.optional, metadata = options.optional })
  local normals = o.normals == nil and 99 or o.normals
  if normals ~= "all" and (math.type(normals) ~= "integer" or normals < 1) then
    return fail(("normals must be a whole number from 1 on or \"all\", got %s: without normal images "
      .. "there is nothing to tell COVID-19 from"):format(tostring(normals)), "argument")
  end
  local ok, message, code = need_folder(dir)
  if not ok then return nil, message, code end
  local covid, covid_dir, normal, normal_dir
  covid, covid_dir, code = article_table(dir, "covid_dataset.csv", "covid_adjusted")
  if not covid then return nil, covid_dir, code end
  normal, normal_dir, code = article_table(dir, "normal_xray_dataset.csv", "normal_dataset")
  if not normal and distinct(covid, "finding") > 1 and not files.exists(files.join(dir, "normal_xray_dataset.csv")) then
    normal, normal_dir = { columns = {} }, dir -- one table with all classes, as prepare writes for other sets
  end
  if not normal then return nil, normal_dir, code end

  local metadata = o.metadata
  if metadata == nil then
    local beside = files.join(dir, "metadata.csv")
    if files.exists(beside) then metadata = beside end
  end
  local by_name, patient = {}, nil
  if metadata then
    by_name, patient, code = read_patients(metadata)
    if not by_name then return nil, patient, code end
  end

  local taken, seen, found, headed = 0, {}, 0, 0
  local function each(source)
    return function(meta)
      if source == "article-normal" and normals ~= "all" and not seen[meta.filename or ""] then
        if taken >= normals then return nil end
        taken = taken + 1
        seen[meta.filename or ""] = true
      end
      local original = meta.filename and (meta.filename:match "^(.+)%.jpg$" or meta.filename)
      local known = original and (by_name[original] or by_name[meta.filename])
      if known and known[patient] then found = found + 1 end
      return {
        name = meta.filename, original = original, class = meta.finding, source = source,
        registry = known and "covid-chestxray" or source, patient = known and known[patient],
        view = known and known.view, sex = known and known.sex, age = known and csv.number(known.age),
        offset = known and csv.number(known.offset), survival = known and known.survival,
      }
    end
  end
  local list, missing, notes = gather(normal, normal_dir, each "article-normal")
  if not list then return nil, missing, notes end
  local covid_list, covid_missing, covid_notes = gather(covid, covid_dir, each "article-covid")
  if not covid_list then return nil, covid_missing, covid_notes end
  table.move(covid_list, 1, #covid_list, #list + 1, list)
  table.move(covid_missing, 1, #covid_missing, #missing + 1, missing)
  table.move(covid_notes, 1, #covid_notes, #notes + 1, notes)
  for _, rows in ipairs { covid, normal } do
    if rows.headerless then
      headed = headed + 1
      notes[#notes + 1] = ("%s has no header line; its columns are taken as in the article"):format(
        files.basename(rows.path))
    end
  end
  if normals ~= "all" and #normal > taken then
    notes[#notes + 1] = ("normals: the first %d of %d rows, in file order"):format(taken, #normal)
  end
  if metadata then
    notes[#notes + 1] = ("patients: %s knows %s of %d images"):format(files.basename(metadata),
      found > 0 and found or "none", #list + #missing)
  else
    notes[#notes + 1] = "patients: unknown (no metadata), so images of one patient may land in two parts"
  end
  if #list == 0 then return fail(("%s: no images found"):format(files.show(dir))) end
  return indexes.new(list, { name = "article", missing = missing, notes = notes })
end

--- Ordinal classes from the days since the first symptoms: a labeller for
-- index:relabel.  stages(4, 10) makes three classes; rows without a day go.
function sources.stages(...)
  local limits = { ... }
  for i, limit in ipairs(limits) do
    if type(limit) ~= "number" or (i > 1 and limit <= limits[i - 1]) then
      error("data.stages: limits must be numbers that increase, e.g. data.stages(4, 10)", 2)
    end
  end
  if #limits == 0 then error("data.stages: give at least one limit in days", 2) end
  return function(row)
    local day = row.offset
    if day == nil then return nil end
    local stage = 1
    while limits[stage] and day >= limits[stage] do stage = stage + 1 end
    local from, to = limits[stage - 1], limits[stage]
    return ("stage %d: %s"):format(stage, not from and ("before day %g"):format(to)
      or not to and ("from day %g"):format(from) or ("day %g to %g"):format(from, to - 1))
  end
end

return sources
