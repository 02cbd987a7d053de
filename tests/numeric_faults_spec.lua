-- Numerical faults that were found and mended, each with the right value (from
-- PyTorch, NumPy, SciPy or analysis) and its siblings.
describe("mended faults:", function()
  local luma = require "luma"
  local T = luma.tensor
  local function close(want, got, tolerance)
    local bound = (tolerance or 1e-6) * math.max(1e-300, math.abs(want))
    assert.truthy(math.abs(want - got) <= bound, ("%g, want %g"):format(got, want))
  end

  it("an assignment whose value is followed is refused", function()
    for _, put in ipairs {
      function(z, v) z[{ { 1, 2 } }] = v end, function(z, v) z[2] = v:sum() end,
      function(z, v) z:set({ { 1, 2 } }, v) end, function(z, v) z:copy_(v) end,
    } do
      local v = T { 1, 2 }:requires_grad()
      local _ <close> = luma.tape()
      local ok, message = pcall(put, luma.zeros(2), v * 2)
      assert.is_false(ok)
      assert.matches("gradients do not flow through a change in place", message)
    end
  end)

  it("mod passes da = 1, db = -floor(a/b)", function()
    local a, b = T { 5.5, -5.5 }:requires_grad(), T { 2, 2 }:requires_grad()
    local tape <close> = luma.tape()
    tape:backward(((a % b) * a + b * 0):sum())
    assert.same({ 7, -5 }, a:grad():totable())
    assert.same({ -11, -16.5 }, b:grad():totable())
  end)

  it("the transposed convolution and its weight's gradient are differentiable", function()
    local x, w = luma.randn(1, 4, 4, 2), luma.randn(3, 3, 1, 2)
    local o = { height = 4, width = 4, pad = "same" }
    local function loss(a, b) return (luma.conv2d_grad_input(a, b, o) ^ 2):sum() end
    for _, pair in ipairs { { x, function(v) return loss(v, w) end }, { w, function(v) return loss(x, v) end } } do
      local p = pair[1]:clone():requires_grad()
      local tape <close> = luma.tape()
      tape:backward(pair[2](p))
      local step, d = 1e-2, luma.randn({ p:shape() })
      local plain = pair[1]
      local slope = (pair[2](plain + d * step):item() - pair[2](plain - d * step):item()) / (2 * step)
      close(slope, (p:grad() * d):sum():item(), 2e-3)
    end
  end)

  it("second-order gradients are refused by name", function()
    local x = luma.rand(3):requires_grad()
    local _ <close> = luma.tape()
    local ok, message = pcall(luma.relu_grad, x * 2, luma.ones(3))
    assert.is_false(ok)
    assert.matches("relu_grad: second%-order gradients are not supported", message)
  end)

  it("gelu keeps its tails", function()
    local erf = { [-3] = -0.0040496941, [-5] = -1.43325786e-6, [-5.5] = -1.04442594e-7, [-6] = -5.91952587e-9 }
    local tanh = { [-3] = -0.0036373921, [-5] = -2.2917962e-7, [-5.5] = -5.92764026e-9, [-6] = -8.43964670e-11 }
    for x, want in pairs(erf) do close(want, T { x }:gelu():item(), 1e-5) end
    for x, want in pairs(tanh) do
      close(want, T { x }:gelu { form = "tanh" }:item(), 1e-5)
    end
  end)

  it("x^0 has slope 0 at 0, for a number and for a tensor", function()
    for _, f in ipairs { function(x) return x ^ 0 end, function(x) return x ^ T { 0, 0 } end } do
      local x = T { 0, 2 }:requires_grad()
      local tape <close> = luma.tape()
      tape:backward(f(x):sum())
      assert.same({ 0, 0 }, x:grad():totable())
    end
  end)

  it("a gradient has its tensor's type", function()
    local x = T { 1, 2 }:requires_grad()
    do
      local tape <close> = luma.tape()
      tape:backward((x:relu() * T({ 1, 3 }, "f64")):sum())
    end
    assert.equal("f32", x:grad():dtype())
    assert.same({ 1, 3 }, x:grad():totable())
    local tape <close> = luma.tape()
    tape:backward(x * 2, { gradient = T({ 1, 1 }, "i32") })
    assert.equal("f32", x:grad():dtype())
    assert.same({ 2, 2 }, x:grad():totable())
  end)

  it("tanh and sigmoid of f64 go back", function()
    for op, want in pairs { tanh = 0.78644773, sigmoid = 0.23500371 } do
      local x = T({ .5 }, "f64"):requires_grad()
      local tape <close> = luma.tape()
      tape:backward(x[op](x):sum())
      close(want, x:grad():item(), 1e-7)
      assert.equal("f64", x:grad():dtype())
    end
  end)

  it("ranges that an integer type cannot hold are refused", function()
    for _, f in ipairs {
      function() return luma.arange(254, 257, 1, "u8") end, function() return luma.arange(-1, 1, 1, "u8") end,
      function() return luma.linspace(0, 300, 3, "u8") end,
      function() return luma.arange(2147483646, 2147483649, 1, "i32") end,
      function() return luma.arange(0, 2, .5, "i32") end,
    } do
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.matches("does not fit", message)
    end
    assert.same({ 254, 255 }, luma.arange(254, 255, 1, "u8"):totable())
  end)

  it("max pooling keeps NaN wherever it stands, forward and back", function()
    for _, opts in ipairs { { kernel = 2 }, { kernel = 2, stride = 1 }, { kernel = 3, stride = 2, pad = 1 } } do
      for i = 1, 2 do
        for j = 1, 2 do
          local x = luma.arange(1, 4):to "f32":reshape(1, 2, 2, 1)
          x[{ 1, i, j, 1 }] = 0 / 0
          local y = x:max_pool2d(opts)
          assert.truthy(y:isnan():any():item() ~= 0, ("%d %d"):format(i, j))
          x:requires_grad()
          local tape <close> = luma.tape()
          tape:backward(x:max_pool2d(opts):sum())
          assert.truthy(x:grad()[{ 1, i, j, 1 }] >= 1, ("gradient %d %d"):format(i, j))
        end
      end
    end
  end)

  it("errors of x[0] and of backward stand at the user's line", function()
    local x = T { 1, 2 }
    for _, f in ipairs { function() return x[0] + 1 end, function() x[0] = 1 end, function() return x:sum(3) end } do
      assert.matches("numeric_faults_spec%.lua:%d+: ", select(2, pcall(f)))
    end
    local p = T { 1, 2 }:requires_grad()
    local tape <close> = luma.tape()
    local y = p * p
    p:fill_(3)
    local _, message = pcall(function() tape:backward(y:sum()) end)
    assert.matches("numeric_faults_spec%.lua:%d+: tensor saved by 'mul'", message)
  end)

  it("ipairs and pairs walk the first dimension", function()
    local seen = {}
    for i, v in ipairs(T { 5, 6 }) do seen[i] = v end
    assert.same({ 5, 6 }, seen)
    local rows = {}
    for i, row in pairs(T { { 1, 2 }, { 3, 4 } }) do rows[i] = row:totable() end
    assert.same({ { 1, 2 }, { 3, 4 } }, rows)
  end)

  it("a mask selects elements, a list of indices rows", function()
    local x = T { { 1, 2 }, { 3, 4 } }
    assert.same({ 3, 4 }, x[x:gt(T { 2 })]:totable())
    assert.same({ { 3, 4 }, { 1, 2 } }, x[T({ 2, 1 }, "i32")]:totable())
  end)

  it("a tape of a suspended or dead coroutine records nothing", function()
    local function zeros() return luma.dropout(luma.ones(1000), 0.5):eq(T { 0 }):to "f32":sum():item() end
    local dead = coroutine.create(function() local _ <close> = luma.tape() error "x" end)
    coroutine.resume(dead)
    assert.equal(0, zeros())
    local p = T { 2 }:requires_grad()
    local co = coroutine.create(function()
      local tape <close> = luma.tape()
      local y = p * p
      coroutine.yield()
      tape:backward(y:sum())
      return p:grad():item()
    end)
    coroutine.resume(co)
    assert.equal(0, zeros())
    do -- an outer tape records although the inner one is open elsewhere
      local tape <close> = luma.tape()
      local z = p * 3
      tape:backward(z:sum())
      assert.equal(3, p:grad():item())
    end
    assert.same({ true, 4 }, { coroutine.resume(co) })
  end)

  it("a cosine of N epochs trains in the Nth (PyTorch's CosineAnnealingLR)", function()
    local s = luma.optim.schedule.cosine { epochs = 4 }
    for epoch, want in ipairs { 1, 0.853553, 0.5, 0.146447 } do close(want, s:rate(1, epoch, 0), 1e-5) end
  end)

  it("batch_norm takes strided gamma and beta", function()
    local g = T { { 1, 2 }, { 3, 4 }, { 5, 6 } }:t()[1]
    local x, mean, var = luma.rand(4, 3), luma.zeros(3), luma.ones(3)
    local want = luma.batch_norm(x, g:contiguous(), g:contiguous(), mean, var, { training = false })
    assert.is_true(want:equal(luma.batch_norm(x, g, g, mean, var, { training = false })))
  end)

  it("messages say what to use instead", function()
    local x = T { 1, 2, 3 }
    assert.matches("x:flip reverses", select(2, pcall(function() return x[{ { 3, 1, -1 } }] end)))
    assert.matches("luma.stack", select(2, pcall(luma.tensor, { x, x })))
    assert.matches("got nan", select(2, pcall(luma.sum, x, 0 / 0)))
    local p = T { 1.5 }:requires_grad()
    local tape <close> = luma.tape()
    assert.matches("no gradient flows through 'round'", select(2, pcall(function() tape:backward(p:round():sum()) end)))
  end)
end)
