local luma = require "luma"
local folder = require "support.folder"
local files = require "luma.base.files"
local data = luma.data
local image, system = luma.core.image, luma.core.system

-- 11 small images of random pixels: gray and colour, sizes that differ.
local dir
local function index_of(extra)
  local rows = {}
  for i = 1, 11 do
    rows[i] = { path = ("%s/%02d.png"):format(dir, i), class = i % 3 == 0 and "b" or "a", name = tostring(i) }
  end
  for _, row in ipairs(extra or {}) do rows[#rows + 1] = row end
  return data.Index(rows)
end

local function expected(row, scale)
  local x = assert(image.load(row.path))
  return image.scale_input(image.resize(x, 16, 16), scale or "unit", { channels = 3 })
end

local function digest(x) return system.md5(table.concat(x:reshape(-1):totable(), " ")) end

-- name -> digest of the sample, over one pass.
local function samples(part, opts)
  local out, order = {}, {}
  opts.height, opts.width = 16, 16
  for x, y, rows in part:batches(opts) do
    assert.equal(#rows, #x)
    assert.equal(#rows, #y)
    for i, row in ipairs(rows) do
      out[row.name] = digest(x[i])
      order[#order + 1] = row.name
      assert.equal(row.class, part.classes[y[i]])
    end
  end
  return out, order
end

local function shift_augment(rng)
  return { matrix = { 1, 0, rng:uniform(-3, 3), 0, 1, rng:uniform(-3, 3) }, flip_h = rng:bernoulli(0.5) }
end

describe("batches", function()
  setup(function()
    dir = folder.new()
    local rng = luma.rng(1)
    for i = 1, 11 do
      local c = i % 2 == 0 and 3 or 1
      local x = luma.randint(0, 255, 20 + i, 30 - i, c, "u8", { rng = rng })
      assert(image.save(("%s/%02d.png"):format(dir, i), x))
    end
    files.write_atomic(dir .. "/bad.png", "not an image")
  end)
  teardown(function() folder.remove(dir) end)

  it("decode, resize, repeat gray and scale as the single steps do", function()
    local index = index_of()
    for _, scale in ipairs { "unit", "caffe", "tf", "torch", "raw" } do
      for x, _, rows in index:batches { size = 4, height = 16, width = 16, scale = scale } do
        for i, row in ipairs(rows) do assert.equal(digest(expected(row, scale)), digest(x[i])) end
      end
    end
    for x in index:batches { size = 11, height = 16, width = 16, channels = 1 } do
      assert.same({ 11, 16, 16, 1 }, { x:shape() })
    end
  end)

  it("keep the order and the short last batch", function()
    local sizes = {}
    for x, _, rows in index_of():batches { size = 4, height = 16, width = 16 } do
      sizes[#sizes + 1] = #x
      if #sizes == 1 then assert.equal("1", rows[1].name) end
    end
    assert.same({ 4, 4, 3 }, sizes)
    for _ in data.Index({}):batches() do error "no batch expected" end
  end)

  it("shuffle by seed and epoch", function()
    local index = index_of()
    local _, one = samples(index, { shuffle = true, seed = 3, epoch = 1, size = 4 })
    local _, again = samples(index, { shuffle = true, seed = 3, epoch = 1, size = 7 })
    local _, two = samples(index, { shuffle = true, seed = 3, epoch = 2 })
    local _, other = samples(index, { shuffle = true, seed = 4, epoch = 1 })
    assert.same(one, again)
    assert.not_same(one, two)
    assert.not_same(one, other)
    table.sort(two)
    table.sort(one)
    assert.same(one, two)
    local _, given = samples(index, { shuffle = luma.rng(9) })
    local _, same = samples(index, { shuffle = luma.rng(9) })
    assert.same(given, same)
  end)

  it("augment by seed, epoch and sample alone: not by batch size, order or threads", function()
    local index = index_of()
    local base = samples(index, { augment = shift_augment, seed = 5, epoch = 2, size = 3 })
    local threads = luma.threads()
    for _, n in ipairs { 1, 2, 3 } do
      luma.threads(n)
      assert.same(base, (samples(index, { augment = shift_augment, seed = 5, epoch = 2, size = 4 + n, shuffle = true,
        ahead = n })))
    end
    luma.threads(threads)
    assert.not_same(base, (samples(index, { augment = shift_augment, seed = 5, epoch = 3 })))
    assert.not_same(base, (samples(index, { seed = 5 })))
    local x = image.resize(assert(image.load(index[1].path)), 16, 16)
    local rng = luma.rng(5):fork "augment 2 1"
    local warped = image.warp_batch(x, shift_augment(rng), { dtype = "f32" })
    assert.equal(digest(image.scale_input(warped, "unit", { channels = 3 })), base["1"])
    local recipe = data.augment.article()
    local one = samples(index, { augment = recipe, seed = 5, epoch = 2 })["4"]
    warped = recipe:apply(image.resize(assert(image.load(index[4].path)), 16, 16), recipe:sample(5, 2, 4, 16, 16),
      { dtype = "f32" })
    assert.equal(digest(image.scale_input(warped)), one)
  end)

  it("take pixels from memory", function()
    local index = index_of()
    local x, y, rows, failures = assert(index:load { height = 16, width = 16 })
    assert.same({ 11, 16, 16, 3 }, { x:shape() })
    assert.equal("u8", x:dtype())
    assert.same(index:labels():totable(), y:totable())
    assert.equal(index, rows)
    assert.same({}, failures)
    assert.same((samples(index, {})), (samples(index, { images = x, size = 5 })))
    assert.same((samples(index, { augment = shift_augment, seed = 1 })),
      (samples(index, { images = x, augment = shift_augment, seed = 1 })))
    assert.error_matches(function() index:head(3):batches { images = x } end, "one image a row %(3%), got 11")
  end)

  it("stop at a damaged file, or leave it out and list it", function()
    local bad = { { path = dir .. "/bad.png", class = "b", name = "bad" }, { path = dir .. "/none.png", class = "a",
      name = "none" } }
    local index = index_of(bad)
    local ok, message = pcall(samples, index, { size = 4 })
    assert.is_false(ok)
    assert.equal(dir .. "/bad.png: neither PNG nor JPEG", (message:gsub(" %(.*", "")))
    local failures, called = {}, 0
    local good = samples(index, { size = 4, on_failure = "skip", failures = failures })
    assert.same((samples(index_of(), {})), good)
    assert.same({ "bad", "none" }, { failures[1].row.name, failures[2].row.name })
    assert.same({ "unsupported", "io" }, { failures[1].code, failures[2].code })
    samples(index, { size = 4, on_failure = function() called = called + 1 end })
    assert.equal(2, called)
    local x, y, rows, list = assert(index:load { height = 16, width = 16, on_failure = "skip" })
    assert.same({ 11, 11, 11, 2 }, { #x, #y, #rows, #list })
    local none, text, code = index:load()
    assert.is_nil(none)
    assert.matches("bad.png: .* %(and 1 more%)$", text)
    assert.equal("unsupported", code)
    assert.is_nil((data.Index(bad):load { on_failure = "skip" }))
  end)

  it("run a Lua function on every row when asked to", function()
    local index = index_of()
    local mapped = samples(index, { map = function(row, rng)
      assert.is_nil(rng)
      return image.resize(assert(image.load(row.path, "rgb")), 16, 16)
    end })
    assert.same((samples(index, {})), mapped)
    assert.error_matches(function() samples(index, { map = function() return 5 end }) end, "map returned number")
  end)

  it("give back all memory, also when the loop is left early", function()
    local index = index_of()
    local function live()
      collectgarbage()
      collectgarbage()
      return luma.memory().live
    end
    local before = live()
    for _, _, rows in index:batches { size = 2, height = 16, width = 16 } do
      if rows then break end
    end
    pcall(function()
      for _ in index:batches { size = 2, height = 16, width = 16, augment = shift_augment } do error "out" end
    end)
    samples(index, {})
    local job = luma.core.loader.start({ height = 8, width = 8 }, { index[1].path, index[2].path })
    luma.core.loader.drop(job)
    luma.core.loader.drop(job)
    assert.error_matches(function() luma.core.loader.wait(job) end, "already taken or dropped")
    assert.equal(before, live())
  end)

  it("survive any allocation that fails", function()
    local index = index_of():head(3)
    collectgarbage()
    local finished
    for n = 1, 60 do
      luma.core.hook.fail_nth(n)
      local ok, err = pcall(samples, index, { size = 2, augment = shift_augment, seed = 1 })
      luma.core.hook.fail_nth(0)
      if ok then
        finished = n
        break
      end
      assert.matches("not enough memory", err)
    end
    assert.is_truthy(finished)
  end)

  it("stop on an interrupt", function()
    system.interrupt_set()
    local ok, err = pcall(samples, index_of(), { size = 2 })
    system.interrupt_clear()
    assert.is_false(ok)
    assert.equal(luma.core.interrupt, err)
    assert.is_truthy(samples(index_of(), {}))
  end)

  it("refuse what makes no sense", function()
    local index = index_of()
    local function bad(o, words) assert.error_matches(function() samples(index, o) end, words) end
    bad({ size = 0 }, "option size must be a whole number >= 1, got 0")
    bad({ batch = 4 }, "unknown option 'batch'")
    bad({ scale = "vgg" }, "option scale must be one of unit, caffe, tf, torch, raw, got 'vgg'")
    bad({ channels = 1, scale = "caffe" }, "scale 'caffe' needs 3 channels, got 1")
    bad({ on_failure = "ignore" }, "option on_failure must be one of error, skip, got 'ignore'")
    bad({ augment = function() return { matrx = 1 } end }, "unknown option 'matrx'")
  end)
end)
