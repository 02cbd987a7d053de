-- One window geometry: conv2d, pooling, compiled chains and nn layers read the
-- same options, refuse the same ones in the same words, and agree about sizes.
describe("windows", function()
  local luma = require "luma"
  local core, nn = luma.core, luma.nn

  local function message(f, ...)
    local ok, err = pcall(f, ...)
    assert.is_false(ok)
    return tostring(err)
  end

  local x = luma.rand(1, 8, 8, 3)
  local w = luma.rand(3, 3, 3, 4)
  after_each(function() collectgarbage() end)
  teardown(function()
    x:close()
    w:close()
  end)

  local size = { height = 8, width = 8, channels = 3 }
  local function with(t, more)
    for key, value in pairs(more) do t[key] = value end
    return t
  end
  local readers = {
    conv2d = function(o) return core.conv2d(x, w, o) end,
    max_pool2d = function(o) return core.max_pool2d(x, o) end,
    avg_pool2d = function(o) return core.avg_pool2d(x, o) end,
    plan_conv = function(o) return core.plan.new({ with({ op = "conv", weight = w }, o) }, size) end,
    plan_pool = function(o) return core.plan.new({ with({ op = "max_pool" }, o) }, size) end,
    Conv2d = function(o) return nn.Conv2d(3, 4, 3, o) end,
    MaxPool2d = function(o) return nn.MaxPool2d(2, o) end,
    AvgPool2d = function(o) return nn.AvgPool2d(2, o) end,
    ref = function(o) return core.ref.conv2d(x, w, o) end,
  }

  it("are refused in the same words everywhere", function()
    local pad = 'option pad must be a whole number >= 0, {top, left, bottom, right} of them or "same", got '
    local stride = "option stride must be a whole number >= 1 or {rows, columns} of them, got "
    for name, read in pairs(readers) do
      for _, case in ipairs { { { pad = "valid" }, pad .. "'valid'" }, { { pad = { 1, 1 } }, pad .. "a table of 2" },
        { { pad = { 0, 0, 0, 0, 0 } }, pad .. "a table of 5" }, { { pad = -1 }, pad .. "-1" },
        { { pad = 0.5 }, pad .. "0.5" },
        { { pad = { 0, 0, 0, "1" } }, pad .. "'1'" }, { { pad = true }, pad .. "true" },
        { { stride = 0 }, stride .. "0" }, { { stride = { 1 } }, stride .. "a table of 1" },
        { { stride = { 1, 2, 3 } }, stride .. "a table of 3" }, { { stride = "same" }, stride .. "'same'" } } do
        local said = message(read, case[1])
        assert.truthy(said:find(case[2], 1, true), name .. ": " .. said)
      end
    end
    for _, name in ipairs { "max_pool2d", "avg_pool2d", "plan_pool" } do
      assert.truthy(message(readers[name], { kernel = { 2, 2, 9 } }):find(
        "option kernel must be a whole number >= 1 or {rows, columns} of them, got a table of 3", 1, true), name)
    end
    for _, make in ipairs { nn.MaxPool2d, nn.AvgPool2d, function(k) return nn.Conv2d(1, 1, k) end } do
      assert.truthy(message(make, { 2, 2, 9 }):find("got a table of 3", 1, true))
      assert.truthy(message(make, "3"):find("got '3'", 1, true))
    end
    assert.matches("kernel's size is missing", message(nn.Conv2d, 1, 1))
  end)

  it("name the layer, and the line of the script", function()
    assert.matches("^tests/window_spec.lua:%d+: Conv2d: option pad", (message(function()
      nn.Conv2d(1, 1, 3, { pad = "valid" })
    end):gsub("^.*/tests/", "tests/")))
    assert.matches("^tests/window_spec.lua:%d+: MaxPool2d: option pad", (message(function()
      local layer = nn.MaxPool2d(2, { pad = "valid" })
      return layer
    end):gsub("^.*/tests/", "tests/")))
    assert.equal("Conv2d: the 9x9 window does not fit 8x8 pixels", message(function()
      nn.Conv2d(3, 1, 9):output_shape { 1, 8, 8, 3 }
    end))
  end)

  it("of a chain's step take only what fits the step", function()
    assert.matches("argument #1 .*unknown option 'dilation'", message(readers.plan_pool, { dilation = 2 }))
    assert.matches("argument #1 .*unknown option 'relu'", message(readers.plan_pool, { relu = true }))
    assert.matches("argument #1 .*unknown option 'kernel'", message(readers.plan_conv, { kernel = 3 }))
    assert.matches("weight of step 1 must be a tensor, got string", message(readers.plan_conv, { weight = "w" }))
  end)

  -- The windows counted one by one: the first pixel of each must leave room for its last.
  local function count(n, kernel, stride, dilation, before, after)
    local windows, at = 0, -before
    while at + (kernel - 1) * dilation <= n + after - 1 do
      windows = windows + 1
      at = at + stride
    end
    return windows
  end

  it("have as many places as can be counted, for ops and layers alike", function()
    local tried = 0
    for k = 1, 4 do
      for s = 1, 3 do
        for d = 1, 2 do
          for p = 0, 2 do
            local opts = { stride = { s, 1 }, dilation = { d, 1 }, pad = { p, 0, 1, 2 } }
            local rows, columns = count(9, k, s, d, p, 1), count(7, 3, 1, 1, 0, 2)
            local layer = nn.Conv2d(1, 1, { k, 3 }, opts)
            local input <close> = luma.rand(1, 9, 7, 1)
            local y <close> = layer(input)
            assert.same({ 1, rows, columns, 1 }, { y:shape() })
            assert.same({ 1, rows, columns, 1 }, layer:output_shape { 1, 9, 7, 1 })
            assert.same({ rows, columns }, { core.window.shape(9, 7, with({ kernel = { k, 3 } }, opts)) })
            if p < k and 1 < k then
              local pool = nn.AvgPool2d({ k, 3 }, { stride = { s, 1 }, pad = opts.pad })
              local z <close> = pool(input)
              assert.same({ z:shape() }, pool:output_shape { 1, 9, 7, 1 })
              assert.equal(count(9, k, s, 1, p, 1), z:size(2))
            end
            tried = tried + 1
          end
        end
        local same = nn.Conv2d(1, 1, k, { pad = "same", stride = s })
        assert.same({ 1, math.ceil(9 / s), math.ceil(7 / s), 1 }, same:output_shape { 1, 9, 7, 1 })
      end
    end
    assert.equal(72, tried)
  end)

  it("can be read with every number written out", function()
    assert.same({ kernel = { 3, 3 }, stride = { 3, 3 }, dilation = { 1, 1 }, pad = { 0, 0, 0, 0 } },
      core.window.read { kernel = 3 })
    assert.same({ kernel = { 2, 2 }, stride = { 1, 2 }, dilation = { 1, 1 }, pad = "same" },
      core.window.read { stride = { 1, 2 }, pad = "same" })
  end)

  it("may be far larger than the image without harm", function()
    assert.matches("does not fit", message(core.max_pool2d, x, { kernel = 1 << 30 }))
    local y <close> = core.max_pool2d(x, { kernel = 1 << 30, stride = 1 << 30, pad = "same" })
    assert.same({ 1, 1, 1, 3 }, { y:shape() })
    local all <close> = core.max(x, { 2, 3 })
    local flat, want <close> = core.reshape(y, 3), core.reshape(all, 3)
    for c = 1, 3 do assert.equal(want:get(c):item(), flat:get(c):item()) end
    flat:close()
  end)
end)
