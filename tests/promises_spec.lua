-- Promises that small faults once broke unnoticed: each is held here by values.
describe("promises:", function()
  local luma = require "luma"
  local folders = require "support.folder"

  it("a figure's interval is printed from low to high", function()
    local text = luma.text
    assert.equal("0.820 (0.670 to 0.910)", text.interval { value = 0.82, lo = 0.67, hi = 0.91 })
    assert.equal("0.820", text.interval { value = 0.82, lo = 0 / 0, hi = 0 / 0 })
    assert.equal("n/a", text.interval { value = 0 / 0, lo = 0, hi = 1 })
    assert.equal("n/a", text.interval(nil))
  end)

  it("equal operands of maximum share the gradient", function()
    for _, op in ipairs { "maximum", "minimum" } do
      local a, b = luma.tensor { 1, 2 }:requires_grad(), luma.tensor { 1, 3 }:requires_grad()
      local tape <close> = luma.tape()
      tape:backward(luma[op](a, b):sum())
      assert.equal(0.5, a:grad()[1])
      assert.equal(0.5, b:grad()[1])
      assert.equal(1, a:grad()[2] + b:grad()[2])
    end
  end)

  it("shapes that differ in one size are different", function()
    assert.is_false(luma.ones(2, 3):equal(luma.ones(2, 4)))
    assert.is_false(luma.ones(2, 4):equal(luma.ones(2, 3)))
  end)

  it("a path that is no UTF-8 is shown escaped", function()
    assert.equal("caf\\xe9.png", luma.files.show "caf\xe9.png")
    assert.equal("caf\xc3\xa9.png", luma.files.show "caf\xc3\xa9.png")
  end)

  it("a probability on a bin's edge lies in the lower bin", function()
    local rows = luma.metrics.reliability({ 1, 1, 2 }, { { 0.7, 0.3 }, { 0.75, 0.25 }, { 0.6, 0.4 } }, { bins = 10 })
    assert.equal(1, rows[7].count)
    assert.equal(1, rows[8].count)
    assert.equal(1, rows[6].count)
    assert.equal(0, rows[6].accuracy)
  end)

  it("sane zoom scales both axes alike, Keras's not", function()
    local sane = luma.data.augment.new { compat = "sane", zoom = 0.3 }
    local keras = luma.data.augment.new { compat = "keras-1.1.0", zoom = 0.3 }
    local same, different = 0, 0
    for i = 1, 20 do
      local d = sane:draw(luma.rng(i), 100, 100).draws
      if d.zx == d.zy then same = same + 1 end
      local k = keras:draw(luma.rng(i), 100, 100).draws
      if k.zx ~= k.zy then different = different + 1 end
    end
    assert.equal(20, same)
    assert.equal(20, different)
  end)

  it("undo puts the running values of batch-norm back", function()
    local state = require "luma.train.state"
    local net = luma.nn.Sequential { luma.nn.BatchNorm2d(2) }
    local run = { net = net, best = {}, epoch = 1, batch = 1, sums = { loss = 0, correct = 0, count = 0 } }
    state.mark(run)
    local before = net[1].running_mean:totable()
    do
      local _ <close> = luma.tape()
      net(luma.rand(3, 4, 4, 2) + 5)
    end
    assert.not_same(before, net[1].running_mean:totable())
    state.undo(run)
    assert.same(before, net[1].running_mean:totable())
    state.forget(run)
  end)

  it("a PNG is described as a PNG, a JPEG with its quality", function()
    local jpegfile = require "luma.study.audit.jpegfile"
    local x = luma.full({ 16, 16, 1 }, 90, "u8")
    assert.equal("png", jpegfile.describe(assert(luma.image.encode(x, "png"))).format)
    local d = jpegfile.describe(assert(luma.image.encode(x, "jpeg", { quality = 83 })))
    assert.equal("jpeg", d.format)
    assert.equal(83, d.quality)
    assert.equal("other", jpegfile.describe("GIF89a").format)
  end)

  it("what the audit says of bars after preparation is what preparation leaves", function()
    local bars = require "luma.study.audit.bars"
    local dir = folders.new()
    finally(function() folders.remove(dir) end)
    local function film(top, inner)
      local x = (luma.rand(300, 300, { rng = luma.rng(4) }) * 60 + 120):to "u8"
      if top > 0 then x[{ { 1, top } }] = 0 end
      if inner then x[{ inner }] = 0 end
      return x:reshape(300, 300, 1)
    end
    -- shifted: rows that the protected window keeps lie outside it once the bar above them is gone.
    for name, case in pairs { none = { film(0), false, false, 0 }, top = { film(40), true, false, 40 },
      shifted = { film(40, { 62, 80 }), true, true, 40 } } do
      local before, after = bars.look(case[1])
      assert.equal(case[2], before, name)
      assert.equal(case[3], after, name)
      -- and the real preparation agrees
      assert(luma.image.save(dir .. "/" .. name .. ".png", case[1]))
      local result = luma.core.prepare.batch({ { dir .. "/" .. name .. ".png", dir .. "/" .. name .. ".jpg" } }, {})[1]
      assert.equal("written", result.status)
      local made = luma.image.black_bars((assert(luma.image.load(dir .. "/" .. name .. ".jpg"))))
      assert.equal(case[3], #made.rows > 0 or #made.cols > 0)
      assert.equal(case[4], result.rows_removed)
    end
  end)
end)
