-- 04 Splitting: never test on what you trained on, and who is in both parts.
--
--   scripts/luma examples/04_splitting.lua
--
-- The article warns of testing on training images.  Its own split has a subtler
-- form of that: several images of one patient, some in training, some in test.

local luma = require "luma"
local data = luma.data

local index = assert(data.phantom { dir = "runs/examples/phantoms", count = 24, seed = 7 })
print(index)

-- How many go to the test part?  scikit-learn rounds up.
print "\nimages  train  test   (a share of 0.2, rounded up)"
for _, n in ipairs { 5, 10, 92, 99, 1305 } do
  local rows = {}
  for i = 1, n do rows[i] = { path = tostring(i), class = "one" } end
  local split = data.Index(rows):stratify { test = 0.2, group = false, seed = 1 }
  print(("%6d  %5d  %4d"):format(n, #split.train, #split.test))
end

-- The article's way: images dealt at random.
print "\nby image:"
local by_image = index:stratify { test = 0.25, group = false, seed = 7 }
print(by_image)
print("patients with images in both parts:", by_image.shared_patients)

-- luma's way: all images of a patient on one side.  This is the default as soon
-- as patients are known.
print "\nby patient:"
local by_patient = index:stratify { test = 0.25, seed = 7 }
print(by_patient)
print("patients with images in both parts:", by_patient.shared_patients)
assert(by_patient.shared_patients == 0)

-- A third part for choices that are made while training, so that the test part
-- is looked at once, at the end.
print "\nwith a validation part:"
print(index:stratify { train = 0.6, val = 0.2, test = 0.2, seed = 7 })

-- Folds: every image is tested once, by a model that never saw its patient.
print "\nfive folds by patient:"
for _, fold in ipairs(index:kfold { k = 5, seed = 7 }) do
  local counts = fold.test:counts()
  print(("fold %d: %2d train, %d test (%d Normal, %d opacity)"):format(fold.fold, #fold.train, #fold.test,
    counts.Normal, counts.opacity))
end

-- One encoder for all parts: class ids mean the same everywhere.  The author fits
-- one on the training labels and another on the test labels; with a class
-- missing from one of them, 0 and 1 change places.
local encoder = index:encoder()
print("\n" .. tostring(encoder))
assert(by_patient.test:encoder() == by_patient.train:encoder())
print("one-hot of the first three:", encoder:one_hot { index[1], index[2], index[3] })

-- The same seed gives the same split, on any machine and any number of threads.
local again = index:stratify { test = 0.25, seed = 7 }
for i, row in ipairs(again.test) do assert(row == by_patient.test[i]) end
print "same seed, same split: yes"
