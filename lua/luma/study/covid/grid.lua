--- A grid of the head's settings: "rate=1e-3,1e-4;dropout=0.3,0.5;epochs=30,60;l2=0,1e-4".
--
-- The grid is what nested cross-validation chooses from (experiment.nested).  It
-- is kept in config.json as the list of its combinations.

local text = require "luma.base.text"

local grid = {}

-- What may be varied: range of the values, and whether they are whole.
local known = {
  rate = { lo = 0, hi = 10, open = true }, dropout = { lo = 0, hi = 0.99 }, l2 = { lo = 0, hi = 1e6 },
  epochs = { lo = 1, hi = 1000000, whole = true }, c = { lo = 0, hi = 1e6, open = true },
}
local names = "rate, dropout, epochs, l2; c for --head logistic"

grid.limit = 256

local function fail(message, ...)
  error("--grid: " .. message:format(...), 0)
end

local function value_of(name, word)
  local rule, v = known[name], tonumber(word)
  if rule.whole then v = v and math.tointeger(v) end
  if not v or v ~= v or v < rule.lo or v > rule.hi or (rule.open and v == rule.lo) then
    fail("%s must be a %s %s %g up to %g, got '%s'", name, rule.whole and "whole number" or "number",
      rule.open and "above" or "from", rule.lo, rule.hi, text.printable(word, 40))
  end
  return v
end

--- grid.parse(words) -> list of { rate=, dropout=, epochs=, l2= } (only what the
-- grid names), the last name varying fastest; raises one line on a mistake.
function grid.parse(words)
  local axes, seen = {}, {}
  for part in words:gmatch "[^;]+" do
    local name, list = part:match "^%s*(%w+)%s*=%s*(.-)%s*$"
    if not name or not known[name] then
      fail("'%s' is not NAME=VALUE,... (names: %s)", text.printable(part, 60), names)
    end
    if seen[name] then fail("%s is given twice", name) end
    seen[name] = true
    local axis, had = { name = name }, {}
    for word in list:gmatch "[^,]+" do
      local v = value_of(name, word:match "^%s*(.-)%s*$")
      if not had[v] then axis[#axis + 1] = v end
      had[v] = true
    end
    if #axis == 0 then fail("%s has no value", name) end
    axes[#axes + 1] = axis
  end
  if #axes == 0 then fail("nothing to choose from (names: %s)", names) end
  local list = { {} }
  for _, axis in ipairs(axes) do
    local longer = {}
    for _, combination in ipairs(list) do
      for _, v in ipairs(axis) do
        local one = {}
        for key, kept in pairs(combination) do one[key] = kept end
        one[axis.name] = v
        longer[#longer + 1] = one
      end
      if #longer > grid.limit then fail("more than %d combinations", grid.limit) end
    end
    list = longer
  end
  return list
end

--- "rate 0.001, dropout 0.5": a combination in words, always in the same order.
function grid.words(setting)
  local out = {}
  for _, name in ipairs { "rate", "dropout", "epochs", "l2", "c" } do
    if setting[name] then out[#out + 1] = ("%s %g"):format(name, setting[name]) end
  end
  return table.concat(out, ", ")
end

--- The settings of a run with those of a combination put over them.
function grid.over(config, setting)
  return setmetatable(setting and { rate = setting.rate, dropout = setting.dropout, l2 = setting.l2,
    c = setting.c,
    epochs = setting.epochs and math.tointeger(setting.epochs) } or {}, { __index = config })
end

return grid
