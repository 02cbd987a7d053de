--- The frozen base of a run: which network, its weights, and how it wants its input.

local luma = require "luma"
local files = luma.files
local models = luma.models

local base = {}

--- Images a pass.
base.batch = 16

base.scalings = require("luma.experiment.options").scalings

local function load_model(config)
  if config.weights == "none" then luma.seed(config.seed, 1 << 50) end
  local options = {}
  if config.weights ~= "embedded" then options.weights = config.weights end
  local model, message = models.build(config.base, options)
  if not model then error(message, 0) end
  return model
end

--- Loads the base of a run.
-- @return { name, model, forward(x), input, output_shape, scale, weights, md5, warning }
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
    output_shape = { table.unpack(model:output_shape { 1, input.height, input.width, input.channels }, 2) },
  }
  if config.weights ~= "none" and config.weights ~= "embedded" then
    self.weights = files.basename(config.weights)
    self.md5 = luma.core.system.md5_file(config.weights)
  end
  if scale ~= input.scale and config.weights ~= "none" then
    self.warning = ("Input scaling '%s' (%s), but these weights were trained with '%s' (%s)%s."):format(scale,
      base.scalings[scale], input.scale, base.scalings[input.scale],
      config.faithful and "; the article did the same" or "")
  end
  -- The compiled plan holds its own copy of the weights: the model's may go.
  local compiled = model:compile { batch = base.batch }
  for _, p in ipairs(model:named_parameters()) do p[2]:close() end
  self.forward = function(x) return compiled(x) end
  return self
end

return base
