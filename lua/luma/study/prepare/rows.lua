--- luma.prepare.rows: what prepare.run is to do, from a collection on disk.
--
-- Results lie where the collection's place(row) says: covid-chestxray and rsna as in
-- the article's own folder, so that the prepared folder can be given to
-- `luma covid --data`; class folders in themselves, with dataset.csv.  A name is the
-- original's with ".jpg" appended (D5), whatever it ended in.

local collections = require "luma.data.collections"
local files = require "luma.base.files"
local indexes = require "luma.data.index"

local function matches(row, conditions)
  for column, want in pairs(conditions) do
    local value = indexes.field(row, column)
    if not indexes.wanted(value, want) and not (column == "finding" and indexes.wanted(row.class, want)) then
      return false
    end
  end
  return true
end

-- Every condition must be about something that at least one row knows.
local function check_columns(rows, conditions)
  for column in pairs(conditions) do
    local known
    for _, row in ipairs(rows) do
      if indexes.field(row, column) ~= nil then known = true break end
    end
    if not known then
      local names = {}
      for name in pairs(rows[1] and rows[1].meta or { class = true }) do names[#names + 1] = name end
      table.sort(names, indexes.by_bytes)
      return nil, ("no column '%s' to select by (known: %s)"):format(files.show(column), table.concat(names, ", "))
    end
  end
  return true
end

local function describe(conditions)
  local out = {}
  for column, want in pairs(conditions) do
    if type(want) == "table" then want = table.concat(want, " or ") end
    out[#out + 1] = ("%s = %s"):format(column, want)
  end
  table.sort(out, indexes.by_bytes)
  return table.concat(out, ", ")
end

-- What the columns of the conditions hold, for the message that nothing matched.
local function held(rows, conditions)
  local out = {}
  for column in pairs(conditions) do
    local seen, list = {}, {}
    for _, row in ipairs(rows) do
      local value = tostring(indexes.field(row, column) or "(empty)")
      if not seen[value] then seen[value], list[#list + 1] = true, files.show(value) end
    end
    table.sort(list, indexes.by_bytes)
    if #list > 8 then list[9] = "..." end
    out[#out + 1] = ("; %s holds %s"):format(column, table.concat(list, ", ", 1, math.min(#list, 9)))
  end
  table.sort(out)
  return table.concat(out)
end

--- The rows of a source (the name of a collection; nil for the one recognised) below
-- dir, images that are absent included (run counts and lists them), in the order
-- of the table that names them.
-- @param where {column = value or list of values}, matched exactly; "article"
--   for the article's own selection
-- @param limit only the first so many of them
-- @param opts options that the collection takes: metadata, images, label, ...
-- @return rows, index (for its report), what was selected in words |
--   nil, message, code
return function(source, dir, where, limit, opts)
  local given = { scope = "all", source = source }
  for key, value in pairs(opts or {}) do given[key] = value end
  local index, message, code = collections.open(dir, given)
  if not index then return nil, message, code end
  local one = index.collection
  if where == "article" then
    if not one.selection then
      return nil, ("--selection is the article's choice among the rows of a table; %s has none"):format(one.what),
        "argument"
    end
    where = one.selection
  end
  local all = {}
  for _, row in ipairs(index) do all[#all + 1] = row end
  for _, row in ipairs(index.missing) do all[#all + 1] = row end
  for i, row in ipairs(all) do row.at = i end
  if one.ordered then -- one table: its lines are the order
    table.sort(all, function(a, b)
      if a.line ~= b.line then return a.line < b.line end
      return a.at < b.at
    end)
  end
  local ok
  ok, message = check_columns(all, where or {})
  if not ok then return nil, ("%s: %s"):format(files.show(dir), message), "data" end
  local rows = {}
  for _, row in ipairs(all) do
    if #rows >= (limit or math.huge) then break end
    if matches(row, where or {}) then
      local target, name = one.place(row)
      local to = files.join(target.folder, name)
      rows[#rows + 1] = { path = row.path, name = row.name, class = row.class, line = row.line, to = to,
        table = target.table, listed = target.listed and to or name, source = row }
    end
  end
  if #rows == 0 then
    return nil, ("%s: no image with %s%s"):format(files.show(dir), describe(where or {}), held(all, where or {})),
      "data"
  end
  return rows, index, next(where or {}) and describe(where) or "every image"
end
