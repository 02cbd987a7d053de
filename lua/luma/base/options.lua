--- luma.options: the one trailing options table that functions take.
-- An unknown key is an error that names the known ones; a value of another
-- type than the default's is an error that names both.

local options = {}

--- Stands for "known, but without a default": the merged table has no such key
-- unless the caller gave it.
options.optional = setmetatable({}, { __tostring = function() return "optional" end })

--- Merges what a caller gave with the defaults.
-- @param fname name of the function, for the error text
-- @param given the caller's table, or nil
-- @param defaults {key = default, ...}; options.optional for "no default"
-- @param level where errors point: 3 (the default) is the caller of the
--   function that calls check
-- @return a new table: defaults overlaid by what was given
function options.check(fname, given, defaults, level)
  level = level or 3
  if given ~= nil and type(given) ~= "table" then
    error(("%s: options table expected, got %s"):format(fname, type(given)), level)
  end
  local merged = {}
  for key, value in pairs(defaults) do
    if value ~= options.optional then merged[key] = value end
  end
  for key, value in pairs(given or {}) do
    local default = defaults[key]
    if default == nil then
      local known = {}
      for name in pairs(defaults) do known[#known + 1] = tostring(name) end
      table.sort(known)
      error(("%s: unknown option '%s' (known: %s)"):format(fname, tostring(key), table.concat(known, ", ")), level)
    end
    -- Numbers and booleans are checked here; tables, functions and strings often
    -- stand for one another (a name or a table), so their users check them.
    if type(default) == "number" and type(value) ~= "number" then
      error(("%s: option %s must be a number, got %s"):format(fname, key, type(value)), level)
    end
    merged[key] = value
  end
  return merged
end

--- Raises unless value is a whole number in lo..hi; returns it as an integer.
function options.integer(fname, key, value, lo, hi, level)
  local n = math.tointeger(value)
  if type(value) ~= "number" or not n or n < lo or (hi and n > hi) then
    local range = hi and ("in %d..%d"):format(lo, hi) or (">= %d"):format(lo)
    error(("%s: option %s must be a whole number %s, got %s"):format(fname, key, range, tostring(value)),
      (level or 2) + 1)
  end
  return n
end

--- Raises unless value is one of the given strings; returns it.
function options.choice(fname, key, value, choices, level)
  for _, choice in ipairs(choices) do
    if value == choice then return value end
  end
  local shown = {}
  for i, choice in ipairs(choices) do shown[i] = tostring(choice) end
  error(("%s: option %s must be one of %s, got '%s'"):format(fname, key, table.concat(shown, ", "),
    tostring(value)), (level or 2) + 1)
end

return options
