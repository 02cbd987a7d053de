-- NumPy files: what NumPy writes comes in, what luma writes NumPy reads, and
-- hostile files are refused (W10).
local luma = require "luma"
local files = require "luma.base.files"
local store = luma.store

local dir = os.tmpname() .. ".d"
assert(files.mkdir_p(dir))
local path = dir .. "/x.npy"
local made = os.execute(("/usr/bin/python3 tests/hostile/npy.py '%s' 2>'%s/log'"):format(dir, dir))
local golden = "../shared/golden/"

local function write(bytes, to) assert(files.write_atomic(to or path, bytes)) end

local function npy(header, data, version)
  write("\x93NUMPY" .. (version or "\1\0") .. string.pack("<I2", #header) .. header .. (data or ""))
end

local function refused(pattern, load)
  local got, message, code = (load or store.load_npy)(path)
  assert.is_nil(got)
  assert.matches(pattern, message)
  assert.is_truthy(message:find(path, 1, true))
  return code
end

describe("NumPy files", function()
  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  it("of every plain type are read exactly", function()
    if not made then return pending("numpy absent") end
    local want = {}
    for i = 0, 23 do want[#want + 1] = i - 7 end
    for _, name in ipairs { "f2", "f4", "f8", "be4", "be8", "i1", "i2", "i4", "i8", "fortran" } do
      local x = assert(store.load_npy(dir .. "/" .. name .. ".npy"))
      assert.same({ 2, 3, 4 }, { x:shape() })
      local other = { f8 = "f64", i1 = "i32", i2 = "i32", i4 = "i32", i8 = "i32", be8 = "i32" }
      assert.equal(other[name] or "f32", x:dtype())
      assert.same(want, x:reshape(24):to "i32":totable())
    end
    assert.equal(16, assert(store.load_npy(dir .. "/b1.npy")):to("i32"):sum():item())
    assert.equal("u8", assert(store.load_npy(dir .. "/u1.npy")):dtype())
    assert.equal(2.5, assert(store.load_npy(dir .. "/scalar.npy")):item())
    assert.same({ 0, 3 }, { assert(store.load_npy(dir .. "/empty.npy")):shape() })
    for name, pattern in pairs { c8 = "dtype '<c8'", text = "dtype '<U3'",
      object = "Python objects", struct = "structured" } do
      local x, message, code = store.load_npy(dir .. "/" .. name .. ".npy")
      assert.is_nil(x)
      assert.matches(pattern, message)
      assert.equal("unsupported", code)
    end
    for _, name in ipairs { "stored", "packed" } do
      local t = assert(store.load_npz(dir .. "/" .. name .. ".npz"))
      assert.same(want, t.a:reshape(24):to "i32":totable())
      assert.is_userdata(t.b)
    end
    local _, message, code = store.load_npz(dir .. "/bomb.npz")
    assert.matches("unpack to more than 64 times the file", message)
    assert.equal("limit", code)
  end)

  it("written by luma are read by NumPy, and come back", function()
    local x = luma.tensor { { 1, 2.5, -3 }, { 4, 5, 6 } }
    for _, y in ipairs { x, x:to "f64", x:to "i32", x:transpose(1, 2), luma.tensor { 7 }, luma.zeros(0, 2) } do
      assert(store.save_npy(path, y))
      local back = assert(store.load_npy(path))
      assert.equal(y:dtype(), back:dtype())
      assert.same({ y:shape() }, { back:shape() })
      assert.same(y:totable(), back:totable())
    end
    if not made then return pending("numpy absent") end
    assert(store.save_npy(path, x))
    local check = "import numpy as n; a = n.load('%s'); "
      .. "assert a.dtype == 'float32' and a.tolist() == [[1, 2.5, -3], [4, 5, 6]]"
    assert.is_true(os.execute(('/usr/bin/python3 -c "' .. check .. '"'):format(path)))
  end)

  it("are refused when the header is not what NumPy writes (W10)", function()
    local good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n"
    npy(good, "1234")
    assert(store.load_npy(path))
    npy(good, "123")
    refused "F32 %[1%] needs 4 bytes of data, the file holds 3"
    npy(good, "12345")
    refused "needs 4 bytes of data, the file holds 5"
    npy(good, "1234", "\9\0")
    refused "npy version 9.0"
    write "\x93NUMPY\2\0\255\255\255\255"
    refused "npy header of 4294967295 bytes"
    write "\x93NUMPY\1\0\255\255{}"
    refused "truncated"
    write "PK not an array"
    refused "not an npy file"
    write ""
    refused "not an npy file"
    for header, pattern in pairs {
      ["__import__('os').system('touch /tmp/owned')"] = "not a dictionary",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } + x"] = "text after",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,), }"] = "needs 40000000000 bytes",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905,4), }"] = "overflow",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"] = "overflows",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"] = "whole number",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,), }"] = "must be a tuple",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (1), }"] = "tuple",
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }"] = "more than 8 dimensions",
      ["{'descr': '<f4', 'fortran_order': False, }"] = "are needed",
      ["{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"] = "duplicate",
      ["{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }"] = "True or False",
      ["{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"] = "a pickle is a program",
      ["{'descr': '<f4\\'', 'fortran_order': False, 'shape': (1,), }"] = "odd word",
      ["{'descr': '<f4"] = "not closed", [("{"):rep(60000)] = "quoted word",
    } do
      npy(header, "1234")
      refused(pattern)
    end
  end)

  it("in an archive are checked: directory, sizes, checksum, names", function()
    if not made then return pending("numpy absent") end
    local function try(pattern, bytes)
      write(bytes)
      refused(pattern, store.load_npz)
    end
    local whole = assert(files.read(dir .. "/stored.npz"))
    try("not a zip", "")
    try("not a zip", whole:sub(1, -23))
    try("checksum", (whole:gsub("\4\0\0\0PK", "\5\0\0\0PK", 1))) -- the last number
    try("control character", (whole:gsub("a%.npy", "\1.npy")))
    write((whole:gsub("a%.npy", "/.npy"))) -- a name is a key, never a path
    assert.truthy(store.load_npz(path)["/"])
    try("not an npy file", (whole:gsub("a%.npy", "a.txt")))
    try("two arrays are named 'a'", (whole:gsub("b%.npy", "a.npy")))
    local packed = assert(files.read(dir .. "/packed.npz"))
    for cut = 1, #packed - 1, 37 do
      write(packed:sub(1, cut))
      refused("", store.load_npz)
    end
    for at = 1, #packed, 5 do -- any byte changed: a clean answer
      write(packed:sub(1, at - 1) .. string.char(packed:byte(at) ~ 0x41) .. packed:sub(at + 1))
      local got, message = store.load_npz(path)
      assert.is_true(got ~= nil or type(message) == "string")
    end
  end)

  it("of the golden values are read", function()
    local t, message = store.load_npz(golden .. "keras_affine.npz")
    if not t then return pending(message) end
    assert.is_userdata((select(2, next(t))))
    assert(store.load_npz(golden .. "cv2_resize_linear_u8.npz"))
  end)
end)
