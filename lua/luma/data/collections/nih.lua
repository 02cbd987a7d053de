--- NIH ChestX-ray14: DIR/Data_Entry_2017*.csv with the images in DIR/images_001/
-- to images_012/ (each perhaps with a folder images/ of its own), or in images/.

local files = require "luma.base.files"
local labelled = require "luma.data.labelled"

-- The table, under any of its published names.
local function table_in(dir)
  for _, name in ipairs(files.list(dir) or {}) do
    if name:match "^Data_Entry_%d+.*%.csv$" then return files.join(dir, name) end
  end
end

local function read(dir, opts)
  local path = table_in(dir)
  if not path then return nil, files.show(dir) .. ": no table Data_Entry_2017.csv", "data" end
  local folders = {}
  for _, name in ipairs(files.list(dir) or {}) do
    local folder = files.join(dir, name)
    if name:match "^images" and files.is_dir(folder) then
      local inner = files.join(folder, "images")
      folders[#folders + 1] = files.is_dir(inner) and inner or folder
    end
  end
  if #folders == 0 then return nil, files.show(dir) .. ": no folders images_001 to images_012", "data" end
  opts.images = folders
  return labelled(path, opts)
end

return {
  name = "nih",
  layout = "Data_Entry_2017.csv, images_001/ ...",
  what = "the NIH set, which has its patients in its table",
  where = "nihcc.app.box.com/v/ChestXray-NIHCC, or kaggle.com, NIH Chest X-rays",
  read = read,
  raw = true,
  ordered = true,
  scopes = { train = {}, audit = {}, all = {} },
  options = { "label", "label_map" },
  recognise = function(dir) return table_in(dir) ~= nil end,
  place = function(row)
    return { folder = (row.class:gsub("/", "_")), table = "dataset", listed = true }, row.name .. ".jpg"
  end,
}
