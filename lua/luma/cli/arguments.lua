--- Converters for argparse: a number as typed, or nil and one line that names
-- the option, the range and what was given.

local text = require "luma.base.text"

local arguments = {}

--- A whole number in lo..hi.
function arguments.whole(name, lo, hi)
  return function(value)
    local n = math.tointeger(tonumber(value))
    if n and n >= lo and n <= hi then return n end
    return nil, ("--%s must be a whole number in %d..%d, got '%s'"):format(name, lo, hi, text.printable(value, 40))
  end
end

return arguments
