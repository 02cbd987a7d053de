--- audit.source: finds out what a path holds and opens it as an index: the
-- article's folder, a raw covid-chestxray folder, RSNA's, a prepared set, class
-- folders (also in parts), or a CSV.

local csv = require "luma.base.csv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"

local source = {}

-- Spellings of the columns of a free CSV, the likeliest first.
local names = {
  file = { "path", "filename", "file", "image", "image_path", "filepath", "file_name", "name", "image index",
    "patientid" },
  class = { "class", "finding", "label", "diagnosis", "target", "finding labels", "category" },
  patient = { "patient", "patientid", "patient_id", "patient id", "subject", "subject_id" },
  part = { "part", "split", "subset", "set", "fold" },
}

-- The row's column that a spelling names, other than those taken.
local function column(rows, spellings, taken)
  for _, want in ipairs(spellings) do
    for _, have in ipairs(rows.columns) do
      if have:lower() == want and have ~= taken then return have end
    end
  end
end

-- A name as it stands in the table, as a path inside one of the folders.
local function place(name, dirs)
  local message, code
  for _, dir in ipairs(dirs) do
    local inner = name
    local prefix = dir:gsub("/+$", "") .. "/"
    if inner:sub(1, #prefix) == prefix then inner = inner:sub(#prefix + 1) end
    local path, exists, why = files.inside(dir, inner)
    if path and exists then return path, true end
    if not path then message, code = exists, why end
  end
  if message then return nil, message, code end
  return files.join(dirs[1], name), false
end

-- A CSV with a column of files and one of classes.
local function table_of(path, o)
  local rows, message, code = csv.read(path)
  if not rows then return nil, message, code end
  local file = column(rows, names.file)
  local class = column(rows, names.class, file)
  local function need(what, list)
    return nil, ("%s: no column for the %s (looked for %s; it has %s)"):format(files.show(path), what,
      table.concat(list, ", ", 1, 5), table.concat(rows.columns, ", ")), "data"
  end
  if not file then return need("image files", names.file) end
  if not class then return need("class", names.class) end
  local patient, part = column(rows, names.patient, file), column(rows, names.part)
  local from = column(rows, { "source" })
  local view, sex, age = column(rows, { "view", "view position" }), column(rows, { "sex", "gender", "patient gender" }),
    column(rows, { "age", "patient age" })
  local here = files.dirname(path)
  local dirs = o.images and { o.images } or { here, files.join(here, "images") }
  local list, missing, first, doubles = {}, {}, {}, 0
  for i, meta in ipairs(rows) do
    local line, name = rows.lines[i], meta[file]
    local function fail(why, what)
      return nil, ("%s: line %d: %s"):format(files.show(path), line, why), what or "data"
    end
    if not name then return fail("no file name") end
    if not meta[class] then return fail("no class for " .. files.show(name)) end
    local at, exists, what = place(name, dirs)
    if not at then return fail(exists, what) end
    local before = first[name]
    if before and before.class ~= meta[class] then
      return fail(("%s is %s here and %s in line %d"):format(files.show(name), files.show(meta[class]),
        files.show(before.class), before.line))
    elseif before then
      doubles = doubles + 1
    else
      local row = { path = at, name = name, original = name, class = meta[class], line = line, meta = meta,
        patient = patient and meta[patient], registry = path, part = part and meta[part], view = view and meta[view],
        sex = sex and meta[sex], age = age and csv.number(meta[age]), source = from and meta[from] }
      first[name] = row
      if exists then
        list[#list + 1] = row
      else
        missing[#missing + 1] = { name = name, path = at, line = line, class = row.class, reason = "no such file" }
      end
    end
  end
  if #list == 0 then
    return nil, ("%s: none of the %d images is there (the first: %s)"):format(files.show(path), #missing,
      files.show(missing[1] and missing[1].name or "")), "io"
  end
  local notes = {}
  if doubles > 0 then notes[1] = ("%d rows name an image a second time; each is kept once"):format(doubles) end
  return indexes.new(list, { name = files.basename(path), missing = missing, notes = notes })
end

--- What a folder holds: "article", "covid-chestxray", "rsna" or "folder".
function source.layout(dir)
  local function has(name) return files.exists(files.join(dir, name)) end
  if has "covid_dataset.csv" or has "normal_xray_dataset.csv" then return "article" end
  if has "stage_2_detailed_class_info.csv" then return "rsna" end
  if has "metadata.csv" and files.is_dir(files.join(dir, "images")) then return "covid-chestxray" end
  return "folder"
end

-- One metadata table in a folder of images, when nothing else fits.
local function lone_table(dir)
  local found
  for _, name in ipairs(files.list(dir) or {}) do
    if name:lower():match "%.csv$" then
      if found then return nil end
      found = name
    end
  end
  return found and files.join(dir, found)
end

local function open(path, o)
  local kind = files.kind(path)
  if not kind then return nil, files.show(path) .. ": no such file or folder", "io" end
  if kind == "file" then
    if o.metadata or o.normals then return nil, "--metadata and --normals go with a folder", "argument" end
    return table_of(path, o)
  end
  if kind ~= "directory" then return nil, files.show(path) .. ": is neither a folder nor a file", "io" end
  if o.images then return nil, "--images goes with a CSV", "argument" end
  local data, layout = require("luma").data, source.layout(path)
  if layout ~= "article" and (o.metadata or o.normals) then
    return nil, ("--metadata and --normals go with the article's layout (covid_dataset.csv), not with %s")
      :format(files.show(path)), "argument"
  end
  if layout == "article" then return data.article(path, { metadata = o.metadata, normals = o.normals }) end
  if layout == "rsna" then return data.rsna(path, { class = "any" }) end
  if layout == "covid-chestxray" then
    return data.covid_chestxray(path, { finding = "any", view = "any", modality = "X-ray" })
  end
  local index, message, code = data.folder(path)
  if not index and lone_table(path) then return table_of(lone_table(path), o) end
  return index, message, code
end

--- Opens a path as an index, named after it.
-- @param path a folder or a CSV file
-- @param opts metadata: CSV that knows the patients (article layout); normals:
--   "all" or a number (99); images: folder of a CSV's files
-- @return index | nil, message, code
function source.open(path, opts)
  local o = options.check("audit.open", opts, { metadata = options.optional, normals = options.optional,
    images = options.optional })
  local index, message, code = open(path, o)
  if not index then return nil, message, code end
  local name = files.basename((require("luv").fs_realpath(path) or path))
  index.name = name ~= "" and name or index.name
  return index
end

return source
