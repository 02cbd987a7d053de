--- The images of a run: any collection that luma.data.collections opens, prepared
-- first when it is published raw; or the embedded default, phantoms that are
-- generated, written as raw radiographs, then prepared and read back as real ones are.

local luma = require "luma"
local uv = require "luv"
local article = require "luma.data.collections.article"
local collections = require "luma.data.collections"
local data, files, text = luma.data, luma.files, luma.text

local dataset = {}

local function checked(index, message)
  if not index then error(message, 0) end
  -- Class names become keys of JSON, headers of tables and titles: all must be UTF-8.
  local odd = false
  for _, class in ipairs(index.classes) do odd = odd or not utf8.len(class) end
  if odd then
    local rows = {}
    for i, row in ipairs(index) do
      row.class = utf8.len(row.class) and row.class or text.printable(row.class, 200)
      rows[i] = row
    end
    index = data.Index(rows, { name = index.name, missing = index.missing, notes = index.notes })
  end
  local enough, why = index:require_classes(2)
  if not enough then error(why, 0) end
  return index
end

-- Prepares the images of an index into a folder.  Returns the index of the results;
-- row.raw keeps the original's path.  place(row) -> {folder, table}.
local function prepared(index, out, config, name, place)
  local rows = {}
  for i, row in ipairs(index) do
    local listed = row.name .. ".jpg"
    local target = place(row)
    rows[i] = { path = row.path, name = row.name, class = row.class, line = i, listed = listed,
      to = files.join(target.folder, listed), table = target.table }
  end
  luma.prepare.run(rows, out, { name = name, faithful = config.faithful, size = config.size,
    progress = function(n) return luma.progress("preparing", n, { unit = "images" }) end })
  local kept = {}
  for i, row in ipairs(index) do
    local path = files.join(out, rows[i].to)
    if files.is_file(path) then
      local copy = {}
      for key, value in pairs(row) do copy[key] = value end
      copy.path, copy.raw = path, row.path
      kept[#kept + 1] = copy
    end
  end
  return data.Index(kept, { name = index.name, missing = index.missing, notes = index.notes })
end

local function given(config, state)
  local index, message = collections.open(config.data, { classes = config.classes, metadata = config.metadata,
    normals = config.normals, images = config.images, label = config.label,
    label_map = config.label_map })
  if not index then error("--data: " .. message, 0) end
  local raw = index.collection.raw
  index = checked(index)
  if not raw then return index end
  local number = {}
  for c, class in ipairs(index.classes) do number[class] = c end
  return checked(prepared(index, state:path("data", "prepared"), config, "collection", function(row)
    local folder = "class_" .. number[row.class]
    return { folder = folder, table = folder }
  end))
end

-- Phantoms: generated, prepared, read back.
local function generated(config, state)
  local raw, out = state:path("data", "raw"), state:path("data", "prepared")
  local meter <close> = luma.progress("drawing", config.phantoms, { unit = "images" })
  local drawn = checked(data.phantom { dir = raw, count = config.phantoms, seed = config.seed,
    progress = function(done) meter:add(done - meter.count) end })
  meter:done()
  local index = prepared(drawn, out, config, "phantoms", function(row) return article.half(row.class) end)
  local original = {}
  for _, row in ipairs(index) do original[row.name] = row.raw end
  index = checked(data.article(out, { normals = "all", metadata = files.join(raw, "metadata.csv") }))
  for _, row in ipairs(index) do row.raw = original[row.original] end
  index.name = "phantoms"
  return index
end

--- Loads the images of a run.
-- @return index, seconds
function dataset.load(config, state)
  local started = uv.hrtime()
  local index = config.data and given(config, state) or generated(config, state)
  return index, (uv.hrtime() - started) / 1e9
end

--- Where the data comes from, in one sentence for report and prompt.
function dataset.words(config, index)
  if not config.data then
    return ("Generated data: %s, drawn from seed %d, with black bars planted on most of one class as in the "
      .. "article's sources. No patient's image is among them."):format(text.plural(#index, "phantom radiograph"),
      config.seed)
  end
  return ("%s from %s."):format(text.plural(#index, "image"), files.show(config.data))
end

--- A digest of what the network will see and be told: every image's bytes, its
-- class and patient.
function dataset.digest(index)
  local lines, system = {}, luma.core.system
  for i, row in ipairs(index) do
    local md5, message = system.md5_file(row.path)
    if not md5 then error(message, 0) end
    lines[i] = ("%s\t%s\t%s\t%s"):format(row.name, row.class, tostring(row.patient), md5)
  end
  return system.sha256(table.concat(lines, "\n"))
end

return dataset
