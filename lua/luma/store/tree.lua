--- A tree of tables, numbers, strings, booleans and tensors in one safetensors
-- file, exact to the bit: checkpoints.  Tensors are stored under their path
-- ("optimiser/tensors/1.m"); every other leaf is metadata under its path, as
-- "i:12", "f:0x1.999999999999ap-4", "s:text", "b:true"; "t:" is an empty table.
-- A whole-number key is written #3; "~" and "/" in a key as ~0 and ~1.

local io_ops = require("luma.core").io
local options = require "luma.base.options"

local tree = {}

local FORMAT, VERSION = "luma", 1

local function encode_key(key)
  if math.type(key) == "integer" then return ("#%d"):format(key) end
  if type(key) ~= "string" then
    error(("store.save_tree: a key must be a string or a whole number, got %s"):format(type(key)), 0)
  end
  return (key:gsub("[~/#]", { ["~"] = "~0", ["/"] = "~1", ["#"] = "~2" }))
end

local function decode_key(text)
  if text:match "^#%-?%d+$" then return math.tointeger(text:sub(2)) end
  return (text:gsub("~[012]", { ["~0"] = "~", ["~1"] = "/", ["~2"] = "#" }))
end

local function encode_leaf(value, path)
  local kind = math.type(value)
  if kind == "integer" then return ("i:%d"):format(value) end
  if kind == "float" then
    if value ~= value then return "f:nan" end
    if value == math.huge or value == -math.huge then return value > 0 and "f:inf" or "f:-inf" end
    return ("f:%a"):format(value)
  end
  if type(value) == "string" then return "s:" .. value end
  if type(value) == "boolean" then return "b:" .. tostring(value) end
  error(("store.save_tree: %s is a %s; only tables, numbers, strings, booleans and tensors are stored")
    :format(path, type(value)), 0)
end

local special = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }

local function decode_leaf(text)
  local kind, rest = text:sub(1, 2), text:sub(3)
  if kind == "i:" then return math.tointeger(tonumber(rest)) end
  if kind == "f:" then
    if special[rest] then return special[rest] end
    local n = rest:match "^%-?0x%x" and tonumber(rest)
    return math.type(n) == "float" and n or nil -- %a has an exponent, so it reads back as a float, -0.0 too
  end
  if kind == "s:" then return rest end
  if kind == "b:" then return ({ ["true"] = true, ["false"] = false })[rest] end
  if kind == "t:" then return {} end
end

local function flatten(value, path, tensors, metadata, open)
  if type(value) == "userdata" then
    tensors[path] = value
  elseif type(value) == "table" then
    if open[value] then error(("store.save_tree: %s is a cycle"):format(path), 0) end
    open[value] = true
    local empty = true
    for key, below in pairs(value) do
      empty = false
      local part = encode_key(key)
      flatten(below, path == "" and part or path .. "/" .. part, tensors, metadata, open)
    end
    if empty and path ~= "" then metadata[path] = "t:" end
    open[value] = nil
  else
    metadata[path] = encode_leaf(value, path)
  end
end

-- Puts value at its path; false when something else is there.
local function place(root, path, value)
  local node, parts = root, {}
  for part in (path .. "/"):gmatch "([^/]*)/" do parts[#parts + 1] = decode_key(part) end
  for i = 1, #parts - 1 do
    if node[parts[i]] == nil then node[parts[i]] = {} end
    node = node[parts[i]]
    if type(node) ~= "table" then return false end
  end
  if node[parts[#parts]] ~= nil then return false end
  node[parts[#parts]] = value
  return true
end

--- Writes a tree, all or nothing; the same tree gives the same bytes.
-- opts: kind = what it is ("checkpoint"), version = of its layout.
-- @return true | nil, message, code
function tree.save(path, value, opts)
  opts = options.check("store.save_tree", opts, { kind = "tree", version = 1 })
  if type(value) ~= "table" then
    error(("store.save_tree: table expected, got %s"):format(type(value)), 2)
  end
  local tensors, metadata = {}, {}
  local ok, message = pcall(flatten, value, "", tensors, metadata, {})
  if not ok then error(message, 2) end
  metadata["~format"] = ("%s %d"):format(FORMAT, VERSION)
  metadata["~kind"] = ("%s %d"):format(opts.kind, opts.version)
  return require("luma.store").save(path, tensors, metadata)
end

--- Reads a tree.  opts: kind, version = what the reader understands (a newer
-- version is refused); need = list of keys of the top table that must be there.
-- @return tree | nil, message, code
function tree.load(path, opts)
  opts = options.check("store.load_tree", opts, { kind = "tree", version = 1, need = options.optional })
  local tensors, metadata, code = io_ops.load_safetensors(path)
  if not tensors then return nil, metadata, code end
  local shown = require("luma.base.files").show(path)
  local function fail(message, ...) return nil, ("%s: " .. message):format(shown, ...), "damaged" end
  local format, written = (metadata["~format"] or ""):match "^(%S+) (%d+)$"
  local kind, version = (metadata["~kind"] or ""):match "^(.+) (%d+)$"
  if format ~= FORMAT or not kind then return fail("plain tensors, not a %s written by luma", opts.kind) end
  if tonumber(written) > VERSION or kind == opts.kind and tonumber(version) > opts.version then
    local _, message = fail("written by a newer luma (%s version %s; this one reads up to %d)", kind, version,
      opts.version)
    return nil, message, "unsupported"
  end
  if kind ~= opts.kind then return fail("a %s, not a %s", kind, opts.kind) end
  metadata["~format"], metadata["~kind"] = nil, nil
  local root = {}
  for at, text in pairs(metadata) do
    local value = decode_leaf(text)
    if value == nil then return fail("'%s' has no value that luma writes", at) end
    if not place(root, at, value) then return fail("'%s' is there twice", at) end
  end
  for at, x in pairs(tensors) do
    if not place(root, at, x) then return fail("'%s' is there twice", at) end
  end
  local missing, present = {}, {}
  for _, key in ipairs(opts.need or {}) do
    local list = root[key] == nil and missing or present
    list[#list + 1] = key
  end
  if #missing > 0 then
    return fail("an incomplete %s: it lacks %s (it holds %s)", kind, table.concat(missing, ", "),
      #present > 0 and table.concat(present, ", ") or "none of what is needed")
  end
  return root
end

return tree
