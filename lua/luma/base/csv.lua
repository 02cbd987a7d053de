--- luma.data.csv: comma-separated tables as RFC 4180 has them, and as the
-- world writes them: byte order marks, CRLF or CR, newlines in quotes, header
-- names with leading spaces, unnamed columns.
--
-- Everything is text: a field is a string, an empty field is nil (pandas' NaN),
-- and nothing is guessed.  csv.number and csv.integer convert, with "." as the
-- decimal point in every locale.  Reading is linear in the size of the file.

local files = require "luma.base.files"
local options = require "luma.base.options"

local csv = {}

-- What a file that is no CSV looks like, by its first bytes.
local function foreign(text)
  local head = text:sub(1, 512)
  if head:find("^\xff\xfe") or head:find("^\xfe\xff") then return "UTF-16 text; save it as UTF-8" end
  if head:find("^version https?://git%-lfs") or head:find("^version https?://%g+/spec/v1\n") then
    return "a Git LFS pointer; fetch the file it stands for"
  end
  if head:lower():find("^[\xef\xbb\xbf%s]*<!doctype html") or head:lower():find("^[\xef\xbb\xbf%s]*<html") then
    return "an HTML page, perhaps an error page that was saved"
  end
  if head:find("^\x89PNG") or head:find("^\xff\xd8\xff") then return "an image" end
  if head:find("^PK[\3\5\7]") then return "a zip archive or a spreadsheet; export it as CSV" end
  if head:find("^\x1f\x8b") then return "a gzip archive; unpack it first" end
  if text:find("\0", 1, true) then
    local _, nuls = head:gsub("%z", "")
    return nuls > #head / 4 and "UTF-16 text; save it as UTF-8" or "binary data"
  end
end

-- Splits text into records.  each(fields, count, line) gets one record; fields
-- [i] is a string or nil.  Returns nil and a message on a broken quote.
local function scan(text, separator, each)
  local find, sub = string.find, string.sub
  local stop = ("[%s\r\n]"):format(separator == "\t" and "\t" or "%" .. separator)
  local at, line, length = 1, 1, #text
  while at <= length do
    local fields, count, start = {}, 0, line
    local blank = true
    while true do -- one field a turn
      count = count + 1
      local value, next_at
      if sub(text, at, at) == '"' then
        blank = false
        local parts, from = {}, at + 1
        while true do
          local quote = find(text, '"', from, true)
          if not quote then return nil, ("line %d: a quote is opened and never closed"):format(line) end
          parts[#parts + 1] = sub(text, from, quote - 1)
          if sub(text, quote + 1, quote + 1) ~= '"' then
            at = quote + 1
            break
          end
          parts[#parts + 1] = '"'
          from = quote + 2
        end
        value = table.concat(parts)
        next_at = find(text, stop, at) or length + 1
        if next_at > at and find(sub(text, at, next_at - 1), "%S") then
          return nil, ("line %d: text after the closing quote of field %d"):format(line, count)
        end
        local _, crlf = value:gsub("\r\n", "")
        local _, lf = value:gsub("\n", "")
        local _, cr = value:gsub("\r", "")
        line = line + lf + cr - crlf
        if value == "" then value = nil end
      else
        next_at = find(text, stop, at) or length + 1
        if next_at > at then
          value = sub(text, at, next_at - 1)
          if blank and find(value, "%S") then blank = false end
        end
      end
      fields[count] = value
      at = next_at
      if sub(text, at, at) ~= separator then break end
      blank = false
      at = at + 1
    end
    if sub(text, at, at + 1) == "\r\n" then at = at + 2 else at = at + 1 end
    if not blank then
      local go, message = each(fields, count, start)
      if not go then return nil, message end
    end
    line = line + 1
  end
  return true
end

local function header_names(fields, count)
  local columns = {}
  for i = 1, count do
    local name = (fields[i] or ""):gsub("^%s+", ""):gsub("%s+$", "")
    columns[i] = name ~= "" and name or ("unnamed %d"):format(i)
  end
  return columns
end

-- The columns found, shortened, for an error text.
local function shown(columns)
  local out = {}
  for i = 1, math.min(#columns, 24) do out[i] = files.show(columns[i]):sub(1, 40) end
  if #columns > 24 then out[25] = ("... %d in all"):format(#columns) end
  return table.concat(out, ", ")
end

local function check_columns(columns, required)
  local seen = {}
  for i, name in ipairs(columns) do
    if seen[name] then
      return nil, ("line 1: column '%s' stands twice, at %d and %d (columns: %s)"):format(
        files.show(name), seen[name], i, shown(columns))
    end
    seen[name] = i
  end
  for _, name in ipairs(required or {}) do
    if not seen[name] then
      if #columns == 1 then
        for separator, word in pairs { [";"] = "';'", ["\t"] = "tabs" } do
          if columns[1]:find(separator, 1, true) then
            return nil, ("line 1: no column '%s': the fields look separated by %s, not by ','"):format(name, word)
          end
        end
      end
      return nil, ("line 1: no column '%s' (columns: %s)"):format(name, shown(columns))
    end
  end
  return true
end

--- Parses CSV text.
-- @param text the bytes
-- @param opts separator ("," by default); require: list of column names that
--   must be there; header: list of names for a table that has no header line;
--   fallback: list of names to use when the first line holds none of them (the
--   header is then taken to be missing, and rows.headerless is true); empty =
--   true to accept a table without rows
-- @return rows: a list of {name = string or nil}, with rows.columns (names in
--   order) and rows.lines (line number of each row) | nil, message, "damaged"
function csv.parse(text, opts)
  local o = options.check("csv.parse", opts, {
    separator = ",", require = options.optional, header = options.optional,
    fallback = options.optional, empty = false,
  })
  if type(text) ~= "string" then error(("csv.parse: text must be a string, got %s"):format(type(text)), 2) end
  if type(o.separator) ~= "string" or #o.separator ~= 1 or o.separator:find '[%w"\r\n]' then
    error("csv.parse: option separator must be one character, no letter, digit, quote or newline", 2)
  end
  local function fail(message) return nil, message, "damaged" end
  local what = foreign(text)
  if what then return fail("not a CSV file: it looks like " .. what) end
  if text:sub(1, 3) == "\xef\xbb\xbf" then text = text:sub(4) end
  -- Spreadsheets may name the separator in a line of its own before the header.
  local said = text:match "^[sS][eE][pP]=([^%w\"\r\n])\r?\n"
  if said then text, o.separator = text:gsub("^[^\n]*\n", "", 1), said end
  if not text:find "%S" then return fail "the file is empty" end

  local rows = { columns = o.header, lines = {} }
  if o.header then
    local ok, message = check_columns(o.header, o.require)
    if not ok then return fail(message) end
  end
  local columns = o.header
  local ok, message = scan(text, o.separator, function(fields, count, line)
    if not columns then
      columns = header_names(fields, count)
      if o.fallback then
        local known = {}
        for _, name in ipairs(o.fallback) do known[name] = true end
        local hit = false
        for _, name in ipairs(columns) do hit = hit or known[name] and not name:find "^unnamed %d" end
        if not hit and count == #o.fallback then columns, rows.headerless = o.fallback, true end
      end
      rows.columns = columns
      local good, why = check_columns(columns, o.require)
      if not good then return nil, why end
      if not rows.headerless then return true end
    end
    if count ~= #columns then
      return nil, ("line %d: %d fields where the header has %d (columns: %s)"):format(
        line, count, #columns, shown(columns))
    end
    local row = {}
    for i = 1, count do row[columns[i]] = fields[i] end
    rows[#rows + 1] = row
    rows.lines[#rows] = line
    return true
  end)
  if not ok then return fail(message) end
  if #rows == 0 and not o.empty then
    return fail(("it has a header and no rows (columns: %s)"):format(shown(rows.columns)))
  end
  return rows
end

--- Reads a CSV file; options and result as csv.parse, errors as "path: reason".
-- rows.path keeps the path.
-- @return rows | nil, message, code
function csv.read(path, opts)
  local text, message, code = files.read(path, 256 << 20)
  if not text then return nil, message, code end
  local rows
  rows, message, code = csv.parse(text, opts)
  if not rows then return nil, ("%s: %s"):format(files.show(path), message), code end
  rows.path = path
  return rows
end

--- A finite decimal number with "." as the point, or nil: no hexadecimal, no
-- "nan", no surrounding space.
function csv.number(text)
  if type(text) ~= "string" then return nil end
  local digits = text:match "^[+-]?(.+)$"
  if not digits or not (digits:find "^%d+%.?%d*$" or digits:find "^%.%d+$"
    or digits:find "^%d+%.?%d*[eE][+-]?%d+$" or digits:find "^%.%d+[eE][+-]?%d+$") then
    return nil
  end
  local n = tonumber((text:gsub("^%+", "")))
  if n and n == n and n ~= math.huge and n ~= -math.huge then return n end
end

--- A whole number that fits an integer, or nil.
function csv.integer(text)
  if type(text) ~= "string" or not text:find "^[+-]?%d+$" then return nil end
  local n = tonumber((text:gsub("^%+", "")))
  return n and math.type(n) == "integer" and n or nil
end

-- One value as a field.  Nothing is ever changed to please a spreadsheet: a
-- text that starts with "=" is that text.
local function field(value)
  if value == nil or value ~= value then return "" end
  local text
  if math.type(value) == "float" then
    text = ("%.15g"):format(value)
    if tonumber(text) ~= value then text = ("%.17g"):format(value) end
    return (text:gsub(",", "."))
  end
  text = tostring(value)
  if text:find '[,"\r\n]' or text:find "^%s" or text:find "%s$" then
    return '"' .. text:gsub('"', '""') .. '"'
  end
  return text
end

--- Formats rows as CSV text, lines ended by "\n".
-- @param columns names in order; "" and "unnamed N" are written as empty names
-- @param rows list of {name = value}; nil and NaN become empty fields
-- @param header false leaves the first line out
function csv.format(columns, rows, header)
  local lines = {}
  if header ~= false then
    local names = {}
    for i, name in ipairs(columns) do names[i] = name:find "^unnamed %d+$" and "" or field(name) end
    lines[1] = table.concat(names, ",")
  end
  for _, row in ipairs(rows) do
    local fields = {}
    for i, name in ipairs(columns) do fields[i] = field(row[name]) end
    local text = table.concat(fields, ",")
    lines[#lines + 1] = text ~= "" and text or '""' -- a row of one empty field is not a blank line
  end
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

--- Writes rows to a file, whole or not at all.
-- @return true | nil, message, code
function csv.write(path, columns, rows, header)
  if type(columns) ~= "table" or type(rows) ~= "table" then
    error("csv.write: expected (path, columns, rows [, header])", 2)
  end
  return files.write_atomic(path, csv.format(columns, rows, header))
end

return csv
