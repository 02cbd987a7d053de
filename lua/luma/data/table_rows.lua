--- luma.data.table_rows: what the readers of the collections share: finding a
-- column, selecting rows, and turning the rows of a table into rows of an index.
-- A row whose image is absent is normal life: it is left out, counted and named
-- in index.missing.  A name that leads out of its folder, or one image with two
-- classes, is an error.

local files = require "luma.base.files"
local indexes = require "luma.data.index"

local table_rows = {}

local function fail(message, code) return nil, message, code or "data" end

-- A folder that must be there.
function table_rows.need_folder(dir, why)
  local kind = files.kind(dir)
  if kind == "directory" then return true end
  return fail(("%s: %s%s"):format(files.show(dir), kind and "is not a folder" or "no such folder", why or ""), "io")
end

-- The column that one of several spellings names (case does not matter).
function table_rows.column(rows, ...)
  for _, want in ipairs { ... } do
    for _, name in ipairs(rows.columns) do
      if name:lower() == want then return name end
    end
  end
end

-- "finding = COVID-19, view = PA or AP" for messages.
function table_rows.words(conditions)
  local out = {}
  for key, want in pairs(conditions) do
    if type(want) == "table" then want = table.concat(want, " or ") end
    if type(want) == "function" then want = "(a test)" end
    out[#out + 1] = ("%s = %s"):format(key, tostring(want))
  end
  table.sort(out, indexes.by_bytes)
  return table.concat(out, ", ")
end

-- The values a column holds, the most frequent first, for the message that
-- nothing matched.
function table_rows.values(rows, name)
  local counts, list = {}, {}
  for _, row in ipairs(rows) do
    local value = row[name] or "(empty)"
    if not counts[value] then list[#list + 1] = value end
    counts[value] = (counts[value] or 0) + 1
  end
  table.sort(list, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] > counts[b] end
    return indexes.by_bytes(a, b)
  end)
  for i, value in ipairs(list) do list[i] = ("%s (%d)"):format(files.show(value), counts[value]) end
  if #list > 8 then list[9] = "..." end
  return table.concat(list, ", ", 1, math.min(#list, 9))
end

-- Turns CSV rows into index rows.
--   rows: the parsed CSV;  dir: folder of the images
--   each(csv_row) -> row fields (name, class, patient, ...) or nil to leave it out
-- Returns rows, missing, notes | nil, message, code
function table_rows.gather(rows, dir, each)
  local out, missing, seen, doubles = {}, {}, {}, 0
  for i, meta in ipairs(rows) do
    local row = each(meta)
    if row then
      local line = rows.lines[i]
      if not row.class then
        return fail(("%s: line %d: no finding"):format(files.show(rows.path), line))
      end
      local path, exists, why = files.inside(dir, row.name or "")
      if not path then
        return fail(("%s: line %d: %s"):format(files.show(rows.path), line, exists), why)
      end
      local before = seen[row.name]
      if before and before.class ~= row.class then
        return fail(("%s: lines %d and %d give '%s' two classes, %s and %s"):format(files.show(rows.path),
          before.line, line, files.show(row.name), before.class, row.class))
      elseif before then
        doubles = doubles + 1
      else
        row.path, row.meta, row.line = path, meta, line
        seen[row.name] = row
        if exists then
          out[#out + 1] = row
        else
          missing[#missing + 1] = { name = row.name, path = path, line = line, class = row.class,
            meta = meta, reason = "no such file" }
        end
      end
    end
  end
  local notes = {}
  if doubles > 0 then
    notes[1] = ("%s: %d rows name an image a second time (same class); each image is kept once"):format(
      files.basename(rows.path), doubles)
  end
  if #out == 0 and #missing > 0 then
    return fail(("%s: none of the %d images is there (the first: %s)"):format(files.show(dir), #missing,
      files.show(missing[1].name)), "io")
  end
  return out, missing, notes
end

-- Keeps in `conditions` only real ones: nil and "any" ask for nothing.
function table_rows.only_real(conditions)
  for key, want in pairs(conditions) do
    if want == "any" or want == false then conditions[key] = nil end
  end
  return conditions
end

table_rows.fail = fail

return table_rows
