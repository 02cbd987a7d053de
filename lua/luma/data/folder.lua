--- luma.data.folder: images sorted into one folder a class, also in the layout
-- of the Kaggle set "Chest X-Ray Images (Pneumonia)": train, val and test
-- folders with the class folders inside.

local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"

local PARTS = { train = "train", val = "val", valid = "val", validation = "val", test = "test" }
local ENDINGS = { png = true, jpg = true, jpeg = true, jpe = true }

-- Patient ids in the file names of that Kaggle set: person12_virus_5.jpeg,
-- IM-0115-0001.jpeg, NORMAL2-IM-0372-0001.jpeg.
local function kermany_patient(name)
  return name:match "^(person%d+)_" or name:match "^(.*IM%-%d+)%-%d+"
end

-- Adds the images of dir/class to rows; counts what is no image.
local function add_class(rows, dir, class, part, patient_of, ignored)
  local folder = files.join(dir, class)
  local names, kinds, code = files.list(folder)
  if not names then return nil, kinds, code end
  for _, name in ipairs(names) do
    local ending = name:match "%.([^.]*)$"
    if kinds[name] == "file" and ending and ENDINGS[ending:lower()] then
      rows[#rows + 1] = { path = files.join(folder, name), name = name, original = name, class = class,
        part = part, patient = patient_of and patient_of(name) or nil, source = part or "folder", registry = "folder" }
    elseif ending and ending:lower() == "dcm" then
      ignored.dicom = ignored.dicom + 1
    else
      ignored.other = ignored.other + 1
    end
  end
  return true
end

-- Names of the folders in dir.
local function folders(dir)
  local names, kinds, code = files.list(dir)
  if not names then return nil, kinds, code end
  local out = {}
  for _, name in ipairs(names) do
    if kinds[name] == "directory" then out[#out + 1] = name end
  end
  return out
end

--- Class folders: DIR/<class>/*.png|jpg|jpeg, or DIR/<part>/<class>/* with parts
-- train, val and test (row.part tells which).
-- @param dir the folder
-- @param opts patient: a Lua pattern whose capture in the file name is the
--   patient id, a function from name to id, or false; by default the names of
--   the Kaggle set when the layout is its; classes: only these folders
-- @return index | nil, message, code
return function(dir, opts)
  local o = options.check("data.folder", opts, { patient = options.optional, classes = options.optional })
  local top, message, code = folders(dir)
  if not top then return nil, message, code end
  local parted = #top > 0
  for _, name in ipairs(top) do parted = parted and PARTS[name:lower()] ~= nil end
  local patient_of = o.patient
  if type(o.patient) == "string" then
    patient_of = function(name) return name:match(o.patient) end
  elseif o.patient == nil and parted then
    patient_of = kermany_patient
  end
  local asked
  if o.classes then
    asked = {}
    for _, class in ipairs(o.classes) do asked[class] = true end
  end
  local rows, ignored = {}, { dicom = 0, other = 0 }
  local function add(base, part)
    local classes, why, what = folders(base)
    if not classes then return nil, why, what end
    for _, class in ipairs(classes) do
      if not asked or asked[class] then
        local ok
        ok, why, what = add_class(rows, base, class, part, patient_of, ignored)
        if not ok then return nil, why, what end
      end
    end
    return true
  end
  if parted then
    for _, name in ipairs(top) do
      local ok, why, what = add(files.join(dir, name), PARTS[name:lower()])
      if not ok then return nil, why, what end
    end
  else
    local ok, why, what = add(dir)
    if not ok then return nil, why, what end
  end
  if #rows == 0 then
    local found = ignored.dicom > 0
      and ("; it has %d DICOM files, which luma does not read: convert them to PNG or JPEG"):format(ignored.dicom)
      or #top == 0 and "; it has no folders (one folder a class is expected)" or ""
    return nil, ("%s: no PNG or JPEG images in class folders%s"):format(files.show(dir), found), "data"
  end
  local notes = {}
  local function note(n, why)
    if n > 0 then notes[#notes + 1] = ("%d %s"):format(n, why) end
  end
  note(ignored.dicom, "DICOM files left out: convert them to PNG or JPEG")
  note(ignored.other, "files left out: their names end in neither png nor jpg")
  if parted then notes[#notes + 1] = "layout: part folders with class folders; row.part keeps the part" end
  return indexes.new(rows, { name = files.basename(dir), notes = notes })
end
