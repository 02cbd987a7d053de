--- The images of a run: the article's folder, a folder of class folders, or the
-- embedded default, phantoms that are generated, written as raw radiographs and
-- then prepared and read back exactly as real ones are.

local luma = require "luma"
local uv = require "luv"
local data, files, text = luma.data, luma.files, luma.text

local dataset = {}

local function checked(index, message)
  if not index then error(message, 0) end
  -- Class names become keys of JSON, headers of tables and titles: all must be UTF-8.
  local odd = false
  for _, class in ipairs(index.classes) do odd = odd or not utf8.len(class) end
  if odd then
    local rows = {}
    for i, row in ipairs(index) do
      row.class = utf8.len(row.class) and row.class or text.printable(row.class, 200)
      rows[i] = row
    end
    index = data.Index(rows, { name = index.name, missing = index.missing, notes = index.notes })
  end
  local enough, why = index:require_classes(2)
  if not enough then error(why, 0) end
  return index
end

-- The tables and folders of the article's own set.
local function is_article(dir)
  for _, name in ipairs { "covid_dataset.csv", "covid_adjusted", "normal_xray_dataset.csv", "normal_dataset" } do
    if files.exists(files.join(dir, name)) then return true end
  end
  return false
end

-- Options that say something about other layouts are errors, never ignored.
local function refuse(config, keys, what)
  for _, key in ipairs(keys) do
    if config[key] then
      error(("--%s does not fit %s, %s"):format(key == "normals_given" and "normals" or key, files.show(config.data),
        what), 0)
    end
  end
end

-- Whether a folder is the covid-chestxray collection as it is published.
local function is_collection(dir)
  return files.is_file(files.join(dir, "metadata.csv")) and files.is_dir(files.join(dir, "images"))
end

-- The covid-chestxray collection: the findings asked for, prepared, as an index of
-- the prepared images that knows the patients.
local function collection(config, state)
  if not config.classes then
    error(("%s: the covid-chestxray collection: name the findings to tell apart, e.g. --classes COVID-19,SARS"):format(
      files.show(config.data)), 0)
  end
  local raw, message = data.covid_chestxray(config.data, { classes = config.classes })
  if not raw then error(message, 0) end
  local present = {}
  for _, row in ipairs(raw) do present[row.class] = true end
  for _, row in ipairs(raw.missing or {}) do present[row.class or ""] = true end
  for _, class in ipairs(config.classes) do
    if not present[class] then
      local all, known = data.covid_chestxray(config.data, { finding = "any" }), {}
      for _, name in ipairs(all and all.classes or {}) do known[#known + 1] = text.printable(name, 40) end
      error(("--classes: no frontal radiograph has the finding '%s' (there are: %s)"):format(text.printable(class, 60),
        table.concat(known, ", ")), 0)
    end
  end
  raw = checked(raw)
  local out, rows, number = state:path("data", "prepared"), {}, {}
  for c, class in ipairs(raw.classes) do number[class] = c end
  for i, row in ipairs(raw) do
    local listed, folder = row.name .. ".jpg", "class_" .. number[row.class]
    rows[i] = { path = row.path, name = row.name, class = row.class, line = i, listed = listed,
      to = files.join(folder, listed), table = folder }
  end
  luma.prepare.run(rows, out, { name = "collection", faithful = config.faithful, size = config.size,
    progress = function(n) return luma.progress("preparing", n, { unit = "images" }) end })
  local kept = {}
  for i, row in ipairs(raw) do
    local path = files.join(out, rows[i].to)
    if files.is_file(path) then
      kept[#kept + 1] = { path = path, name = row.name, class = row.class, patient = row.patient, raw = row.path,
        source = row.source }
    end
  end
  return checked(data.Index(kept, { name = "covid-chestxray" }))
end

local function given(config, state)
  local dir = config.data
  if not files.is_dir(dir) then error(("--data: %s: no such folder"):format(files.show(dir)), 0) end
  if is_collection(dir) then
    refuse(config, { "metadata", "normals_given" }, "the covid-chestxray collection, which has its own metadata.csv")
    return collection(config, state)
  end
  if config.classes then
    error(("--classes goes with the covid-chestxray collection (metadata.csv, images/), which %s is not"):format(
      files.show(dir)), 0)
  end
  if is_article(dir) then
    return checked(data.article(config.data, { normals = config.normals, metadata = config.metadata }))
  end
  refuse(config, { "metadata", "normals_given" }, "a set of class folders: every image of them is taken, and the "
    .. "patients come from the file names")
  local index, message = data.folder(dir)
  if not index then
    error(("--data: %s (expected: one folder per class, the article's tables and folders, or the covid-chestxray "
      .. "collection with metadata.csv and images/)"):format(message), 0)
  end
  return checked(index)
end

-- Phantoms: generated, prepared, read back.
local function generated(config, state)
  local raw, prepared = state:path("data", "raw"), state:path("data", "prepared")
  local meter <close> = luma.progress("drawing", config.phantoms, { unit = "images" })
  local drawn = checked(data.phantom { dir = raw, count = config.phantoms, seed = config.seed,
    progress = function(done) meter:add(done - meter.count) end })
  meter:done()
  local rows, original = {}, {}
  for i, row in ipairs(drawn) do
    local normal = row.class:lower() == "normal"
    local listed = row.name .. ".jpg"
    rows[i] = { path = row.path, name = row.name, class = row.class, line = i, listed = listed,
      to = files.join(normal and "normal_dataset" or "covid_adjusted", listed),
      table = normal and "normal_xray_dataset" or "covid_dataset" }
    original[row.name] = row.path
  end
  luma.prepare.run(rows, prepared, { name = "phantoms", faithful = config.faithful, size = config.size,
    progress = function(n) return luma.progress("preparing", n, { unit = "images" }) end })
  local index = checked(data.article(prepared, { normals = "all", metadata = files.join(raw, "metadata.csv") }))
  for _, row in ipairs(index) do row.raw = original[row.original] end
  index.name = "phantoms"
  return index
end

--- Loads the images of a run.
-- @return index, seconds
function dataset.load(config, state)
  local started = uv.hrtime()
  local index = config.data and given(config, state) or generated(config, state)
  return index, (uv.hrtime() - started) / 1e9
end

--- Where the data comes from, in one sentence for report and prompt.
function dataset.words(config, index)
  if not config.data then
    return ("Generated data: %s, drawn from seed %d, with black bars planted on most of one class as in the "
      .. "article's sources. No patient's image is among them."):format(text.plural(#index, "phantom radiograph"),
      config.seed)
  end
  return ("%s from %s."):format(text.plural(#index, "image"), files.show(config.data))
end

--- A digest of what the network will see and be told: every image's bytes, its
-- class and patient.
function dataset.digest(index)
  local lines, system = {}, luma.core.system
  for i, row in ipairs(index) do
    local md5, message = system.md5_file(row.path)
    if not md5 then error(message, 0) end
    lines[i] = ("%s\t%s\t%s\t%s"):format(row.name, row.class, tostring(row.patient), md5)
  end
  return system.sha256(table.concat(lines, "\n"))
end

return dataset
