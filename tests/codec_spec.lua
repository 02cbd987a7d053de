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
    assert.equal("neither PNG nor JPEG", message)
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
