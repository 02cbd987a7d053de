-- A small network trained from nothing on drawn radiographs: above 0.95 on test
-- patients it never saw, in a minute on two cores.  Bars are as frequent in both
-- classes, so that only the finding tells them apart.
local luma = require "luma"
local nn, optim = luma.nn, luma.optim

local SIZE, EPOCHS = 96, 25

local function network()
  local layers, width = {}, 1
  for _, next in ipairs { 16, 32, 64, 64 } do
    layers[#layers + 1] = nn.Conv2d(width, next, 3, { pad = "same", bias = false, init = "he_normal" })
    layers[#layers + 1] = nn.BatchNorm2d(next, { momentum = 0.9 })
    layers[#layers + 1] = nn.ReLU()
    layers[#layers + 1] = nn.MaxPool2d(2)
    width = next
  end
  layers[#layers + 1] = nn.GlobalAvgPool2d()
  layers[#layers + 1] = nn.Dropout(0.2)
  layers[#layers + 1] = nn.Linear(width, 2)
  return nn.Sequential(layers)
end

describe("training from nothing #long #noasan", function()
  it("passes 0.95 on the phantoms within two minutes of two cores", function()
    local dir = os.tmpname()
    os.remove(dir)
    local clock = os.clock()
    luma.seed(7)
    local index = assert(luma.data.phantom { dir = dir, count = 1200, size = 256, seed = 7,
      bars = { normal = 0.5, opacity = 0.5 } })
    local parts = index:stratify { train = 0.75, test = 0.25, group = "patient" }
    local net = network()
    local augment = require("luma.data.augment").new { horizontal_flip = true, rotation = 4, width_shift = 0.04,
      height_shift = 0.04 }
    local view = { height = SIZE, width = SIZE, channels = 1, scale = "unit" }
    local function batches(part, more)
      for key, value in pairs(view) do more[key] = value end
      return part:batches(more)
    end
    local history = luma.train.fit { net = net, optimiser = optim.Adam(net:parameters(), { lr = 3e-3 }),
      epochs = EPOCHS, schedule = optim.schedule.cosine { epochs = EPOCHS, floor = 0.01 },
      data = function(epoch)
        return batches(parts.train, { size = 24, shuffle = true, epoch = epoch, augment = augment })
      end }
    local seen = luma.train.evaluate(net, function() return batches(parts.test, { size = 50 }) end)
    local seconds = os.clock() - clock
    os.execute(("rm -r '%s'"):format(dir))
    assert.equal(EPOCHS, #history)
    assert.is_true(seen.accuracy > 0.95, ("accuracy %.3f"):format(seen.accuracy))
    assert.is_true(seconds < 240, ("%.0f seconds of processor time"):format(seconds))
    io.stdout:write(("(from nothing: accuracy %.3f on %d, %.0f s of processor time)"):format(seen.accuracy, seen.count,
      seconds))
  end)
end)
