-- One window geometry: convolution, pooling, compiled chains and the layers of nn
-- read kernel, stride, dilation and pad alike, refuse the same forms in the same
-- words, and agree on the shape of the result.
describe("windows", function()
  local luma = require "luma"
  local core, nn = luma.core, luma.nn
  local x = luma.rand(1, 11, 9, 3)
  local w = luma.rand(3, 2, 3, 4)

  local function refused(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok, "expected an error with: " .. pattern)
    assert.truthy(message:find(pattern, 1, true), message)
  end

  it("refuse a wrong pad in the same words everywhere, at once", function()
    local forms = "pad must be a whole number >= 0, {top, left, bottom, right} of them or \"same\""
    for _, pad in ipairs { "valid", { 1, 1 }, -1, 1.5, { 1, 1, 1, "x" } } do
      refused(forms, luma.conv2d, x, w, nil, { pad = pad })
      refused(forms, luma.max_pool2d, x, { pad = pad })
      refused(forms, luma.avg_pool2d, x, { pad = pad })
      refused(forms, nn.Conv2d, 3, 4, 3, { pad = pad })
      refused(forms, nn.MaxPool2d, 2, { pad = pad })
      refused(forms, core.plan.new, { { op = "conv", weight = w, pad = pad } },
        { height = 11, width = 9, channels = 3 })
    end
  end)

  it("refuse a kernel or stride that is no pair", function()
    local forms = "must be a whole number >= 1 or {rows, columns} of them"
    refused("option kernel " .. forms, luma.max_pool2d, x, { kernel = { 2, 2, 9 } })
    refused("option kernel " .. forms, nn.MaxPool2d, { 2, 2, 9 })
    refused("option kernel " .. forms, nn.Conv2d, 3, 4, 0)
    refused("option stride " .. forms, luma.conv2d, x, w, nil, { stride = { 1, 2, 3 } })
    refused("option stride " .. forms, nn.Conv2d, 3, 4, 3, { stride = 0 })
    refused("unknown option 'kernel'", core.plan.new, { { op = "conv", weight = w, kernel = 3 } },
      { height = 11, width = 9, channels = 3 })
  end)

  it("give the shape that the op gives, for every layer", function()
    for _, o in ipairs {
      { 3, {} }, { { 3, 2 }, { stride = 2 } }, { 3, { pad = "same", stride = { 2, 3 } } },
      { 3, { pad = { 1, 0, 2, 1 } } },
      { 3, { dilation = 2 } }, { 3, { dilation = { 1, 3 }, pad = 2 } },
    } do
      local conv = nn.Conv2d(3, 4, o[1], o[2])
      assert.same({ conv(x):shape() }, conv:output_shape { 1, 11, 9, 3 })
      if not o[2].dilation then
        for _, kind in ipairs { "MaxPool2d", "AvgPool2d" } do
          local pool = nn[kind](o[1], o[2])
          assert.same({ pool(x):shape() }, pool:output_shape { 1, 11, 9, 3 }, kind)
        end
      end
    end
    refused("window does not fit", function() nn.Conv2d(3, 4, 20):output_shape { 1, 11, 9, 3 } end)
  end)
end)
