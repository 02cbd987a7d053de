--- luma.data.index: a list of images with what is known about each.
--
-- A row is a plain table:
--   path      where the image lies            class     its class, a string
--   name      file name as the table gave it  original  name before preparation, when known
--   patient   patient id, nil when unknown    registry  which numbering patient ids are from
--   source    which collection it is from     view, sex, age, offset, ...  when known
--   meta      the CSV row it came from        line      its line there
-- An index is the list of rows plus classes (sorted by bytes, the order of
-- scikit-learn's LabelBinarizer), name, missing ({name=, line=, reason=}: rows
-- whose image is absent) and notes (sentences for the report).

local core = require "luma.core"
local options = require "luma.base.options"
local text = require "luma.base.text"

local Index = {}
local meta = { __name = "luma.Index" }

-- Byte order in every locale: "<" on strings follows the locale.
local function by_bytes(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

--- The distinct classes of rows, sorted by bytes.
local function classes_of(rows)
  local seen, classes = {}, {}
  for _, row in ipairs(rows) do
    if not seen[row.class] then
      seen[row.class] = true
      classes[#classes + 1] = row.class
    end
  end
  table.sort(classes, by_bytes)
  return classes
end

--- Makes an index from rows.  The rows are kept, not copied.
-- @param rows list of tables with at least path and class (strings)
-- @param info name, missing, notes, classes (to keep classes that no row has)
local function new(rows, info)
  local o = options.check("data.Index", info, {
    name = "index", missing = options.optional, notes = options.optional, classes = options.optional,
  })
  local index = setmetatable({}, meta)
  for i, row in ipairs(rows) do
    if type(row) ~= "table" or type(row.class) ~= "string" or row.class == "" then
      error(("data.Index: row %d has no class"):format(i), 2)
    end
    index[i] = row
  end
  index.name = o.name
  index.missing = o.missing or {}
  index.notes = o.notes or {}
  index.classes = o.classes or classes_of(index)
  return index
end

--- Whether value is an index.
local function is_index(value)
  local its = type(value) == "table" and getmetatable(value)
  return type(its) == "table" and its.__name == meta.__name
end

meta.__index = Index

-- A field of a row, looked up in the row and then in its CSV row.
local function field(row, key)
  local value = row[key]
  if value == nil and row.meta then value = row.meta[key] end
  return value
end

-- Whether value is what was asked for: a value, a list of values, a function.
local function wanted(value, want)
  if type(want) == "function" then return want(value) and true or false end
  if type(want) == "table" then
    for _, one in ipairs(want) do
      if value == one then return true end
    end
    return false
  end
  return value == want
end

--- The rows for which keep(row) is true, as a new index.
function Index:filter(keep)
  local rows = {}
  for _, row in ipairs(self) do
    if keep(row) then rows[#rows + 1] = row end
  end
  return new(rows, { name = self.name })
end

--- The rows whose fields equal what is asked: index:where { view = "PA",
-- class = { "SARS", "ARDS" }, age = function(a) return a and a > 40 end }.
-- Matching is exact, as in the article: "COVID-19, ARDS" is not "COVID-19".
function Index:where(conditions)
  return self:filter(function(row)
    for key, want in pairs(conditions) do
      if not wanted(field(row, key), want) then return false end
    end
    return true
  end)
end

--- The first n rows in order (all, when there are fewer).
function Index:head(n)
  options.integer("head", "n", n, 0)
  return new(table.move(self, 1, math.min(n, #self), 1, {}), { name = self.name })
end

--- The same rows with classes given by label: a function of the row, or a table
-- from old class to new.  Rows whose new class is nil are left out.  Rows are
-- copied; row.was keeps the old class.
function Index:relabel(label)
  local rows = {}
  for _, row in ipairs(self) do
    local class
    if type(label) == "function" then class = label(row) else class = label[row.class] end
    if class ~= nil then
      local copy = {}
      for key, value in pairs(row) do copy[key] = value end
      copy.was, copy.class = row.class, class
      rows[#rows + 1] = copy
    end
  end
  return new(rows, { name = self.name })
end

--- How many images each class has: a table from class to count, 0 included.
function Index:counts()
  local counts = {}
  for _, class in ipairs(self.classes) do counts[class] = 0 end
  for _, row in ipairs(self) do counts[row.class] = (counts[row.class] or 0) + 1 end
  return counts
end

--- The key that says whose image a row is: equal for two images of one patient,
-- nil when the patient is unknown.  Ids are compared within their registry.
function Index.patient_key(row)
  if row.patient == nil then return nil end
  return (row.registry or row.source or "") .. "\0" .. tostring(row.patient)
end

--- Number of distinct patients (all, or of one class), and of images without one.
function Index:patients(class)
  local seen, count, unknown = {}, 0, 0
  for _, row in ipairs(self) do
    if class == nil or row.class == class then
      local key = Index.patient_key(row)
      if key == nil then
        unknown = unknown + 1
      elseif not seen[key] then
        seen[key] = true
        count = count + 1
      end
    end
  end
  return count, unknown
end

--- true, or nil and a sentence, when there are fewer than n classes with images.
function Index:require_classes(n)
  local present = {}
  local counts = self:counts()
  for _, class in ipairs(self.classes) do
    if counts[class] > 0 then present[#present + 1] = class end
  end
  if #present >= n then return true end
  return nil, ("%s: %d %s needed, found %d%s"):format(self.name, n, n == 1 and "class" or "classes", #present,
    #present > 0 and " (only " .. table.concat(present, ", ") .. ")" or ""), "data"
end

--- Joins indexes into one, each image once.  What counts as the same image:
-- "path" (default), "name" (the original file name: raw and prepared copies of
-- one radiograph meet), "content" (MD5 of the file), or false for no check.  The
-- same image with two classes is refused.
-- @return index | nil, message, "data"
local function merge(list, opts)
  local o = options.check("data.merge", opts, { dedup = "path", name = options.optional })
  if o.dedup ~= false then options.choice("data.merge", "dedup", o.dedup, { "path", "name", "content", false }) end
  local rows, first, doubles, names, missing, notes = {}, {}, 0, {}, {}, {}
  for i, index in ipairs(list) do
    if not is_index(index) then error(("data.merge: item %d is no index"):format(i), 2) end
    names[i] = index.name
    table.move(index.missing, 1, #index.missing, #missing + 1, missing)
    table.move(index.notes, 1, #index.notes, #notes + 1, notes)
    for _, row in ipairs(index) do
      local key
      if o.dedup == "path" then
        key = require("luv").fs_realpath(row.path) or row.path
      elseif o.dedup == "name" then
        key = row.original or row.name or row.path
      elseif o.dedup == "content" then
        local message
        key, message = core.system.md5_file(row.path)
        if not key then return nil, message, "io" end
      end
      local before = key and first[key]
      if before and before.class ~= row.class then
        return nil, ("one image, two classes: %s is %s, %s is %s"):format(
          before.path, before.class, row.path, row.class), "data"
      elseif before then
        doubles = doubles + 1
      else
        if key then first[key] = row end
        rows[#rows + 1] = row
      end
    end
  end
  if doubles > 0 then
    notes[#notes + 1] = ("%d images stood twice (same %s) and are kept once"):format(doubles, o.dedup)
  end
  return new(rows, { name = o.name or table.concat(names, " + "), missing = missing, notes = notes })
end

--- index:concat(other, ...): merge by path.
function Index:concat(...) return merge { self, ... } end

--- The label encoder for this index: one, fitted once (see luma.data.encoder).
function Index:encoder()
  if not rawget(self, "fitted") then
    rawset(self, "fitted", require("luma.data.encoder").Encoder(self.classes))
  end
  return self.fitted
end

--- 1-based class ids of the rows, an i32 tensor.
function Index:labels() return self:encoder():encode(self) end

--- See luma.data.split.
function Index:stratify(opts) return require("luma.data.split").stratify(self, opts) end
function Index:kfold(opts) return require("luma.data.split").kfold(self, opts) end
function Index:leave_one_source_out(opts) return require("luma.data.split").leave_one_source_out(self, opts) end
function Index:given(opts) return require("luma.data.split").given(self, opts) end
function Index:nested(opts) return require("luma.data.split").nested(self, opts) end

--- See luma.data.batches.
function Index:batches(opts) return require("luma.data.batches").batches(self, opts) end
function Index:load(opts) return require("luma.data.batches").load(self, opts) end

--- What was found, for people: the class table, what is absent (the first few
-- by name), and the notes of the loaders.
function Index:report()
  local lines = { tostring(self) }
  if #self.missing > 0 then
    local names = {}
    for i = 1, math.min(#self.missing, 5) do
      names[i] = require("luma.base.files").show(self.missing[i].name)
    end
    local more = #self.missing - #names
    lines[#lines + 1] = ("  absent images: %d (%s%s)"):format(#self.missing, table.concat(names, ", "),
      more > 0 and (" and %d more"):format(more) or "")
  end
  for _, note in ipairs(self.notes) do lines[#lines + 1] = "  " .. note end
  return table.concat(lines, "\n")
end

meta.__tostring = function(self)
  local counts = self:counts()
  local known = self:patients() > 0
  local width = 5
  for _, class in ipairs(self.classes) do width = math.max(width, text.len(text.printable(class, 60))) end
  local lines = { ("%s: %d images, %d %s"):format(self.name, #self, #self.classes,
    #self.classes == 1 and "class" or "classes") }
  local function line(label, n, patients)
    lines[#lines + 1] = ("  %s  %6s"):format(text.right_pad(text.printable(label, 60), width), n)
      .. (known and ("  %8s"):format(patients) or "")
  end
  line("class", "images", "patients")
  for _, class in ipairs(self.classes) do
    local patients, unknown = self:patients(class)
    line(class, counts[class], unknown == 0 and patients or patients == 0 and "unknown"
      or ("%d, of %d images unknown"):format(patients, unknown))
  end
  return table.concat(lines, "\n")
end

return { new = new, is_index = is_index, merge = merge, field = field, wanted = wanted,
  by_bytes = by_bytes, patient_key = Index.patient_key }
