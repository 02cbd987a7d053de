--- luma info: what this build runs on.

local luma = require "luma"

return {
  name = "info",
  summary = "show the instruction set, threads, BLAS kernels and memory in use",
  parser = function() end,
  run = function()
    local cpu, memory = luma.cpu_info(), luma.memory()
    print(luma._VERSION .. " on " .. _VERSION)
    print(("instruction set  %s"):format(cpu.isa))
    print(("threads          %d"):format(cpu.threads))
    print(("OpenBLAS         %s kernels, %s"):format(cpu.blas_core, cpu.blas_config))
    print(("L2 cache         %d KiB a core"):format(cpu.l2_bytes // 1024))
    print(("memory limit     %.1f GiB"):format(memory.limit / 2 ^ 30))
    return 0
  end,
}
