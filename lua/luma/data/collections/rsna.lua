--- The RSNA pneumonia set: DIR/stage_2_detailed_class_info.csv and
-- DIR/stage_2_train_images_jpg/.

local article = require "luma.data.collections.article"
local csv = require "luma.base.csv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"
local table_rows = require "luma.data.table_rows"
local fail, gather, need_folder = table_rows.fail, table_rows.gather, table_rows.need_folder
local only_real, values, words = table_rows.only_real, table_rows.values, table_rows.words

local TABLE, IMAGES = "stage_2_detailed_class_info.csv", "stage_2_train_images_jpg"

--- The RSNA pneumonia set: DIR/stage_2_detailed_class_info.csv (patientId,
-- class) and DIR/stage_2_train_images_jpg/<patientId>.jpg.
-- @param dir the folder
-- @param opts class ("Normal"): a class, a list, or "any"; head: only the first
--   n rows of that class, in file order
-- @return index; every image is a patient of its own | nil, message, code
local function read(dir, opts)
  local o = options.check("data.rsna", opts, { class = "Normal", head = options.optional })
  local ok, message, code = need_folder(dir)
  if not ok then return nil, message, code end
  local rows
  rows, message, code = csv.read(files.join(dir, TABLE),
    { require = { "patientId", "class" } })
  if not rows then return nil, message, code end
  local images = files.join(dir, IMAGES)
  local dicom = files.is_dir(files.join(dir, "stage_2_train_images"))
  ok, message, code = need_folder(images, dicom and
    "; stage_2_train_images holds DICOM files, which luma does not read: convert them to JPEG or PNG" or nil)
  if not ok then return nil, message, code end
  if o.head then options.integer("data.rsna", "head", o.head, 1) end
  local condition = only_real { class = o.class }
  local taken, seen = 0, {}
  local list, missing, notes = gather(rows, images, function(meta)
    if condition.class ~= nil and not indexes.wanted(meta.class, condition.class) then return nil end
    if not meta.class then return nil end
    local id = meta.patientId
    if id and not seen[id] then
      if o.head and taken >= o.head then return nil end
      seen[id] = true
      taken = taken + 1
    end
    return { name = id and id .. ".jpg", original = id and id .. ".jpg", class = meta.class, patient = id,
      source = "rsna", registry = "rsna" }
  end)
  if not list then return nil, missing, notes end
  if #list == 0 then
    return fail(("%s: no row with %s; class holds %s"):format(files.show(rows.path), words(condition),
      values(rows, "class")))
  end
  table.insert(notes, 1, ("%s: %d rows, %d images %s"):format(files.basename(rows.path), #rows, #list + #missing,
    next(condition) and "with " .. words(condition) or "in all"))
  return indexes.new(list, { name = "rsna", missing = missing, notes = notes })
end


return {
  name = "rsna",
  layout = TABLE .. ", " .. IMAGES .. "/",
  what = "the RSNA set, in which every image is a patient of its own",
  where = "kaggle.com, RSNA Pneumonia Detection Challenge (terms to accept); academictorrents.com 95588a73...",
  read = read,
  raw = true,
  ordered = true,
  selection = { class = "Normal" },
  scopes = { train = { class = "any" }, audit = { class = "any" }, all = { class = "any" } },
  options = {},
  recognise = function(dir) return files.exists(files.join(dir, TABLE)) end,
  place = function(row) return article.NORMAL, row.name:gsub("%.jpg$", "") .. ".jpg" end,
}
