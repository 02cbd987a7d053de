--- nn.compile: a frozen network made ready for inference.
--
--   local base = models.vgg19 { weights = path }:freeze()
--   local fast = base:compile { batch = 16 }
--   local features = fast(images)               -- any number of images
--
-- Runs of convolutions, ReLUs and maxima become one plan of the core: weights
-- transformed once, ReLU and 2x2 maxima inside the convolution, two activation
-- buffers, the batch walked in groups that stay in the cache (csrc/kern/plan.h).
-- Batch-norm is folded into the convolution before it, dropout is the identity,
-- residual branches are plans of their own; every other layer is called as it is.
-- The result is a snapshot: weights changed later do not reach it, and it
-- records nothing on a tape.

local core = require "luma.core"
local options = require "luma.base.options"
local Module = require "luma.nn.module"

local Compiled = Module.define "Compiled"

-- ---- from a tree of modules to a list of parts ----

--- The layers of nested Sequentials, in order.
local function flatten(module, list)
  if module.type == "Sequential" then
    for _, child in ipairs(module.children) do flatten(child[2], list) end
  elseif module.type ~= "Dropout" then
    list[#list + 1] = module
  end
  return list
end

local function has_batch_norm(module)
  for _, m in module:walk() do
    if m.type == "BatchNorm2d" then return true end
  end
  return false
end

local function conv_step(conv, relu)
  local o = conv.options
  return { op = "conv", weight = conv.weight, bias = conv.bias, relu = relu, stride = o.stride, pad = o.pad,
    dilation = o.dilation, groups = o.groups }
end

local function pool_step(pool)
  local o = pool.options
  return { op = "max_pool", kernel = o.kernel, stride = o.stride, pad = o.pad }
end

local parts_of

--- One part that starts at layers[i]: the part, the index after it, the shape
-- that leaves it.
local function next_part(layers, i, shape, batch)
  local steps, from = {}, { table.unpack(shape) }
  while layers[i] do
    local layer, following = layers[i], layers[i + 1]
    if layer.type == "Conv2d" then
      local relu = following ~= nil and following.type == "ReLU"
      steps[#steps + 1] = conv_step(layer, relu)
      shape = layer:output_shape(shape)
      i = i + (relu and 2 or 1)
    elseif layer.type == "MaxPool2d" then
      steps[#steps + 1] = pool_step(layer)
      shape = layer:output_shape(shape)
      i = i + 1
    else
      break
    end
  end
  if #steps > 0 then
    local plan = core.plan.new(steps, { height = from[2], width = from[3], channels = from[4], batch = batch })
    return { plan = plan }, i, shape
  end
  local layer, following = layers[i], layers[i + 1]
  if layer.type == "Residual" then
    local short = layer.children[2]
    local part = { relu = following ~= nil and following.type == "ReLU",
      branch = parts_of(layer.children[1][2], shape, batch), shortcut = short and parts_of(short[2], shape, batch) }
    return part, i + (part.relu and 2 or 1), layer:output_shape(shape)
  end
  return { module = layer }, i + 1, layer:output_shape(shape)
end

function parts_of(module, shape, batch)
  local layers, parts, i = flatten(module, {}), {}, 1
  while layers[i] do parts[#parts + 1], i, shape = next_part(layers, i, shape, batch) end
  return parts, shape
end

-- ---- running ----

local run

local function run_part(part, x)
  if part.plan then return core.plan.run(part.plan, x) end
  if part.module then return part.module:forward(x) end
  local y = run(part.branch, x)
  local short = part.shortcut and run(part.shortcut, x) or x
  local sum = core.add(y, short)
  y:close()
  if short ~= x then short:close() end
  if not part.relu then return sum end
  local positive = core.relu(sum)
  sum:close()
  return positive
end

function run(parts, input)
  local x = input
  for _, part in ipairs(parts) do
    local y = run_part(part, x)
    if x ~= input and x ~= y then x:close() end
    x = y
  end
  return x
end

function Compiled:forward(x)
  if not self.parts then error("compiled network: attempt to use it after close", 0) end
  return run(self.parts, x)
end

function Compiled:output_shape(shape)
  local out = { table.unpack(self.out) }
  out[1] = shape[1]
  return out
end

--- Releases the compiled weights now.
function Compiled:close()
  local function visit(parts)
    for _, part in ipairs(parts or {}) do
      if part.plan then core.plan.close(part.plan) end
      visit(part.branch)
      visit(part.shortcut)
    end
  end
  visit(self.parts)
  self.parts = nil
end
Compiled.__close = Compiled.close

--- What became of each layer, a list of { op, algorithm, relu, pooled, group };
-- and bytes of transformed weights.
function Compiled:info()
  local list, bytes = {}, 0
  local function visit(parts)
    for _, part in ipairs(parts or {}) do
      if part.plan then
        local info = core.plan.info(part.plan)
        bytes = bytes + info.weight_bytes
        for _, step in ipairs(info) do list[#list + 1] = step end
      elseif part.module then
        list[#list + 1] = { op = part.module.type }
      else
        visit(part.branch)
        visit(part.shortcut)
        list[#list + 1] = { op = "add", relu = part.relu }
      end
    end
  end
  visit(self.parts)
  return list, bytes
end

function Compiled:describe()
  return ("Compiled(%dx%dx%d, %d steps)"):format(self.input.height, self.input.width, self.input.channels, #self:info())
end

--- Frees the f32 copy of every convolution weight that was transformed, so that
-- weights are held once; the model cannot be run or saved afterwards.
local function release_weights(module)
  for _, m in module:walk() do
    if m.type == "Conv2d" then m.weight:close() end
  end
end

--- Compiles a module for images of one size.
-- opts: batch = 16, most images in hand at once (a call may bring any number);
-- height, width, channels: of the images, by default those of module.input;
-- release = false: free the module's own convolution weights.
-- @return a module to call, with :info() and :close()
local function compile(module, opts)
  local input = module.input or {}
  opts = options.check("compile", opts, { batch = 16, height = input.height or options.optional,
    width = input.width or options.optional, channels = input.channels or options.optional, release = false })
  for _, key in ipairs { "height", "width", "channels" } do
    if math.tointeger(opts[key]) == nil or opts[key] < 1 then
      error(("compile: the images' %s must be a whole number >= 1, got %s"):format(key, tostring(opts[key])), 2)
    end
  end
  local net = has_batch_norm(module) and require "luma.models.fold"(module) or module
  local self = Module.new(Compiled, { frozen = true,
    input = { height = opts.height, width = opts.width, channels = opts.channels, scale = input.scale } })
  self.parts, self.out = parts_of(net, { 1, opts.height, opts.width, opts.channels }, opts.batch)
  if opts.release then
    release_weights(module)
    if net ~= module then release_weights(net) end -- the folded copies as well
  end
  return self
end

return compile
