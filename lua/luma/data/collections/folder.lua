--- One folder per class, in all the layouts that luma.data.folder reads.

local files = require "luma.base.files"
local read = require "luma.data.folder"

local SKIP = { __MACOSX = true, images = true, masks = true }
local DEPTH = 6 -- levels below the folder that are searched for an image

-- Whether an image lies in dir or below it.
local function holds_image(dir, depth)
  local names, kinds = files.list(dir)
  for _, name in ipairs(names or {}) do
    if kinds[name] == "file" and read.is_image_name(name) then return true end
  end
  for _, name in ipairs(depth > 0 and names or {}) do
    if kinds[name] == "directory" and holds_image(files.join(dir, name), depth - 1) then return true end
  end
  return false
end

return {
  name = "folder",
  layout = "one folder per class",
  what = "a set of class folders: every image of them is taken, and the patients come from the file names",
  where = "any folder of your own",
  read = function(dir, opts) return read.read(dir, opts) end,
  scopes = { train = {}, audit = {}, all = {} },
  options = {},
  -- Two folders with images in them, or the one folder that an archive unpacks to.
  recognise = function(dir)
    local names, kinds = files.list(dir)
    local found, folders, sub = 0, 0, nil
    for _, name in ipairs(names or {}) do
      if kinds[name] == "directory" and not SKIP[name] then
        folders, sub = folders + 1, name
        if holds_image(files.join(dir, name), DEPTH) then found = found + 1 end
        if found == 2 then return true end
      end
    end
    return folders == 1 and found == 1 and #read.classes(files.join(dir, sub)) > 1
  end,
  place = function(row)
    local folder = row.part and files.join(row.part, row.class) or row.class
    return { folder = folder, table = "dataset", listed = true }, row.name .. ".jpg"
  end,
}
