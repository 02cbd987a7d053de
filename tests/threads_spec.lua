-- The same bits for any number of threads, forward through every kind of kernel.
describe("threads", function()
  local luma = require "luma"
  local threads = luma.threads()
  after_each(function() luma.threads(threads) end)

  it("are set and read with one knob", function()
    assert.equal(2, luma.threads(2))
    assert.equal(2, luma.threads())
    local ok, message = pcall(luma.threads, 0)
    assert.is_false(ok)
    assert.truthy(message:find("threads must be in 1..64, got 0", 1, true), message)
  end)

  it("do not change a bit of any result", function()
    luma.seed(21)
    local x, long = luma.randn(257, 513), luma.randn(400000)
    local a, b, batch = luma.randn(700, 300), luma.randn(300, 500), luma.randn(40, 30, 20)
    local wide, ids = luma.randn(3000, 70), luma.randint(1, 3000, 5000)
    local work = {
      add = function() return x + x[1] end, exp = function() return x:exp() end,
      tanh = function() return long:tanh() end,
      pow = function() return x:abs() ^ 1.7 end, gt = function() return x:gt(0) end,
      u8 = function() return x:to "u8" end,
      transpose = function() return x:t():contiguous() end, sum = function() return long:sum() end,
      rows = function() return x:sum(2) end, columns = function() return wide:sum(1) end,
      mean = function() return long:mean() end, var = function() return wide:var(1) end,
      std = function() return long:std() end, argmax = function() return long:argmax() end,
      norm = function() return long:norm() end,
      matmul = function() return luma.matmul(a, b) end, tmatmul = function() return luma.matmul(b:t(), a:t()) end,
      double = function() return luma.matmul(a:to "f64", b:to "f64") end,
      batched = function() return luma.matmul(batch, batch:transpose(2, 3)) end,
      cumsum = function() return wide:cumsum() end, sort = function() return wide:sort(1) end,
      index_add = function() return luma.zeros(3000, 70):index_add(1, ids, wide:index_select(1, ids)) end,
    }
    local want = {}
    luma.threads(1)
    for name, f in pairs(work) do want[name] = f():bytes() end
    for n = 2, 3 do
      luma.threads(n)
      for name, f in pairs(work) do assert.is_true(want[name] == f():bytes(), name .. " with " .. n .. " threads") end
    end
  end)

  it("follow LUMA_THREADS, clamped", function()
    local function ask(environment)
      local f = assert(io.popen(("env %s lua5.4 -e 'io.write(require \"luma\".threads())' 2>&1"):format(environment)))
      local n = f:read "a"
      f:close()
      return n
    end
    local default = ask "-u LUMA_THREADS"
    for wish, want in pairs { ["0"] = "1", ["-3"] = "1", ["5"] = "5", ["100000"] = "64", [""] = default } do
      assert.equal(want, ask("LUMA_THREADS=" .. wish))
    end
    assert.matches("LUMA_THREADS must be a whole number, got 'abc'", ask "LUMA_THREADS=abc")
  end)
end)
