-- luma.store and the safetensors reader: good files, and every fault W1-W7.
local luma = require "luma"
local store = luma.store
local files = require "luma.base.files"

local dir = os.tmpname() .. ".d"
assert(files.mkdir_p(dir))
local path = dir .. "/x.safetensors"

local function write(bytes, to)
  local f = assert(io.open(to or path, "wb"))
  f:write(bytes)
  f:close()
end

-- A file from a JSON text and its data.
local function file(json, data) write(string.pack("<I8", #json) .. json .. (data or "")) end

-- The bytes of a tensor, through the raw writer.
local function bytes_of(x)
  assert(luma.core.io.write_file(dir .. "/raw", "", { x }))
  return assert(files.read(dir .. "/raw"))
end

local function refused(pattern, code, opts)
  collectgarbage()
  local before = luma.memory().live
  local got, message, what = store.load(path, opts)
  assert.is_nil(got)
  assert.matches(pattern, message)
  assert.matches("^" .. path:gsub("%W", "%%%0") .. ": ", message)
  assert.equal(code or "damaged", what)
  assert.equal(before, luma.memory().live)
end

describe("a safetensors file", function()
  teardown(function()
    for _, name in ipairs(files.list(dir, true)) do os.remove(dir .. "/" .. name) end
    os.remove(dir)
  end)

  it("gives tensors and metadata back", function()
    local data = string.pack("<ffff", 1, 2, 3, 0 / 0) .. string.pack("<i4i4", 7, -7) .. "\1\2\3"
    file([[{"__metadata__":{"who":"a\"b \u00e9\ud83d\ude00","what":""},
      "w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
      "i":{"shape":[2],"data_offsets":[16,24],"dtype":"I32"},
      "s":{"dtype":"U8","shape":[3],"data_offsets":[24,27]},
      "none":{"dtype":"F64","shape":[0,5],"data_offsets":[27,27]}}   ]], data)
    local tensors, metadata = assert(store.load(path))
    assert.same({ who = 'a"b é😀', what = "" }, metadata)
    assert.same({ 2, 2 }, { tensors.w:shape() })
    assert.same({ 0, 5 }, { tensors.none:shape() })
    assert.equal(data:sub(1, 16), bytes_of(tensors.w)) -- NaN bit for bit
    assert.equal(data:sub(17, 24), bytes_of(tensors.i))
    assert.equal(data:sub(25), bytes_of(tensors.s))
    local list = assert(store.inspect(path))
    assert.same({ name = "i", dtype = "I32", shape = { 2 }, bytes = 8 }, list[2])
    local one = assert(store.load(path, { names = { "i" } }))
    assert.is_nil(one.w)
    assert.is_userdata(one.i)
    refused("holds no tensor 'absent'", "damaged", { names = { "absent" } })
    refused("tensor 'w': element 4 is not finite", "damaged", { finite = true })
  end)

  it("widens half floats and narrows integers exactly, or refuses by name", function()
    file('{"h":{"dtype":"F16","shape":[5],"data_offsets":[0,10]}}',
      string.pack("<I2I2I2I2I2", 0x3c00, 0xc000, 0x0001, 0x7bff, 0xfc00))
    assert.equal(string.pack("<fffff", 1, -2, 2 ^ -24, 65504, -math.huge), bytes_of(assert(store.load(path)).h))
    file('{"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}', string.pack("<I2I2", 0x3f80, 0xc040))
    assert.equal(string.pack("<ff", 1, -3), bytes_of(assert(store.load(path)).b))
    file('{"l":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}', string.pack("<i8i8", -5, 2147483647))
    assert.equal(string.pack("<i4i4", -5, 2147483647), bytes_of(assert(store.load(path)).l))
    file('{"l":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}', string.pack("<i8i8", 5, 2147483648))
    refused("tensor 'l': I64 element 2 does not fit i32", "unsupported")
    file('{"u":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}', ("\255"):rep(8))
    refused("tensor 'u': U64 element 1 does not fit", "unsupported")
    file('{"u":{"dtype":"U32","shape":[1],"data_offsets":[0,4]}}', ("\255"):rep(4))
    refused("tensor 'u': U32 element 1 does not fit", "unsupported")
    file('{"c":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}', "\255\1")
    assert.equal(string.pack("<i4i4", -1, 1), bytes_of(assert(store.load(path)).c))
    file('{"q":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', "x")
    refused("tensor 'q': luma does not read F8_E4M3", "unsupported")
    file('{"q":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}}', ("x"):rep(16))
    refused("tensor 'q': unknown dtype 'F128'", "unsupported")
  end)

  it("is refused when its header length lies (W1)", function()
    for _, case in ipairs {
      { "", "0 bytes" }, { "1234567", "7 bytes" }, { ("\0"):rep(8), "header is empty" },
      { string.pack("<I8", 100) .. "{}", "header of 100 bytes in a file of 10" },
      { string.pack("<I8", 100000001) .. "{}", "header of 100000001 bytes" },
      { string.pack("<I8", 1 << 63) .. "{}", "header of 9223372036854775808 bytes" },
      { ("\255"):rep(8) .. "{}", "header of 18446744073709551615 bytes" },
      { "<!DOCTYPE html><html>404</html>", "not safetensors but an HTML page" },
      { "\137HDF\r\n\26\n....", "not safetensors but HDF5: see store.convert_h5" },
      { "PK\3\4archive/data.pkl", "a PyTorch pickle is a program and is not run" },
      { "version https://git-lfs.github.com/spec/v1", "Git LFS pointer" },
    } do
      write(case[1])
      refused(case[2])
    end
  end)

  it("is refused when its header is not the JSON it must be (W2)", function()
    local good = '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    for json, pattern in pairs {
      ["[]"] = "must begin with '{'", [" {}"] = "must begin with '{'", ["\239\187\191{}"] = "must begin with '{'",
      ["{" .. good] = "'}' expected", ["{" .. good .. ",}"] = "'\"' expected",
      ["{" .. good .. "} x"] = "after the header",
      ["{" .. good .. "}\0"] = "after the header", ["{" .. good .. "," .. good .. "}"] = "tensor 'a': duplicate name",
      [ [[{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}]] ] = "duplicate key",
      [ [[{"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},]] .. good .. "}"] = "duplicate name",
      [ [[{"__metadata__":{"k":"1","k":"2"}}]] ] = "duplicate metadata key 'k'",
      [ [[{"__metadata__":{},"__metadata__":{}}]] ] = "duplicate key '__metadata__'",
      [ [[{"__metadata__":{"k":1}}]] ] = "'\"' expected",
      [ [[{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}]] ] = "whole number expected",
      [ [[{"a":{"dtype":"U8","shape":[1]}}]] ] = "needs dtype, shape and data_offsets",
      [ [[{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}]] ] = "unknown key",
      [ [[{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}]] ] = "too many numbers",
      [ [[{"a":{"dtype":"U8","shape":[1],"data_offsets":[1]}}]] ] = "two numbers",
      [ [[{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}]] ] = "leading zero",
      [ [[{"a]] .. "\n" .. [[":{}}]] ] = "control character", [ [[{"\x"]] ] = "unknown escape",
      [ [[{"\ud800":{}}]] ] = "surrogate", [ [[{"\udc00":{}}]] ] = "surrogate", [ [[{"\u0000":{}}]] ] = "zero byte",
      ['{"\255":{}}'] = "not UTF%-8", ['{"\192\128":{}}'] = "not UTF%-8", ['{"\237\160\128":{}}'] = "not UTF%-8",
      ['{"\244\144\128\128":{}}'] = "not UTF%-8", ['{"abc'] = "not closed", ['{"abc\\'] = "not closed",
      [("["):rep(200000)] = "must begin", ['{"a":' .. ("["):rep(200000)] = "'{' expected",
      ['{"a":' .. ("{\"a\":"):rep(100000)] = "unknown key",
    } do
      file(json, "x")
      refused(pattern)
    end
  end)

  it("is refused when a shape overflows or is no whole number (W3)", function()
    for shape, pattern in pairs {
      ["[2,18446744073709551614]"] = "overflow", ["[4611686018427387905,4]"] = "overflow",
      ["[18446744073709551616]"] = "overflow", ["[65536,65536]"] = "needs 17179869184 bytes, its offsets span 4",
      ["[-1]"] = "negative", ["[1.0]"] = "fraction or exponent", ["[1e308]"] = "fraction or exponent",
      ["[1e0]"] = "fraction or exponent", ["[9223372036854775807]"] = "overflow",
      ["[1,1,1,1,1,1,1,1,1]"] = "too many numbers", ['["1"]'] = "whole number", ["[true]"] = "whole number",
      ["1"] = "'%[' expected", ["[1,]"] = "whole number",
    } do
      file('{"big":{"dtype":"F32","shape":' .. shape .. ',"data_offsets":[0,4]}}', "1234")
      refused(pattern)
    end
  end)

  it("is refused when offsets overlap, leave holes or do not end with the file (W4)", function()
    local function two(a, b, c, d, size)
      local row = '"%s":{"dtype":"U8","shape":[4],"data_offsets":[%s,%s]}'
      file("{" .. row:format("a", a, b) .. "," .. row:format("b", c, d) .. "}", ("x"):rep(size or 8))
    end
    two(0, 4, 4, 8)
    assert(store.load(path))
    two(4, 8, 0, 4)
    assert(store.load(path))
    two(0, 4, 2, 6)
    refused "tensor 'b': its data begins at 2, inside the tensor before it"
    two(0, 4, 0, 4, 4)
    refused "tensor 'b': its data begins at 0, inside"
    two(0, 4, 5, 9, 9)
    refused "tensor 'b': its data begins at 5, after a hole"
    two(1, 5, 5, 9, 9)
    refused "tensor 'a': its data begins at 1, after a hole"
    two(4, 0, 4, 8)
    refused "tensor 'a': its offsets are reversed"
    two("-4", 0, 0, 4)
    refused "negative"
    two(0, 4, 4, 8, 6)
    refused "tensor 'b': its data ends at 8, the file holds 6 bytes of data %(the file is truncated%)"
    two(0, 4, 4, 8, 11)
    refused "3 bytes of data belong to no tensor"
  end)

  it("reports what is not a file, in words", function()
    local got, message, code = store.load(dir .. "/absent.safetensors")
    assert.is_nil(got)
    assert.matches("absent.safetensors: cannot open: No such file", message)
    assert.equal("io", code)
    got, message = store.load(dir)
    assert.is_nil(got)
    assert.matches("is a folder", message)
    got, message = store.load "/dev/zero"
    assert.is_nil(got)
    assert.matches("not a regular file", message)
    got, message = store.load(("%s/"):rep(2000) .. "\7")
    assert.is_nil(got)
    assert.is_true(#message < 400)
    assert.is_nil(message:find "\7")
    assert.error_matches(function() store.load(7) end,
      "bad argument #1 to 'io.load_safetensors' %(path: string expected")
    assert.error_matches(function() store.load "a\0b" end, "zero byte")
    assert.error_matches(function() store.load(path, { finit = true }) end, "unknown option 'finit'")
  end)

  it("written by luma is the same bytes each time, comes back, and replaces the old one whole", function()
    local tensors = { ["b.weight"] = luma.tensor { { 1, 2 }, { 3, 4 } }, ["a b\n\"é"] = luma.tensor({ 1, 2, 3 }, "u8"),
      d = luma.tensor({ 0.1 }, "f64"), i = luma.tensor({ -5 }, "i32"), none = luma.zeros(0, 3),
      view = luma.arange(1, 6):reshape(2, 3):transpose(1, 2), scalar = luma.tensor { 7 }:sum() }
    assert(store.save(path, tensors, { who = "luma", ["k\"ey"] = "Ü\\" }))
    local first = assert(files.read(path))
    assert.equal(0, string.unpack("<I8", first) % 8)
    assert(store.save(path, tensors, { who = "luma", ["k\"ey"] = "Ü\\" }))
    assert.equal(first, files.read(path))
    local back, metadata = assert(store.load(path))
    assert.same({ who = "luma", ["k\"ey"] = "Ü\\" }, metadata)
    for name, x in pairs(tensors) do
      assert.equal(x:dtype(), back[name]:dtype())
      assert.same({ x:shape() }, { back[name]:shape() })
      assert.same(x:totable(), back[name]:totable())
      back[name] = nil
    end
    assert.is_nil(next(back))
    assert(store.save(path, {}))
    assert.same({}, (assert(store.load(path))))
    local got, message, code = store.save(dir .. "/no/such/x", tensors)
    assert.is_nil(got)
    assert.equal("io", code)
    assert.matches("cannot create: No such file", message)
    got, message = store.save(dir, tensors)
    assert.is_nil(got)
    assert.matches("is a folder", message)
    assert.is_nil((store.save("/proc/x", tensors)))
    for _, name in ipairs(files.list(dir, true)) do assert.is_nil(name:find "%.tmp$") end
    assert.error_matches(function() store.save(path, { x = 5 }) end, "'x' is not a tensor but a number")
    assert.error_matches(function() store.save(path, { tensors.d }) end, "tensor names must be strings, got 1")
    assert.error_matches(function() store.save(path, { ["\255"] = tensors.d }) end, "is not text")
    assert.error_matches(function() store.save(path, {}, { a = 1 }) end, "metadata value must be a string")
  end)

  it("replaces a link at its path, never what the link leads to", function()
    local uv = require "luv"
    write("target", dir .. "/target")
    assert(uv.fs_symlink(dir .. "/target", dir .. "/link"))
    assert(store.save(dir .. "/link", {}))
    assert.equal("target", files.read(dir .. "/target"))
    assert.equal("file", uv.fs_lstat(dir .. "/link").type)
  end)

  it("is not half written when the disk is full or the process is killed", function()
    if not os.execute "prlimit --version >/dev/null 2>&1" then return pending "prlimit absent" end
    assert(files.mkdir_p(dir .. "/full"))
    local target = dir .. "/full/x.safetensors"
    local small = { w = luma.ones(3) }
    assert(store.save(target, small))
    local before = assert(files.read(target))
    local code = ([[local luma = require "luma" %s
      print(luma.store.save("%s", { w = luma.ones(100000) }))]])
    local function run(line, signals)
      local f = assert(io.popen(("prlimit --fsize=65536 lua5.4 -e '%s' 2>&1"):format(code:format(signals, line))))
      local out = f:read "a"
      f:close()
      return out
    end
    -- Ctrl-C's handler ignores SIGXFSZ as well: the write fails and says so.
    local said = run(target, "luma.core.system.watch_interrupts(true)")
    assert.matches("nil%s.*x.safetensors: cannot write: File too large%s+io", said)
    run(target, "") -- the signal's default: killed in the middle of the write
    assert.equal(before, files.read(target))
    assert.same({ "x.safetensors" }, (files.list(dir .. "/full", true)))
    for _, name in ipairs(files.list(dir .. "/full", true)) do os.remove(dir .. "/full/" .. name) end
    os.remove(dir .. "/full")
  end)

  it("written by PyTorch's users is read, and luma's file by the safetensors rules in Python", function()
    local script = dir .. "/check.py"
    write(([[
import json, struct, sys
data = open(sys.argv[1], "rb").read()
n, = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8+n])
assert header["w"] == {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}, header
assert struct.unpack("<2f", data[8+n:]) == (1.5, -2.0)
]]), script)
    assert(store.save(path, { w = luma.tensor { { 1.5 }, { -2 } } }))
    assert.is_true(os.execute(("env -u LD_PRELOAD /usr/bin/python3 '%s' '%s'"):format(script, path)))
  end)

  it("loses no memory and leaves nothing behind, whichever allocation fails", function()
    file('{"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}', "1234")
    collectgarbage()
    local before = luma.memory().live
    for n = 1, 20 do
      luma.core.hook.fail_nth(n, true)
      local ok, got, message = pcall(store.load, path)
      luma.core.hook.fail_nth(0)
      if ok and got then
        assert.is_true(n > 3)
        break
      end
      assert.matches("not enough memory", tostring(ok and message or got))
      collectgarbage()
      assert.equal(before, luma.memory().live)
    end
  end)
end)
