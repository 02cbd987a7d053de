--- How a run's images were prepared, so that predict and explain do exactly the
-- same with new ones: a head that saw images with bars and squashed to a square
-- must not be shown cleaned, cropped ones.
--
-- The record (metrics.json, key preparation):
--   how       "none": images go to the network as they are (scaled to its input)
--             "luma prepare": as below, because luma prepared them
--             "assumed": all have exactly the prepared size, so somebody prepared
--             them; luma's defaults are taken for new images
--   faithful, squash, size, quality, level, fit    see luma prepare --help

local luma = require "luma"
local files, image, json = luma.files, luma.image, luma.json

local preparation = {}

local function defaults(config)
  return { how = "luma prepare", faithful = config.faithful, squash = false, size = config.size, quality = 95,
    level = 40, fit = "crop" }
end

-- The settings that `luma prepare` left in the folder.
local function left_by_prepare(dir)
  local found
  for _, name in ipairs(files.list(dir) or {}) do
    if name:match "^prepare%-.*%.json$" then
      local settings = json.decode(files.read(files.join(dir, name)) or "")
      if type(settings) == "table" and settings.size then
        if found and (found.size ~= settings.size or found.squash ~= settings.squash
          or found.faithful ~= settings.faithful) then
          return nil -- two sources, prepared differently: nothing can be said for new images
        end
        found = settings
      end
    end
  end
  return found
end

--- The record for the images of a run.
-- @param config the run's settings
-- @param index its images
-- @param generated true when luma prepared them inside the run
function preparation.of(config, index, generated)
  if generated then return defaults(config) end
  local settings = left_by_prepare(config.data)
  if settings then
    return { how = "luma prepare", faithful = settings.faithful, squash = settings.squash, size = settings.size,
      quality = settings.quality, level = settings.level, fit = settings.fit or "crop" }
  end
  for _, row in ipairs(index) do
    local info = image.info(row.path)
    if not info or info.height ~= config.size or info.width ~= config.size then return { how = "none" } end
  end
  local record = defaults(config)
  record.how = "assumed"
  return record
end

--- The record of a finished run; runs from before it was kept are taken as before.
function preparation.read(metrics, config)
  local record = metrics.preparation
  if type(record) ~= "table" then
    record = defaults(config)
    record.how = "assumed"
  end
  return record
end

--- Whether an image file needs nothing before the network sees it.
-- @return boolean | nil, message
function preparation.is_done(record, path)
  if record.how == "none" then return true end
  local info, message = image.info(path)
  if not info then return nil, message end
  return info.height == record.size and info.width == record.size
end

--- The options of core.prepare.batch.
function preparation.options(record)
  return { faithful = record.faithful, squash = record.squash, size = record.size, quality = record.quality,
    level = record.level, fit = record.fit }
end

return preparation
