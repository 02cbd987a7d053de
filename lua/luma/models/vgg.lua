--- VGG16 and VGG19 (Simonyan and Zisserman 2014), built from one table, with the
-- layer names of Keras.  Article row M1: 20,024,384 weights in VGG19 without top.

local nn = require "luma.nn"

local vgg = {}

-- Channels, and convolutions a block.
local channels = { 64, 128, 256, 512, 512 }
local depths = { vgg16 = { 2, 2, 3, 3, 3 }, vgg19 = { 2, 2, 4, 4, 4 } }

--- Blocks of 3x3 convolutions with ReLU, each closed by a 2x2 maximum: the list
-- of layers, and the number of channels that leave it.
function vgg.blocks(plan, widths, init)
  local layers, width = {}, 3
  for block, count in ipairs(plan) do
    for i = 1, count do
      local name = ("block%d_conv%d"):format(block, i)
      layers[#layers + 1] = nn.Conv2d(width, widths[block], 3, { pad = "same", init = init, name = name })
      layers[#layers + 1] = nn.ReLU { name = ("block%d_relu%d"):format(block, i) }
      width = widths[block]
    end
    layers[#layers + 1] = nn.MaxPool2d(2, { name = ("block%d_pool"):format(block) })
  end
  return layers, width
end

--- The network: architecture "vgg16" or "vgg19"; opts { top, classes, init }.
function vgg.build(architecture, opts)
  local layers, width = vgg.blocks(depths[architecture], channels, opts.init)
  if opts.top then
    local function dense(inputs, outputs, name)
      layers[#layers + 1] = nn.Linear(inputs, outputs, { init = opts.init, name = name })
    end
    layers[#layers + 1] = nn.Flatten { name = "flatten" }
    dense(7 * 7 * width, 4096, "fc1")
    layers[#layers + 1] = nn.ReLU { name = "fc1_relu" }
    dense(4096, 4096, "fc2")
    layers[#layers + 1] = nn.ReLU { name = "fc2_relu" }
    dense(4096, opts.classes, "predictions")
    layers[#layers + 1] = nn.Softmax(-1, { name = "softmax" })
  end
  layers.name = architecture
  local model = nn.Sequential(layers)
  model.input = { height = 224, width = 224, channels = 3, scale = "caffe" }
  model.top_layers = { "fc1", "fc2", "predictions" }
  return model
end

return vgg
