-- The command line's entry: hands over to the command named first.
local luma = require "luma"
print(luma._VERSION)
