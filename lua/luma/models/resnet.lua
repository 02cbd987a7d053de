--- ResNet50 (He et al. 2015) as Keras's first version has it: the stride stands
-- on the first 1x1 of a stage (torchvision's v1.5 has it on the 3x3), convolutions
-- keep their bias, batch-norm's epsilon is 1.001e-5, and the image is padded by
-- 3 before the 7x7 and by 1 before the 3x3 maximum.  Article row M8.

local nn = require "luma.nn"

local resnet = {}

local EPSILON, MOMENTUM = 1.001e-5, 0.99

-- { stage, blocks, width, stride of the first block }: the output is 4 widths.
local stages = { { "conv2", 3, 64, 1 }, { "conv3", 4, 128, 2 }, { "conv4", 6, 256, 2 }, { "conv5", 3, 512, 2 } }

local function conv_norm(list, cin, cout, kernel, name, opts)
  list[#list + 1] = nn.Conv2d(cin, cout, kernel,
    { stride = opts.stride, pad = opts.pad, init = opts.init, name = name .. "_conv" })
  list[#list + 1] = nn.BatchNorm2d(cout, { eps = EPSILON, momentum = MOMENTUM, name = name .. "_bn" })
  return list
end

-- 1x1, 3x3, 1x1, added to the input, which passes a 1x1 of its own in a stage's
-- first block.
local function block(cin, width, stride, name, first, init)
  local branch = conv_norm({}, cin, width, 1, name .. "_1", { stride = stride, init = init })
  branch[#branch + 1] = nn.ReLU { name = name .. "_1_relu" }
  conv_norm(branch, width, width, 3, name .. "_2", { pad = "same", init = init })
  branch[#branch + 1] = nn.ReLU { name = name .. "_2_relu" }
  conv_norm(branch, width, 4 * width, 1, name .. "_3", { init = init })
  local shortcut = first
    and nn.Sequential(conv_norm({}, cin, 4 * width, 1, name .. "_0", { stride = stride, init = init })) or nil
  return nn.Sequential { name = name,
    nn.Residual(nn.Sequential(branch), { shortcut = shortcut, name = name .. "_add" }),
    nn.ReLU { name = name .. "_out" } }
end

--- The network; opts { top, classes, init }.
function resnet.build(opts)
  local layers = conv_norm({}, 3, 64, 7, "conv1", { stride = 2, pad = 3, init = opts.init })
  layers[#layers + 1] = nn.ReLU { name = "conv1_relu" }
  -- After a ReLU nothing is below zero, so padding by zeros and by nothing agree.
  layers[#layers + 1] = nn.MaxPool2d(3, { stride = 2, pad = 1, name = "pool1_pool" })
  local cin = 64
  for _, stage in ipairs(stages) do
    local prefix, count, width, stride = table.unpack(stage)
    for i = 1, count do
      local name = ("%s_block%d"):format(prefix, i)
      layers[#layers + 1] = block(cin, width, i == 1 and stride or 1, name, i == 1, opts.init)
      cin = 4 * width
    end
  end
  if opts.top then
    layers[#layers + 1] = nn.GlobalAvgPool2d { name = "avg_pool" }
    layers[#layers + 1] = nn.Linear(cin, opts.classes, { init = opts.init, name = "predictions" })
    layers[#layers + 1] = nn.Softmax(-1, { name = "softmax" })
  end
  layers.name = "resnet50"
  local model = nn.Sequential(layers)
  model.input = { height = 224, width = 224, channels = 3, scale = "caffe" }
  model.top_layers = { "predictions" }
  return model
end

return resnet
