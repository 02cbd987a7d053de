--- The base of every nn module: calling, naming, freezing, state.
--
-- A module is a table with
--   type       "Conv2d", ...
--   name       given by the user, or nil
--   params     ordered list of { key, tensor }: what training changes
--   buffers    ordered list of { key, tensor }: what it only keeps (running means)
--   children   ordered list of { key, module }
-- and methods forward(x), output_shape(shape), describe().  Whether a tensor is
-- trained is a mark on the tensor itself, so frozen modules record nothing.

local core = require "luma.core"
local tape = require "luma.tape"
local hook = core.hook

local Module = {}
Module.__index = Module

--- A new module type: a metatable whose methods fall back on Module's.
-- @param type_name what tostring and errors show
function Module.define(type_name)
  local class = { type = type_name, __name = "luma.nn." .. type_name }
  for _, event in ipairs { "__call", "__tostring" } do class[event] = Module[event] end
  class.__index = setmetatable(class, { __index = Module })
  return class
end

--- Gives a new module its tables.
function Module.new(class, fields)
  local self = setmetatable(fields or {}, class)
  self.params, self.buffers, self.children = self.params or {}, self.buffers or {}, self.children or {}
  return self
end

--- Registers a trainable tensor, also as self[key].
function Module:add_param(key, tensor)
  self.params[#self.params + 1] = { key, tensor }
  self[key] = hook.requires_grad(tensor)
end

--- Registers a tensor that training keeps but no gradient reaches.
function Module:add_buffer(key, tensor)
  self.buffers[#self.buffers + 1] = { key, tensor }
  self[key] = tensor
end

function Module:add_child(key, module)
  if type(module) ~= "table" or type(module.forward) ~= "function" then
    error(("%s: module expected for '%s', got %s"):format(self.type, key, type(module)), 3)
  end
  self.children[#self.children + 1] = { key, module }
end

-- ---- calling ----

-- Modules that are running, outermost first: { { key, module }, ... }.  An error
-- is prefixed once, by the outermost call, with where it happened.
local running = {}

local function place()
  local parts = { "net" }
  for i = 2, #running do
    local key = running[i][1]
    parts[#parts + 1] = math.type(key) == "integer" and ("[%d]"):format(key) or "." .. tostring(key)
  end
  return ("%s %s"):format(table.concat(parts), running[#running][2]:describe())
end

--- Where an op that a tape records was called from: "net[3] ReLU()".
function tape.place()
  return #running > 0 and place() or nil
end

--- Calls a child by its key, so that an error can say where.
function Module:run_child(entry, ...)
  running[#running + 1] = entry
  local module = entry[2]
  local y = module[entry.method or "forward"](module, ...)
  running[#running] = nil
  return y
end

local function outermost(self, ...)
  running[1] = { "net", self }
  local results = table.pack(pcall(self.forward, self, ...))
  if results[1] then
    running = {}
    local current = tape.current()
    for i = 2, results.n do
      if current and hook.is_tensor(results[i]) then current:keep_result(results[i]) end
    end
    return table.unpack(results, 2, results.n)
  end
  local err = results[2]
  local where = type(err) == "string" and ("in %s: %s"):format(place(), (err:gsub("^[^\n:]*:%d+: ", ""))) or nil
  running = {}
  error(where or err, 0)
end

--- net(x): inside a tape the result stays until the tape closes.
function Module.__call(self, ...)
  if #running > 0 then return self:forward(...) end
  return outermost(self, ...)
end

local recomputing = false

--- Whether the forward pass that runs is a Checkpoint's second one: batch-norm
-- then leaves its running values alone.
function Module.recomputing()
  return recomputing
end

--- f(...) as a Checkpoint's second pass.
function Module.recompute(f, ...)
  local before, outer = recomputing, running
  recomputing, running = true, { { "net", { describe = function() return "recomputed" end } } }
  local results = table.pack(pcall(f, ...))
  recomputing, running = before, outer
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- ---- walking ----

--- Iterator over this module and all below: path ("" for itself), module.
function Module:walk()
  return coroutine.wrap(function()
    local function visit(path, module)
      coroutine.yield(path, module)
      for _, child in ipairs(module.children) do
        visit(path == "" and tostring(child[1]) or path .. "." .. child[1], child[2])
      end
    end
    visit("", self)
  end)
end

local function joined(path, key)
  return path == "" and key or path .. "." .. key
end

--- All parameters, trained or not, in the order of the layers: a list of
-- { name, tensor }, the name being the path ("features.conv1.weight").  A tensor
-- that two modules share appears once.
function Module:named_parameters()
  local list, seen = {}, {}
  for path, module in self:walk() do
    for _, p in ipairs(module.params) do
      if not seen[p[2]] then
        seen[p[2]] = true
        list[#list + 1] = { joined(path, p[1]), p[2] }
      end
    end
  end
  return list
end

--- The trainable parameters: what an optimiser is given.
function Module:parameters()
  local list = {}
  for _, p in ipairs(self:named_parameters()) do
    if hook.trainable(p[2]) then list[#list + 1] = p[2] end
  end
  return list
end

--- Numbers of weights: all, and those that are trained.
function Module:count_parameters()
  local all, trained = 0, 0
  for _, p in ipairs(self:named_parameters()) do
    local n = core.count(p[2])
    all = all + n
    if hook.trainable(p[2]) then trained = trained + n end
  end
  return all, trained
end

-- ---- freezing ----

--- Does `path` lie under `prefix`?  "block5" names block5_conv1.weight and
-- base.block5_conv1.weight: a prefix may begin at any part of the path.
local function under(path, prefix)
  return prefix == nil or path:sub(1, #prefix) == prefix or path:find("." .. prefix, 1, true) ~= nil
end

local function set_frozen(self, prefix, frozen)
  local hit = false
  for path, module in self:walk() do
    if under(path, prefix) and (path ~= "" or prefix == nil) then
      module.frozen = frozen
      hit = true
    end
    for _, p in ipairs(module.params) do
      if under(joined(path, p[1]), prefix) then
        hook.requires_grad(p[2], not frozen)
        hit = true
      end
    end
  end
  if not hit then
    local names = {}
    for path in self:walk() do
      if path ~= "" then names[#names + 1] = path end
    end
    error(("%s: nothing is named '%s' (known: %s)"):format(frozen and "freeze" or "unfreeze", prefix,
      table.concat(names, ", ")), 3)
  end
  return self
end

--- Stops training everything (or what lies under prefix); returns the module.
function Module:freeze(prefix)
  return set_frozen(self, prefix, true)
end

--- Trains everything (or what lies under prefix) again; returns the module.
function Module:unfreeze(prefix)
  return set_frozen(self, prefix, false)
end

--- A copy made ready for inference on images of one size: see luma.nn.compile.
function Module:compile(opts)
  return require "luma.nn.compile"(self, opts)
end

-- ---- state ----

--- name -> tensor of all parameters and buffers (the tensors themselves).
function Module:state()
  local state = {}
  for path, module in self:walk() do
    for _, group in ipairs { module.params, module.buffers } do
      for _, p in ipairs(group) do state[joined(path, p[1])] = p[2] end
    end
  end
  return state
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function few(names)
  local shown = table.concat(names, ", ", 1, math.min(#names, 5))
  return #names > 5 and ("%s and %d more"):format(shown, #names - 5) or shown
end

--- Copies tensors into the module's own.  All names and shapes are checked
-- before the first is changed.
-- @param given name -> tensor
-- @param opts {partial = false}: with partial, missing and surplus names are fine
-- @return true | nil, message, "mismatch"
function Module:load_state(given, opts)
  opts = require("luma.base.options").check("load_state", opts, { partial = false })
  local own = self:state()
  local missing, surplus, wrong = {}, {}, {}
  for _, name in ipairs(sorted_keys(own)) do
    local g = given[name]
    if not g then
      missing[#missing + 1] = name
    else
      local _, _, want = hook.info(own[name])
      local _, _, got = hook.info(g)
      if want ~= got then wrong[#wrong + 1] = ("%s is %s, the model has %s"):format(name, got, want) end
    end
  end
  for _, name in ipairs(sorted_keys(given)) do
    if not own[name] then surplus[#surplus + 1] = name end
  end
  local faults = {}
  if #wrong > 0 then faults[#faults + 1] = "shapes differ: " .. few(wrong) end
  if #missing > 0 and not opts.partial then faults[#faults + 1] = "missing: " .. few(missing) end
  if #surplus > 0 and not opts.partial then faults[#faults + 1] = "not in the model: " .. few(surplus) end
  if #faults > 0 then return nil, "load_state: " .. table.concat(faults, "; "), "mismatch" end
  for name, tensor in pairs(own) do
    if given[name] then core.copy_(tensor, given[name]) end
  end
  return true
end

-- ---- L2 by layer ----

--- The sum of l2 * (sum of squares of the weight) over the layers made with an
-- l2 that are being trained, as a tensor to add to the loss (Keras's
-- kernel_regularizer); nil when there is none.
function Module:penalty()
  local total
  for _, module in self:walk() do
    if (module.l2 or 0) > 0 and hook.trainable(module.weight) then
      local term = core.sum(core.square(module.weight)) * module.l2
      total = total and total + term or term
    end
  end
  return total
end

-- ---- words ----

--- Sizes as "[32x224x224x3]".
function Module.shape_text(shape)
  return "[" .. table.concat(shape, "x") .. "]"
end

--- The shape of forward's result for an input of this shape (a table); the same
-- by default.
function Module:output_shape(shape)
  return { table.unpack(shape) }
end

--- Multiplications and additions of one forward pass on that shape.
function Module:macs(shape)
  return 0
end

--- A table of the layers: output shapes, weights, multiplications (nn/summary.lua).
-- shape: the input's with its batch; a model of the zoo knows its own.
function Module:summary(shape)
  return require "luma.nn.summary"(self, shape)
end

--- One line: "Conv2d(3 -> 64, 3x3)".
function Module:describe()
  return self.type .. "()"
end

function Module.__tostring(self)
  local lines = {}
  local function add(indent, key, module)
    local head = key and ("%s(%s) "):format(indent, key) or indent
    lines[#lines + 1] = head .. module:describe() .. (module.frozen and "  frozen" or "")
    for _, child in ipairs(module.children) do add(indent .. "  ", child[1], child[2]) end
  end
  add("", nil, self)
  return table.concat(lines, "\n")
end

return Module
