--- luma.prepare.run: a whole collection of radiographs from folder to folder.
-- The pixels are C's (core.prepare.batch); here is the order of things: what is
-- to be done, what was done before, the tables at the end.

local uv = require "luv"
local core = require "luma.core"
local csv = require "luma.base.csv"
local files = require "luma.base.files"
local options = require "luma.base.options"
local Journal = require "luma.study.prepare.journal"
local system = core.system

local BATCH = 64 -- files a call of the core: progress and Ctrl-C come between

-- Raises `message` when `value` is nil.
local function try(value, message)
  if value == nil then error(message, 0) end
  return value
end

-- The lock file is emptied when the run ends, so that finished folders are equal
-- to the byte.
local function lock(out)
  local path = files.join(out, ".luma.lock")
  local handle = try(system.lock(path))
  return setmetatable({}, { __close = function()
    local f = io.open(path, "w")
    if f then f:close() end
    system.unlock(handle)
  end })
end

-- Where a row's result goes, checked: inside out, under a name of its own.
local function plan(rows, out)
  local home = uv.fs_realpath(out)
  for _, row in ipairs(rows) do
    local from = uv.fs_realpath(files.dirname(row.path))
    if home and from and (from == home or from:sub(1, #home + 1) == home .. "/") then
      error(("%s: holds the originals (%s): results would be read as images next time; choose another --out"):format(
        files.show(out), files.show(row.path)), 0)
    end
  end
  local seen, tasks, inputs = {}, {}, {}
  for i, row in ipairs(rows) do
    local task = { row = row, to = row.to, status = nil }
    if seen[row.to] then
      error(("two images would be written to %s: %s and %s"):format(files.show(row.to), files.show(row.path),
        files.show(seen[row.to].path)), 0)
    end
    seen[row.to] = row
    local path, why = files.inside(out, row.to)
    if path then task.path = path else task.status, task.reason = "unsafe name", why end
    local stat = uv.fs_stat(row.path)
    if not stat then
      task.status, task.reason = task.status or "missing", task.reason or "no such file"
    else
      task.bytes, task.modified = stat.size, ("%d.%09d"):format(stat.mtime.sec, stat.mtime.nsec)
    end
    tasks[i] = task
    if stat then inputs[("%d:%d"):format(stat.dev, stat.ino)] = row.path end
  end
  for _, task in ipairs(tasks) do -- an --out that holds the originals
    local stat = task.path and uv.fs_stat(task.path)
    local input = stat and inputs[("%d:%d"):format(stat.dev, stat.ino)]
    if input then error(("%s: would be overwritten by a result; choose another --out"):format(files.show(input)), 0) end
  end
  return tasks, seen
end

-- Whether an earlier run already dealt with the task.
local function is_done(task, record)
  if not record then return false end
  if record.status == "missing" then return task.status == "missing" end
  if record.status == "not read" then return false end -- the system's fault: perhaps it is over
  if task.status == "missing" then return record.status ~= "written" or files.is_file(task.path) end
  if record.bytes ~= tostring(task.bytes) or record.modified ~= task.modified then
    error(("%s: changed since it was prepared; choose another --out, or --fresh to start over"):format(
      files.show(task.row.path)), 0)
  end
  return record.status ~= "written" or files.is_file(task.path)
end

local function record_of(task, result)
  local row = task.row
  local record = { name = row.name, to = row.to, finding = row.class, bytes = task.bytes, modified = task.modified,
    status = task.status, reason = task.reason }
  if result then
    record.status, record.reason = result.status, result.message
    if result.code == "io" or result.code == "memory" then record.status = "not read" end
    if result.height > 0 then record.height, record.width = result.height, result.width end
    if result.side > 0 then
      record.rows_removed, record.cols_removed = result.rows_removed, result.cols_removed
      record.cut = result.cut
    end
  end
  return record
end

-- The tables that other programs read: what was written, by table; what was not.
local function write_tables(out, name, rows, journal, faithful)
  local tables, order, skipped = {}, {}, {}
  for _, row in ipairs(rows) do
    local record = journal:find(row.to)
    local t = tables[row.table]
    if not t then
      t = {}
      tables[row.table], order[#order + 1] = t, row.table
    end
    if record.status == "written" then
      t[#t + 1] = { ["unnamed 1"] = 0, filename = row.listed, finding = row.class }
    else
      skipped[#skipped + 1] = { filename = row.name, finding = row.class, status = record.status,
        reason = record.reason, line = row.line }
    end
    -- The author writes the header with image 0, and only if that one is kept (D6).
    if t.first == nil and record.height then
      t.first = record.status
    end
  end
  local paths = {}
  for i, table_name in ipairs(order) do
    local t = tables[table_name]
    paths[i] = files.join(out, table_name .. ".csv")
    local header = not faithful or t.first == "written"
    try(files.write_atomic(paths[i], csv.format({ "unnamed 1", "filename", "finding" }, t, header)))
  end
  local skipped_path = files.join(out, ("skipped-%s.csv"):format(name))
  try(csv.write(skipped_path, { "filename", "finding", "status", "reason", "line" }, skipped))
  return paths, skipped_path, skipped
end

-- One call of the core.  Returns the seconds it took; raises on Ctrl-C and on a
-- disk that takes no more, after noting what was done.
local function run_batch(tasks, first, last, settings, journal)
  local items, records, failed = {}, {}, nil
  for i = first, last do items[#items + 1] = { tasks[i].row.path, tasks[i].path } end
  local results, interrupted = core.prepare.batch(items, settings)
  if interrupted then system.interrupt_clear() end -- the journal first
  for k, result in ipairs(results) do
    if result and result.status == "not written" then
      failed = failed or ("%s: %s"):format(files.show(items[k][2]), result.message)
    elseif result then
      records[#records + 1] = record_of(tasks[first + k - 1], result)
    end
  end
  journal:append(records)
  if interrupted then error(core.interrupt, 0) end
  if failed then error(failed, 0) end
end

--- Prepares images and writes them, their tables and a journal into a folder.
-- Calling it again goes on where it stopped; finished work is not redone, and
-- the folder ends up the same to the byte.
-- @param rows list of {path, name, class, to (file below out), table (name of
--   the CSV that lists it), listed (its name there), line}
-- @param out the folder, made when it is missing
-- @param opts name (of the run, for its journal), faithful, squash, size (224),
--   quality (95), level (40), fit ("crop", "pad" or "squash": how an image becomes
--   square after its bars are gone), fresh, each: function(number, seconds) called
--   after every image, progress: a luma.progress-like object made by a function
--   of the number of images
-- @return {written=, counts = {status = n}, rows=, resumed=, seconds=, tables=,
--   skipped = path, skipped_rows=}; raises a message on what stops the run
return function(rows, out, opts)
  local o = options.check("prepare.run", opts, { name = "images", faithful = false, squash = false, size = 224,
    quality = 95, level = 40, fit = "crop", fresh = false, each = options.optional, progress = options.optional })
  local settings = { faithful = o.faithful, squash = o.squash, size = o.size, quality = o.quality, level = o.level,
    fit = o.fit ~= "crop" and o.fit or nil }
  try(files.mkdir_p(out))
  local guard <close> = lock(out) -- luacheck: ignore guard
  local tasks, seen = plan(rows, out)
  local folders = { [out] = true }
  for _, task in ipairs(tasks) do
    if task.path then folders[files.dirname(task.path)] = true end
  end
  for folder in pairs(folders) do
    try(files.mkdir_p(folder))
    files.sweep(folder)
  end
  local journal = Journal.open(out, o.name, settings, o.fresh)
  for _, record in ipairs(journal.records) do
    if not seen[record.to] then
      error(("%s: holds %s, which is not among the images now; choose another --out, or --fresh to start over")
        :format(files.show(journal.path), files.show(record.to)), 0)
    end
  end

  local todo, without = {}, {}
  for _, task in ipairs(tasks) do
    if not is_done(task, journal:find(task.to)) then
      if task.status then without[#without + 1] = record_of(task) else todo[#todo + 1] = task end
    end
  end
  journal:append(without)

  local started = uv.hrtime()
  local meter <close> = o.progress and o.progress(#todo) or nil
  local step = o.each and core.threads() or BATCH
  for first = 1, #todo, step do
    local last = math.min(first + step - 1, #todo)
    run_batch(todo, first, last, settings, journal)
    if meter then meter:add(last - first + 1) end
    if o.each then
      for i = first, last do o.each(i, (uv.hrtime() - started) / 1e9) end
    end
  end
  local seconds = (uv.hrtime() - started) / 1e9
  if meter and meter.done then meter:done() end

  local order, counts = {}, {}
  for i, row in ipairs(rows) do order[i] = row.to end
  journal:sort(order)
  for _, record in ipairs(journal.records) do counts[record.status] = (counts[record.status] or 0) + 1 end
  for folder in pairs(folders) do files.sweep(folder) end -- a process killed just now may have been alive before
  local tables, skipped, skipped_rows = write_tables(out, o.name, rows, journal, o.faithful)
  return { written = counts.written or 0, counts = counts, rows = #rows, done_now = #todo,
    resumed = #rows - #todo - #without, seconds = seconds, tables = tables, skipped = skipped,
    skipped_rows = skipped_rows }
end
