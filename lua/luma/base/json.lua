--- JSON over lua-cjson: pretty output with a stable key order, and no surprises.
--
-- Keys are written sorted; lists of plain values stay on one line; NaN and the
-- infinities become null (JSON has no word for them); numbers are written with
-- the fewest digits that read back to the same double.

local cjson = require "cjson"

local json = {}

local codec = cjson.new()
codec.decode_invalid_numbers(false)
codec.decode_max_depth(64)

local list_mark = {}

--- Marks a table as a list, so that an empty one is written as [].
function json.list(t)
  return setmetatable(t or {}, list_mark)
end

local function is_list(t)
  if getmetatable(t) == list_mark then return true end
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n > 0 and n == #t
end

local function number(v)
  if v ~= v or v == math.huge or v == -math.huge then return "null" end
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if v == math.floor(v) and math.abs(v) < 2 ^ 53 then return ("%.1f"):format(v) end
  for digits = 15, 17 do
    local s = ("%%.%dg"):format(digits):format(v)
    if tonumber(s) == v then return s end
  end
end

-- JSON is UTF-8: bytes that are not are written as the text \xE9, like control
-- characters of file names in messages.
local function quoted(s)
  if not utf8.len(s) then s = s:gsub("[\x80-\xff]", function(c) return ("\\x%02x"):format(c:byte()) end) end
  return (codec.encode(s):gsub("\\/", "/"))
end

local write

local function write_list(out, t, indent)
  local plain = true
  for i = 1, #t do plain = plain and type(t[i]) ~= "table" end
  local inner = indent .. "  "
  out[#out + 1] = "["
  for i = 1, #t do
    out[#out + 1] = (i > 1 and "," or "") .. (plain and (i > 1 and " " or "") or "\n" .. inner)
    write(out, t[i], inner)
  end
  out[#out + 1] = plain and "]" or "\n" .. indent .. "]"
end

local function write_object(out, t, indent)
  local keys = {}
  for key in pairs(t) do
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      error("json: a key must be a string or a whole number, got " .. type(key), 0)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  local inner = indent .. "  "
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    out[#out + 1] = (i > 1 and ",\n" or "\n") .. inner .. quoted(tostring(key)) .. ": "
    write(out, t[key], inner)
  end
  out[#out + 1] = #keys > 0 and "\n" .. indent .. "}" or "}"
end

function write(out, value, indent)
  if #indent > 128 then error("json: nested deeper than 64 levels (a cycle?)", 0) end
  local kind = type(value)
  if value == nil or value == cjson.null then
    out[#out + 1] = "null"
  elseif kind == "number" then
    out[#out + 1] = number(value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif kind == "string" then
    out[#out + 1] = quoted(value)
  elseif kind == "table" then
    if is_list(value) then write_list(out, value, indent) else write_object(out, value, indent) end
  else
    error("json: cannot write a " .. kind, 0)
  end
end

--- The value as JSON text, ending with a newline.
function json.encode(value)
  local out = {}
  write(out, value, "")
  out[#out + 1] = "\n"
  return table.concat(out)
end

--- The value on one line, without a newline at the end.
function json.line(value)
  return (json.encode(value):gsub("\n%s*", "")) -- inside strings newlines are escaped
end

-- cjson reads every number as a float: whole ones become integers again, and
-- null becomes nil.
local function tidy(value)
  if value == cjson.null then return nil end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = tidy(item) end
  elseif math.type(value) == "float" and math.abs(value) < 2 ^ 53 and value == math.floor(value) then
    return math.tointeger(value)
  end
  return value
end

--- The value of a JSON text; null is nil and whole numbers are integers.
-- Returns nil, message when it is not JSON.
function json.decode(source)
  local ok, value = pcall(codec.decode, source)
  if not ok then return nil, "not JSON: " .. tostring(value) end
  return tidy(value)
end

return json
