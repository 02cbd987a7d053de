--- luma: a Lua 5.4-scriptable numerical runtime.  This file assembles the
-- package and nothing else: the core's ops, and the modules on first use.

local boot = require "luma.boot" -- before the core: chooses OpenBLAS's kernels
boot()
local core = require "luma.core"
boot(true)

local modules, names = {}, {}
for name in ([[audit data explain files grad help image info json learn metrics models nn optim options plot prepare
  progress ref repl report stats store tape text train]]):gmatch "%S+" do
  modules[name], names[#names + 1] = "luma." .. name, name
end

-- Ops are looked up first, then modules are loaded when they are first named.
local luma = { core = core, _VERSION = "luma 0.1", modules = names }
for key, value in pairs(core) do
  if type(value) == "function" then luma[key] = value end
end

return setmetatable(luma, {
  __index = function(self, key)
    local path = modules[key]
    if not path then return nil end
    local module = require(path)
    rawset(self, key, module)
    return module
  end,
})
