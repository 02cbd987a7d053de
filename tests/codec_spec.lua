-- image.load, decode, info, encode, save: round trips, options, error texts.
describe("image codecs", function()
  local luma = require "luma"
  local image = luma.core.image


  local function temp(name) return os.tmpname() .. name end

  it("round-trips PNG exactly", function()
    local bytes = assert(image.encode(luma.zeros({ 5, 7, 3 }, "u8"), "png"))
    local x, info = assert(image.decode(bytes))
    assert.same({ 5, 7, 3 }, { x:shape() })
    assert.equal("png", info.format)
    assert.equal(0, info.warnings)
    assert.same({ 5, 7, 1 }, { assert(image.decode(bytes, "gray")):shape() })
    assert.same({ 5, 7, 4 }, { assert(image.decode(bytes, { mode = "rgba" })):shape() })
  end)

  it("keeps gray files gray unless asked", function()
    for _, format in ipairs { "png", "jpeg" } do
      local bytes = image.encode(luma.zeros({ 9, 4 }, "u8"), format)
      assert.same({ 9, 4, 1 }, { image.decode(bytes):shape() })
      assert.same({ 9, 4, 3 }, { image.decode(bytes, "rgb"):shape() })
    end
  end)

  it("saves atomically, loads, and tells the header", function()
    local path = temp ".jpg"
    assert.is_true(image.save(path, luma.zeros({ 6, 8, 3 }, "f32")))
    local info = assert(image.info(path))
    assert.same({ "jpeg", 6, 8, 3, 8 }, { info.format, info.height, info.width, info.channels, info.bits })
    assert.same({ 6, 8, 3 }, { assert(image.load(path)):shape() })
    os.remove(path)
  end)

  it("reports the world's faults as nil, message, code", function()
    local x, message, code = image.load "/nowhere/a.png"
    assert.is_nil(x)
    assert.equal("/nowhere/a.png: cannot open: No such file or directory", message)
    assert.equal("io", code)
    x, message, code = image.decode "GIF89a..."
    assert.is_nil(x)
    assert.equal("neither PNG nor JPEG, but a GIF image: convert it to PNG", message)
    assert.equal("unsupported", code)
  end)

  it("raises on the programmer's faults", function()
    assert.error_matches(function() image.load("a.png", "grey") end, "mode must be one of native, gray, rgb, rgba")
    assert.error_matches(function() image.load("a.png", { modes = 1 }) end, "unknown option 'modes'")
    assert.error_matches(function() image.load "a.png\0.txt" end, "path contains a NUL byte")
    local two = luma.zeros({ 3, 3, 2 }, "u8")
    assert.error_matches(function() image.encode(two, "jpeg") end, "1 or 3 channels here, got 2")
    assert.error_matches(function() image.encode(luma.zeros({ 0, 3, 3 }, "u8"), "png") end, "got 0 x 3")
    assert.error_matches(function() image.encode(luma.zeros({ 3, 3 }, "u8"), "jpeg", { quality = 0 }) end, "1%.%.100")
    assert.error_matches(function() image.save("x.bmp", luma.zeros({ 3, 3 }, "u8")) end, "say {format = ...}")
  end)
end)

describe("image encoding", function()
  local luma = require "luma"
  local files = require "luma.base.files"
  local image = luma.core.image

  it("takes floats as levels: NaN is 0, the rest is rounded and clamped (I24)", function()
    local x = luma.tensor({ { 0 / 0, -5, 300, 1 / 0, -1 / 0, 1.5, 2.5, 254.6 } }, "f32")
    for _, y in ipairs { x, x:to "f64" } do
      local back = assert(image.decode(image.encode(y, "png"))):totable()[1]
      for i, want in ipairs { 0, 0, 255, 255, 0, 2, 2, 255 } do assert.equal(want, back[i][1]) end
    end
  end)

  it("takes views that are not plain memory", function()
    local x = luma.arange(0, 59):to "u8":reshape(4, 5, 3)
    local turned = x:transpose(1, 2)
    local back = assert(image.decode(image.encode(turned, "png")))
    assert.same(turned:totable(), back:totable())
    assert.same(x:narrow(1, 2, 2):totable(), image.decode(image.encode(x:narrow(1, 2, 2), "png")):totable())
  end)

  it("writes RGBA as PNG and reads it back with and without alpha", function()
    local x = luma.arange(0, 47):to "u8":reshape(3, 4, 4)
    local bytes = image.encode(x, "png")
    assert.same(x:totable(), image.decode(bytes, "rgba"):totable())
    assert.same(x:narrow(3, 1, 3):totable(), image.decode(bytes):totable())
  end)

  it("writes baseline JPEG, JFIF 1.01, 4:2:0 (I4)", function()
    local bytes = image.encode(luma.zeros({ 16, 16, 3 }, "u8"), "jpeg")
    assert.equal("\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", bytes:sub(1, 20))
    local sof = bytes:find("\xff\xc0", 1, true)
    assert.equal("\3\1\x22\0\2\x11\1\3\x11\1", bytes:sub(sof + 9, sof + 18))
    assert.is_true(#image.encode(luma.zeros({ 16, 16, 3 }, "u8"), "jpeg", { subsampling = "444" }) ~= #bytes)
  end)

  it("refuses shapes no file can have", function()
    local encode = image.encode
    assert.error_matches(function() encode(luma.zeros({ 1, 65501 }, "u8"), "jpeg") end, "1..65500 pixels a side")
    assert.error_matches(function() encode(luma.zeros({ 3, 3, 4 }, "u8"), "jpeg") end, "1 or 3 channels here, got 4")
    assert.error_matches(function() encode(luma.zeros({ 2, 3, 3, 3 }, "u8"), "png") end, "an image %(h, w%)")
    assert.error_matches(function() encode(luma.zeros({ 3 }, "u8"), "png") end, "an image %(h, w%)")
    assert.error_matches(function() encode(luma.zeros({ 3, 3 }, "u8"), "gif") end, "'png' or 'jpeg', got 'gif'")
    for _, quality in ipairs { 0, 101, 0 / 0, "x", 1.5 } do
      assert.error(function() encode(luma.zeros({ 3, 3 }, "u8"), "jpeg", { quality = quality }) end)
    end
  end)

  it("leaves nothing under the name, and no temporary file, when the disk takes no more (I25)", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(files.mkdir_p(dir))
    local code = ([[local i = luma.core.image
      local ok, m, c = i.save("%s/big.png", luma.randint(0, 255, 300, 300, 3, "u8"))
      print(ok, m, c)]]):format(dir)
    local log = dir .. "/log"
    os.execute(("ulimit -f 8; LUMA_BUILD=%s scripts/luma -e '%s' >%s 2>&1"):format(
      os.getenv "LUMA_BUILD" or "build", code, log))
    assert.matches("nil\t.*big.png: cannot write: File too large\tio", files.read(log))
    assert.same({ "log" }, files.list(dir, true))
    assert.is_nil((image.save(dir .. "/no/such/folder.png", luma.zeros({ 2, 2 }, "u8"))))
    local ok, message = image.save(dir, luma.zeros({ 2, 2 }, "u8"), { format = "png" })
    assert.is_nil(ok)
    assert.matches("is a folder", message)
    os.execute("rm -rf " .. dir)
  end)
end)
