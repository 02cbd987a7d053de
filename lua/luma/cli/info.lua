--- luma info: what this build runs on.

local luma = require "luma"

return {
  name = "info",
  summary = "show the instruction set, threads, BLAS kernels and memory in use",
  parser = function() end,
  run = function()
    print(luma.info())
    return 0
  end,
}
