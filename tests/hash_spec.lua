-- Perceptual hashes against OpenCV + SciPy, pairs against a double loop, and
-- what a near duplicate is: the same picture, smaller, brighter, recompressed.
describe("image hash", function()
  local luma = require "luma"
  local image = luma.image
  local json = require "luma.base.json"
  local files = require "luma.base.files"

  local reference = assert(json.decode(assert(files.read "tests/reference/image_ops.json"))).hashes

  local function hex(hash) return ("%016x"):format(hash) end
  local function distance(a, b)
    local n, v = 0, a ~ b
    while v ~= 0 do n, v = n + 1, v & (v - 1) end
    return n
  end

  -- A smooth picture of its own for each seed.
  local function picture(seed, h, w)
    local r = luma.rng(seed)
    local cells = luma.rand(12, 12, { rng = r })
    return (image.resize(cells, h, w) * 255):to "u8"
  end

  it("is the DCT hash of SciPy and the difference hash of OpenCV's cells", function()
    for _, case in ipairs(reference) do
      local x = luma.tensor(case.x, "u8"):reshape(case.h, case.w, case.c)
      assert.equal(case.dct, hex(image.hash(x)), ("%dx%dx%d"):format(case.h, case.w, case.c))
      assert.equal(case.difference, hex(image.hash(x, { kind = "difference" })))
      assert.equal(image.hash(x), image.hash(x:to "f32"))
    end
  end)

  it("stays near under scaling, compression and light, far between pictures", function()
    for _, kind in ipairs { "dct", "difference" } do
      local x = picture(1, 200, 180)
      local hash = image.hash(x, { kind = kind })
      local bytes = assert(image.encode(x, "jpeg", { quality = 40 }))
      local variants = {
        image.resize(x, 97, 120, { method = "area" }), (x:to "f32" * 0.7 + 20):to "u8",
        (assert(image.decode(bytes, "gray"))),
      }
      for i, y in ipairs(variants) do
        local d = distance(hash, image.hash(y, { kind = kind }))
        assert.is_true(d <= 6, ("%s variant %d: %d bits"):format(kind, i, d))
      end
      for seed = 2, 12 do
        local d = distance(hash, image.hash(picture(seed, 200, 180), { kind = kind }))
        assert.is_true(d > 10, ("%s picture %d: %d bits"):format(kind, seed, d))
      end
    end
  end)

  it("of a batch is a list, the same at any thread count; flat pictures agree", function()
    local batch = luma.stack { picture(1, 40, 40), picture(2, 40, 40), picture(3, 40, 40) }:reshape(3, 40, 40, 1)
    local threads = luma.threads()
    luma.threads(1)
    local one = image.hash(batch)
    luma.threads(2)
    local two = image.hash(batch)
    luma.threads(threads)
    assert.same(one, two)
    assert.equal(image.hash(batch[3]), one[3])
    assert.equal(image.hash(luma.full({ 9, 9 }, 17, "u8")), image.hash(luma.full({ 500, 20, 3 }, 230, "u8")))
    assert.equal(0, image.hash(luma.zeros(5, 5)))
    local ok, message = pcall(image.hash, luma.zeros(0, 5))
    assert.is_false(ok)
    assert.truthy(message:find("image that is not empty", 1, true))
  end)

  it("pairs are those of the double loop, in order, at any thread count", function()
    local r, hashes = luma.rng(4), {}
    for i = 1, 300 do hashes[i] = i % 3 == 0 and hashes[i - 1] ~ (1 << (i % 64)) ~ (1 << (i * 7 % 64)) or
      r:int(math.mininteger // 2, math.maxinteger // 2) * 2 + i % 2 end
    for _, most in ipairs { 0, 2, 24, 64 } do
      local want = {}
      for i = 1, 300 do
        for j = i + 1, 300 do
          local d = distance(hashes[i], hashes[j])
          if d <= most then want[#want + 1] = { i, j, d } end
        end
      end
      for threads = 1, 2 do
        local before = luma.threads()
        luma.threads(threads)
        local got = image.hash_pairs(hashes, most)
        luma.threads(before)
        assert.equal(#want, #got)
        assert.same(want, #want > 0 and got:totable() or {})
      end
    end
    assert.equal(0, #image.hash_pairs({}, 3))
    assert.equal(0, #image.hash_pairs({ 5 }, 64))
  end)

  it("finds pairs among 10,000 in well under a second", function()
    local r, hashes = luma.rng(5), {}
    for i = 1, 10000 do hashes[i] = r:int(math.mininteger // 2, math.maxinteger // 2) * 2 end
    hashes[9999] = hashes[17] ~ 5
    local start = os.clock()
    local pairs_found = image.hash_pairs(hashes, 3):totable()
    assert.same({ { 17, 9999, 2 } }, pairs_found)
    assert.is_true(os.clock() - start < 2, "processor seconds: " .. os.clock() - start) -- 0.1 alone
  end)

  it("names what is no hash", function()
    local ok, message = pcall(image.hash_pairs, { 1, "x" }, 3)
    assert.is_false(ok)
    assert.truthy(message:find("bad argument #1 to 'image.hash_pairs' (element 2 is no hash: x)", 1, true))
    ok, message = pcall(image.hash_pairs, { 1 }, 65)
    assert.is_false(ok)
    assert.truthy(message:find("distance must be in 0..64, got 65", 1, true))
  end)

  it("correlation is NumPy's, and 0 for a picture of one colour", function()
    for _, case in ipairs(reference) do
      local x = luma.tensor(case.x, "u8"):reshape(case.h, case.w, case.c)
      local bytes, state = {}, case.seed
      for k = 1, case.h * case.w * case.c do
        state = state * 6364136223846793005 + 1442695040888963407
        bytes[k] = (case.x[k] // 2) + ((state >> 56) // 4)
      end
      local y = luma.tensor(bytes, "u8"):reshape(case.h, case.w, case.c)
      assert.is_true(math.abs(image.correlation(x, y) - case.correlation) < 1e-12)
      assert.is_true(math.abs(image.correlation(x:to "f32", y:to "f32") - case.correlation) < 1e-12)
    end
    local x = picture(1, 30, 30)
    assert.equal(1, image.correlation(x, x))
    assert.is_true(image.correlation(x, (255 - x:to "f32"):to "u8") < -0.999999)
    assert.equal(0, image.correlation(x, luma.full({ 30, 30 }, 7, "u8")))
    assert.equal(0, image.correlation(luma.full({ 4, 4 }, 0.1), luma.full({ 4, 4 }, 0.1)))
    local ok, message = pcall(image.correlation, x, picture(1, 30, 31))
    assert.is_false(ok)
    assert.truthy(message:find("an image like the first, u8 [30x30], expected, got u8 [30x31]", 1, true))
  end)
end)
