-- Image operations against OpenCV, SciPy and colorsys (tests/reference/image_*.py),
-- the article's vectors, and the edges: 1x1, 1xN, huge and NaN angles.
describe("image", function()
  local luma = require "luma"
  local image = luma.image
  local json = require "luma.base.json"
  local files = require "luma.base.files"

  local reference = assert(json.decode(assert(files.read "tests/reference/image_ops.json")))

  -- The generator's pixels: top bytes of a 64-bit linear congruential sequence.
  local function pixels(seed, ...)
    local n = 1
    for _, size in ipairs { ... } do n = n * size end
    local bytes, x = {}, seed
    for k = 1, n do
      x = x * 6364136223846793005 + 1442695040888963407
      bytes[k] = string.char(x >> 56)
    end
    return luma.from_bytes(table.concat(bytes), "u8", ...)
  end

  local function furthest(x, list)
    local far = 0
    local flat = x:to "f32":reshape(#list):totable()
    for i, v in ipairs(list) do
      local d = math.abs(flat[i] - v)
      if d > far or d ~= d then far = d ~= d and math.huge or d end
    end
    return far
  end

  local function fails(pattern, f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    assert.truthy(tostring(message):find(pattern, 1, true), ("%s\nwanted: %s"):format(message, pattern))
  end

  describe("resize", function()
    it("gives OpenCV's bytes on the golden images", function()
      local golden = "../shared/golden/cv2_resize_linear_u8.npz"
      if not files.exists(golden) then return pending "../shared/golden absent" end
      local arrays = assert(luma.store.load_npz(golden))
      local compared = 0
      for name, want in pairs(arrays) do
        local source, h, w = name:match "^out_(%w+)_(%d+)x(%d+)$"
        if source then
          local got = image.resize(arrays["in_" .. source], tonumber(h), tonumber(w))
          assert.equal(want:bytes(), got:bytes(), name)
          compared = compared + 1
        end
      end
      assert.equal(8, compared)
    end)

    it("keeps rank and type, and treats a batch as its images", function()
      local x = pixels(1, 5, 9, 7, 3)
      local y = image.resize(x, 4, 6)
      assert.same({ 5, 4, 6, 3 }, { y:shape() })
      for i = 1, 5 do assert.equal(image.resize(x[i], 4, 6):bytes(), y[i]:clone():bytes()) end
      assert.same({ 3, 2 }, { image.resize(pixels(1, 9, 9), 3, 2):shape() })
      local f = image.resize(x:to "f32", 4, 6)
      assert.equal("f32", f:dtype())
      assert.is_true((f - y:to "f32"):abs():max():item() <= 1)
    end)

    it("takes views, one pixel, and a pixel to 10,000", function()
      local x = pixels(2, 8, 8, 3)
      local view = x[{ { 2, 6 }, { 3, 8 } }]
      assert.equal(image.resize(view:clone(), 3, 3):bytes(), image.resize(view, 3, 3):bytes())
      local wide = image.resize(pixels(3, 1, 1), 1, 10000)
      assert.equal(pixels(3, 1, 1):bytes():rep(10000), wide:bytes())
      assert.same({ 0, 4, 4, 3 }, { image.resize(luma.zeros(0, 2, 2, 3), 4, 4):shape() })
    end)

    it("names what is wrong", function()
      local x = pixels(1, 4, 4, 3)
      fails("bad argument #2 to 'image.resize' (height must be in 1..16777216, got 0)", image.resize, x, 0, 4)
      fails("source height must be in 1..16777216, got 0", image.resize, luma.zeros(0, 4, 3), 4, 4)
      fails("image of type u8 or f32 expected, got i32", image.resize, x:to "i32", 4, 4)
      fails("image (h, w), (h, w, c) or batch (n, h, w, c) expected, got [3]", image.resize, luma.zeros(3), 4, 4)
      fails("option method must be one of bilinear, nearest, area, got 'cubic'", image.resize, x, 4, 4,
        { method = "cubic" })
      fails("unknown option 'methd' (known: method)", image.resize, x, 4, 4, { methd = "area" })
    end)
  end)

  describe("affine", function()
    it("is scipy.ndimage.affine_transform for every fill", function()
      for _, case in ipairs(reference.warps) do
        local x = pixels(case.seed, case.h, case.w, case.c)
        local opts = { height = case.oh, width = case.ow, fill = case.fill, cval = 77.5 }
        local label = ("%s %dx%dx%d"):format(case.fill, case.h, case.w, case.c)
        local f = image.affine(x:to "f32", case.m, opts)
        assert.is_true(furthest(f, case.y) < 255e-6, label)
        assert.is_true(furthest(image.affine(x, case.m, opts), case.y) <= 0.501, label .. " u8")
      end
    end)

    it("takes (x, y) maps and forward maps", function()
      local x = pixels(4, 6, 5, 3):to "f32"
      local y = image.affine(x, { 0.9, 0.2, 1, -0.1, 1.1, 0.5 })
      local xy = image.affine(x, { 1.1, -0.1, 0.5, 0.2, 0.9, 1 }, { axes = "xy" })
      assert.equal(y:bytes(), xy:bytes())
      local det = 0.9 * 1.1 + 0.2 * 0.1
      local a, b, c, d = 1.1 / det, -0.2 / det, 0.1 / det, 0.9 / det
      local forward = { a, b, -(a * 1 + b * 0.5), c, d, -(c * 1 + d * 0.5) }
      assert.is_true((image.affine(x, forward, { forward = true }) - y):abs():max():item() < 1e-3)
      fails("matrix is singular", image.affine, x, { 1, 2, 0, 2, 4, 0 }, { forward = true })
      assert.same({ 6, 5, 3 }, { image.affine(x, { 0, 0, 1, 0, 0, 1 }):shape() }) -- output to input: defined
    end)

    it("survives coordinates beyond everything", function()
      local x = pixels(4, 3, 3)
      for _, fill in ipairs { "nearest", "constant", "grid-constant", "reflect", "mirror", "wrap", "grid-wrap" } do
        for _, sample in ipairs { "bilinear", "nearest" } do
          local y = image.affine(x, { 1e300, -1e300, 1e18, 3, 1e200, -1e300 }, { fill = fill, sample = sample })
          assert.same({ 3, 3 }, { y:shape() })
        end
      end
      fails("matrix entry 3 must be a finite number", image.affine, x, { 1, 0, 0 / 0, 0, 1, 0 })
      fails("matrix must be a list of 6 numbers", image.affine, x, { 1, 0, 0 })
    end)
  end)

  describe("rotate", function()
    local function dot(degrees)
      local x = luma.zeros(9, 9)
      x[{ 5, 8 }] = 1 -- the article's (4, 7), counted from 1
      local y = image.rotate(x, degrees)
      for r = 1, 9 do
        for c = 1, 9 do
          if y[{ r, c }] == 1 then return { r - 1, c - 1 } end
        end
      end
    end

    it("turns counter-clockwise as tfa.image.rotate", function()
      assert.same({ 2, 6 }, dot(45))
      assert.same({ 1, 4 }, dot(90))
      assert.same({ 4, 1 }, dot(180))
      assert.same({ 7, 4 }, dot(-90))
    end)

    it("at 45 degrees blackens 17.1 % of a square", function()
      local y = image.rotate(luma.ones(224, 224), 45)
      local black = 1 - y:mean():item()
      assert.is_true(math.abs(black - 0.171) < 0.0015, tostring(black))
    end)

    it("reduces the angle modulo 360 and refuses NaN", function()
      local x = pixels(6, 7, 5, 3)
      assert.equal(image.rotate(x, 30):bytes(), image.rotate(x, 30 + 360 * 1000):bytes())
      assert.equal(x:bytes(), image.rotate(x, 360):bytes())
      assert.same({ 7, 5, 3 }, { image.rotate(x, 1e9):shape() })
      fails("degrees must be finite, got", image.rotate, x, 0 / 0)
      fails("degrees must be finite, got inf", image.rotate, x, math.huge)
      local square = pixels(6, 6, 6, 3)
      local quarter = image.flip_up_down(image.transpose(square))
      assert.equal(quarter:bytes(), image.rotate(square, 90):bytes())
    end)
  end)

  describe("warp_batch", function()
    it("gives each image its own parameters, the same at any thread count", function()
      local x = pixels(8, 6, 12, 10, 3):to "f32"
      local list = {}
      for i = 1, 6 do
        list[i] = { matrix = { 1, 0.1 * i, -i, -0.05 * i, 1, i }, flip_h = i % 2 == 0, flip_v = i % 3 == 0,
          fill = "nearest", shift = i, brightness = 1 + i / 10 }
      end
      local threads = luma.threads()
      luma.threads(1)
      local one = image.warp_batch(x, list)
      luma.threads(2)
      local two = image.warp_batch(x, list)
      luma.threads(threads)
      assert.equal(one:bytes(), two:bytes())
      for i = 1, 6 do
        assert.equal(image.warp_batch(x[i], list[i]):bytes(), one[i]:clone():bytes())
        local y = image.affine(x[i], list[i].matrix, { fill = "nearest" })
        local low, high = y:min():item(), y:max():item()
        y = (y + list[i].shift):clamp(low, high) * list[i].brightness
        if list[i].flip_h then y = image.flip_left_right(y) end
        if list[i].flip_v then y = image.flip_up_down(y) end
        assert.is_true((y - one[i]):abs():max():item() < 1e-2)
      end
    end)

    it("copies when nothing moves, and keeps fractions of u8 on demand", function()
      local x = pixels(9, 5, 4, 3)
      assert.equal(x:bytes(), image.warp_batch(x, { matrix = { 1, 0, 0, 0, 1, 0 } }):bytes())
      local half = image.warp_batch(x, { matrix = { 1, 0, 0.5, 0, 1, 0 } }, { dtype = "f32" })
      assert.equal((x[1][1][1] + x[2][1][1]) / 2, half[1][1][1])
    end)

    it("names the fault", function()
      local x = pixels(9, 2, 5, 4, 3)
      fails("bad argument #2 to 'image.warp_batch' (3 warp parameters for 2 images)", image.warp_batch, x,
        { {}, {}, {} })
      fails("(unknown option 'flip' (known: matrix, flip_h,", image.warp_batch, x, { { flip = true }, {} })
      fails("option dtype must be u8 or f32, got 'i32'", image.warp_batch, x, { {}, {} }, { dtype = "i32" })
    end)
  end)

  describe("boxes", function()
    it("crops, deletes and mirrors", function()
      local x = pixels(10, 6, 7, 3)
      local y = image.crop(x, { top = 2, left = 3, height = 4, width = 5 })
      assert.equal(x[{ { 2, 5 }, { 3, 7 } }]:clone():bytes(), y:bytes())
      local z = image.remove(x, { 6, 1 }, { 2, 2, 7 })
      assert.same({ 4, 5, 3 }, { z:shape() })
      assert.equal(x[{ 2, 3 }]:clone():bytes(), z[{ 1, 2 }]:clone():bytes())
      assert.equal(x:bytes(), image.remove(x):bytes())
      assert.equal(x:bytes(), image.flip_left_right(image.flip_left_right(x)):bytes())
      assert.equal(x:bytes(), image.flip_up_down(image.flip_up_down(x)):bytes())
      assert.equal(x:bytes(), image.transpose(image.transpose(x)):bytes())
      assert.equal(x[{ 6, 2 }]:clone():bytes(), image.flip_up_down(x)[{ 1, 2 }]:clone():bytes())
      assert.equal(x[{ 2, 7 }]:clone():bytes(), image.flip_left_right(x)[{ 2, 1 }]:clone():bytes())
    end)

    it("refuses boxes that leave the image or are empty", function()
      local x = pixels(10, 6, 7, 3)
      fails("bad argument #2 to 'image.crop' (box of 4x1 at row 4, column 1 does not lie in the 6x7 image)",
        image.crop, x, { top = 4, left = 1, height = 4, width = 1 })
      fails("box is empty: 0x3 pixels", image.crop, x, { top = 1, left = 1, height = 0, width = 3 })
      fails("box has no left", image.crop, x, { top = 1, height = 1, width = 1 })
      fails("does not lie in", image.crop, x, { top = -1, left = 1, height = 1, width = 1 })
      fails("element 1 is not in 1..6: 7", image.remove, x, { 7 })
    end)
  end)

  describe("black bars", function()
    it("are counted, chosen by majority and protected by the window", function()
      local x = luma.full({ 20, 10, 3 }, 200, "u8")
      x[{ { 1, 3 } }] = 10
      x[{ {}, 10 }] = luma.tensor({ 39, 40, 40 }, "u8")
      local bars = image.black_bars(x)
      assert.same({ 1, 2, 3 }, bars.rows)
      assert.same({ 10 }, bars.cols)
      assert.equal(10, bars.row_counts[3])
      assert.equal(1, bars.row_counts[20])
      assert.same({}, image.black_bars(x, { window = { 1, 20 } }).rows)
      assert.same({ top = 4, left = 1, height = 17, width = 9 }, image.content_box(x))
    end)

    it("faithful needs a square image and says why", function()
      fails("the faithful scan shares one loop over rows and columns: a square image expected, got [20x10x3]",
        image.black_bars, luma.full({ 20, 10, 3 }, 0, "u8"), { faithful = true })
      local x = luma.full({ 1024, 1024 }, 0, "u8")
      local bars = image.black_bars(x, { faithful = true })
      assert.equal(723, #bars.rows)
      assert.equal(423, #image.black_bars(x).rows)
    end)

    it("a wholly black image has an empty box, which crop refuses", function()
      local x = luma.full({ 8, 8 }, 0, "u8")
      local box = image.content_box(x)
      assert.equal(0, box.height)
      fails("box is empty", image.crop, x, box)
      fails("content_box: one u8 image expected, got Tensor f32 [3x3]", image.content_box, luma.zeros(3, 3))
      local white = luma.full({ 1, 1 }, 255, "u8")
      assert.same({ top = 1, left = 1, height = 1, width = 1 }, image.content_box(white))
    end)
  end)

  describe("colour", function()
    local c = reference.colors
    local x = luma.tensor(c.x, "u8"):reshape(6, 8, 3)
    local unit = x:to "f32" / 255

    it("is OpenCV's gray and colorsys's hue", function()
      assert.same(c.gray, image.rgb_to_gray(x):reshape(48):totable())
      local hsv = image.rgb_to_hsv(unit)
      assert.is_true(furthest(hsv, c.hsv) < 1e-6)
      assert.is_true((image.hsv_to_rgb(hsv) - unit):abs():max():item() < 1e-6)
    end)

    it("adjust_saturation is TensorFlow's", function()
      assert.is_true(furthest(image.adjust_saturation(unit, 3), c.saturated) < 2e-6)
      local ramp = luma.arange(1, 12):reshape(2, 2, 3):to "f32"
      local half = { 2, 2.5, 3, 5, 5.5, 6, 8, 8.5, 9, 11, 11.5, 12 }
      assert.is_true(furthest(image.adjust_saturation(ramp, 0.5), half) < 1e-6)
      local gray = luma.full({ 3, 3, 3 }, 0.25)
      assert.equal(gray:bytes(), image.adjust_saturation(gray, 3):bytes())
      fails("image with 3 channels expected, got [3x3]", image.adjust_saturation, luma.zeros(3, 3), 2)
    end)

    it("adjust_contrast is TensorFlow's and not clipped; one colour stays", function()
      local ramp = luma.arange(1, 12):reshape(2, 2, 3):to "f32"
      assert.same({ -3.5, -2.5, -1.5, 2.5, 3.5, 4.5, 8.5, 9.5, 10.5, 14.5, 15.5, 16.5 },
        image.adjust_contrast(ramp, 2):reshape(12):totable())
      for _, level in ipairs { 0, 0.5, 1 } do
        local flat = luma.full({ 4, 5, 3 }, level)
        assert.equal(flat:bytes(), image.adjust_contrast(flat, 7):bytes())
      end
      assert.equal(x:bytes(), image.adjust_contrast(x, 1):bytes())
      fails("factor must be finite", image.adjust_contrast, ramp, 0 / 0)
    end)

    it("adjust_brightness adds; red and blue change places", function()
      assert.is_true((image.adjust_brightness(unit, 0.25) - (unit + 0.25)):abs():max():item() == 0)
      assert.equal(255, image.adjust_brightness(x, 1):min():item())
      assert.equal(0, image.adjust_brightness(x, -1):max():item())
      local y = image.swap_red_blue(x)
      assert.equal(x[{ 3, 4, 1 }], y[{ 3, 4, 3 }])
      assert.equal(x:bytes(), image.swap_red_blue(y):bytes())
    end)
  end)

  describe("scale_input", function()
    it("knows the four conventions, from u8 and f32 alike", function()
      local x = luma.tensor({ 255, 0, 51 }, "u8"):reshape(1, 1, 3)
      local want = {
        unit = { 1, 0, 0.2 }, caffe = { 51 - 103.939, -116.779, 255 - 123.68 }, tf = { 1, -1, -0.6 },
        torch = { (1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225 }, raw = { 255, 0, 51 },
      }
      for name, values in pairs(want) do
        local y = image.scale_input(x, name)
        assert.is_true(furthest(y, values) < 1e-5, name)
        assert.equal(y:bytes(), image.scale_input(x:to "f32", name):bytes(), name)
      end
      assert.equal(image.scale_input(x):bytes(), image.scale_input(x, "unit"):bytes())
    end)

    it("repeats gray on demand and refuses what cannot be", function()
      local x = pixels(3, 2, 4, 4, 1)
      local y = image.scale_input(x, "caffe", { channels = 3 })
      assert.same({ 2, 4, 4, 3 }, { y:shape() })
      fails("'caffe' scales three channels, the image has 1", image.scale_input, x, "caffe")
      fails("scale must be one of unit, caffe, tf, torch, raw, got 'imagenet'", image.scale_input, x, "imagenet")
      fails("option channels must be 3 for a colour image, got 1", image.scale_input, pixels(1, 2, 2, 3), "unit",
        { channels = 1 })
    end)
  end)

  describe("sheet", function()
    it("lays tiles out in rows, gray and colour, u8 and f32", function()
      local red = luma.zeros(4, 6, 3)
      red[{ {}, {}, 1 }] = 7 -- clipped to 1
      local sheet = image.sheet({ red, luma.full({ 4, 6 }, 100, "u8"), pixels(1, 8, 12, 3) }, { cols = 2, gap = 3 })
      assert.same({ 11, 15, 3 }, { sheet:shape() })
      assert.same({ 255, 0, 0 }, sheet[{ 1, 1 }]:totable())
      assert.same({ 255, 255, 255 }, sheet[{ 5, 7 }]:totable())
      assert.same({ 100, 100, 100 }, sheet[{ 4, 15 }]:totable())
      assert.same({ 255, 255, 255 }, sheet[{ 11, 15 }]:totable()) -- the empty place
    end)

    it("says what it cannot do", function()
      fails("sheet: at least one image expected", image.sheet, {})
      fails("sheet: 3 images do not fit 1 x 2 places", image.sheet, pixels(1, 3, 2, 2, 3), { rows = 1, cols = 2 })
      fails("sheet: tile 1: tensor expected, got number", image.sheet, { 3 })
    end)
  end)

  it("gives every byte back", function()
    collectgarbage()
    collectgarbage()
    local before = luma.memory().live
    do
      local x = pixels(1, 3, 16, 16, 3)
      for _ = 1, 20 do
        image.resize(x, 8, 8):close()
        image.warp_batch(x, { flip_h = true }):close()
        image.black_bars(x[1])
        image.sheet(x)
        pcall(image.crop, x, { top = 1, left = 1, height = 99, width = 1 })
      end
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, luma.memory().live)
  end)
end)
