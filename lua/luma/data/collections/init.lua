--- luma.data.collections: the one door for data.  Each kind of collection is a file
-- of this folder; prepare, audit, covid, predict, look and fetch read this list, so
-- what one command can open, every command can.  A new source is one file, its line
-- in LIST and its spec.  A collection is a table:
--
--   name        what `--source` calls it          layout   what its folder holds, for help
--   what        itself in words, for errors       where    where people get it
--   recognise   function(dir) -> whether a folder is one
--   takes_file  function(path) -> whether a single file is one (optional)
--   read        function(path, opts) -> index | nil, message, code
--   scopes      options of read by what is asked: train (luma covid), audit, all (prepare)
--   options     names of the options that a caller may add (of OPTIONS below)
--   selection   the article's own choice of rows (optional)
--   place       function(row) -> {folder, table, listed}, name: where prepare writes it
--   raw         true: published unprepared, covid prepares it first
--   needs_classes  true: too many classes to train on all;  class_of(label) -> class
--   ordered     true: one table, whose lines are the order of the rows

local uv = require "luv"
local files = require "luma.base.files"
local indexes = require "luma.data.index"
local options = require "luma.base.options"
local text = require "luma.base.text"

-- In the order in which they are tried: those that a name gives away first.
local LIST = { "article", "rsna", "nih", "covid_chestxray", "folder", "table", "loose" }

-- What callers may add to a collection's own options, with the option as typed.
local OPTIONS = { metadata = "--metadata", normals = "--normals", images = "--images", label = "--label",
  label_map = "--label-map" }

local collections = { list = {} }
local by_name = {}
for i, name in ipairs(LIST) do
  local one = require("luma.data.collections." .. name)
  collections.list[i], by_name[one.name] = one, one
end

--- The collection of that name | nil, message.
function collections.find(name)
  if by_name[name] then return by_name[name] end
  return nil, ("source must be one of %s, got '%s'"):format(table.concat(collections.names(), ", "),
    text.printable(tostring(name), 40)), "argument"
end

--- Their names, sorted.
function collections.names()
  local out = {}
  for name in pairs(by_name) do out[#out + 1] = name end
  table.sort(out)
  return out
end

--- Whether a collection takes an option ("metadata", "normals", "images", ...).
function collections.takes(collection, option)
  for _, name in ipairs(collection.options) do
    if name == option then return true end
  end
  return false
end

--- Which collection a path holds.
-- @return collection | nil, message, code
function collections.recognise(path)
  local kind = files.kind(path)
  if not kind then return nil, files.show(path) .. ": no such file or folder", "io" end
  for _, one in ipairs(collections.list) do
    if kind == "directory" then
      if one.recognise(path) then return one end
    elseif kind == "file" and one.takes_file and one.takes_file(path) then
      return one
    end
  end
  if kind == "directory" then return by_name.folder end -- whose reader says what it misses
  return nil, ("%s: is not a folder, nor a table (.csv, .tsv), nor a PNG or JPEG"):format(files.show(path)), "data"
end

-- Only the classes asked for; a name that no image has is refused with those there are.
local function only(index, collection, asked)
  local class_of = collection.class_of or function(label) return label end
  local keep, there, shown = {}, {}, {}
  for _, class in ipairs(index.classes) do there[class] = true end
  for _, row in ipairs(index.missing) do there[row.class or ""] = true end
  for i, class in ipairs(index.classes) do shown[i] = text.printable(class, 40) end
  for _, name in ipairs(asked) do
    local class = class_of(name)
    if not there[class] then
      return nil, ("--classes: no %s has the finding '%s' (there are: %s)"):format(
        collection.name == "covid-chestxray" and "frontal radiograph" or "image", text.printable(name, 60),
        table.concat(shown, ", ")), "argument"
    end
    keep[class] = true
  end
  local rows, missing = {}, {}
  for _, row in ipairs(index) do rows[#rows + 1] = keep[row.class] and row or nil end
  for _, row in ipairs(index.missing) do missing[#missing + 1] = keep[row.class] and row or nil end
  return indexes.new(rows, { name = index.name, missing = missing, notes = index.notes })
end

--- Opens a path as an index.
-- @param path a folder, a table or an image
-- @param opts scope ("train", "audit" or "all"); source: name of the collection, by
--   default the one recognised; classes: list of the classes to keep; and the
--   options that the collection takes (an option that it does not take is an error)
-- @return index; index.collection is what it was taken for | nil, message, code
function collections.open(path, opts)
  local allowed = { scope = "train", source = options.optional, classes = options.optional }
  for name in pairs(OPTIONS) do allowed[name] = options.optional end
  local o = options.check("data.open", opts, allowed)
  local one, message, code
  if o.source then
    one, message, code = collections.find(o.source)
    if one and not files.kind(path) then return nil, files.show(path) .. ": no such folder", "io" end
  else
    one, message, code = collections.recognise(path)
  end
  if not one then return nil, message, code end
  local given = {}
  for name, value in pairs(one.scopes[o.scope] or error("data.open: no scope " .. tostring(o.scope), 2)) do
    given[name] = value
  end
  for name, typed in pairs(OPTIONS) do
    if o[name] ~= nil then
      if not collections.takes(one, name) then
        return nil, ("%s does not fit %s, %s"):format(typed, files.show(path), one.what), "argument"
      end
      given[name] = o[name]
    end
  end
  if one.needs_classes and o.scope == "train" and not o.classes then
    return nil, ("%s: %s: name the findings to tell apart, e.g. --classes COVID-19,SARS"):format(files.show(path),
      one.what), "argument"
  end
  local index
  index, message, code = one.read(path, given)
  if index and o.classes then index, message, code = only(index, one, o.classes) end
  if not index then return nil, message, code end
  if one.name ~= "article" or o.scope == "audit" then
    local name = files.basename(uv.fs_realpath(path) or path)
    index.name = name ~= "" and name or index.name
  end
  index.collection = one
  return index
end

return collections
