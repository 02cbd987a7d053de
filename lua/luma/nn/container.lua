--- Containers: Sequential runs modules one after the other, Residual adds a
-- branch to its input, Checkpoint trades time for memory.

local core = require "luma.core"
local hook = core.hook
local options = require "luma.base.options"
local Module = require "luma.nn.module"
local tape = require "luma.tape"

local containers = {}

--- forward(module, x) without keeping what is computed inside: the tape notes
-- one step, and going back computes the inside again, with the same dropout masks.
local function recomputed(module, forward, x)
  local outer = tape.current()
  local params = module:parameters()
  local follow = hook.tracked(x)
  if not outer or not (follow or #params > 0) then return forward(module, x) end
  local seed, stream = core.seed()
  local y
  do
    local inner <close> = tape()
    y = forward(module, x)
    if y == x then y = core.clone(x) end
    inner:keep(y)
  end
  outer:add_step("checkpoint", y, function(dy, input)
    local now_seed, now_stream = core.seed()
    core.seed(seed, stream)
    local leaf <close> = core.expand(input, { input:shape() })
    hook.requires_grad(leaf, follow)
    local inner <close> = tape()
    local again = Module.recompute(forward, module, leaf)
    local grads = inner:gradients(again, { leaf, table.unpack(params) }, { gradient = dy })
    core.seed(now_seed, now_stream)
    for i = 1, #params + 1 do grads[i] = grads[i] or nil end
    return table.unpack(grads, 1, #params + 1)
  end, x, table.unpack(params))
  return y
end

-- ---- Sequential ----

local Sequential = Module.define "Sequential"

-- net[i] is the i-th layer; everything else is looked up as in any module.
function Sequential.__index(self, key)
  if math.type(key) == "integer" then
    local child = rawget(self, "children")[key]
    return child and child[2]
  end
  return Sequential[key]
end

function Sequential.__len(self)
  return #self.children
end

--- nn.Sequential { layer, layer, ..., name = "features" }: layers are known by
-- their name, or else by their position.
function containers.Sequential(list)
  if type(list) ~= "table" or getmetatable(list) then error("Sequential: a list of modules expected", 2) end
  local known = { name = options.optional, recompute = false }
  local opts = {}
  for key, value in pairs(list) do
    if math.type(key) ~= "integer" then opts[key] = value end
  end
  opts = options.check("Sequential", opts, known)
  local self = Module.new(Sequential, { name = opts.name, recompute = opts.recompute })
  local seen = {}
  for i, module in ipairs(list) do
    local key = type(module) == "table" and rawget(module, "name") or i
    if seen[key] then error(("Sequential: two layers are named '%s'"):format(key), 2) end
    seen[key] = true
    self:add_child(key, module)
  end
  return self
end

--- Appends a module; returns the container.
function Sequential:add(module)
  self:add_child(rawget(module, "name") or #self.children + 1, module)
  return self
end

--- The layer called `name` (or at that position), or nil.
function Sequential:get(name)
  for i, child in ipairs(self.children) do
    if child[1] == name or i == name then return child[2] end
  end
end

--- What flows between two layers is closed as soon as the next layer has used
-- it, unless a tape follows it: inference needs no collector.
local function run_layers(self, input)
  local list = self.children
  local x, i = input, 1
  while i <= #list do
    local entry, next = list[i], list[i + 1]
    local y
    if next and next[2].type == "ReLU" and entry[2].forward_relu then
      y = self:run_child({ entry[1], entry[2], method = "forward_relu" }, x)
      i = i + 2
    else
      y = self:run_child(entry, x)
      i = i + 1
    end
    if x ~= input and x ~= y and hook.is_tensor(x) and not hook.tracked(x) then
      -- A frozen layer's result may be what the first trained layer saved.
      if hook.is_tensor(y) and hook.tracked(y) then tape.current():keep_result(x) else x:close() end
    end
    x = y
  end
  return x
end

function Sequential:forward(input)
  if self.recompute then return recomputed(self, run_layers, input) end
  return run_layers(self, input)
end

function Sequential:output_shape(shape)
  shape = { table.unpack(shape) }
  for _, child in ipairs(self.children) do shape = child[2]:output_shape(shape) end
  return shape
end

function Sequential:macs(shape)
  local total = 0
  for _, child in ipairs(self.children) do
    total = total + child[2]:macs(shape)
    shape = child[2]:output_shape(shape)
  end
  return total
end

function Sequential:describe()
  return ("Sequential(%d layers)"):format(#self.children)
end

-- ---- Residual ----

local Residual = Module.define "Residual"

--- nn.Residual(branch [, {shortcut=module, name}]): branch(x) + x, or
-- branch(x) + shortcut(x).
function containers.Residual(branch, opts)
  opts = options.check("Residual", opts, { shortcut = options.optional, name = options.optional })
  local self = Module.new(Residual, { name = opts.name })
  self:add_child("branch", branch)
  if opts.shortcut then self:add_child("shortcut", opts.shortcut) end
  return self
end

function Residual:forward(x)
  local y = self:run_child(self.children[1], x)
  local short = self.children[2] and self:run_child(self.children[2], x) or x
  return core.add(y, short)
end

function Residual:output_shape(shape)
  return self.children[1][2]:output_shape(shape)
end

function Residual:macs(shape)
  local total = 0
  for _, child in ipairs(self.children) do total = total + child[2]:macs(shape) end
  return total
end

-- ---- Checkpoint ----

local Checkpoint = Module.define "Checkpoint"

--- nn.Checkpoint(module [, {name}]): the module with its activations recomputed
-- on the way back: less memory for one more forward pass.  The same as
-- nn.Sequential { ..., recompute = true } for a list of layers.
function containers.Checkpoint(module, opts)
  opts = options.check("Checkpoint", opts, { name = options.optional })
  local self = Module.new(Checkpoint, { name = opts.name })
  self:add_child("module", module)
  return self
end

function Checkpoint:forward(x)
  local module = self.children[1][2]
  return recomputed(module, module.forward, x)
end

function Checkpoint:output_shape(shape)
  return self.children[1][2]:output_shape(shape)
end

function Checkpoint:macs(shape)
  return self.children[1][2]:macs(shape)
end

-- ---- Concat ----

local Concat = Module.define "Concat"

--- nn.Concat({ branch, ... } [, {dim=-1, name}]): every branch on the same
-- input, the results joined (along the channels by default).
function containers.Concat(branches, opts)
  opts = options.check("Concat", opts, { dim = -1, name = options.optional })
  local self = Module.new(Concat, { name = opts.name, dim = opts.dim })
  for i, branch in ipairs(branches) do self:add_child(rawget(branch, "name") or i, branch) end
  if #self.children == 0 then error("Concat: at least one branch expected", 2) end
  return self
end

function Concat:forward(x)
  local parts = {}
  for i, child in ipairs(self.children) do parts[i] = self:run_child(child, x) end
  return core.concat(parts, self.dim)
end

function Concat:output_shape(shape)
  local out
  for _, child in ipairs(self.children) do
    local s = child[2]:output_shape(shape)
    local d = self.dim > 0 and self.dim or #s + 1 + self.dim
    if out then out[d] = out[d] + s[d] else out = s end
  end
  return out
end

function Concat:macs(shape)
  local total = 0
  for _, child in ipairs(self.children) do total = total + child[2]:macs(shape) end
  return total
end

return containers
