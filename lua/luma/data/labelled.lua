--- luma.data.labelled: images named in any CSV table with a column of labels.
--
-- Tables of other people name their columns in many ways: SPELLINGS has those that
-- are taken when the caller names none.

local uv = require "luv"
local csv = require "luma.base.csv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"

-- Spellings of the columns, the likeliest first; case does not matter.
local SPELLINGS = {
  file = { "path", "filename", "file", "image", "image_path", "filepath", "file_name", "name", "image index",
    "patientid" },
  label = { "class", "finding", "label", "diagnosis", "target", "finding labels", "category" },
  patient = { "patient", "patientid", "patient_id", "patient id", "subject", "subject_id" },
  part = { "part", "split", "subset", "set", "fold" },
  view = { "view", "view position", "ap/pa" }, sex = { "sex", "gender", "patient gender" },
  age = { "age", "patient age" }, offset = { "offset", "offset_days" }, source = { "source" },
}

-- The table's column that a spelling names, other than the one taken.
local function column(rows, spellings, taken)
  for _, want in ipairs(spellings) do
    for _, have in ipairs(rows.columns) do
      if have:lower() == want and have ~= taken then return have end
    end
  end
end

local MOST = 1000000 -- largest whole number that is taken for a label

-- Whether a text is written as a number: "1", "1.0", "-2", "1e3"; not "2019-nCoV",
-- "3D", "nan" or "inf", which are names of classes.
local function numeric(text)
  return text:match "^%s*[+-]?%.?%d[%d.eE+-]*%s*$" ~= nil and tonumber(text) ~= nil
end

-- What stands among numbers for one that is missing or odd; alone it is a name.
local function odd_number(text)
  local bare = text:lower():match "^%s*[+-]?(.-)%s*$"
  return bare == "nan" or bare == "inf" or bare == "infinity" or bare:find "^0x%x+$" ~= nil
end

-- The class that a label stands for; nil and why when it stands for none.
-- Numbers that are labels are whole and small ("1.0", as pandas writes it, is 1):
-- "1.5", "-1", "1e9" and " 1 " are mistakes, not classes.
local function class_of(label, whole)
  if label == nil then return nil, "the label is empty" end
  if label:find "^%s" or label:find "%s$" then return nil, ("label '%s' has spaces around it"):format(label) end
  if not whole then return label end
  local n = csv.integer(label:match "^(%d+)%.?0*$" or "")
  if n and n <= MOST then return tostring(n) end
  return nil, ("label '%s' is no whole number in 0..%d, as the others are"):format(files.show(label), MOST)
end

-- A name as the table has it, as a path inside one of the folders: "./a.png",
-- absolute paths that lie inside one, and names that begin with the folder's own
-- ("CheXpert-v1.0-small/train/...") are taken for what they mean.
-- Returns path, whether it is there | nil, message, code
local function place(name, dirs)
  local path, message, code
  for _, dir in ipairs(dirs) do
    local inner = name:gsub("^%./+", "")
    local base = (uv.fs_realpath(dir) or dir):gsub("/*$", "/")
    if inner:sub(1, 1) == "/" then
      local real = uv.fs_realpath(inner) or inner
      if real:sub(1, #base) == base then inner = real:sub(#base + 1) end
    end
    local at, exists, why = files.inside(dir, inner)
    local below = at and not exists and inner:match "^[^/]+/(.+)$"
    if below then
      local nearer, there = files.inside(dir, below)
      if nearer and there then at, exists = nearer, there end
    end
    if at and exists then return at, true end
    if at then path = path or at else message, code = message or exists, code or why end
  end
  if message then return nil, message, code end
  return path, false
end

-- A label map: lines "value = class", "(blank)" for an empty cell, the class "-"
-- for rows to leave out.  Returns {[value] = class or false} | nil, message, code
local function read_map(path)
  local source, message = files.read(path)
  if not source then return nil, message, "io" end
  local map, number = {}, 0
  for line in (source .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    line = line:gsub("\r$", "")
    if line:match "%S" and not line:match "^%s*#" then
      local value, class = line:match "^%s*(.-)%s*=%s*(.-)%s*$"
      if not value or value == "" or class == "" then
        return nil, ("%s: line %d: expected VALUE = CLASS, got '%s'"):format(files.show(path), number,
          files.show(line)), "data"
      end
      if class == "-" then map[value] = false else map[value] = class end
    end
  end
  if not next(map) then return nil, files.show(path) .. ": a label map without a line VALUE = CLASS", "data" end
  return map
end

-- The class that a map gives a label, false to leave the row out, nil when it knows none.
local function mapped(map, label)
  if label == nil then return map["(blank)"] end
  if map[label] ~= nil then return map[label] end
  local number = tonumber(label)
  for value, class in pairs(number and map or {}) do
    if tonumber(value) == number then return class end
  end
end

local labelled = {}

--- The columns that a table's spellings give: file, label.
function labelled.columns(rows)
  local file = column(rows, SPELLINGS.file)
  return file, column(rows, SPELLINGS.label, file)
end

-- The columns by what they hold, those that the caller names first.
local function columns(rows, path, o)
  local at = {}
  local function need(what, key)
    return nil, ("%s: no column for the %s (looked for %s; it has %s)"):format(files.show(path), what,
      table.concat(SPELLINGS[key], ", ", 1, 5), table.concat(rows.columns, ", ")), "data"
  end
  at.file = o.file or column(rows, SPELLINGS.file)
  if not at.file then return need("image files", "file") end
  at.label = o.label or column(rows, SPELLINGS.label, at.file)
  if not at.label then return need("class", "label") end
  at.patient = o.patient or column(rows, SPELLINGS.patient, at.file)
  for _, key in ipairs { "part", "view", "sex", "age", "offset", "source" } do
    local name = column(rows, SPELLINGS[key], at.file)
    at[key] = name ~= at.label and name or nil
  end
  return at
end

--- Reads an index from a table.
-- @param path the CSV file
-- @param opts images (the folder of the table, then its folder images): folder of
--   the files, or a list of folders; file, label, patient: names of the columns, by
--   default the first of the usual spellings ("filename", "finding", "patientid",
--   ...); separator (","); label_map: {label = class, or false to leave the row out;
--   ["(blank)"] for empty cells}, or the path of a text file with lines "label = class"
-- @return index: one class a distinct label | nil, message, code.  When all
--   labels are numbers, they must be whole; a name that stands twice with
--   one label is kept once, with two labels it is an error that names both lines
function labelled.read(path, opts)
  local o = options.check("data.labelled", opts, { images = options.optional, file = options.optional,
    label = options.optional, patient = options.optional, separator = ",", label_map = options.optional })
  local named = {}
  for _, key in ipairs { "file", "label", "patient" } do named[#named + 1] = o[key] end
  local rows, message, code = csv.read(path, { separator = o.separator, require = named })
  if not rows then return nil, message, code end
  local at
  at, message, code = columns(rows, path, o)
  if not at then return nil, message, code end
  local map = o.label_map
  if type(map) == "string" then
    map, message, code = read_map(map)
    if not map then return nil, message, code end
  end
  local here = files.dirname(path)
  local dirs = type(o.images) == "table" and o.images or { o.images or here, not o.images and files.join(here, "images")
    or nil }
  if not files.is_dir(dirs[1]) then return nil, ("%s: no such folder"):format(files.show(dirs[1])), "io" end
  local whole, names = false, false
  for _, row in ipairs(rows) do
    local label = row[at.label]
    if label and numeric(label) then whole = true elseif label and not odd_number(label) then names = true end
  end
  whole = whole and not names
  local list, missing, first, doubles, left_out = {}, {}, {}, 0, 0
  for i, meta in ipairs(rows) do
    local function fail(why, what)
      return nil, ("%s: line %d: %s"):format(files.show(path), rows.lines[i], why), what or "data"
    end
    local class, why
    if map then
      class = mapped(map, meta[at.label])
      if class == nil then
        return fail(("the label map has no line for '%s'"):format(files.show(meta[at.label] or "(blank)")))
      end
    else
      class, why = class_of(meta[at.label], whole)
      if not class then return fail(why) end
    end
    local name = meta[at.file] and meta[at.file]:gsub("^%./+", "")
    local image, exists, what
    if class then
      image, exists, what = place(name or "", dirs)
      if not image then return fail(exists, what) end
      local base = (uv.fs_realpath(dirs[1]) or dirs[1]):gsub("/*$", "/")
      if name:sub(1, #base) == base then name = name:sub(#base + 1) end
    end
    local before = first[name]
    if not class then
      left_out = left_out + 1
    elseif before and before.class ~= class then
      return fail(("'%s' is %s here and %s in line %d"):format(files.show(name), files.show(class),
        files.show(before.class), before.line))
    elseif before then
      doubles = doubles + 1
    else
      local row = { path = image, name = name, original = name, class = class, line = rows.lines[i], meta = meta,
        source = at.source and meta[at.source] or files.basename(path), registry = path }
      for _, key in ipairs { "patient", "part", "view", "sex" } do row[key] = at[key] and meta[at[key]] end
      row.age, row.offset = csv.number(at.age and meta[at.age]), csv.number(at.offset and meta[at.offset])
      first[name] = row
      if exists then
        list[#list + 1] = row
      else
        missing[#missing + 1] = { name = name, path = image, line = row.line, class = class, reason = "no such file" }
      end
    end
  end
  if #list == 0 then
    return nil, ("%s: none of the %d images is there (the first: %s)"):format(files.show(dirs[1]), #missing,
      files.show(missing[1] and missing[1].name or "")), "io"
  end
  local notes = { ("%s: %d rows, label '%s'"):format(files.basename(path), #rows, at.label) }
  if doubles > 0 then
    notes[#notes + 1] = ("%d rows name an image a second time (same label); each image is kept once"):format(doubles)
  end
  if left_out > 0 then notes[#notes + 1] = ("%d rows are left out by the label map"):format(left_out) end
  return indexes.new(list, { name = files.basename(path), missing = missing, notes = notes })
end

return setmetatable(labelled, { __call = function(_, path, opts) return labelled.read(path, opts) end })
