--- Containers: Sequential runs modules one after the other, Residual adds a
-- branch to its input, Checkpoint trades time for memory.

local core = require "luma.core"
local hook = core.hook
local options = require "luma.options"
local Module = require "luma.nn.module"
local tape = require "luma.tape"

local containers = {}

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
  local known = { name = options.optional }
  local opts = {}
  for key, value in pairs(list) do
    if math.type(key) ~= "integer" then opts[key] = value end
  end
  opts = options.check("Sequential", opts, known)
  local self = Module.new(Sequential, { name = opts.name })
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
function Sequential:forward(input)
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

return containers
