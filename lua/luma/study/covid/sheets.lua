--- Contact sheets: forty images of a class at a glance, as the article shows
-- them (row A6), and for generated data the raw images beside the prepared.

local luma = require "luma"
local files, image = luma.files, luma.image

local sheets = {}

-- The article's words for its two classes; for others their name.
local function title(class, classes)
  local pair = #classes == 2 and (classes[1] == "COVID-19" or classes[2] == "COVID-19")
  if class == "COVID-19" then return "Positive COVID-19 Cases" end
  if pair and class:lower() == "normal" then return "Negative COVID-19 Cases" end
  return class:sub(1, 1):upper() .. class:sub(2) .. " Cases"
end

local function load_all(rows, key)
  local out = {}
  for _, row in ipairs(rows) do
    local x = image.load(row[key], "rgb")
    if x then out[#out + 1] = x end
  end
  return out
end

local function close_all(list)
  for _, x in ipairs(list) do x:close() end
end

local WIDTH, HEIGHT, TITLE, GAP = 720, 432, 46, 3

-- One sheet as PNG bytes: 5 rows of 8 tiles under a title of 24 points on a
-- white page of 720 x 432 pixels, the article's 10 x 6 inches.  Without gnuplot
-- the title is left out.
function sheets.picture(tiles, words)
  local side = (HEIGHT - TITLE - 6 * GAP) // 5
  local body <close> = image.sheet(tiles, { rows = 5, cols = 8, gap = GAP, height = side, width = side })
  local page <close> = luma.full({ HEIGHT, WIDTH, 3 }, 255, "u8")
  local h, w = body:shape()
  local top, left = TITLE, (WIDTH - w) // 2 + 1
  page[{ { top, top + h - 1 }, { left, left + w - 1 }, {} }] = body
  local bytes, message, code = luma.plot.caption(words, { width = WIDTH, height = TITLE - 2 }):png()
  if bytes then
    local line <close> = assert(image.decode(bytes, "rgb"))
    page[{ { 1, TITLE - 2 }, {}, {} }] = line
  elseif code ~= "absent" then
    error(message, 0)
  end
  return image.encode(page, "png")
end

-- A file name for a class: "covid-19"; its number where nothing readable is left
-- or another class has it.
local function slug(class, number, taken)
  local name = class:lower():gsub("[^%w%-]+", "_"):gsub("^_+", ""):gsub("_+$", ""):sub(1, 60)
  if name == "" or taken[name] then name = "class_" .. number end
  taken[name] = true
  return name
end

--- Writes sheets/: one a class, and for rows with `raw` one a class of the raw
-- images.  Returns file name -> caption.
function sheets.write(state, index)
  local ok, message = files.mkdir_p(state:path "sheets")
  if not ok then error(message, 0) end
  local captions, taken = {}, {}
  for c, class in ipairs(index.classes) do
    local rows = index:filter(function(row) return row.class == class end):head(40)
    local base = slug(class, c, taken)
    if #rows > 0 then
      for _, kind in ipairs { { "path", "", "prepared" }, { "raw", "_raw", "before preparation" } } do
        if rows[1][kind[1]] then
          local tiles = load_all(rows, kind[1])
          local name = base .. kind[2] .. ".png"
          if #tiles > 0 then
            state:write(files.join("sheets", name), sheets.picture(tiles, title(class, index.classes)))
            captions[name] = ("%s, %s: the first %d."):format(class, kind[3], #tiles)
          end
          close_all(tiles)
        end
      end
    end
  end
  return captions
end

return sheets
