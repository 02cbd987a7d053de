--- The embedded base: a small VGG of 468,816 weights (1.9 MB), for 128x128 images,
-- 210 MMAC each; it gives 4x4x128 features.  Its file lies beside this one and is
-- made by `make base` from drawn textures; while it is absent, filters drawn from
-- a fixed seed stand in, and the model's note says so.

local core = require "luma.core"
local nn = require "luma.nn"
local vgg = require "luma.models.vgg"

local tiny = {}

local plan, widths = { 2, 2, 2, 2, 2 }, { 16, 32, 64, 96, 128 }
local SEED = 20200319

local _, here = ... -- require gives the file this chunk was read from

--- Where the embedded weights are (or would be).
tiny.file = (tostring(here or ""):match "^(.*/)" or "./") .. "tiny.safetensors"

--- The network; opts { init }.
function tiny.build(opts)
  local layers = vgg.blocks(plan, widths, opts.init)
  layers.name = "tiny"
  local model = nn.Sequential(layers)
  model.input = { height = 128, width = 128, channels = 3, scale = "unit" }
  return model
end

--- The network with filters drawn from a fixed seed, whatever luma.seed says.
function tiny.stand_in()
  local seed, stream = core.seed()
  core.seed(SEED)
  local ok, model = pcall(tiny.build, { init = "he_normal" })
  core.seed(seed, stream)
  if not ok then error(model, 0) end
  return model
end

return tiny
