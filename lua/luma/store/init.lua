--- luma.store: numbers in files.  Tensors go to safetensors and NumPy files and
-- come back; weights are data, never code.
--
-- The file's fault comes back as nil, "path: reason", code ("io", "damaged",
-- "unsupported", "limit", "memory"); a wrong argument is raised.

local core = require "luma.core"
local options = require "luma.base.options"

local io_ops = core.io
local store = {}

local dtype_names = { f64 = "F64", f32 = "F32", i32 = "I32", u8 = "U8" }
local dtype_bytes = { f64 = 8, f32 = 4, i32 = 4, u8 = 1 }

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- A JSON string; what is not UTF-8 or holds a zero byte has no place in one.
local function quote(text, what)
  if type(text) ~= "string" then
    error(("store.save: %s must be a string, got %s"):format(what, type(text)), 4)
  end
  if not utf8.len(text) or text:find("\0", 1, true) then
    error(("store.save: %s %q is not text (UTF-8 without zero bytes)"):format(what, text), 4)
  end
  return '"' .. text:gsub('[%c"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function sorted_keys(t, what)
  local keys = {}
  for key in pairs(t) do
    if type(key) ~= "string" then
      error(("store.save: %s must be strings, got %s"):format(what, tostring(key)), 4)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- The header of a safetensors file, and the tensors in the order of their data:
-- the widest elements first, so that every tensor starts on a whole multiple.
local function header(tensors, metadata)
  local names = sorted_keys(tensors, "tensor names")
  local info = {}
  for _, name in ipairs(names) do
    local x = tensors[name]
    if type(x) ~= "userdata" then
      error(("store.save: '%s' is not a tensor but a %s"):format(name, type(x)), 4)
    end
    info[name] = { dtype = x:dtype(), shape = { x:shape() } }
  end
  table.sort(names, function(a, b)
    local wa, wb = dtype_bytes[info[a].dtype], dtype_bytes[info[b].dtype]
    if wa ~= wb then return wa > wb end
    return a < b
  end)
  local parts, list, at = {}, {}, 0
  if metadata and next(metadata) ~= nil then
    local pairs_ = {}
    for _, key in ipairs(sorted_keys(metadata, "metadata keys")) do
      pairs_[#pairs_ + 1] = quote(key, "metadata key") .. ":" .. quote(metadata[key], "metadata value")
    end
    parts[1] = '"__metadata__":{' .. table.concat(pairs_, ",") .. "}"
  end
  for i, name in ipairs(names) do
    if name == "__metadata__" then error("store.save: '__metadata__' is not a tensor name", 4) end
    local row, bytes = info[name], dtype_bytes[info[name].dtype]
    for _, size in ipairs(row.shape) do bytes = bytes * size end
    parts[#parts + 1] = ('%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'):format(
      quote(name, "tensor name"), dtype_names[row.dtype], table.concat(row.shape, ","), at, at + bytes)
    at = at + bytes
    list[i] = tensors[name]
  end
  local json = "{" .. table.concat(parts, ",") .. "}"
  json = json .. (" "):rep(-#json % 8)
  return string.pack("<I8", #json) .. json, list
end

--- Writes tensors (name -> tensor) to a safetensors file, all or nothing; the
-- same tensors give the same bytes.  metadata: name -> string.
-- @return true | nil, message, code
function store.save(path, tensors, metadata)
  if type(tensors) ~= "table" then
    error(("store.save: a table name -> tensor expected, got %s"):format(type(tensors)), 2)
  end
  if metadata ~= nil and type(metadata) ~= "table" then
    error(("store.save: metadata must be a table, got %s"):format(type(metadata)), 2)
  end
  local head, list = header(tensors, metadata)
  return io_ops.write_file(path, head, list)
end

--- Reads a safetensors file: name -> tensor, and its metadata.
-- opts: finite = true refuses NaN and infinities; names = {...} reads only those.
-- @return tensors, metadata | nil, message, code
function store.load(path, opts)
  opts = options.check("store.load", opts, { finite = false, names = options.optional })
  return io_ops.load_safetensors(path, opts)
end

--- What a safetensors file holds, data unread: a list of {name=, dtype=, shape=,
-- bytes=} in the order of the file, and the metadata.
function store.inspect(path) return io_ops.inspect_safetensors(path) end

--- Reads a NumPy array (.npy) | nil, message, code.
function store.load_npy(path) return io_ops.load_npy(path) end

--- Reads a NumPy archive (.npz): name -> tensor | nil, message, code.
function store.load_npz(path) return io_ops.load_npz(path) end

local npy_types = { f64 = "<f8", f32 = "<f4", i32 = "<i4", u8 = "|u1" }

--- Writes a tensor as a NumPy array (.npy, version 1.0), all or nothing.
-- @return true | nil, message, code
function store.save_npy(path, x)
  if type(x) ~= "userdata" then error(("store.save_npy: tensor expected, got %s"):format(type(x)), 2) end
  local sizes = { x:shape() }
  local tuple = table.concat(sizes, ", ") .. (#sizes == 1 and "," or "")
  local head = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }"):format(npy_types[x:dtype()], tuple)
  head = head .. (" "):rep(-(#head + 11) % 64) .. "\n" -- the data begins on a multiple of 64
  return io_ops.write_file(path, "\x93NUMPY\1\0" .. string.pack("<I2", #head) .. head, { x })
end

--- Converts a Keras HDF5 weight file to a cached safetensors file (see luma.h5
-- for the names).  opts: cache = folder.
-- @return path of the safetensors file, MD5 of the source | nil, message, code
function store.convert_h5(path, opts) return require("luma.store.h5").convert(path, opts) end

--- Writes a tree of tables, numbers, strings, booleans and tensors to one file,
-- exact to the bit (see luma.store.tree): checkpoints.
-- opts: kind = "checkpoint", version = 1.
function store.save_tree(path, tree, opts) return require("luma.store.tree").save(path, tree, opts) end

--- Reads such a tree; refuses another kind, a newer version, and one that lacks a
-- key of opts.need.
-- @return tree | nil, message, code
function store.load_tree(path, opts) return require("luma.store.tree").load(path, opts) end

--- Saves a model directory: { net =, classes =, preparation =, scale =, input =,
-- architecture =, notes = } (see luma.store.model).
-- @return true | nil, message, code
function store.save_model(dir, opts) return require("luma.store.model").save(dir, opts) end

--- Loads a model directory, without the script that made it.
-- @return { net, classes, preparation, scale, input, architecture, notes } | nil, message, code
function store.load_model(dir) return require("luma.store.model").load(dir) end

return store
