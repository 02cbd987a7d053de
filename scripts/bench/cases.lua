--- luma.bench.cases: what is measured.  A case is { name=, setup=function(ctx) },
-- ctx { dir=, quick= }; setup returns { run, result, items, flops, peers, close }.

local luma = require "luma"
local files = require "luma.base.files"
local json = require "luma.base.json"
local chain = require "bench.chain"
local Peer = require "bench.peer"

local cases = {}

local function add(name, setup) cases[#cases + 1] = { name = name, setup = setup } end

-- ---- VGG19 ----

local VGG19 = "64,64,p,128,128,p,256,256,256,256,p,512,512,512,512,p,512,512,512,512,p"

for _, n in ipairs { 1, 16 } do
  add(("vgg19 base batch %d"):format(n), chain.forward { n = n, h = 224, w = 224, c = 3, layers = VGG19 })
end

-- Its nine distinct layers: channels in and out, image side, images.
for _, l in ipairs { { 3, 64, 224, 4 }, { 64, 64, 224, 4 }, { 64, 128, 112, 4 }, { 128, 128, 112, 4 },
  { 128, 256, 56, 8 }, { 256, 256, 56, 8 }, { 256, 512, 28, 16 }, { 512, 512, 28, 16 }, { 512, 512, 14, 16 } } do
  local c, k, side, n = table.unpack(l)
  add(("conv %dx%d %d to %d batch %d"):format(side, side, c, k, n),
    chain.forward { n = n, h = side, w = side, c = c, layers = tostring(k) })
end

-- ---- training ----

add("train small cnn batch 32", chain.train { n = 32, h = 224, w = 224, c = 3, layers = "32,p,64,p,128,p,d2" })
add("train vgg19 batch 4", chain.train { n = 4, h = 224, w = 224, c = 3, layers = VGG19 .. ",d2" })
add("train block5 batch 16", chain.train { n = 16, h = 14, w = 14, c = 512, layers = "512,512,512,512,p,d2" })
add("train head on 152 features",
  chain.train { n = 152, batch = 32, h = 7, w = 7, c = 512, layers = "d256,d2", optimizer = "adam" })

-- ---- images ----

--- Asks a peer that answers JSON with JSON: run() is the sum of its "ms".
local function json_peer(name, script, request)
  return function()
    local path = Peer.source(script)
    if not path then return nil, name .. " is left out: not part of this build" end
    local peer, why = Peer.start(name, "/usr/bin/python3", { path }, {})
    if not peer then return nil, name .. " is left out: " .. why end
    local last
    function peer:run()
      last = json.decode(self:ask(request) or "null")
      local sum = last and 0
      for _, ms in ipairs(last and last.ms or {}) do sum = sum + ms end
      return sum
    end
    function peer:result()
      if not last then return nil end
      local numbers = {}
      for i in ipairs(last.rows) do
        numbers[#numbers + 1], numbers[#numbers + 2] = last.rows[i], last.cols[i]
      end
      return luma.tensor(numbers):bytes()
    end
    return peer
  end
end

local function radiographs(dir, count)
  local drawings, paths = {}, {}
  for i = 1, count do
    drawings[i] = { seed = 1, patient = i, image = 1, size = 1024, left = i % 2 * 80, right = i % 2 * 80 }
    paths[i] = files.join(dir, ("radiograph%d.jpg"):format(i))
  end
  assert(luma.image.phantom_files(drawings, paths))
  return paths
end

add("prepare 1024x1024 jpeg", function(ctx)
  local paths = radiographs(ctx.dir, 8)
  local out, jobs = files.join(ctx.dir, "prepared"), {}
  assert(files.mkdir_p(out))
  for i, path in ipairs(paths) do jobs[i] = { path, files.join(out, i .. ".jpg") } end
  local results
  return {
    items = #jobs,
    -- One thread, as the peer: "a thread" is what the figure means.
    run = function()
      local threads = luma.threads()
      luma.threads(1)
      results = luma.core.prepare.batch(jobs)
      luma.threads(threads)
    end,
    result = function() -- rows and columns removed, image by image
      local numbers = {}
      for _, r in ipairs(results) do
        numbers[#numbers + 1], numbers[#numbers + 2] = r.rows_removed, r.cols_removed
      end
      return luma.tensor(numbers)
    end,
    peers = { json_peer("opencv", "prepare_opencv.py", json.line { files = json.list(paths), out = out }) },
  }
end)

add("augment 32 images 224x224x3", function(ctx)
  luma.seed(2)
  local x = luma.rand(32, 224, 224, 3)
  local recipe = luma.data.augment.article()
  local warped, list = recipe:batch(x, luma.rng(7))
  warped:close()
  local input, matrices = files.join(ctx.dir, "images.f32"), files.join(ctx.dir, "matrices.f32")
  assert(files.write_atomic(input, x:bytes()))
  local numbers = {}
  for _, p in ipairs(list) do
    for i = 1, 6 do numbers[#numbers + 1] = p.matrix[i] end
    numbers[#numbers + 1] = p.flip_h and 1 or 0
  end
  assert(files.write_atomic(matrices, luma.tensor(numbers):bytes()))
  return {
    items = 32,
    run = function() recipe:batch(x, list):close() end,
    -- cv2 rounds coordinates to 1/32 pixel: on noise only averages agree.
    result = function()
      local y <close> = recipe:batch(x, list)
      return y:mean { 2, 3 }
    end,
    peers = { function()
      local peer, why = chain.python("opencv_peer.py", { input, matrices })
      return peer, why and "OpenCV is left out: " .. why
    end },
  }
end)

return cases
