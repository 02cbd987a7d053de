--- A model directory: everything that prediction needs, and no code.
--   model.json                  architecture, class names, preparation, scale
--   weights-<MD5>.safetensors   the numbers it speaks of
-- Weights are written first, under a name of their own, and model.json last: a
-- reader sees the old model or the new one, whole.

local core = require "luma.core"
local config = require "luma.nn.config"
local files = require "luma.base.files"
local json = require "luma.base.json"
local options = require "luma.base.options"
local uv = require "luv"

local model = {}

local FORMAT, VERSION = "luma-model", 1
local WEIGHTS = "^weights%-(%x+)%.safetensors$"

--- Saves a model: opts.net is the network; all other fields must be plain data.
-- @return true | nil, message, code
function model.save(dir, opts)
  opts = options.check("store.save_model", opts, { net = options.optional, architecture = options.optional,
    classes = options.optional, preparation = options.optional, scale = options.optional, input = options.optional,
    notes = options.optional })
  local net = opts.net
  if type(net) ~= "table" or not net.state then error("store.save_model: option net must be a network", 2) end
  if opts.classes ~= nil and type(opts.classes) ~= "table" then
    error("store.save_model: option classes must be a list of names", 2)
  end
  local ok, message, code = files.mkdir_p(dir)
  if not ok then return nil, message, code end
  local fresh = files.join(dir, ".weights-new.safetensors")
  ok, message, code = require("luma.store").save(fresh, net:state(), { format = "luma" })
  if not ok then return nil, message, code end
  local md5 = core.system.md5_file(fresh)
  local name = ("weights-%s.safetensors"):format(md5)
  local renamed, text = uv.fs_rename(fresh, files.join(dir, name))
  if not renamed then return nil, ("%s: %s"):format(files.show(dir), text), "io" end
  local list = {}
  for i, class in ipairs(opts.classes or {}) do list[i] = class end
  ok, message, code = files.write_atomic(files.join(dir, "model.json"), json.encode {
    format = FORMAT, version = VERSION, luma = require "luma.base.version", weights = name,
    architecture = opts.architecture or net.architecture, network = config.describe(net),
    classes = json.list(list), input = opts.input or net.input, scale = opts.scale,
    preparation = opts.preparation, notes = opts.notes })
  if not ok then return nil, message, code end
  for _, old in ipairs(files.list(dir) or {}) do
    if old:match(WEIGHTS) and old ~= name then files.remove(files.join(dir, old)) end
  end
  return true
end

--- Loads a model directory.
-- @return { net, architecture, classes, input, scale, preparation, notes, luma }
--   | nil, message, code
function model.load(dir)
  local path = files.join(dir, "model.json")
  local text, message, code = files.read(path, 64 << 20)
  if not text then return nil, message, code end
  local function fail(what, reason) return nil, ("%s: %s"):format(files.show(path), what), reason or "damaged" end
  local decoded, t = pcall(json.decode, text)
  if not decoded or type(t) ~= "table" then return fail "not JSON" end
  if t.format ~= FORMAT then return fail "not a model that luma saved" end
  if math.type(t.version) == nil or t.version > VERSION then
    return fail(("written by a newer luma (%s, format %s; this one reads up to %d)"):format(tostring(t.luma),
      tostring(t.version), VERSION), "unsupported")
  end
  local name = type(t.weights) == "string" and t.weights
  local md5 = name and name:match(WEIGHTS)
  if not md5 then return fail "it names no weight file" end
  local file = files.join(dir, name)
  local found
  found, message, code = core.system.md5_file(file)
  if not found then return nil, message, code end
  if found ~= md5 then return nil, files.show(file) .. ": damaged (its MD5 is not the one in its name)", "damaged" end
  local built, net = pcall(config.build, t.network)
  if not built then
    if net == core.interrupt then error(net, 0) end
    return fail("its network cannot be built: " .. tostring(net):gsub("^[^\n:]*%.lua:%d+: ", ""))
  end
  local tensors
  tensors, message, code = core.io.load_safetensors(file)
  if not tensors then return nil, message, code end
  local loaded
  loaded, message, code = net:load_state(tensors)
  if not loaded then return nil, files.show(file) .. ": " .. message, code end
  for _, x in pairs(tensors) do x:close() end
  net.architecture, net.input = t.architecture, t.input
  return { net = net, architecture = t.architecture, classes = t.classes, input = t.input, scale = t.scale,
    preparation = t.preparation, notes = t.notes, luma = t.luma }
end

return model
