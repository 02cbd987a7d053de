--- luma.data.folder: images sorted into one folder per class, as the published
-- archives unpack:
--
--   DIR/<class>/*.png                            plain; deeper folders count too
--   DIR/train|val|test/<class>/*                 the Kaggle set "Chest X-Ray Images (Pneumonia)"
--   DIR/<class>/images/*  (+ masks/*)            COVID-19 Radiography Database
--   DIR/Train|Val|Test/<class>/images/*  (+ lung masks/*)    COVID-QU-Ex
--   DIR/NAME/...                                 an archive's own folder around any of these
--
-- Folders of masks are never images of a class: row.mask names the mask that
-- belongs to an image.  What archive programs leave (__MACOSX) and a copy of the
-- set inside itself are left out.

local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"

local PARTS = { train = "train", val = "val", valid = "val", validation = "val", test = "test" }
local ENDINGS = { png = true, jpg = true, jpeg = true, jpe = true }
local MOST_DEPTH = 4 -- folders below a class

-- Patient ids in the file names of the Kaggle and Mendeley sets: person12_virus_5.jpeg,
-- IM-0115-0001.jpeg, NORMAL2-IM-0372-0001.jpeg, BACTERIA-1008087-0001.jpeg.
local function kermany_patient(name)
  return name:match "^(person%d+)_" or name:match "^(.*IM%-%d+)%-%d+" or name:match "^(%u+%-%d+)%-%d+%."
end

local folder = {}

--- Whether a file's name ends as an image's that luma reads.
function folder.is_image_name(name)
  local ending = name:match "%.([^.]*)$"
  return ending ~= nil and ENDINGS[ending:lower()] == true
end

local function is_mask_folder(name)
  return name:lower():match "^%a*[%s_-]?masks?$" ~= nil
end

-- The mask of an image in .../images/NAME: .../masks/NAME or .../lung masks/NAME.
local function mask_of(above, masks, name)
  for _, mask in ipairs(masks) do
    local path = files.join(above, mask, name)
    if files.is_file(path) then return path end
  end
end

-- Adds the images at and below dir/class to rows; counts what is no image.
local function add_class(rows, dir, class, part, patient_of, ignored)
  local function add(at, prefix, depth, parent, masks)
    local names, kinds, code = files.list(at)
    if not names then return nil, kinds, code end
    local own, images, below = {}, nil, {}
    for _, name in ipairs(names) do
      if kinds[name] == "directory" then
        if is_mask_folder(name) then own[#own + 1] = name
        elseif name:lower() == "images" then images = name
        elseif name ~= "__MACOSX" then below[#below + 1] = name end
      end
    end
    for _, name in ipairs(names) do
      local ending = name:match "%.([^.]*)$"
      if kinds[name] == "file" and folder.is_image_name(name) then
        local row = { path = files.join(at, name), name = prefix .. name, original = name, class = class,
          part = part, patient = patient_of and patient_of(name) or nil, source = part or "folder",
          registry = "folder" }
        row.mask = parent and mask_of(parent, masks, name)
        ignored.masked = ignored.masked + (row.mask and 1 or 0)
        rows[#rows + 1] = row
      elseif kinds[name] ~= "directory" and ending and ending:lower() == "dcm" then
        ignored.dicom = ignored.dicom + 1
      elseif kinds[name] ~= "directory" then
        ignored.other = ignored.other + 1
      end
    end
    if images and #own > 0 then return add(files.join(at, images), prefix, depth + 1, at, own) end
    if images then below[#below + 1] = images end
    for _, name in ipairs(below) do
      if depth >= MOST_DEPTH then
        return nil, ("%s: folders deeper than %d"):format(files.show(at), MOST_DEPTH), "limit"
      end
      -- images/ adds nothing to a name; other folders keep names apart
      local inner = name == images and prefix or prefix .. name .. "_"
      local ok, why, what = add(files.join(at, name), inner, depth + 1)
      if not ok then return nil, why, what end
    end
    return true
  end
  return add(files.join(dir, class), "", 1)
end

-- Names of the folders in dir that may hold images.
local function folders(dir)
  local names, kinds, code = files.list(dir)
  if not names then return nil, kinds, code end
  local out = {}
  for _, name in ipairs(names) do
    if kinds[name] == "directory" and name ~= "__MACOSX" then out[#out + 1] = name end
  end
  return out
end

-- Whether all folders are parts; a copy of the set inside itself does not count.
local function parts_of(dir, top)
  local parts, copy = {}, nil
  for _, name in ipairs(top) do
    if PARTS[name:lower()] then parts[#parts + 1] = name
    elseif name == files.basename(dir) then copy = name
    else return nil end
  end
  return #parts > 0 and parts or nil, copy
end

-- Goes into folders that hold nothing but one folder with parts or classes in it.
local function unwrap(dir, top)
  for _ = 1, 3 do
    if #top ~= 1 or PARTS[top[1]:lower()] then break end
    local inner = files.join(dir, top[1])
    local deeper = folders(inner)
    if not deeper or #deeper == 0 or (#deeper == 1 and not PARTS[deeper[1]:lower()]) then break end
    local lower = deeper[1]:lower()
    if lower == "images" or is_mask_folder(lower) then break end
    dir, top = inner, deeper
  end
  return dir, top
end

--- The names of the folders in dir that may be classes or parts.
function folder.classes(dir) return folders(dir) or {} end

--- Class folders: DIR/<class>/*.png|jpg|jpeg, or DIR/<part>/<class>/* with parts
-- train, val and test (row.part tells which).
-- @param dir the folder
-- @param opts patient: a Lua pattern whose capture in the file name is the
--   patient id, a function from name to id, or false; by default the names of
--   the Kaggle set when the layout is its; classes: only these folders
-- @return index | nil, message, code
function folder.read(dir, opts)
  local o = options.check("data.folder", opts, { patient = options.optional, classes = options.optional })
  local top, message, code = folders(dir)
  if not top then return nil, message, code end
  dir, top = unwrap(dir, top)
  local parts, copy = parts_of(dir, top)
  local parted = parts ~= nil
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
  local rows, ignored = {}, { dicom = 0, other = 0, masked = 0 }
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
    for _, name in ipairs(parts) do
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
      or #top == 0 and "; it has no folders (one folder per class is expected)" or ""
    return nil, ("%s: no PNG or JPEG images in class folders%s"):format(files.show(dir), found), "data"
  end
  local notes = {}
  local function note(n, why)
    if n > 0 then notes[#notes + 1] = ("%d %s"):format(n, why) end
  end
  note(ignored.dicom, "DICOM files left out: convert them to PNG or JPEG")
  note(ignored.other, "files left out: their names end in neither png nor jpg")
  note(ignored.masked, "images have a mask beside them (row.mask)")
  if copy then notes[#notes + 1] = ("folder '%s' repeats the set and was left out"):format(files.show(copy)) end
  if parted then notes[#notes + 1] = "layout: part folders with class folders; row.part keeps the part" end
  return indexes.new(rows, { name = files.basename(dir), notes = notes })
end

return setmetatable(folder, { __call = function(_, dir, opts) return folder.read(dir, opts) end })
