-- conv2d as Lua sees it: options, shapes, messages.  The numbers are held to
-- the double loops of luma.ref by tests/c/conv_test.c.
local luma = require "luma"

local function message(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return tostring(err)
end

describe("conv2d", function()
  local x, w = luma.zeros(2, 9, 8, 4), luma.zeros(3, 3, 4, 6)

  it("sizes its output by stride, padding and dilation", function()
    assert.same({ 2, 7, 6, 6 }, { luma.conv2d(x, w):shape() })
    assert.same({ 2, 9, 8, 6 }, { luma.conv2d(x, w, { pad = 1 }):shape() })
    assert.same({ 2, 9, 8, 6 }, { x:conv2d(w, luma.zeros(6), { pad = "same" }):shape() })
    assert.same({ 2, 5, 3, 6 }, { luma.conv2d(x, w, nil, { pad = "same", stride = { 2, 3 } }):shape() })
    assert.same({ 2, 5, 6, 6 }, { luma.conv2d(x, w, { dilation = { 2, 1 } }):shape() })
    assert.same({ 2, 10, 9, 6 }, { luma.conv2d(x, w, { pad = { 1, 2, 2, 1 } }):shape() })
    assert.same({ 0, 7, 6, 6 }, { luma.conv2d(luma.zeros(0, 9, 8, 4), w):shape() })
  end)

  it("gives gradients of the right shape", function()
    local dy = luma.zeros(2, 5, 4, 6)
    local geometry = { stride = 2, pad = 1 }
    assert.same({ 2, 9, 8, 4 },
      { luma.conv2d_grad_input(dy, w, { height = 9, width = 8, stride = 2, pad = 1 }):shape() })
    assert.same({ 3, 3, 4, 6 }, { luma.conv2d_grad_weight(x, dy, { kernel = 3, stride = 2, pad = 1 }):shape() })
    assert.same({ 6 }, { luma.conv2d_grad_bias(dy):shape() })
    local dx, dw = luma.ref.conv2d_grads(x, w, dy, geometry)
    assert.same({ 2, 9, 8, 4 }, { dx:shape() })
    assert.same({ 3, 3, 4, 6 }, { dw:shape() })
  end)

  it("names both values that do not fit", function()
    assert.matches("bad argument #2 to 'conv2d' %(weight expects 64 channels, input has 4%)",
      message(luma.conv2d, x, luma.zeros(3, 3, 64, 6)))
    assert.matches("bad argument #3 to 'conv2d' %(bias must have shape %[6%], got %[5%]%)",
      message(luma.conv2d, x, w, luma.zeros(5)))
    assert.matches("kernel 3x3 with dilation 5x5 does not fit input 9x8",
      message(luma.conv2d, x, w, { dilation = 5 }))
    assert.matches("unknown option 'strides' %(known: stride, pad, dilation, groups, relu%)",
      message(luma.conv2d, x, w, { strides = 2 }))
    assert.matches('"same", got \'valid\'', message(luma.conv2d, x, w, { pad = "valid" }))
    assert.matches("option stride must be a whole number >= 1", message(luma.conv2d, x, w, { stride = 0 }))
    assert.matches("3 groups do not divide 4 input and 6 output channels",
      message(luma.conv2d, x, w, { groups = 3 }))
    assert.matches("options height and width of the input are required",
      message(luma.conv2d_grad_input, luma.zeros(2, 5, 4, 6), w, {}))
    assert.matches("gradient must have the output's shape %[2x7x6x6%], got %[2x5x4x6%]",
      message(luma.conv2d_grad_input, luma.zeros(2, 5, 4, 6), w, { height = 9, width = 8 }))
  end)

  it("counts its arguments as the caller does", function()
    local wrong = { strides = 2 }
    assert.matches("bad argument #3 to 'conv2d'", message(luma.conv2d, x, w, wrong), 1, true)
    assert.matches("bad argument #4 to 'conv2d'", message(luma.conv2d, x, w, nil, wrong), 1, true)
    assert.matches("bad argument #4 to 'conv2d'", message(luma.conv2d, x, w, luma.zeros(6), wrong), 1, true)
    assert.matches("bad argument #3 to 'conv2d'", message(luma.conv2d, x, w, { stride = 0 }), 1, true)
    assert.matches("bad argument #3 to 'conv2d'", message(luma.conv2d, x, w, { pad = { 1 } }), 1, true)
    assert.matches("bad argument #3", message(luma.ref.conv2d, x, w, wrong), 1, true)
    assert.matches("bad argument #3", message(luma.conv2d, x, w, {}, {}), 1, true)
  end)

  it("tells which algorithm it takes", function()
    local info = luma.conv_info()
    assert.is_true(#info > 0)
    assert.is_string(info[1].when)
  end)

  -- Processors take a hundred times as long for such numbers, and the gradients
  -- of a saturated softmax are full of them.
  it("takes numbers below 1.2e-38 as zero, on every thread, and nothing else does", function()
    local tiny, ones = luma.full({ 1, 40, 40, 16 }, 1e-39), luma.ones(3, 3, 16, 16)
    local before = luma.threads()
    for threads = 1, 2 do
      luma.threads(threads)
      assert.equal(0, luma.max(luma.conv2d(tiny, ones)):item())
      assert.equal(0, luma.max(luma.conv2d_grad_weight(tiny, luma.ones(1, 38, 38, 16), { kernel = 3 })):item())
      assert.equal(0, luma.max(luma.linear(tiny:reshape(40, 640), luma.ones(640, 2))):item())
      assert.is_true(luma.min(luma.mul(tiny, 2)):item() > 0) -- the mode is back
    end
    luma.threads(before)
  end)

  it("frees its scratch at once", function()
    collectgarbage()
    local before = luma.memory().live
    luma.conv2d(x, w):close()
    assert.equal(before, luma.memory().live)
  end)
end)
