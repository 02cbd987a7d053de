describe("luma", function()
  local luma = require "luma"
  it("loads and makes a tensor", function()
    local x <close> = luma.zeros(2, 3)
    assert.same({ 2, 3 }, { x:shape() })
  end)
  it("uses OpenBLAS kernels that suit the processor", function()
    local info = luma.cpu_info()
    if info.isa ~= "plain" then assert.is_nil(info.blas_core:match "Prescott") end
  end)
end)
