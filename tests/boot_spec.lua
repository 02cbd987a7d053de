-- A plain lua5.4 with require "luma": the right OpenBLAS kernels, and the user's
-- own environment for the programs started from it.
describe("boot", function()
  local luma = require "luma"

  local function run(environment, script)
    local quoted = ("%q"):format((script:gsub("\n%s*", " "))):gsub("%$", "\\$") -- the shell must not expand it
    local f = assert(io.popen(("env -u OPENBLAS_CORETYPE -u OPENBLAS_NUM_THREADS %s lua5.4 -e %s 2>&1"):format(
      environment, quoted)))
    local text = f:read "a"
    f:close()
    return text
  end
  local core = "io.write(require'luma'.cpu_info().blas_core)"
  local child = [[
    local luma = require 'luma'
    local f = io.popen('echo ${OPENBLAS_CORETYPE-unset} ${OPENBLAS_NUM_THREADS-unset}')
    io.write(f:read 'a')]]

  it("picks kernels that suit the processor", function()
    local name = run("", core):lower()
    if luma.cpu_info().isa == "avx512" then
      assert.truthy(name == "skylakex" or name == "cooperlake" or name == "sapphirerapids" or name == "zen", name)
    elseif luma.cpu_info().isa == "avx2" then
      assert.truthy(name == "haswell" or name == "zen" or name == "skylakex", name)
    end
    assert.is_nil(name:find "prescott")
  end)

  it("leaves the user's own choice alone", function()
    if luma.cpu_info().isa ~= "plain" then
      assert.equal("haswell", run("OPENBLAS_CORETYPE=Haswell", core):lower())
    end
  end)

  it("shows children the environment as it was", function()
    assert.equal("unset unset\n", run("", child))
    assert.equal("Haswell 5\n", run("OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=5", child))
  end)

  it("does not touch floating point: subnormals stay", function()
    assert.equal("true", run("", "require'luma' io.write(tostring(2.2250738585072014e-308 / 4 > 0))"))
  end)

  it("loads twice in one process, and after the first state has closed its tensors", function()
    assert.equal("ok", run("", [[
      local luma = require 'luma'
      local x = luma.ones(1000)
      package.loaded['luma'], package.loaded['luma.core'] = nil, nil
      local again = require 'luma'
      io.write(again.ones(3):sum():item() == 3 and x:sum():item() == 1000 and 'ok' or 'bad')]]))
  end)
end)

describe("info", function()
  local luma = require "luma"
  it("tells what is in use", function()
    local info = luma.info()
    assert.equal(luma.threads(), info.threads)
    assert.truthy(info.png:match "^%d+%.%d+%.%d+")
    assert.truthy(info.jpeg:match "^libjpeg")
    assert.truthy(info.memory.limit > 0)
    local text = tostring(info)
    assert.truthy(text:find(info.blas_core, 1, true))
    assert.truthy(text:find("threads          " .. luma.threads(), 1, true))
    assert.truthy(text:find("^luma 0%.%d+ on Lua 5%.4\n"))
  end)
end)
