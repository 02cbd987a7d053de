-- 05 Augmentation: the article's gallery, and what it does to an image.
--
--   scripts/luma examples/05_augmentation.lua        (pictures in runs/examples/)
--
-- Few images, so each is shown to the network in many small variations.  The
-- article shows eight kinds; its training then uses another set, drawn anew for
-- every image and epoch.

local luma = require "luma"
local data, files, image = luma.data, luma.files, luma.image
assert(files.mkdir_p "runs/examples")

local index = assert(data.phantom { dir = "runs/examples/phantoms", count = 24, seed = 7 })
local tiles = {}
for i = 1, 8 do tiles[i] = image.resize(assert(image.load(index[i].path, "rgb")), 224, 224, { method = "area" }) end

-- Each gallery applies one function to every image.  (The author rotates the
-- last image loaded instead of the one at hand: all his rotated tiles are the
-- same picture.)
local function gallery(name, f)
  local out = {}
  for i, x in ipairs(tiles) do out[i] = f(x:to "f32" / 255) end
  local path = ("runs/examples/05_%s.png"):format(name)
  assert(image.save(path, image.sheet(out, { rows = 1, cols = 8, height = 150, width = 150 })))
  print(path)
  return out
end

gallery("original", function(x) return x end)
local contrast = gallery("contrast", function(x) return image.adjust_contrast(x, 2) end)
gallery("saturation", function(x) return image.adjust_saturation(x, 3) end)
gallery("flipped_left_right", image.flip_left_right)
gallery("flipped_up_down", image.flip_up_down)
gallery("flipped_both", function(x) return image.flip_left_right(image.flip_up_down(x)) end)
local turned
for _, degrees in ipairs { 45, 135, 225, 315 } do
  local out = gallery("rotated_" .. degrees, function(x) return image.rotate(x, degrees) end)
  if degrees == 45 then turned = out[1] end
end

-- Three things to see.
-- 1. Contrast is (x - mean) * 2 + mean, and it is not clipped: values leave 0 to 1.
print(("\ncontrast doubled: values from %.2f to %.2f"):format(contrast[1]:min():item(), contrast[1]:max():item()))

-- 2. Saturation does nothing to a gray image: there is no colour to strengthen.
local gray = tiles[1]:to "f32" / 255
local difference = (image.adjust_saturation(gray, 3) - gray):abs():max():item()
print(("saturation tripled: largest change of a gray image %.6f"):format(difference))

-- 3. A rotation by 45 degrees brings black corners: the very thing that was
-- removed in preparation comes back.
local ones = image.rotate(luma.ones(224, 224, 1), 45)
print(("rotated by 45 degrees: %.1f %% of the frame is filled with black"):format(
  100 * (1 - ones:mean():item())))
print("black corner pixel:", turned[1][1][1])

-- What training really uses: random turns, shifts and flips, edges repeated
-- rather than black.  The draw for an image depends only on (seed, epoch, image).
local augment = data.augment.new { rotation = 20, width_shift = 0.2, height_shift = 0.2, horizontal_flip = true }
local views = {}
for epoch = 1, 8 do
  views[epoch] = augment:apply(tiles[1], augment:sample(7, epoch, 1, 224, 224))
end
assert(image.save("runs/examples/05_training_views.png",
  image.sheet(views, { rows = 1, cols = 8, height = 150, width = 150 })))
print "\nruns/examples/05_training_views.png: one image in eight epochs"

-- The convention matters: the same numbers mean different pictures in the Keras
-- that the article ran, in today's Keras, and in plain geometry.
for _, compat in ipairs { "keras-1.1.0", "keras-head", "sane" } do
  local a = data.augment.new { rotation = { 20, 20 }, height_shift = { 0.1, 0.1 }, compat = compat }
  local y = a:apply(tiles[1], a:sample(7, 1, 1, 224, 224))
  print(("%-12s turned by +20 degrees and shifted by +0.1: mean gray %.2f"):format(compat, y:to "f32":mean():item()))
end
