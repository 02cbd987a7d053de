--- luma.data.phantom: a default data set that needs no patient: drawn chest
-- radiographs (csrc/image/phantom.c) in the layout of covid-chestxray-dataset,
-- metadata.csv and images/, so that it walks exactly the road of real data.
--
-- The article's confounder is planted: black bars on most normals and few
-- others.  The anatomy is drawn inside what the bars leave, so that nothing but
-- the bars tells the classes apart besides the finding itself.

local core = require "luma.core"
local csv = require "luma.base.csv"
local files = require "luma.base.files"
local options = require "luma.base.options"

-- What a class shows; any other name is a normal chest.
local FINDINGS = { opacity = true, effusion = true, cardiomegaly = true, nodule = true }

local COLUMNS = { "patientid", "offset", "sex", "age", "finding", "view", "modality", "filename", "source",
  "bars", "severity" }

-- Which sides have bars, and how often; widths in 1/1024 of the side.
local SIDES = {
  { 0.50, { "left", "right" } }, { 0.20, { "top", "bottom" } }, { 0.10, { "left" } }, { 0.10, { "right" } },
  { 0.10, { "top", "bottom", "left", "right" } },
}

local function draw_bars(rng, size)
  local at, sides = rng:uniform(), SIDES[1][2]
  for _, choice in ipairs(SIDES) do
    if at < choice[1] then
      sides = choice[2]
      break
    end
    at = at - choice[1]
  end
  local bars = { top = 0, left = 0, bottom = 0, right = 0 }
  local wide = rng:uniform(40, 150)
  for _, side in ipairs(sides) do bars[side] = math.floor(wide * rng:uniform(0.8, 1.2) * size / 1024 + 0.5) end
  return bars
end

-- Which patient each of n images shows: every patient at least one, the rest
-- dealt at random, so that some have several.
local function deal(rng, images, patients)
  local counts, owner = {}, {}
  for i = 1, patients do counts[i] = 1 end
  for _ = patients + 1, images do
    local lucky = rng:int(1, patients)
    counts[lucky] = counts[lucky] + 1
  end
  for patient, n in ipairs(counts) do
    for visit = 1, n do owner[#owner + 1] = { patient = patient, visit = visit } end
  end
  return owner
end

-- The share of a class that gets bars.
local function bar_share(bars, class)
  for name, share in pairs(bars) do
    if name:lower() == class:lower() then
      if type(share) ~= "number" or not (share >= 0 and share <= 1) then
        error(("data.phantom: option bars: the share of '%s' must be in 0..1, got %s"):format(name,
          tostring(share)), 4)
      end
      return share
    end
  end
  return FINDINGS[class:lower()] and 0.15 or 0.95
end

-- The rows of the metadata and the drawings they describe.
local function plan(o)
  local rng = core.rng(o.seed):fork "phantom"
  local rows, drawings = {}, {}
  local classes = #o.classes
  local first_patient = 0
  for c, class in ipairs(o.classes) do
    local images = o.count // classes + (c <= o.count % classes and 1 or 0)
    local people = math.max(1, math.min(images, o.patients // classes + (c <= o.patients % classes and 1 or 0)))
    local kind = FINDINGS[class:lower()] and class:lower()
    local share, own = bar_share(o.bars, class), rng:fork(class)
    local build = {}
    for _, item in ipairs(images > 0 and deal(own, images, people) or {}) do
      local person = build[item.patient]
      if not person then
        person = { sex = own:bernoulli(0.5) and "F" or "M", age = own:int(18, 88), day = own:int(0, 9),
          severity = own:uniform(o.severity[1], o.severity[2]) }
        build[item.patient] = person
      end
      local id = first_patient + item.patient
      local severity = kind and math.max(0.02, math.min(1, person.severity + own:uniform(-0.1, 0.1))) or 0
      local view = own:bernoulli(0.12) and "AP" or "PA"
      local bars = own:bernoulli(share) and draw_bars(own, o.size) or { top = 0, left = 0, bottom = 0, right = 0 }
      local drawing = { seed = o.seed, patient = id, image = #rows + 1, size = o.size, female = person.sex == "F",
        ap = view == "AP", top = bars.top, left = bars.left, bottom = bars.bottom, right = bars.right }
      if kind then drawing[kind] = severity end
      drawings[#drawings + 1] = drawing
      rows[#rows + 1] = {
        patientid = id, offset = kind and person.day + 3 * (item.visit - 1) or nil, sex = person.sex, age = person.age,
        finding = class, view = view, modality = "X-ray",
        filename = ("phantom-%04d-%d.jpeg"):format(id, item.visit),
        source = ("drawn by luma: phantom 1, seed %d, size %d, quality %d"):format(o.seed, o.size, o.quality),
        bars = ("%d %d %d %d"):format(bars.top, bars.left, bars.bottom, bars.right),
        severity = kind and ("%.3f"):format(severity) or nil,
      }
    end
    first_patient = first_patient + people
  end
  return rows, drawings
end

local phantom = {}

--- Draws the set into a folder (DIR/metadata.csv, DIR/images/*.jpeg) and reads
-- it back.  The same options give the same bytes, on any number of threads; a
-- folder that already holds exactly this set is used as it is.
-- @param opts dir; count (240) images, shared evenly by classes ({"Normal",
--   "opacity"}; also effusion, cardiomegaly, nodule); patients (0.7 * count):
--   some have several images; size (1024) pixels; seed (luma.seed()); bars: share
--   of each class with black bars ({normal = 0.95, opacity = 0.15}); severity:
--   range of the finding ({0.3, 1}); quality (90) of the JPEG; progress:
--   function(done, total)
-- @return index, as data.covid_chestxray gives it, of all images | nil, message, code
function phantom.phantom(opts)
  local o = options.check("data.phantom", opts, {
    dir = options.optional, count = 240, patients = options.optional, size = 1024, seed = options.optional,
    classes = { "Normal", "opacity" }, bars = {}, severity = { 0.3, 1 }, quality = 90, progress = options.optional,
  })
  if type(o.dir) ~= "string" then error("data.phantom: option dir must be a folder's path", 2) end
  options.integer("data.phantom", "count", o.count, 1, 1000000)
  options.integer("data.phantom", "size", o.size, 64, 4096)
  options.integer("data.phantom", "quality", o.quality, 1, 100)
  o.patients = options.integer("data.phantom", "patients", o.patients or math.max(1, o.count * 7 // 10), 1)
  if o.seed == nil then o.seed = core.seed() end
  options.integer("data.phantom", "seed", o.seed, math.mininteger)
  if #o.classes == 0 then error("data.phantom: option classes must name at least one class", 2) end
  local low, high = o.severity[1], o.severity[2]
  if not (type(low) == "number" and type(high) == "number" and low >= 0 and low <= high and high <= 1) then
    error("data.phantom: option severity must be {low, high} within 0..1", 2)
  end

  local rows, drawings = plan(o)
  local images, table_path = files.join(o.dir, "images"), files.join(o.dir, "metadata.csv")
  local text = csv.format(COLUMNS, rows)
  local paths, complete = {}, files.read(table_path) == text
  for i, row in ipairs(rows) do
    paths[i] = files.join(images, row.filename)
    complete = complete and files.is_file(paths[i])
  end
  if not complete then
    local ok, message, code = files.mkdir_p(images)
    if not ok then return nil, message, code end
    ok, message, code = files.remove(table_path) -- the table comes last: with it the set is whole
    if not ok then return nil, message, code end
    local draw = core.image.phantom_files
    for from = 1, #rows, 16 do
      local to = math.min(from + 15, #rows)
      ok, message, code = draw(table.move(drawings, from, to, 1, {}), table.move(paths, from, to, 1, {}), o.quality)
      if not ok then return nil, message, code end
      if o.progress then o.progress(to, #rows) end
    end
    ok, message, code = files.write_atomic(table_path, text)
    if not ok then return nil, message, code end
  end

  local index, message, code = require("luma.data.collections.covid_chestxray").read(o.dir,
    { finding = "any", view = "any", modality = "any" })
  if not index then return nil, message, code end
  for _, row in ipairs(index) do row.source, row.registry = "phantom", "phantom" end
  index.name = "phantom"
  table.insert(index.notes, 1, ("drawn, not photographed: phantoms of seed %d, %dx%d pixels"):format(o.seed, o.size,
    o.size))
  return index
end

return phantom
