--- make base: trains the embedded base (models.tiny) on drawn textures and
-- writes lua/luma/models/tiny.safetensors.  Reproducible: the same bits on the
-- same processor, whatever the number of threads.  Two to three minutes on two
-- cores.  Usage:
--   make base, or lua5.4 scripts/base/train.lua [FILE] with LUA_PATH as there;      FILE: where to write instead
--
-- The base is trained with a classifier of 24 kinds of texture behind it, which
-- is thrown away.  Most of the time the pictures are 64x64 (a quarter of the
-- work; what a filter sees is the same), the last part of the training has them
-- at the size the base is used with.

local luma = require "luma"
local textures = require "textures"
local uv = require "luv"
local nn, optim = luma.nn, luma.optim

local SEED, RATE = 1912, 1e-3
local phases = {
  { size = 64, batch = 48, steps = 1000, lr = RATE },
  { size = 128, batch = 24, steps = 160, lr = RATE / 5 },
}
local PER_EPOCH = 40 -- steps between two lines of the log
local TEST = 10      -- batches of the last phase that judge it
local RMS = 0.4      -- of the features, in the end

local path = arg[1] or require("luma.models.tiny").file
luma.seed(SEED)
local base = luma.models.tiny { weights = "none", init = "he_normal" }
local width = base:output_shape({ 1, 128, 128, 3 })[4]
local net = nn.Sequential { base, nn.GlobalAvgPool2d(), nn.Linear(width, #textures.classes, { name = "kinds" }) }
local began = uv.hrtime()
local function seconds() return (uv.hrtime() - began) / 1e9 end

local function batches(phase, rng, count)
  local i = 0
  return function()
    i = i + 1
    if i > count then return nil end
    return textures.batch(rng:fork(i), phase.batch, phase.size)
  end
end

for number, phase in ipairs(phases) do
  local rng = luma.rng(SEED):fork(("phase %d"):format(number))
  local epochs = phase.steps // PER_EPOCH
  luma.train.fit { net = net, optimiser = optim.Adam(net:parameters(), { lr = phase.lr }), epochs = epochs,
    data = function(epoch) return batches(phase, rng:fork(epoch), PER_EPOCH) end,
    schedule = optim.schedule.warm_up { steps = number == 1 and 40 or 1,
      after = optim.schedule.cosine { epochs = epochs, floor = 0.02 } },
    clip = { norm = 2 },
    on_epoch = function(row)
      print(("%dx%d  %4d steps  loss %.4f  accuracy %.3f  lr %.1e  %4.0f s"):format(phase.size, phase.size,
        row.epoch * PER_EPOCH, row.loss, row.accuracy, row.lr, seconds()))
    end }
end

local last = phases[#phases]

-- A classifier behind the base wants inputs of about 1: the last convolution is
-- scaled so that the features of fresh pictures have the root mean square RMS
-- (what follows a ReLU scales with it, so nothing else changes).
local function calibrate()
  local x = textures.batch(luma.rng(SEED):fork "calibrate", 48, last.size)
  local features = base(x)
  local scale = RMS / math.sqrt(luma.square(features):mean():item())
  local conv = base:get "block5_conv2"
  for _, p in ipairs(conv.params) do luma.core.step.scale_(p[2], scale) end
end

local seen = luma.train.evaluate(net, function() return batches(last, luma.rng(SEED):fork "test", TEST) end)
print(("%d fresh pictures of %d kinds: accuracy %.3f, loss %.3f"):format(seen.count, #textures.classes, seen.accuracy,
  seen.loss))
calibrate()
assert(luma.store.save(path, base:state(), {
  made_by = "scripts/base/train.lua", seed = tostring(SEED), scale = "unit",
  classes = table.concat(textures.classes, ","),
  accuracy = ("%.3f"):format(seen.accuracy), input = "128x128x3",
}))
print(("%s: %d bytes, after %.0f s"):format(path, luma.files.read(path) and #luma.files.read(path) or 0, seconds()))
