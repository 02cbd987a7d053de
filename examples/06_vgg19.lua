-- 06 VGG19, layer by layer: what the article transfers.
--
--   scripts/luma examples/06_vgg19.lua [WEIGHTS]
--
-- A network that learned to tell a thousand kinds of things apart on photographs
-- is kept as it is (frozen); only a small head on top of it is trained.  Without
-- WEIGHTS (Keras .h5 or .safetensors) the filters here are random.

local luma = require "luma"
local uv = require "luv"
local data, image, models, nn = luma.data, luma.image, luma.models, luma.nn

luma.seed(7)
local base = assert(models.vgg19 { weights = arg[1] }):freeze()
print(base:summary())
local all, trained = base:count_parameters()
print(("weights: %d, of which are trained: %d"):format(all, trained))
assert(all == 20024384 and trained == 0)

-- One image, prepared and scaled as this network expects it: blue, green, red,
-- the means of ImageNet subtracted, 0 to 255.  The article feeds red, green, blue
-- from 0 to 1; luma offers that too (scale "unit") and warns.
local index = assert(data.phantom { dir = "runs/examples/phantoms", count = 24, seed = 7 })
local x = image.resize(assert(image.load(index[1].path, "rgb")), 224, 224, { method = "area" })
for _, scale in ipairs { "unit", "caffe", "tf", "torch" } do
  local scaled = image.scale_input(x, scale)
  print(("scale %-6s values from %8.2f to %8.2f"):format(scale, scaled:min():item(), scaled:max():item()))
end
print("what this network expects:", base.input.scale)

-- Forward, by hand: each layer takes the image of numbers before it.  Height and
-- width halve at every pooling, channels grow.
local y = image.scale_input(x, base.input.scale):reshape(1, 224, 224, 3)
print "\nlayer by layer:"
for i = 1, #base do
  local layer = base[i]
  local started = uv.hrtime()
  y = layer(y)
  local n, h, w, c = y:shape()
  print(("%-16s %3d x %3d x %3d   %6.1f ms   mean %10.4f   zero %4.1f %%"):format(layer.name or layer.type, h, w, c,
    (uv.hrtime() - started) / 1e6, y:mean():item(), 100 * y:eq(0):to("f32"):mean():item()))
  assert(n == 1)
end

-- All at once: what runs when luma computes features.  Weights are transformed
-- once; ReLU and pooling happen inside the convolutions; and a batch is walked so
-- that it stays in the cache, which pays with several images at a time.
local one = image.scale_input(x, base.input.scale):reshape(1, 224, 224, 3)
local four = luma.concat({ one, one, one, one }, 1)
local compiled = base:compile { batch = 4 }
compiled(four)
local best = math.huge
for _ = 1, 3 do
  local started = uv.hrtime()
  compiled(four):close()
  best = math.min(best, (uv.hrtime() - started) / 4e6)
end
local features = compiled(one)
print(("\nin one go: %.1f ms an image; relative difference to the layers one by one %.1e"):format(best,
  (features - y):norm():item() / y:norm():item()))

-- The head of the article on top: 7 x 7 x 512 numbers in rows, dropout, two
-- classes: 50,178 weights to train.
local head = nn.Sequential { nn.Flatten(), nn.Dropout(0.5), nn.Linear(7 * 7 * 512, 2) }
print(head)
print("trained weights:", select(2, head:count_parameters()))
print("probabilities, untrained:", luma.softmax(head(features), 2))
