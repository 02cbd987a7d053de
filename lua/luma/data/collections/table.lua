--- A table (CSV, TSV) with a column of image files and one of classes; or a folder
-- whose only table is one.

local csv = require "luma.base.csv"
local files = require "luma.base.files"
local labelled = require "luma.data.labelled"

local LOOKED_AT = 20 -- rows of a folder's table that must name at least one image that is there

local function is_table(path) return path:lower():match "%.[ct]sv$" ~= nil end

-- The only table in a folder.
local function lone_table(dir)
  local found
  for _, name in ipairs(files.list(dir) or {}) do
    if is_table(name) then
      if found then return nil end
      found = name
    end
  end
  return found and files.join(dir, found)
end

-- The class as the name of a folder.
local function folder_of(class)
  local name = class:gsub("[/%z\1-\31]", "_")
  return (name == "." or name == "..") and "class_" .. #name or name
end

return {
  name = "table",
  layout = "a CSV with columns path or filename, class or finding",
  what = "a table of images, which has columns of its own for patients and parts",
  where = "any table of your own",
  read = function(path, opts)
    if files.is_dir(path) then
      local found = lone_table(path)
      if not found then return nil, files.show(path) .. ": no single table (.csv, .tsv) in this folder", "data" end
      path = found
    end
    opts.separator = path:lower():match "%.tsv$" and "\t" or ","
    return labelled(path, opts)
  end,
  scopes = { train = {}, audit = {}, all = {} },
  options = { "images", "label", "label_map" },
  takes_file = is_table,
  recognise = function(dir)
    local path = lone_table(dir)
    local rows = path and csv.read(path, { separator = path:lower():match "%.tsv$" and "\t" or "," })
    local file, label = labelled.columns(rows or { columns = {} })
    if not file or not label then return false end
    for i = 1, math.min(#rows, LOOKED_AT) do
      local name = rows[i][file]
      if name and (files.exists(files.join(dir, name)) or files.exists(files.join(dir, "images", name))) then
        return true
      end
    end
    return false
  end,
  place = function(row)
    return { folder = folder_of(row.class), table = "dataset", listed = true }, row.name .. ".jpg"
  end,
}
