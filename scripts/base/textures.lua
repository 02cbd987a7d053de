--- Drawn textures and shapes: what the embedded base is trained on.  Every image
-- is a formula with random parameters (scale, angle, place, contrast, colour,
-- light, noise), so there is no data to download and no licence to ask.
--
--   local textures = require "textures"
--   local x, y = textures.batch(rng, 32, 128)      -- (32,128,128,3) in 0..1, class ids
--   textures.classes[y[1]]                         -- "stripes"

local core = require "luma.core"

local textures = {}

--- The canvas of one image: coordinates in -1..1, turned and moved.
local function canvas(rng, size)
  local line = core.linspace(-1, 1, size)
  local x0, y0 = core.reshape(line, 1, size), core.reshape(line, size, 1)
  local angle = rng:uniform(0, 2 * math.pi)
  local c, s = math.cos(angle), math.sin(angle)
  local x, y = x0 - rng:uniform(-0.5, 0.5), y0 - rng:uniform(-0.5, 0.5)
  return { size = size, rng = rng, u = x * c + y * s, v = y * c - x * s }
end

--- Smooth noise: random values on a coarse grid, enlarged bilinearly.
local function noise(k, cells)
  local coarse <close> = core.randn({ cells, cells }, { rng = k.rng })
  return core.image.resize(coarse, k.size, k.size)
end

--- Noise with ever finer, ever weaker layers.
local function clouds(k)
  local sum, cells, weight = noise(k, 3), 6, 0.6
  while cells < k.size / 2 do
    sum = sum + noise(k, cells) * weight
    cells, weight = cells * 2, weight * 0.6
  end
  return sum
end

local function radius(k) return core.sqrt(k.u * k.u + k.v * k.v) end
local function frequency(k) return 2 ^ k.rng:uniform(2, 5) end

--- 1 inside, 0 outside, with an edge as soft as chance has it.
local function inside(k, distance)
  return core.sigmoid(distance * (2 ^ k.rng:uniform(3, 7)))
end

--- Sine and cosine of n times the angle around the centre, by powers of a complex number.
local function turns(k, n)
  local r = radius(k) + 1e-3
  local cu, cv = k.u / r, k.v / r
  local a, b = cu, cv
  for _ = 2, n do a, b = a * cu - b * cv, a * cv + b * cu end
  return a, b
end

local kinds = {
  { "stripes", function(k) return core.sin(k.u * frequency(k)) end },
  { "bars", function(k) return core.sign(core.sin(k.u * frequency(k))) end },
  { "checks", function(k)
    local f = frequency(k) * 0.7
    return core.sign(core.sin(k.u * f) * core.sin(k.v * f))
  end },
  { "plaid", function(k) return core.sin(k.u * frequency(k)) + core.sin(k.v * frequency(k)) end },
  { "dots", function(k)
    local f = frequency(k)
    return inside(k, core.cos(k.u * f) + core.cos(k.v * f) - k.rng:uniform(0.5, 1.2))
  end },
  { "rings", function(k) return core.sin(radius(k) * frequency(k)) end },
  { "rays", function(k) return (turns(k, k.rng:int(3, 9))) end },
  { "spiral", function(k)
    local a, b = turns(k, k.rng:int(1, 4))
    local r = radius(k) * frequency(k)
    return a * core.cos(r) - b * core.sin(r)
  end },
  { "grain", function(k) return noise(k, math.floor(k.size / k.rng:uniform(1.5, 4))) end },
  { "clouds", clouds },
  { "camouflage", function(k) return core.sign(noise(k, k.rng:int(6, 14))) end },
  { "marble", function(k) return core.sin(k.u * frequency(k) + clouds(k) * k.rng:uniform(1, 2)) end },
  { "ribs", function(k)
    return core.sin((k.v + k.u * k.u * k.rng:uniform(0.4, 1.2)) * frequency(k))
  end },
  { "patches", function(k) -- soft spots of different sizes
    local sum
    for _ = 1, k.rng:int(2, 6) do
      local x, y, w = k.u - k.rng:uniform(-0.8, 0.8), k.v - k.rng:uniform(-0.8, 0.8), k.rng:uniform(0.08, 0.3)
      local spot = core.exp((x * x + y * y) * (-1 / (w * w)))
      sum = sum and sum + spot or spot
    end
    return sum
  end },
  { "disc", function(k) return inside(k, k.rng:uniform(0.2, 0.6) - radius(k)) end },
  { "ellipse", function(k)
    local flat = k.u * k.rng:uniform(2, 4)
    return inside(k, k.rng:uniform(0.3, 0.7) - core.sqrt(flat * flat + k.v * k.v))
  end },
  { "ring", function(k)
    local r = radius(k) - k.rng:uniform(0.3, 0.7)
    return inside(k, k.rng:uniform(0.03, 0.12) - core.abs(r))
  end },
  { "square", function(k) return inside(k, k.rng:uniform(0.2, 0.6) - core.maximum(core.abs(k.u), core.abs(k.v))) end },
  { "triangle", function(k)
    local d = core.maximum(k.u * -0.5 + k.v * 0.866, core.maximum(k.u * -0.5 - k.v * 0.866, k.u))
    return inside(k, k.rng:uniform(0.15, 0.45) - d)
  end },
  { "cross", function(k)
    local w = k.rng:uniform(0.06, 0.2)
    return inside(k, w - core.minimum(core.abs(k.u), core.abs(k.v)))
  end },
  { "edge", function(k) return inside(k, k.u) end },
  { "slope", function(k) return k.u end },
  { "strands", function(k) -- a few thin lines
    local sum
    for _ = 1, k.rng:int(2, 6) do
      local a, w = k.rng:uniform(0, math.pi), k.rng:uniform(0.01, 0.05)
      local d = k.u * math.cos(a) + k.v * math.sin(a) - k.rng:uniform(-0.6, 0.6)
      local strand = core.exp((d * d) * (-1 / (w * w)))
      sum = sum and core.maximum(sum, strand) or strand
    end
    return sum
  end },
  { "mesh", function(k) -- a grid bent by noise
    local bend, f = noise(k, 4) * 0.15, frequency(k) * 0.8
    return core.maximum(core.sin((k.u + bend) * f), core.sin((k.v - bend) * f))
  end },
}

--- Names of the classes, in the order of their ids.
textures.classes = {}
for i, kind in ipairs(kinds) do textures.classes[i] = kind[1] end

--- Values brought to mean 0 and deviation 1.
local function standard(x)
  local s = x:stats()
  return (x - s.mean) / math.max(1e-3, s.std)
end

--- One image (size, size, 3) in 0..1 of a class: the figure with random sign,
-- contrast and brightness, uneven light, grain, and a tint for one in four.
function textures.draw(rng, id, size)
  local k = canvas(rng, size)
  local figure = standard(kinds[id][2](k)) * (rng:bernoulli(0.5) and 1 or -1)
  local gray = figure * rng:uniform(0.06, 0.25) + rng:uniform(0.3, 0.7)
  gray = gray + noise(k, 3) * rng:uniform(0, 0.08) + noise(k, size) * rng:uniform(0, 0.06)
  local flat = core.reshape(gray, size, size, 1)
  local tint = { 1, 1, 1 }
  if rng:bernoulli(0.25) then
    for c = 1, 3 do tint[c] = rng:uniform(0.6, 1.4) end
  end
  return core.clamp(flat * core.reshape(core.tensor(tint), 1, 1, 3), 0, 1)
end

--- A batch of n images with class ids in random order, each class as often as
-- any other.  Image i depends only on the generator and on i.
-- @return x (n, size, size, 3) f32, y (n) i32
function textures.batch(rng, n, size)
  local x = core.empty(n, size, size, 3)
  local ids, order = {}, rng:permutation(n)
  for i = 1, n do
    ids[i] = (order[i] - 1) % #kinds + 1
    x[i] = textures.draw(rng:fork(i), ids[i], size)
  end
  return x, core.tensor(ids, "i32")
end

return textures
