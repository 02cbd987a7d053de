--- audit.reader: one pass over the files.  Each file is read once and decoded
-- once; everything the audit asks of an image is taken from that.
--
--   local seen = reader.read(index, { step = function() ... end })
--   seen.index     the rows whose image could be read, in their order
--   seen.unread    {name, path, class, reason} of the others
--   seen.images    facts of an image: height, width, channels, file (audit.jpegfile),
--                  digest of its gray pixels, hash, thumb (64 x 64 bytes),
--                  bar_before, bar_after, look (audit.pipeline)
--   seen.means     class -> mean gray image, f32 (224, 224)
--   seen.tables    family name -> feature rows (audit.features)
--   seen.space     rows of the embedded base's numbers (audit.space), where asked for

local luma = require "luma"
local bars = require "luma.study.audit.bars"
local features = require "luma.study.audit.features"
local files = require "luma.base.files"
local jpegfile = require "luma.study.audit.jpegfile"
local options = require "luma.base.options"
local pipeline = require "luma.study.audit.pipeline"
local rows_of = require "luma.data.index"
local space = require "luma.study.audit.space"

local reader = {}

--- Side of the small gray image that duplicates are first compared by.
reader.THUMB = 64

local LIMIT = 256 << 20 -- larger files are no radiographs: they are named and left out

local function gray_of(x)
  local _, _, channels = x:shape()
  if channels == 1 then return x end
  return luma.image.rgb_to_gray(x)
end

-- The facts of one image, and (unless only copies are looked for) its 224 x 224
-- RGB version for the pixel families.
local function examine(x, bytes, copies)
  local h, w, channels = x:shape()
  local side, thumb = features.SIDE, reader.THUMB
  local f = { height = h, width = w, channels = channels, file = jpegfile.describe(bytes) }
  local gray = gray_of(x)
  f.digest = luma.core.system.md5(("%dx%d:"):format(h, w) .. gray:bytes())
  f.hash = luma.image.hash(gray)
  local tiny <close> = luma.image.resize(gray, thumb, thumb, { method = "area" })
  f.thumb = tiny:bytes()
  if copies then
    if gray ~= x then gray:close() end
    return f
  end
  f.bar_before, f.bar_after = bars.look(x)
  f.look = pipeline.look(x, gray)
  local small = luma.image.resize(x, side, side, { method = "area" })
  if channels == 1 then
    local one = small
    small = one:expand(side, side, 3):contiguous()
    one:close()
  end
  if gray ~= x then gray:close() end
  return f, small
end

-- One file: facts and pixels, or nil and why not.
local function one(path, copies)
  local bytes, message = files.read(path, LIMIT)
  if not bytes then return nil, message end
  local x <close>, why = luma.image.decode(bytes, { mode = "native", strict = false })
  if not x then return nil, files.show(path) .. ": " .. why end
  return examine(x, bytes, copies)
end

--- Reads all files of an index.  opts: step (function(), called once an image);
-- copies (false): only what audit.duplicates needs, several times faster; space
-- (false): the embedded base's numbers as well.
function reader.read(index, opts)
  local o = options.check("audit.read", opts, { step = options.optional, copies = false, space = false })
  local look, numbers = o.space and space.open() or nil, {}
  local kept, unread, images, tables = {}, {}, {}, {}
  for _, family in ipairs(features.families) do tables[family.name] = {} end
  local small, facts, sums, counts = {}, {}, {}, {}
  local function flush()
    if #small == 0 then return end
    local pixels <close> = luma.stack(small)
    local batch <close> = features.batch(pixels, facts)
    for i = 1, #small do
      local class = kept[#kept - #small + i].class
      sums[class] = sums[class] or luma.zeros(features.SIDE, features.SIDE)
      local gray <close> = batch:gray():select(1, i):reshape(features.SIDE, features.SIDE):to "f32"
      sums[class]:add_(gray)
      counts[class] = (counts[class] or 0) + 1
    end
    if look then table.move(look(pixels), 1, #facts, #images - #facts + 1, numbers) end
    for _, family in ipairs(features.families) do
      table.move(family.columns(batch), 1, #facts, #images - #facts + 1, tables[family.name])
    end
    for _, x in ipairs(small) do x:close() end
    small, facts = {}, {}
  end
  for _, row in ipairs(index) do
    local f, pixels = one(row.path, o.copies)
    if f then
      kept[#kept + 1], images[#images + 1] = row, f
    end
    if f and pixels then
      small[#small + 1], facts[#facts + 1] = pixels, f
      if #small == 32 then flush() end
    elseif not f then
      unread[#unread + 1] = { name = row.name or row.path, path = row.path, class = row.class, reason = pixels }
    end
    if o.step then o.step() end
  end
  flush()
  local means = {}
  for class, sum in pairs(sums) do means[class] = sum / counts[class] end
  local same = rows_of.new(kept, { name = index.name, missing = index.missing, notes = index.notes })
  return { index = same, unread = unread, images = images, tables = tables, means = means, space = numbers }
end

return reader
