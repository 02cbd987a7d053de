--- luma.data.labelled: images named in any CSV table with a column of labels.

local uv = require "luv"
local csv = require "luma.base.csv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"

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

-- A path as the table has it, relative to dir: "./a.png" and absolute paths that
-- lie inside dir are taken for what they mean.
local function relative(dir, name)
  if not name then return nil end
  local base = (uv.fs_realpath(dir) or dir):gsub("/*$", "/")
  if name:sub(1, 1) == "/" then
    local real = uv.fs_realpath(name) or name
    if real:sub(1, #base) == base then return real:sub(#base + 1) end
  end
  return (name:gsub("^%./+", ""))
end

--- Reads an index from a table.
-- @param path the CSV file
-- @param opts images (the folder of the table): folder of the files; file
--   ("filename"), label ("finding"): names of the columns; patient: name of the
--   column with patient ids, none by default; separator (",")
-- @return index: one class a distinct label | nil, message, code.  When all
--   labels are numbers, they must be whole; a name that stands twice with
--   one label is kept once, with two labels it is an error that names both lines
return function(path, opts)
  local o = options.check("data.labelled", opts, { images = options.optional, file = "filename", label = "finding",
    patient = options.optional, separator = "," })
  local rows, message, code = csv.read(path, { separator = o.separator, require = { o.file, o.label, o.patient } })
  if not rows then return nil, message, code end
  local dir = o.images or files.dirname(path)
  if not files.is_dir(dir) then return nil, ("%s: no such folder"):format(files.show(dir)), "io" end
  local whole, names = false, false
  for _, row in ipairs(rows) do
    local label = row[o.label]
    if label and numeric(label) then whole = true elseif label and not odd_number(label) then names = true end
  end
  whole = whole and not names
  local list, missing, first, doubles = {}, {}, {}, 0
  for i, meta in ipairs(rows) do
    local function fail(why, what)
      return nil, ("%s: line %d: %s"):format(files.show(path), rows.lines[i], why), what or "data"
    end
    local class, why = class_of(meta[o.label], whole)
    if not class then return fail(why) end
    local name = relative(dir, meta[o.file])
    local image, exists, what = files.inside(dir, name or "")
    if not image then return fail(exists, what) end
    local before = first[name]
    if before and before.class ~= class then
      return fail(("'%s' is %s here and %s in line %d"):format(files.show(name), class, before.class, before.line))
    elseif before then
      doubles = doubles + 1
    else
      local row = { path = image, name = name, original = name, class = class, line = rows.lines[i], meta = meta,
        patient = o.patient and meta[o.patient], source = files.basename(path), registry = path }
      first[name] = row
      if exists then
        list[#list + 1] = row
      else
        missing[#missing + 1] = { name = name, path = image, line = row.line, class = class, reason = "no such file" }
      end
    end
  end
  if #list == 0 then
    return nil, ("%s: none of the %d images is there (the first: %s)"):format(files.show(dir), #missing,
      files.show(missing[1].name)), "io"
  end
  local notes = { ("%s: %d rows, label '%s'"):format(files.basename(path), #rows, o.label) }
  if doubles > 0 then
    notes[2] = ("%d rows name an image a second time (same label); each image is kept once"):format(doubles)
  end
  return indexes.new(list, { name = files.basename(path), missing = missing, notes = notes })
end
