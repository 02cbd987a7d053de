--- luma.info: what this build runs on.

local core = require "luma.core"
local version = require "luma.base.version"

local Info = {}

--- One line per fact; says so when OpenBLAS runs kernels too old for the processor.
function Info:__tostring()
  local generic = self.isa ~= "plain" and self.blas_core:lower():find "prescott"
  return table.concat({
    self.version,
    ("instruction set  %s"):format(self.isa),
    ("threads          %d"):format(self.threads),
    ("OpenBLAS         %s kernels, %s%s"):format(self.blas_core, self.blas_config,
      generic and "\n                 (generic kernels, several times too slow: set OPENBLAS_CORETYPE)" or ""),
    ("L2 cache         %d KiB a core"):format(self.l2_bytes // 1024),
    ("images           libpng %s, %s"):format(self.png, self.jpeg),
    ("memory           %.1f MiB in use, limit %.1f GiB"):format(self.memory.live / 2 ^ 20, self.memory.limit / 2 ^ 30),
  }, "\n")
end

--- info() -> table: version, isa, threads, blas_core, blas_config, l2_bytes,
-- png, jpeg, memory (see luma.memory); it prints as a short list.
return function()
  local info = core.cpu_info()
  info.version = version .. " on " .. _VERSION
  info.memory = core.memory()
  return setmetatable(info, Info)
end
