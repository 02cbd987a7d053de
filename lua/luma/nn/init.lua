--- luma.nn: modules with weights.  `nn.Linear(4, 2)` makes one, `layer(x)` runs
-- it; what a module is stands in nn/module.lua.

local nn = { Module = require "luma.nn.module", init = require "luma.nn.initialise" }
for _, file in ipairs { "layers", "container" } do
  for name, constructor in pairs(require("luma.nn." .. file)) do nn[name] = constructor end
end

--- nn.compile(module [, opts]): a frozen network made ready for inference.
function nn.compile(module, opts)
  return require "luma.nn.compile"(module, opts)
end

return nn
