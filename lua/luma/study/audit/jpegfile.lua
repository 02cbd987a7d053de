--- audit.jpegfile: what a JPEG or PNG file says about how it was written.
--
-- Reads the markers, never the pixels: quantisation tables (and the quality
-- they imply), chroma subsampling, progressive or not, EXIF, comment.  Two
-- classes that were saved by different programs can be told apart by these
-- alone, and a network sees their traces as blocking and lost detail.

local jpegfile = {}

-- The luminance table of ITU-T T.81 annex K in zig-zag order, which libjpeg
-- scales for its "quality" q: factor = q < 50 and 5000/q or 200 - 2q percent.
local annex_k = {
  16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61,
  60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121,
  112, 100, 120, 92, 101, 103, 99,
}

local standard = {} -- quality -> table, made once
local known = {} -- a table's text -> its quality and distance: files of one program share theirs

local function standard_table(quality)
  if standard[quality] then return standard[quality] end
  local percent = quality < 50 and 5000 // quality or 200 - 2 * quality
  local t = {}
  for i, v in ipairs(annex_k) do t[i] = math.max(1, math.min(255, (v * percent + 50) // 100)) end
  standard[quality] = t
  return t
end

--- The libjpeg quality whose luminance table is nearest to the given one (64
-- values, zig-zag), and the mean absolute difference to it: 0 means libjpeg's
-- own scaling wrote it.
function jpegfile.quality_of(quantiser)
  local key = table.concat(quantiser, " ")
  if known[key] then return known[key][1], known[key][2] end
  local best, distance = 1, math.huge
  for quality = 1, 100 do
    local sum = 0
    for i, v in ipairs(standard_table(quality)) do sum = sum + math.abs(v - quantiser[i]) end
    if sum < distance then best, distance = quality, sum end
  end
  known[key] = { best, distance / 64 }
  return best, distance / 64
end

-- One DQT segment's tables into out (by table id).
local function read_tables(bytes, at, stop, out)
  while at < stop do
    local head = bytes:byte(at)
    local wide, id = head >> 4, head & 15
    local size = wide == 0 and 64 or 128
    if at + size > stop or wide > 1 then return end
    local t = {}
    for i = 1, 64 do
      t[i] = wide == 0 and bytes:byte(at + i) or (">I2"):unpack(bytes, at + 2 * i - 1)
    end
    out[id] = t
    at = at + 1 + size
  end
end

--- Describes a file's bytes: {format="jpeg"|"png"|"other", bytes=,
-- quality=, quality_distance=, table_sum=, progressive=, subsampling="2x2",
-- components=, exif=, comment=, jfif=, adobe=}.  Never fails: what a damaged
-- file does not say is nil.
function jpegfile.describe(bytes)
  local d = { format = "other", bytes = #bytes }
  if bytes:sub(1, 8) == "\137PNG\r\n\26\n" then
    d.format = "png"
    return d
  end
  if bytes:sub(1, 3) ~= "\255\216\255" then return d end
  d.format, d.exif, d.comment, d.jfif, d.adobe = "jpeg", false, false, false, false
  local tables, at = {}, 3
  while at + 4 <= #bytes do
    if bytes:byte(at) ~= 0xFF then break end
    local marker = bytes:byte(at + 1)
    if marker == 0xFF then
      at = at + 1 -- fill byte
    elseif marker == 0x01 or (marker >= 0xD0 and marker <= 0xD8) then
      at = at + 2 -- no length
    elseif marker == 0xD9 or marker == 0xDA then
      break -- the entropy-coded data begins: everything asked for has passed
    else
      local length = (">I2"):unpack(bytes, at + 2)
      local body, stop = at + 4, at + 1 + length -- stop: last byte of the segment
      if length < 2 or stop > #bytes then break end
      if marker == 0xDB then
        read_tables(bytes, body, stop, tables)
      elseif marker >= 0xC0 and marker <= 0xCF and marker ~= 0xC4 and marker ~= 0xC8 and marker ~= 0xCC then
        d.progressive = marker == 0xC2 or marker == 0xCA
        d.components = stop >= body + 5 and bytes:byte(body + 5) or nil
        if d.components and d.components >= 1 and stop >= body + 7 then
          local sampling = bytes:byte(body + 7)
          d.subsampling = ("%dx%d"):format(sampling >> 4, sampling & 15)
        end
      elseif marker == 0xE0 and bytes:sub(body, body + 3) == "JFIF" then
        d.jfif = true
      elseif marker == 0xE1 and bytes:sub(body, body + 3) == "Exif" then
        d.exif = true
      elseif marker == 0xEE and bytes:sub(body, body + 4) == "Adobe" then
        d.adobe = true
      elseif marker == 0xFE then
        d.comment = true
      end
      at = stop + 1
    end
  end
  if tables[0] then
    d.quality, d.quality_distance = jpegfile.quality_of(tables[0])
    d.table_sum = 0
    for _, v in ipairs(tables[0]) do d.table_sum = d.table_sum + v end
  end
  return d
end

return jpegfile
