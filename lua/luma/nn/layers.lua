--- Layers: thin modules over the ops.  Sizes are those of `luma.help`: images
-- (n, h, w, c), kernels (kh, kw, cin, cout), dense weights (in, out).

local core = require "luma.core"
local options = require "luma.base.options"
local Module = require "luma.nn.module"
local tape = require "luma.tape"
local init = require "luma.nn.initialise"
local optional = options.optional

local layers = {}

local function positive(fname, what, n)
  if math.tointeger(n) == nil or n < 1 then
    error(("%s: %s must be a whole number >= 1, got %s"):format(fname, what, tostring(n)), 3)
  end
  return math.tointeger(n)
end

--- op(...) of core.window with errors that name the layer.
local function ask(fname, level, op, ...)
  local results = table.pack(pcall(op, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local err = results[2]
  if type(err) == "string" then
    err = ("%s: %s"):format(fname, (err:gsub("^.-bad argument #%d to '[^']*' %((.*)%)$", "%1")))
  end
  error(err, level)
end

--- The window of opts (kernel, stride, dilation, pad) with every number written out.
local function window(fname, opts, level)
  return ask(fname, level or 3, core.window.read, opts)
end

local function check_rank(self, shape, rank, dims)
  if #shape ~= rank then
    error(("%s: rank %d %s expected, got %s"):format(self.type, rank, dims, Module.shape_text(shape)), 0)
  end
end

--- The shape that the layer's window makes of (n, h, w, c).
local function windowed(self, shape, channels)
  local rows, columns = ask(self.type, 0, core.window.shape, shape[2], shape[3], self.window)
  return { shape[1], rows, columns, channels or shape[4] }
end

-- ---- Conv2d ----

local Conv2d = Module.define "Conv2d"

--- nn.Conv2d(cin, cout, kernel [, opts]): weight (kh, kw, cin/groups, cout).
-- kernel: a number or {y, x}.  opts: stride, dilation (number or {y, x}), pad
-- (number, {top, left, bottom, right} or "same"), groups, bias = true,
-- init = "glorot_uniform", l2 = 0 (see Module:penalty), name.
function layers.Conv2d(cin, cout, kernel, opts)
  opts = options.check("Conv2d", opts, { stride = optional, pad = optional, dilation = optional, groups = 1,
    bias = true, init = "glorot_uniform", l2 = 0.0, name = optional })
  cin, cout = positive("Conv2d", "input channels", cin), positive("Conv2d", "output channels", cout)
  if kernel == nil then error("Conv2d: the kernel's size is missing, for example nn.Conv2d(3, 8, 3)", 2) end
  local w = window("Conv2d", { kernel = kernel, stride = opts.stride or 1, dilation = opts.dilation, pad = opts.pad })
  local groups = positive("Conv2d", "groups", opts.groups)
  if cin % groups ~= 0 or cout % groups ~= 0 then
    error(("Conv2d: groups %d must divide %d input and %d output channels"):format(groups, cin, cout), 2)
  end
  local self = Module.new(Conv2d, { name = opts.name, cin = cin, cout = cout, kernel = w.kernel, window = w,
    l2 = opts.l2,
    options = { stride = opts.stride or 1, pad = opts.pad or 0, dilation = opts.dilation or 1, groups = opts.groups } })
  self.relu_options = { stride = opts.stride or 1, pad = opts.pad or 0, dilation = opts.dilation or 1,
    groups = opts.groups, relu = true }
  self:add_param("weight", init.pick(opts.init) { w.kernel[1], w.kernel[2], cin // groups, cout })
  if opts.bias then self:add_param("bias", core.zeros(cout)) end
  return self
end

function Conv2d:forward(x)
  return core.conv2d(x, self.weight, self.bias, self.options)
end

--- The convolution and a following ReLU in one pass (Sequential asks for it).
function Conv2d:forward_relu(x)
  return core.conv2d(x, self.weight, self.bias, self.relu_options)
end

function Conv2d:output_shape(shape)
  check_rank(self, shape, 4, "(n, h, w, c)")
  if shape[4] ~= self.cin then
    error(("Conv2d: weight expects %d channels, input has %d"):format(self.cin, shape[4]), 0)
  end
  return windowed(self, shape, self.cout)
end

function Conv2d:macs(shape)
  local out = self:output_shape(shape)
  return out[1] * out[2] * out[3] * self.cout * self.kernel[1] * self.kernel[2] * self.cin // self.options.groups
end

function Conv2d:describe()
  local o, extra = self.options, {}
  for _, key in ipairs { "stride", "pad", "dilation", "groups" } do
    local v = o[key]
    if v ~= (key == "pad" and 0 or 1) then
      extra[#extra + 1] = (", %s %s"):format(key, type(v) == "table" and "{" .. table.concat(v, ",") .. "}" or v)
    end
  end
  return ("Conv2d(%d -> %d, %dx%d%s%s)"):format(self.cin, self.cout, self.kernel[1], self.kernel[2],
    table.concat(extra), self.bias and "" or ", no bias")
end

-- ---- Linear ----

local Linear = Module.define "Linear"

--- nn.Linear(inputs, outputs [, {bias=true, init="glorot_uniform", l2=0, name}]): weight (inputs, outputs).
function layers.Linear(inputs, outputs, opts)
  opts = options.check("Linear", opts, { bias = true, init = "glorot_uniform", l2 = 0.0, name = optional })
  inputs, outputs = positive("Linear", "inputs", inputs), positive("Linear", "outputs", outputs)
  local self = Module.new(Linear, { name = opts.name, inputs = inputs, outputs = outputs, l2 = opts.l2 })
  self:add_param("weight", init.pick(opts.init) { inputs, outputs })
  if opts.bias then self:add_param("bias", core.zeros(outputs)) end
  return self
end

function Linear:forward(x)
  return core.linear(x, self.weight, self.bias)
end

function Linear:output_shape(shape)
  check_rank(self, shape, 2, "(batch, inputs)")
  if shape[2] ~= self.inputs then
    error(("Linear: weight expects %d inputs, x has %d"):format(self.inputs, shape[2]), 0)
  end
  return { shape[1], self.outputs }
end

function Linear:macs(shape)
  return shape[1] * self.inputs * self.outputs
end

function Linear:describe()
  return ("Linear(%d -> %d%s)"):format(self.inputs, self.outputs, self.bias and "" or ", no bias")
end

-- ---- layers without weights ----

--- A module type that calls one op; make(...) gives the fields of an instance.
local function simple(type_name, forward, make, describe)
  local class = Module.define(type_name)
  class.forward = forward
  class.describe = describe
  layers[type_name] = function(...)
    return Module.new(class, make and make(...) or {})
  end
  return class
end

local function named(fname, opts)
  return { name = options.check(fname, opts, { name = optional }, 4).name }
end

simple("ReLU", function(_, x) return core.relu(x) end, function(opts) return named("ReLU", opts) end)
simple("Sigmoid", function(_, x) return core.sigmoid(x) end, function(opts) return named("Sigmoid", opts) end)
simple("Tanh", function(_, x) return core.tanh(x) end, function(opts) return named("Tanh", opts) end)
simple("LeakyReLU", function(self, x) return core.leaky_relu(x, self.slope) end,
  function(slope, opts)
    local fields = named("LeakyReLU", opts)
    fields.slope = slope or 0.01
    return fields
  end,
  function(self) return ("LeakyReLU(%g)"):format(self.slope) end)
simple("GELU", function(self, x) return core.gelu(x, { form = self.form }) end,
  function(opts)
    opts = options.check("GELU", opts, { form = "erf", name = optional })
    return { form = options.choice("GELU", "form", opts.form, { "erf", "tanh" }), name = opts.name }
  end,
  function(self) return ("GELU(%s)"):format(self.form) end)
simple("Softmax", function(self, x) return core.softmax(x, self.dim) end,
  function(dim, opts)
    local fields = named("Softmax", opts)
    fields.dim = dim or -1
    return fields
  end)
simple("Dropout", function(self, x) return core.dropout(x, self.p) end,
  function(p, opts)
    if type(p) ~= "number" or not (p >= 0 and p <= 1) then
      error(("Dropout: p must be in 0..1, got %s"):format(tostring(p)), 3)
    end
    local fields = named("Dropout", opts)
    fields.p = p
    return fields
  end,
  function(self) return ("Dropout(%g)"):format(self.p) end)

local Flatten = simple("Flatten", function(_, x)
  local shape, width = { x:shape() }, 1
  for d = 2, #shape do width = width * shape[d] end
  return core.reshape(x, { shape[1], width })
end, function(opts) return named("Flatten", opts) end)

function Flatten:output_shape(shape)
  local n = 1
  for d = 2, #shape do n = n * shape[d] end
  return { shape[1], n }
end

local Unflatten = Module.define "Unflatten"

--- nn.Unflatten({ h, w, c } [, { name }]): rows of numbers (n, h*w*c) as
-- (n, h, w, c); the inverse of Flatten.
function layers.Unflatten(shape, opts)
  if type(shape) ~= "table" or #shape == 0 then error("Unflatten: a list of sizes expected", 2) end
  local sizes = {}
  for i, n in ipairs(shape) do sizes[i] = positive("Unflatten", "size " .. i, n) end
  local fields = named("Unflatten", opts)
  fields.shape = sizes
  return Module.new(Unflatten, fields)
end

function Unflatten:forward(x) return core.reshape(x, { x:size(1), table.unpack(self.shape) }) end
function Unflatten:output_shape(shape) return { shape[1], table.unpack(self.shape) } end
function Unflatten:describe() return ("Unflatten(%s)"):format(table.concat(self.shape, " x ")) end

local Scale = Module.define "Scale"

--- nn.Scale([factor=1 [, { name }]]): multiplies by a number that is kept with
-- the weights and not trained.
function layers.Scale(factor, opts)
  if factor ~= nil and type(factor) ~= "number" then
    error(("Scale: a number expected, got %s"):format(type(factor)), 2)
  end
  local self = Module.new(Scale, named("Scale", opts))
  self:add_buffer("factor", core.full({ 1 }, factor or 1))
  return self
end

function Scale:forward(x) return x * self.factor end
function Scale:output_shape(shape) return shape end
function Scale:describe() return ("Scale(%g)"):format(self.factor:item()) end

local function pooling(type_name, op, extra)
  local class = simple(type_name, function(self, x) return core[op](x, self.options) end,
    function(kernel, opts)
      local known = { stride = optional, pad = optional, name = optional }
      if extra then known[extra] = false end
      opts = options.check(type_name, opts, known)
      local w = window(type_name, { kernel = kernel, stride = opts.stride, pad = opts.pad }, 4)
      return { name = opts.name, kernel = w.kernel, window = w,
        options = { kernel = w.kernel, stride = opts.stride, pad = opts.pad, count_pad = opts.count_pad } }
    end,
    function(self)
      local sy, sx = table.unpack(self.window.stride)
      return ("%s(%dx%d, stride %s)"):format(type_name, self.kernel[1], self.kernel[2],
        sy == sx and sy or sy .. "x" .. sx)
    end)
  function class:output_shape(shape)
    check_rank(self, shape, 4, "(n, h, w, c)")
    return windowed(self, shape)
  end
end

--- nn.MaxPool2d([kernel=2 [, {stride=kernel, pad=0, name}]]).
pooling("MaxPool2d", "max_pool2d")
--- nn.AvgPool2d([kernel=2 [, {stride=kernel, pad=0, count_pad=false, name}]]).
pooling("AvgPool2d", "avg_pool2d", "count_pad")

local Global = simple("GlobalAvgPool2d", function(_, x) return core.global_avg_pool2d(x) end,
  function(opts) return named("GlobalAvgPool2d", opts) end)
function Global:output_shape(shape)
  check_rank(self, shape, 4, "(n, h, w, c)")
  return { shape[1], shape[4] }
end

-- ---- BatchNorm2d, ZeroPad2d ----

local BatchNorm2d = Module.define "BatchNorm2d"

--- nn.BatchNorm2d(channels [, {eps=1e-3, momentum=0.99, name}]): weight (gamma),
-- bias (beta), running_mean, running_var.  It trains only inside a tape and
-- while it is not frozen; momentum is Keras's (the share of the old value).
function layers.BatchNorm2d(channels, opts)
  opts = options.check("BatchNorm2d", opts, { eps = 1e-3, momentum = 0.99, name = optional })
  channels = positive("BatchNorm2d", "channels", channels)
  local self = Module.new(BatchNorm2d, { name = opts.name, channels = channels, eps = opts.eps,
    momentum = opts.momentum })
  self:add_param("weight", core.ones(channels))
  self:add_param("bias", core.zeros(channels))
  self:add_buffer("running_mean", core.zeros(channels))
  self:add_buffer("running_var", core.ones(channels))
  return self
end

function BatchNorm2d:forward(x)
  local training = not self.frozen and tape.current() ~= nil
  return core.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
    { eps = self.eps, momentum = self.momentum, training = training, update = not Module.recomputing() })
end

function BatchNorm2d:output_shape(shape)
  if shape[#shape] ~= self.channels then
    error(("BatchNorm2d: %d channels expected, input has %d"):format(self.channels, shape[#shape]), 0)
  end
  return { table.unpack(shape) }
end

function BatchNorm2d:macs(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

function BatchNorm2d:describe()
  return ("BatchNorm2d(%d, eps %g)"):format(self.channels, self.eps)
end

local ZeroPad2d = simple("ZeroPad2d", function(self, x) return core.pad2d(x, self.pad) end,
  function(pad, opts)
    local fields = named("ZeroPad2d", opts)
    fields.pad = type(pad) == "table" and { table.unpack(pad) } or { pad, pad, pad, pad }
    for i = 1, math.max(4, #fields.pad) do
      if i > 4 or not math.tointeger(fields.pad[i]) or fields.pad[i] < 0 then
        error("ZeroPad2d: pad must be a whole number >= 0 or {top, left, bottom, right}", 3)
      end
    end
    return fields
  end,
  function(self) return ("ZeroPad2d(%s)"):format(table.concat(self.pad, ",")) end)

function ZeroPad2d:output_shape(shape)
  check_rank(self, shape, 4, "(n, h, w, c)")
  local p = self.pad
  return { shape[1], shape[2] + p[1] + p[3], shape[3] + p[2] + p[4], shape[4] }
end

return layers
