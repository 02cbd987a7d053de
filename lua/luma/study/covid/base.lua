--- The frozen base of a run: which network, its weights, and how it wants its input.

local luma = require "luma"
local tune = require "luma.study.covid.tune"
local files = luma.files
local models = luma.models

local base = {}

--- Images a pass.
base.batch = 16

base.scalings = require("luma.study.covid.options").scalings

local function load_model(config)
  if config.weights == "none" then luma.seed(config.seed, 1 << 50) end
  local options = {}
  if config.weights ~= "embedded" then options.weights = config.weights end
  local model, message = models.build(config.base, options)
  if not model then error(message, 0) end
  return model
end

--- The model up to and including a layer; raises one line when there is none of
-- that name.
function base.cut(model, layer)
  local list, names = {}, {}
  for _, child in ipairs(model.children) do
    list[#list + 1] = child[2]
    names[#names + 1] = tostring(child[1])
    if names[#names] == layer then
      local front = luma.nn.Sequential(list)
      front.input = model.input
      return front
    end
  end
  error(("--features: no layer of %s is named '%s' (layers: %s)"):format(model.architecture,
    luma.text.printable(layer, 40), table.concat(names, ", ")), 0)
end

--- Loads the base of a run.
-- With config.unfreeze, forward stops before the part that is trained, and
-- back.build() makes a trainable copy of that part.  output_shape (h, w, c) is
-- what forward gives.
-- @return { name, model, forward(x), input, output_shape, back, scale, weights, md5, warning }
function base.open(config)
  local model = load_model(config)
  model:freeze()
  local input = model.input
  local scale = config.scale or input.scale
  local note = model.weights.note
  local self = {
    note = note and config.weights ~= "none" and note:find("random", 1, true) and ("The base has %s."):format(note)
      or nil,
    name = config.base, model = model, input = input, scale = scale, weights = config.weights,
  }
  if config.weights ~= "none" and config.weights ~= "embedded" then
    self.weights = files.basename(config.weights)
    self.md5 = luma.core.system.md5_file(config.weights)
  end
  if scale ~= input.scale and config.weights ~= "none" and not config.scale_measured then
    self.warning = ("Input scaling '%s' (%s), but these weights were trained with '%s' (%s)%s."):format(scale,
      base.scalings[scale], input.scale, base.scalings[input.scale],
      config.faithful and "; the article did the same" or "")
  end
  local front = model
  if config.features then front = base.cut(model, config.features.layer) end
  if config.unfreeze then
    front, self.back = tune.split(model, config.unfreeze, config.weights ~= "none")
  end
  local shape = { 1, input.height, input.width, input.channels }
  if front then shape = front:output_shape(shape) end
  self.output_shape = { table.unpack(shape, 2) }
  if not front then
    self.forward = function(x) return x:clone() end
    return self
  end
  -- Weights once: the plan keeps them in the form it computes with, the model's are freed.
  local compiled = front:compile { batch = base.batch, release = true }
  self.forward = function(x) return compiled(x) end
  return self
end

return base
