--- luma.models: networks by name, with their weights.
--
--   local base = assert(luma.models.vgg19 { weights = "vgg19...notop.h5" })
--   print(base.input.scale, base.weights.note)   --> caffe   official Keras file ...
--
-- Options of every model: weights = a file (Keras HDF5 or safetensors), or "none"
-- or nil for random ones; top = true for the ImageNet classifier (classes = 1000);
-- cache = folder for converted files.  What comes back is an nn.Sequential that
-- also carries
--   architecture   "vgg19"
--   input          { height, width, channels, scale }: what it was trained on
--   weights        { path, note, official, md5, metadata }: where its numbers are from
-- A file that cannot serve gives nil, message, code.

local options = require "luma.base.options"
local classes = require "luma.models.classes"
local weights = require "luma.models.weights"

local models = {
  official = require "luma.models.official",
  read_classes = classes.read,
  weight_table = weights.table,
}

local function finish(model, architecture, opts)
  model.architecture = architecture
  model.expected_scale = model.input.scale
  model.top = opts.top or false
  model.built_with = { top = opts.top or false, classes = opts.classes }
  model.weights = { note = "random weights" }
  return model
end

local function zoo(architecture, build)
  models[architecture] = function(opts)
    opts = options.check("models." .. architecture, opts, { weights = options.optional, top = false, classes = 1000,
      cache = options.optional, finite = false, init = options.optional })
    options.integer("models." .. architecture, "classes", opts.classes, 1)
    local file = opts.weights ~= "none" and opts.weights or nil
    local made = build(architecture, { top = opts.top, classes = opts.classes,
      init = file and "zeros" or opts.init or "glorot_uniform" })
    local model = finish(made, architecture, opts)
    if not file then return model end
    local info, message, code = weights.load(model, file, { cache = opts.cache, finite = opts.finite })
    if not info then return nil, message, code end
    model.weights = info
    return model
  end
end

local function vgg(...) return require("luma.models.vgg").build(...) end

--- models.vgg16 [opts]: 14,714,688 weights without top.
zoo("vgg16", vgg)
--- models.vgg19 [opts]: 20,024,384 weights without top.
zoo("vgg19", vgg)
--- models.resnet50 [opts]: 23,587,712 weights without top.
zoo("resnet50", function(_, opts) return require("luma.models.resnet").build(opts) end)

--- models.tiny [{weights=nil|"none"|file, init}]: the embedded base.  Without
-- weights its own file; "none": random ones that follow luma.seed.
function models.tiny(opts)
  local tiny = require "luma.models.tiny"
  opts = options.check("models.tiny", opts, { weights = options.optional, init = "he_normal", cache = options.optional,
    finite = false, top = false })
  if opts.top then error("models.tiny: the embedded base has no top", 2) end
  if opts.weights == "none" or opts.weights == false then return finish(tiny.build { init = opts.init }, "tiny", {}) end
  local file = opts.weights or tiny.file
  if not opts.weights and not require("luma.base.files").is_file(file) then
    local model = finish(tiny.stand_in(), "tiny", {})
    model.weights.note = "seeded random filters (the trained base is not there: make base)"
    return model
  end
  local model = finish(tiny.build { init = "zeros" }, "tiny", {})
  local info, message, code = weights.load(model, file, { cache = opts.cache, finite = opts.finite })
  if not info then return nil, message, code end
  if not opts.weights then info.note = "the embedded base" end
  model.weights = info
  local scale = info.metadata and info.metadata.scale
  if scale then
    model.input.scale = scale
    model.expected_scale = scale
  end
  return model
end

--- The names of the models, sorted.
models.names = { "resnet50", "tiny", "vgg16", "vgg19" }

--- models.build(name [, opts]): the model of that name.
function models.build(name, opts)
  for _, known in ipairs(models.names) do
    if name == known then return models[name](opts) end
  end
  error(("models.build: no model '%s' (known: %s)"):format(tostring(name), table.concat(models.names, ", ")), 2)
end

--- Loads a weight file into a model built here; on failure it is unchanged.
-- @return { path, note, ... } | nil, message, code
function models.load_weights(model, path, opts)
  local info, message, code = weights.load(model, path, opts)
  if not info then return nil, message, code end
  model.weights = info
  return info
end

--- A sentence when images are fed at another scale than the model was trained on
-- (article row M7), else nil.
function models.scale_warning(model, scale)
  if scale == model.expected_scale then return nil end
  return ("%s was trained on input scale '%s' but is fed '%s'"):format(model.architecture, model.expected_scale, scale)
end

--- The k most probable classes of each row of probabilities (n, classes): a list
-- of lists of { class = id (from 1), name =, probability = }.
-- opts: k = 5; classes = a list of names or a file; without one, ImageNet's names
-- from the cache if `luma fetch imagenet-classes` put them there, else "class 285".
-- @return list | nil, message, code
function models.decode_predictions(probabilities, opts)
  opts = options.check("decode_predictions", opts, { k = 5, classes = options.optional, cache = options.optional })
  options.integer("decode_predictions", "k", opts.k, 1)
  if probabilities:rank() ~= 2 then
    error(("decode_predictions: rank 2 (n, classes) expected, got rank %d"):format(probabilities:rank()), 2)
  end
  local names = opts.classes
  if type(names) == "string" then
    local list, message, code = classes.read(names)
    if not list then return nil, message, code end
    names = list
  end
  local count = probabilities:size(2)
  if not names and count == 1000 then names = classes.imagenet(opts.cache) end
  if names and #names ~= count then
    error(("decode_predictions: %d names for %d classes"):format(#names, count), 2)
  end
  local out = {}
  for i, row in ipairs(probabilities:totable()) do
    local order = {}
    for id = 1, count do order[id] = id end
    table.sort(order, function(a, b)
      if row[a] ~= row[b] then return row[a] > row[b] end
      return a < b
    end)
    out[i] = {}
    for k = 1, math.min(opts.k, count) do
      local id = order[k]
      out[i][k] = { class = id, name = names and names[id] or ("class %d"):format(id), probability = row[id] }
    end
  end
  return out
end

--- A copy of a network with frozen batch-norm folded into its convolutions.
function models.fold_batch_norm(net) return require("luma.models.fold")(net) end

return models
