--- A finished run as a predictor: its preparation, its scaling, its base, its
-- head; no augmentation, no training.

local luma = require "luma"
local uv = require "luv"
local base = require "luma.experiment.base"
local head = require "luma.experiment.head"
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
  local net = head.build(width, #metrics.classes, config, 0)
  local ok, why = net:load_state(tensors)
  if not ok then error(("%s: %s"):format(files.join(dir, "head.safetensors"), why), 0) end
  return setmetatable({ dir = dir, config = config, network = network, width = width, net = net,
    scale = metrics.scale, classes = metrics.classes, size = config.size }, Predictor)
end

-- The header's size is the prepared size.
local function looks_prepared(self, path)
  local info, message = image.info(path)
  if not info then return nil, message end
  return info.height == self.size and info.width == self.size
end

-- Prepares one file as the run's own were, JPEG included, into a file of its own.
local function prepare(self, path)
  local dir, message = uv.fs_mkdtemp(files.join(uv.os_tmpdir(), "luma-XXXXXX"))
  if not dir then return nil, message end
  local to = files.join(dir, "prepared.jpg")
  local results, interrupted = luma.core.prepare.batch({ { path, to } },
    { faithful = self.config.faithful, size = self.size })
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

-- One image through loader and base, on the same road as the run's own.
local function features(self, path)
  local index = luma.data.Index({ { path = path, name = path, class = self.classes[1] } },
    { classes = self.classes })
  local want, row = self.network.input, nil
  for x in index:batches { size = 1, height = want.height, width = want.width, channels = want.channels,
    scale = self.scale } do
    local y <close> = self.network.forward(x)
    x:close()
    row = y:reshape(1, self.width):clone()
  end
  return row
end

--- What the head says about one image file.
-- @param prepared "yes", "no" or "auto" (files of exactly the prepared size are)
-- @return { class, probability, p, prepared_here } | nil, message
function Predictor:predict(path, prepared)
  local known, message = looks_prepared(self, path)
  if known == nil then return nil, message end
  local here = prepared == "no" or (prepared ~= "yes" and not known)
  local source, guard = path, nil
  if here then
    source, guard = prepare(self, path)
    if not source then return nil, guard end
  end
  local cleanup <close> = guard -- luacheck: ignore cleanup
  local ok, x = pcall(features, self, source)
  if not ok then
    if x == luma.core.interrupt then error(x, 0) end
    return nil, ("%s: %s"):format(files.show(path), tostring(x))
  end
  local p = head.probabilities(self.net, x)[1]
  x:close()
  local best = head.argmax(p)
  return { class = self.classes[best], probability = p[best], p = p, prepared_here = here }
end

return predictor
