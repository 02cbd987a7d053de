local json = require "luma.base.json"
local text = require "luma.base.text"

describe("json", function()
  it("writes sorted keys, short lists on one line, and null for what JSON cannot say", function()
    local value = { b = { 1, 2.5, "x" }, a = { y = 0 / 0, x = math.huge }, empty = json.list {}, t = true }
    assert.equal([[
{
  "a": {
    "x": null,
    "y": null
  },
  "b": [1, 2.5, "x"],
  "empty": [],
  "t": true
}
]], json.encode(value))
  end)

  it("keeps every bit of a number", function()
    for _, x in ipairs { 0.1, 1 / 3, 1e300, -5e-324, 123456789012345.0, 2 ^ 53 + 2.0 } do
      assert.equal(x, json.decode(json.encode { x })[1])
    end
    assert.equal("[9007199254740993]\n", json.encode { 9007199254740993 })
  end)

  it("escapes what must be escaped and reads it back", function()
    local hostile = '<script>"\\\n\0\x7f/ü'
    assert.equal(hostile, json.decode(json.encode { hostile })[1])
  end)

  it("refuses what is not JSON with a message", function()
    for _, bad in ipairs { "", "{", "[1,]", "nan", ("["):rep(1000) } do
      local value, message = json.decode(bad)
      assert.is_nil(value)
      assert.truthy(message:find("not JSON", 1, true))
    end
    assert.has_error(function() json.encode { print } end)
    local loop = {}
    loop[1] = loop
    assert.error_matches(function() json.encode(loop) end, "nested deeper")
  end)
end)

describe("text", function()
  it("pads by characters", function()
    assert.equal("  ü", text.left_pad("ü", 3))
  end)

  it("names durations", function()
    assert.equal("0.21 s", text.duration(0.21))
    assert.equal("3 min 05 s", text.duration(185))
    assert.equal("2 h 10 min", text.duration(7800))
  end)

  it("finds the nearest name, and none for nonsense", function()
    assert.equal("info", text.nearest("inof", { "covid", "info" }))
    assert.is_nil(text.nearest("zzzzzz", { "covid", "info" }))
  end)

  it("makes hostile names harmless", function()
    assert.equal("a\\x0a\\x1b[31m\\xff", text.printable "a\n\27[31m\xff")
    assert.equal("&lt;img src=&quot;x&quot;&gt;", text.html '<img src="x">')
    assert.is_true(text.len(text.printable(("ä"):rep(5000), 100)) <= 100)
  end)
end)
