--- Networks as data: describe(net) gives a table of plain values that JSON can
-- hold, build(description) makes the network again, with fresh weights.  Only the
-- layer types of the table below exist; nothing in a description is executed.

local config = {}

local function options_of(keys)
  return function(layer)
    local t = { name = layer.name }
    for _, key in ipairs(keys) do
      t[key] = layer.options[key]
      if type(t[key]) == "table" then t[key] = { table.unpack(t[key]) } end
    end
    return t
  end
end

local function fields_of(keys)
  return function(layer)
    local t = { name = layer.name }
    for _, key in ipairs(keys) do t[key] = layer[key] end
    return t
  end
end

local function window(make)
  return function(nn, d)
    return nn[make](d.kernel, { stride = d.stride, pad = d.pad, name = d.name,
      count_pad = make == "AvgPool2d" and d.count_pad or nil })
  end
end

local function plain(make)
  return function(nn, d) return nn[make] { name = d.name } end
end

local pooling = options_of { "kernel", "stride", "pad", "count_pad" }
local convolution = options_of { "stride", "pad", "dilation", "groups" }

-- type -> { describe(layer) -> fields, build(nn, fields) -> layer }
local types
types = {
  Conv2d = {
    function(layer)
      local t = convolution(layer)
      t.cin, t.cout, t.kernel = layer.cin, layer.cout, { table.unpack(layer.kernel) }
      t.bias, t.l2 = layer.bias ~= nil, layer.l2
      return t
    end,
    function(nn, d)
      return nn.Conv2d(d.cin, d.cout, d.kernel, { stride = d.stride, pad = d.pad, dilation = d.dilation,
        groups = d.groups, bias = d.bias, l2 = d.l2, init = "zeros", name = d.name })
    end },
  Linear = {
    function(layer)
      return { name = layer.name, inputs = layer.inputs, outputs = layer.outputs, bias = layer.bias ~= nil,
        l2 = layer.l2 }
    end,
    function(nn, d)
      return nn.Linear(d.inputs, d.outputs, { bias = d.bias, l2 = d.l2, init = "zeros", name = d.name })
    end },
  BatchNorm2d = {
    function(layer)
      return { name = layer.name, channels = layer.channels, eps = layer.eps, momentum = layer.momentum }
    end,
    function(nn, d) return nn.BatchNorm2d(d.channels, { eps = d.eps, momentum = d.momentum, name = d.name }) end },
  MaxPool2d = { pooling, window "MaxPool2d" },
  AvgPool2d = { pooling, window "AvgPool2d" },
  GlobalAvgPool2d = { fields_of {}, plain "GlobalAvgPool2d" },
  Flatten = { fields_of {}, plain "Flatten" },
  Unflatten = { fields_of { "shape" }, function(nn, d) return nn.Unflatten(d.shape, { name = d.name }) end },
  Scale = { fields_of {}, function(nn, d) return nn.Scale(1, { name = d.name }) end },
  ReLU = { fields_of {}, plain "ReLU" },
  Sigmoid = { fields_of {}, plain "Sigmoid" },
  Tanh = { fields_of {}, plain "Tanh" },
  LeakyReLU = { fields_of { "slope" }, function(nn, d) return nn.LeakyReLU(d.slope, { name = d.name }) end },
  GELU = { fields_of { "form" }, function(nn, d) return nn.GELU { form = d.form, name = d.name } end },
  Softmax = { fields_of { "dim" }, function(nn, d) return nn.Softmax(d.dim, { name = d.name }) end },
  Dropout = { fields_of { "p" }, function(nn, d) return nn.Dropout(d.p, { name = d.name }) end },
  Concat = {
    function(layer)
      local t = { name = layer.name, dim = layer.dim, branches = {} }
      for i, child in ipairs(layer.children) do t.branches[i] = config.describe(child[2]) end
      return t
    end,
    function(nn, d)
      local list = {}
      for i, below in ipairs(d.branches) do list[i] = config.build(below) end
      return nn.Concat(list, { dim = d.dim, name = d.name })
    end },
  Checkpoint = {
    function(layer) return { name = layer.name, module = config.describe(layer.children[1][2]) } end,
    function(nn, d) return nn.Checkpoint(config.build(d.module), { name = d.name }) end },
  ZeroPad2d = { fields_of { "pad" }, function(nn, d) return nn.ZeroPad2d(d.pad, { name = d.name }) end },
  Sequential = {
    function(layer)
      local t = { name = layer.name, recompute = layer.recompute, layers = {} }
      for i, child in ipairs(layer.children) do t.layers[i] = config.describe(child[2]) end
      return t
    end,
    function(nn, d)
      local list = { name = d.name, recompute = d.recompute }
      for i, below in ipairs(d.layers) do list[i] = config.build(below) end
      return nn.Sequential(list)
    end },
  Residual = {
    function(layer)
      local shortcut = layer.children[2] and layer.children[2][2]
      return { name = layer.name, branch = config.describe(layer.children[1][2]),
        shortcut = shortcut and config.describe(shortcut) }
    end,
    function(nn, d)
      return nn.Residual(config.build(d.branch), { shortcut = d.shortcut and config.build(d.shortcut), name = d.name })
    end },
}

--- The description of a network: { type = "Conv2d", cin = 3, ... }.
function config.describe(net)
  local entry = types[net.type]
  if not entry then error(("a %s layer cannot be described as data"):format(tostring(net.type)), 2) end
  local t = entry[1](net)
  t.type = net.type
  if #net.children == 0 and #net.params > 0 and net.frozen then t.frozen = true end
  return t
end

--- The network of a description.  Raises a message when it is none.
function config.build(description)
  if type(description) ~= "table" then error("a layer's description must be a table", 0) end
  local entry = types[description.type]
  if not entry then error(("unknown layer type '%s'"):format(tostring(description.type)), 0) end
  if description.name ~= nil and type(description.name) ~= "string" then error("a layer's name must be a string", 0) end
  local layer = entry[2](require "luma.nn", description)
  return description.frozen and layer:freeze() or layer
end

return config
