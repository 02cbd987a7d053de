--- luma.prepare.journal: what a run has done, kept so that a second one goes on
-- where the first one stopped.
--
-- OUT/prepare-NAME.json holds the settings, OUT/prepare-NAME.csv one line an
-- image, appended (and flushed) after its file is in place: a line is the proof
-- that the work is done.  A line torn by a crash is dropped; its image is simply
-- prepared again.

local uv = require "luv"
local csv = require "luma.base.csv"
local files = require "luma.base.files"
local json = require "luma.base.json"

local Journal = {}
Journal.__index = Journal

local COLUMNS = { "name", "to", "finding", "status", "height", "width", "rows_removed", "cols_removed", "cut",
  "bytes", "modified", "reason" }
Journal.columns = COLUMNS

local function fail(path, message) error(("%s: %s"):format(files.show(path), message), 0) end

-- Every whole record of the text; also how many bytes they take.
local function whole_records(text)
  for _ = 1, 4 do -- a torn record may end in a line of its own (a newline in a name)
    local last = text:match ".*()\n"
    if not last then return nil end
    text = text:sub(1, last)
    local rows = csv.parse(text, { require = COLUMNS, empty = true })
    if rows then return rows, text end
    text = text:sub(1, -2)
  end
end

--- Opens the journal `name` of a folder.
-- @param settings table of plain values: a journal written under other settings
--   is refused, naming the first that differs
-- @param fresh true forgets what an earlier run did
function Journal.open(dir, name, settings, fresh)
  local self = setmetatable({ records = {}, by_to = {} }, Journal)
  self.path = files.join(dir, ("prepare-%s.csv"):format(name))
  self.settings_path = files.join(dir, ("prepare-%s.json"):format(name))
  local old = not fresh and files.exists(self.settings_path) and files.read(self.settings_path)
  if old then
    self:check_settings(json.decode(old), settings)
    self:load()
  else
    assert(files.remove(self.path))
    assert(files.write_atomic(self.path, csv.format(COLUMNS, {})))
    assert(files.write_atomic(self.settings_path, json.encode(settings)))
  end
  return self
end

function Journal:check_settings(old, new)
  if type(old) ~= "table" then fail(self.settings_path, "not the settings of a run; --fresh starts over") end
  local keys = {}
  for key in pairs(new) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    if old[key] ~= new[key] then
      fail(self.settings_path, ("an earlier run had %s = %s, this one has %s; choose another --out, or --fresh to "
        .. "start over"):format(key, tostring(old[key]), tostring(new[key])))
    end
  end
end

function Journal:load()
  local text = files.read(self.path)
  if not text then -- killed between the two first writes
    text = csv.format(COLUMNS, {})
    assert(files.write_atomic(self.path, text))
  end
  local rows, whole = whole_records(text)
  if not rows then fail(self.path, "damaged; --fresh starts over") end
  if whole ~= text then assert(files.write_atomic(self.path, whole)) end
  for _, row in ipairs(rows) do self:keep(row) end
end

-- A later line about the same file replaces the earlier one.
function Journal:keep(record)
  local before = self.by_to[record.to]
  if before then
    self.records[before] = record
  else
    self.records[#self.records + 1] = record
    self.by_to[record.to] = #self.records
  end
end

--- What is known of an output file, or nil.
function Journal:find(to)
  return self.records[self.by_to[to] or 0]
end

--- Appends records and flushes them to the disk.
function Journal:append(records)
  if #records == 0 then return end
  local bytes = csv.format(COLUMNS, records, false)
  local fd, why = uv.fs_open(self.path, "a", 420)
  if not fd then fail(self.path, why) end
  local at, ok = 0, true
  while ok and at < #bytes do
    local n
    n, why = uv.fs_write(fd, bytes:sub(at + 1), -1)
    ok, at = n ~= nil, at + (n or 0)
  end
  if ok then ok, why = uv.fs_fsync(fd) end
  uv.fs_close(fd)
  if not ok then fail(self.path, "cannot write: " .. tostring(why)) end
  -- as they will be read back: text
  for _, record in ipairs(records) do
    local row = {}
    for _, key in ipairs(COLUMNS) do
      if record[key] ~= nil and record[key] ~= "" then row[key] = tostring(record[key]) end
    end
    self:keep(row)
  end
end

--- Puts the records into the order of `order` (a list of output names) when they
-- are not: interrupted and undisturbed runs leave the same bytes.
function Journal:sort(order)
  local records, same = {}, #order == #self.records
  for i, to in ipairs(order) do
    records[i] = self:find(to)
    same = same and records[i] == self.records[i]
  end
  self.records, self.by_to = records, {}
  for i, record in ipairs(records) do self.by_to[record.to] = i end
  local text = csv.format(COLUMNS, records)
  if not same or files.read(self.path) ~= text then assert(files.write_atomic(self.path, text)) end
end

return Journal
