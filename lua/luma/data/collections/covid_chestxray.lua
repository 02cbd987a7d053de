--- The covid-chestxray-dataset, as its repository is cloned: DIR/metadata.csv and
-- DIR/images/.

local article = require "luma.data.collections.article"
local csv = require "luma.base.csv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"
local table_rows = require "luma.data.table_rows"
local column, fail, gather, need_folder = table_rows.column, table_rows.fail, table_rows.gather, table_rows.need_folder
local only_real, values, words = table_rows.only_real, table_rows.values, table_rows.words

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
local function read(dir, opts)
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


return {
  name = "covid-chestxray",
  layout = "metadata.csv, images/",
  what = "the covid-chestxray collection, which has its own metadata.csv",
  where = "git clone https://github.com/ieee8023/covid-chestxray-dataset",
  read = read,
  raw = true,           -- as published: luma covid prepares its images first
  needs_classes = true, -- so many findings that luma covid asks which to tell apart
  ordered = true,       -- one table: its lines are the order
  selection = { finding = "COVID-19", modality = "X-ray", view = "PA" }, -- the article's (D2, D3)
  scopes = {
    train = { finding = "any" },
    audit = { finding = "any", view = "any" },
    all = { finding = "any", view = "any", modality = "any" },
  },
  options = {},
  class_of = leaf,
  recognise = function(dir)
    return files.is_file(files.join(dir, "metadata.csv")) and files.is_dir(files.join(dir, "images"))
  end,
  place = function(row) return article.COVID, row.name .. ".jpg" end,
}
