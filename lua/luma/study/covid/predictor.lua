--- A finished run as a predictor: its preparation, its scaling, its base, its
-- head; no augmentation, no training.

local luma = require "luma"
local uv = require "luv"
local base = require "luma.study.covid.base"
local head = require "luma.study.covid.head"
local preparation = require "luma.study.covid.preparation"
local files, image, json, store = luma.files, luma.image, luma.json, luma.store

local Predictor = {}
Predictor.__index = Predictor

local predictor = {}

--- Opens the run in dir; raises one line when it is none, or when the weights of
-- its base are gone or others.
function predictor.open(dir)
  local function object(name)
    local source, message = files.read(files.join(dir, name))
    if not source then error(("%s: no finished run here (%s)"):format(files.show(dir), message), 0) end
    local value, why = json.decode(source)
    if type(value) ~= "table" then error(("%s/%s: %s"):format(files.show(dir), name, why or "not an object"), 0) end
    return value
  end
  if not files.is_dir(dir) then error(files.show(dir) .. ": no such folder", 0) end
  local config, metrics = object "config.json", object "metrics.json"
  local network = base.open(config)
  if metrics.weights_md5 and network.md5 ~= metrics.weights_md5 then
    error(("%s: not the weights this run was made with (MD5 %s, then %s)"):format(files.show(config.weights),
      tostring(network.md5), metrics.weights_md5), 0)
  end
  local tensors, message = store.load(files.join(dir, "head.safetensors"))
  if not tensors then error(message, 0) end
  local width = 1
  for _, size in ipairs(network.output_shape) do width = width * size end
  local input = { width = width, shape = network.output_shape, back = network.back,
    pool = config.features and config.features.pool or nil }
  local net = head.build(input, #metrics.classes, config, 0)
  local ok, why = net:load_state(tensors)
  if not ok then error(("%s: %s"):format(files.join(dir, "head.safetensors"), why), 0) end
  return setmetatable({ dir = dir, config = config, network = network, input = input, net = net,
    scale = metrics.scale, classes = metrics.classes,
    preparation = preparation.read(metrics, config) }, Predictor)
end

-- Prepares one file as the run's own were, JPEG included, into a file of its own.
local function prepare(self, path)
  local dir, message = uv.fs_mkdtemp(files.join(uv.os_tmpdir(), "luma-XXXXXX"))
  if not dir then return nil, message end
  local to = files.join(dir, "prepared.jpg")
  local results, interrupted = luma.core.prepare.batch({ { path, to } },
    preparation.options(self.preparation.how ~= "none" and self.preparation
      or preparation.read({}, self.config)))
  local cleanup = setmetatable({}, { __close = function()
    files.remove(to)
    uv.fs_rmdir(dir)
  end })
  local result = results[1]
  if not interrupted and result and result.status == "written" then return to, cleanup end
  getmetatable(cleanup).__close()
  if interrupted then error(luma.core.interrupt, 0) end
  return nil, ("%s: %s"):format(files.show(path), result and (result.message or result.status) or "not prepared")
end

-- One image through the loader, on the same road as the run's own: f32
-- (1, h, w, c), scaled.
local function input_of(self, path)
  local index = luma.data.Index({ { path = path, name = path, class = self.classes[1] } },
    { classes = self.classes })
  local want, input = self.network.input, nil
  for x in index:batches { size = 1, height = want.height, width = want.width, channels = want.channels,
    scale = self.scale } do
    input = x:clone()
    x:close()
  end
  return input
end

-- Calls f(x, source path) with the network's input made from an image file,
-- prepared first when it must be.  Returns what f returns and whether it was
-- prepared here, or nil, message; an interrupt goes on.
local function with_input(self, path, prepared, f)
  local known, message = preparation.is_done(self.preparation, path)
  if known == nil then return nil, message end
  local here = prepared == "no" or (prepared ~= "yes" and not known)
  local source, guard = path, nil
  if here then
    source, guard = prepare(self, path)
    if not source then return nil, guard end
  end
  local cleanup <close> = guard -- luacheck: ignore cleanup
  local ok, result = pcall(function()
    local x <close> = input_of(self, source)
    return f(x, source)
  end)
  if not ok then
    if result == luma.core.interrupt then error(result, 0) end
    return nil, ("%s: %s"):format(files.show(path), tostring(result))
  end
  return result, here
end

-- Probabilities of the classes for an activation of the base (n, ...).
local function probabilities(self, activation)
  local n = activation:size(1)
  local flat <close> = activation:reshape(n, self.input.width)
  return head.probabilities(self.net, flat)
end

--- What the head says about one image file.
-- @param prepared "yes", "no" or "auto" (files of exactly the prepared size are)
-- @return { class, probability, p, prepared_here } | nil, message
function Predictor:predict(path, prepared)
  local p, here = with_input(self, path, prepared, function(x)
    local y <close> = self.network.forward(x)
    return probabilities(self, y)[1]
  end)
  if not p then return nil, here end
  local best = head.argmax(p)
  return { class = self.classes[best], probability = p[best], p = p, prepared_here = here }
end

--- Where the run's model looks in one image file.
-- @param opts method "gradcam" (default) or "occlusion"; class (a class name; default: the predicted one); prepared as
--   for predict; sanity (true: also how alike the maps of random heads are)
-- @return { class, probability, predicted, map, picture, outside, even, sanity,
--   prepared_here } | nil, message.  map f32 (h, w), picture u8 (h, w, 3).
function Predictor:explain(path, opts)
  local o = luma.options.check("explain", opts, {
    method = "gradcam", class = luma.options.optional, prepared = "auto", sanity = false,
    step = luma.options.optional })
  local id
  if o.class then
    for c, class in ipairs(self.classes) do
      if class == o.class then id = c end
    end
    if not id then
      return nil, ("no class '%s' in this run (classes: %s)"):format(tostring(o.class),
        table.concat(self.classes, ", "))
    end
  end
  local explain = luma.explain
  local answer, here = with_input(self, path, o.prepared, function(x, source)
    local activation <close> = self.network.forward(x)
    local p = probabilities(self, activation)[1]
    local predicted = head.argmax(p)
    local class = id or predicted
    local map, sanity
    if o.method == "occlusion" then
      map = explain.occlusion(function(batch)
        local y <close> = self.network.forward(batch)
        return luma.tensor(probabilities(self, y), "f32")
      end, x, { class = class, step = o.step })
    elseif o.method == "gradcam" then
      map = explain.cam_of(activation, head.scores(self.net), class)
    else
      error("explain: option method must be gradcam or occlusion, got " .. tostring(o.method), 0)
    end
    if o.sanity and o.method == "gradcam" then
      sanity = explain.sanity(map, function(seed)
        local other = head.build(self.input, #self.classes, self.config, 1000 + seed)
        return (explain.cam_of(activation, head.scores(other), class))
      end)
    end
    local outside, even = explain.outside_share(map)
    return { class = self.classes[class], probability = p[class], predicted = self.classes[predicted], map = map,
      picture = assert(image.load(source, "rgb")), outside = outside, even = even, sanity = sanity }
  end)
  if not answer then return nil, here end
  answer.prepared_here = here
  return answer
end

return predictor
