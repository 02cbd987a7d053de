-- Augmentation: Keras's two geometries against golden arrays and SciPy, the
-- order of draws, what + means, determinism, and ranges that make no sense.
describe("augment", function()
  local luma = require "luma"
  local augment = require "luma.data.augment"
  local image = luma.image
  local json = require "luma.base.json"
  local files = require "luma.base.files"

  local reference = assert(json.decode(assert(files.read "tests/reference/image_ops.json")))

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    assert.truthy(tostring(message):find(pattern, 1, true), ("%s\nwanted: %s"):format(message, pattern))
  end

  -- A generator that answers from a script and notes what was asked.
  local function scripted(values)
    local asked = {}
    return { asked = asked, uniform = function(_, low, high)
      asked[#asked + 1] = ("%g..%g"):format(low, high)
      return low + (high - low) * values[#asked]
    end }
  end

  it("has both of Keras's matrices", function()
    for _, compat in ipairs { "keras-1.1.0", "keras-head" } do
      local a = augment.article { compat = compat }
      for _, case in ipairs(reference.keras) do
        local m = a:matrix(case.draws, case.h, case.w)
        for k = 1, 6 do
          local want = case.matrix[compat][k]
          assert.is_true(math.abs(m[k] - want) < 1e-5 * math.max(1, math.abs(want)), compat .. " " .. k)
        end
      end
    end
  end)

  it("reproduces ImageDataGenerator's golden images under both", function()
    local golden = "../shared/golden/keras_affine.npz"
    if not files.exists(golden) then return pending "../shared/golden absent" end
    local arrays = assert(luma.store.load_npz(golden))
    for _, name in ipairs { "1.1.0", "head" } do
      local a = augment.article { compat = "keras-" .. name }
      for k, p in ipairs(arrays.params_theta_tx_ty_flip:totable()) do
        local m = a:matrix({ theta = p[1], tx = p[2], ty = p[3] }, 24, 20)
        local y = a:apply(arrays.x, { matrix = m, flip_h = p[4] ~= 0, fill = "nearest" })
        local far = (y - arrays[("y%d_%s"):format(k - 1, name)]):abs():max():item()
        assert.is_true(far < 1e-6, ("%s %d: %g"):format(name, k, far))
      end
    end
  end)

  it("draws in Keras's order: angle, rows, columns, both flips", function()
    local rng = scripted { 0.75, 0.25, 1, 0.4, 0.4 }
    local p = augment.article():draw(rng, 100, 50)
    assert.same({ "-20..20", "-0.2..0.2", "-0.2..0.2", "0..1", "0..1" }, rng.asked)
    assert.equal(10, p.draws.theta)
    assert.is_true(math.abs(p.draws.tx + 10) < 1e-12) -- of 100 rows
    assert.is_true(math.abs(p.draws.ty - 10) < 1e-12) -- of 50 columns
    assert.is_true(p.flip_h)
    assert.is_false(p.flip_v) -- drawn though it is off
    rng = scripted { 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9, 0.5, 0.5 }
    augment.article { shear = 3, zoom = 0.1, channel_shift = 5, brightness = { 0.5, 2 } }:draw(rng, 9, 9)
    assert.same({ "-20..20", "-0.2..0.2", "-0.2..0.2", "-3..3", "0.9..1.1", "0.9..1.1", "0..1", "0..1", "-5..5",
      "0.5..2" }, rng.asked)
  end)

  -- Where a bright dot goes.
  local function moved(a, draws, r, c)
    local x = luma.zeros(21, 21)
    x[{ r, c }] = 1
    local y = a:apply(x, { matrix = a:matrix(draws, 21, 21), fill = "grid-constant" })
    local best, at = 0, nil
    for i = 1, 21 do
      for j = 1, 21 do
        if y[{ i, j }] > best then best, at = y[{ i, j }], { i, j } end
      end
    end
    return at
  end

  it("means by + what it says", function()
    local sane = augment.new {}
    assert.same({ 4, 11 }, moved(sane, { theta = 90 }, 11, 18)) -- counter-clockwise
    assert.same({ 13, 11 }, moved(sane, { tx = 2 }, 11, 11)) -- down
    assert.same({ 11, 14 }, moved(sane, { ty = 3 }, 11, 11)) -- right
    assert.same({ 11, 17 }, moved(sane, { zx = 2, zy = 2 }, 11, 14)) -- larger
    local old = augment.new { compat = "keras-1.1.0" }
    assert.same({ 9, 11 }, moved(old, { tx = 2 }, 11, 11)) -- up
    assert.same({ 11, 8 }, moved(old, { ty = 3 }, 11, 11)) -- left
    assert.is_true(moved(old, { theta = 90 }, 11, 18)[1] > 15) -- clockwise
    local head = augment.new { compat = "keras-head" }
    assert.same({ 4, 11 }, moved(head, { theta = 90 }, 11, 18))
    assert.same({ 11, 9 }, moved(head, { tx = 2 }, 11, 11)) -- "height" shift moves columns
  end)

  it("is a function of seed, epoch and sample, at any thread count", function()
    local a = augment.new { rotation = 20, width_shift = 0.2, height_shift = 0.2, horizontal_flip = true, zoom = 0.1,
      shear = 5, brightness = 0.2, channel_shift = 0.1 }
    assert.same(a:sample(1, 2, 3, 24, 24), a:sample(1, 2, 3, 24, 24))
    assert.not_same(a:sample(1, 2, 3, 24, 24).matrix, a:sample(1, 2, 4, 24, 24).matrix)
    assert.not_same(a:sample(1, 2, 3, 24, 24).matrix, a:sample(1, 3, 3, 24, 24).matrix)
    assert.not_same(a:sample(1, 2, 3, 24, 24).matrix, a:sample(2, 2, 3, 24, 24).matrix)
    local x = luma.rand(6, 24, 24, 3)
    local list = {}
    for i = 1, 6 do list[i] = a:sample(1, 1, i, 24, 24) end
    local threads = luma.threads()
    luma.threads(1)
    local one = a:batch(x, list)
    luma.threads(2)
    local two = a:batch(x, list)
    luma.threads(threads)
    assert.equal(one:bytes(), two:bytes())
    assert.equal(a:apply(x[4], list[4]):bytes(), one[4]:clone():bytes())
    local again = a:batch(x, luma.rng(5))
    assert.equal(again:bytes(), a:batch(x, luma.rng(5)):bytes())
  end)

  it("switching one thing on leaves the others as they were (sane)", function()
    local plain = augment.new { rotation = 20 }:sample(1, 1, 1, 24, 24).draws
    local more = augment.new { rotation = 20, zoom = 0.2, horizontal_flip = true }:sample(1, 1, 1, 24, 24).draws
    assert.equal(plain.theta, more.theta)
    assert.equal(plain.shift, more.shift)
  end)

  it("stays within its ranges and reaches them", function()
    local a, low, high, flips = augment.article(), 0, 0, 0
    for i = 1, 2000 do
      local d = a:sample(9, 1, i, 224, 112).draws
      assert.is_true(d.theta >= -20 and d.theta < 20 and math.abs(d.tx) <= 44.8 and math.abs(d.ty) <= 22.4)
      low, high = math.min(low, d.theta), math.max(high, d.theta)
      if d.flip_h then flips = flips + 1 end
      assert.is_false(d.flip_v)
    end
    assert.is_true(low < -19.8 and high > 19.8)
    assert.is_true(math.abs(flips - 1000) < 120)
  end)

  it("does nothing when nothing is asked", function()
    local x = luma.rand(2, 5, 7, 3)
    for _, compat in ipairs { "sane", "keras-1.1.0", "keras-head" } do
      assert.equal(x:bytes(), augment.new { compat = compat }:batch(x, luma.rng(1)):bytes())
    end
    assert.same({ 0, 5, 7, 3 }, { augment.article():batch(luma.zeros(0, 5, 7, 3), luma.rng(1)):shape() })
    local one = luma.rand(3, 1, 1, 3)
    assert.equal(one:bytes(), augment.article():batch(one, luma.rng(1)):bytes())
  end)

  it("takes angles modulo 360", function()
    local a = augment.new {}
    local m, n = a:matrix({ theta = 1e9 + 30 }, 9, 9), a:matrix({ theta = 310 }, 9, 9) -- 1e9 = 280 mod 360
    for k = 1, 6 do assert.is_true(math.abs(m[k] - n[k]) < 1e-9) end
  end)

  it("refuses ranges that make no sense", function()
    fails("augment.new: option rotation is reversed: {20, -20}", augment.new, { rotation = { 20, -20 } })
    fails("augment.new: option rotation must be finite and >= 0, got nan", augment.new, { rotation = math.abs(0 / 0) })
    fails("augment.new: option shear must be finite and >= 0, got -3", augment.new, { shear = -3 })
    fails("augment.new: option zoom must stay above 0", augment.new, { zoom = 1 })
    fails("augment.new: option zoom must be a number or {low, high}", augment.new, { zoom = { 0.5 } })
    fails("augment.new: unknown option 'rotate'", augment.new, { rotate = 3 })
    fails("option compat must be one of sane, keras-1.1.0, keras-head", augment.new, { compat = "keras" })
    fails("option fill must be one of nearest, constant", augment.new, { fill = "black" })
    fails("augment: theta must be finite, got nan", augment.new {}.matrix, augment.new {},
      { theta = math.abs(0 / 0) }, 3, 3)
    fails("a luma.rng or a list of parameters expected", function() augment.new {}:batch(luma.zeros(1, 2, 2, 3), 7) end)
  end)

  it("prints what it does", function()
    assert.equal("Augment(rotation -20..20, height_shift -0.2..0.2, width_shift -0.2..0.2, horizontal flip; "
      .. "fill nearest, keras-1.1.0)", tostring(augment.article()))
    assert.equal("Augment(nothing; fill nearest, sane)", tostring(augment.new()))
  end)

  it("image.augment draws and applies in one step", function()
    local x, opts = luma.rand(9, 9, 3), { rotation = 10, horizontal_flip = true }
    local y, params = image.augment(x, opts, luma.rng(3))
    assert.equal(y:bytes(), augment.new(opts):apply(x, params):bytes())
    assert.equal(y:bytes(), (image.augment(x, augment.new(opts), luma.rng(3))):bytes())
    fails("augment: a luma.rng expected, got number", image.augment, x, opts, 3)
    fails("unknown option 'rotate'", image.augment, x, { rotate = 7 }, luma.rng(3))
  end)

  it("keeps u8 as u8, or its fractions on demand", function()
    local x = (luma.rand(2, 8, 8, 3) * 255):to "u8"
    local list = { augment.article():sample(1, 1, 1, 8, 8), augment.article():sample(1, 1, 2, 8, 8) }
    local bytes = image.warp_batch(x, list)
    local floats = augment.article():batch(x, list, { dtype = "f32" })
    assert.equal("u8", bytes:dtype())
    assert.is_true((bytes:to "f32" - floats):abs():max():item() <= 0.5)
  end)
end)
