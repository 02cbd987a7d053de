--- The article's prepared set: two tables, each with the folder of its images.

local csv = require "luma.base.csv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"
local table_rows = require "luma.data.table_rows"
local column, fail, gather, need_folder = table_rows.column, table_rows.fail, table_rows.gather, table_rows.need_folder


-- Its two halves; the one place that knows the article's names.
local article = {
  COVID = { folder = "covid_adjusted", table = "covid_dataset" },
  NORMAL = { folder = "normal_dataset", table = "normal_xray_dataset" },
}

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
local function article_table(dir, half)
  local name, folder = half.table .. ".csv", half.folder
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
local function read(dir, opts)
  local o = options.check("data.article", opts, { normals = options.optional, metadata = options.optional })
  local normals = o.normals == nil and 99 or o.normals
  if normals ~= "all" and (math.type(normals) ~= "integer" or normals < 1) then
    return fail(("normals must be a whole number from 1 on or \"all\", got %s: without normal images "
      .. "there is nothing to tell COVID-19 from"):format(tostring(normals)), "argument")
  end
  local ok, message, code = need_folder(dir)
  if not ok then return nil, message, code end
  local covid, covid_dir, normal, normal_dir
  covid, covid_dir, code = article_table(dir, article.COVID)
  if not covid then return nil, covid_dir, code end
  normal, normal_dir, code = article_table(dir, article.NORMAL)
  if not normal and distinct(covid, "finding") > 1
    and not files.exists(files.join(dir, article.NORMAL.table .. ".csv")) then
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

article.name = "article"
article.layout = "its own two tables"
article.what = "the article's own folder"
article.where = "prepared with luma prepare from covid-chestxray and rsna"
article.read = read
article.scopes = { train = {}, audit = {}, all = { normals = "all" } }
article.options = { "metadata", "normals" }

--- Whether a folder has any of its tables or folders.
function article.recognise(dir)
  for _, half in ipairs { article.COVID, article.NORMAL } do
    if files.exists(files.join(dir, half.table .. ".csv")) or files.exists(files.join(dir, half.folder)) then
      return true
    end
  end
  return false
end

--- The half that images of a class belong to.
function article.half(class) return class:lower() == "normal" and article.NORMAL or article.COVID end

function article.place(row)
  return row.source == "article-covid" and article.COVID or article.NORMAL, row.name:gsub("%.jpg$", "") .. ".jpg"
end

return article
