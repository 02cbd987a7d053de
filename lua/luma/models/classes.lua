--- Names for class numbers: ImageNet's 1000 are not part of luma; they come from
-- a file (Keras's imagenet_class_index.json, or a text file with one name a line),
-- given by the user or left in the cache by `luma fetch imagenet-classes`.

local files = require "luma.base.files"
local h5 = require "luma.store.h5"

local classes = {}

local function from_json(text, path)
  local ok, index = pcall(require("luma.base.json").decode, text)
  if not ok or type(index) ~= "table" then return nil, files.show(path) .. ": not JSON", "damaged" end
  local list = {}
  if index[1] ~= nil then -- ["tench", ...]
    for i, name in ipairs(index) do list[i] = tostring(name) end
  else -- {"0": ["n01440764", "tench"], ...}
    for key, value in pairs(index) do
      local id = math.tointeger(tonumber(key))
      if not id or id < 0 or id > 99999 then
        return nil, ("%s: '%s' is not a class number"):format(files.show(path), tostring(key)), "damaged"
      end
      list[id + 1] = type(value) == "table" and tostring(value[2] or value[1]) or tostring(value)
    end
  end
  return list
end

--- Reads class names: a list in the order of the classes.
-- @return names | nil, message, code
function classes.read(path)
  local text, message, code = files.read(path, 16 << 20)
  if not text then return nil, message, code end
  local list = {}
  if text:match "^%s*[{%[]" then
    list, message, code = from_json(text, path)
    if not list then return nil, message, code end
  else
    for line in text:gmatch "[^\r\n]+" do list[#list + 1] = line end
  end
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  if count == 0 or count ~= #list then
    return nil, ("%s: class names are missing (%d found)"):format(files.show(path), count), "damaged"
  end
  return list
end

--- ImageNet's names if the cache holds them, else nil.
function classes.imagenet(cache)
  local dir = h5.cache_dir(cache)
  local path = dir and files.join(dir, "imagenet_class_index.json")
  return path and files.is_file(path) and classes.read(path) or nil
end

return classes
