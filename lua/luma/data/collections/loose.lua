--- Images without classes: one file, or a folder with nothing but images in it.
-- Every image has the class "unlabelled"; predict and audit take them, training
-- says that one class is not enough.

local files = require "luma.base.files"
local indexes = require "luma.data.index"
local is_image_name = require("luma.data.folder").is_image_name

local function row(path)
  local name = files.basename(path)
  return { path = path, name = name, original = name, class = "unlabelled", source = "files", registry = path }
end

return {
  name = "files",
  layout = "images without classes",
  what = "images without classes",
  where = "any images of your own",
  read = function(path)
    if files.is_file(path) then return indexes.new { row(path) } end
    local rows, names, kinds = {}, files.list(path)
    for _, name in ipairs(names or {}) do
      if kinds[name] == "file" and is_image_name(name) then rows[#rows + 1] = row(files.join(path, name)) end
    end
    if #rows == 0 then return nil, files.show(path) .. ": no PNG or JPEG images", "data" end
    return indexes.new(rows)
  end,
  scopes = { train = {}, audit = {}, all = {} },
  options = {},
  takes_file = is_image_name,
  recognise = function(dir)
    for _, name in ipairs(files.list(dir) or {}) do
      if is_image_name(name) then return true end
    end
    return false
  end,
  place = function(r) return { folder = "images", table = "dataset", listed = true }, r.name .. ".jpg" end,
}
