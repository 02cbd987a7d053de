--- Loading weight files into the models of the zoo: Keras HDF5 or safetensors,
-- told apart by their content.  Everything is read and checked before the first
-- weight of the model changes.
--
-- A weight's canonical name is LAYER.KIND: block1_conv1.weight, predictions.bias,
-- conv1_bn.gamma / .beta / .mean / .var.

local files = require "luma.base.files"
local h5 = require "luma.store.h5"
local options = require "luma.base.options"
local official = require "luma.models.official"
local store = require "luma.store"

local weights = {}

-- Batch-norm's tensors under whatever name the layer keeps them.
local norm_kinds = { weight = "gamma", bias = "beta", running_mean = "mean", running_var = "var" }

local function shape_text(shape) return "[" .. table.concat(shape, "x") .. "]" end

--- The model's weights by canonical name, in the order of its layers: a list of
-- { name = , tensor = , shape = , module = , key = }.
function weights.list(model)
  local list = {}
  for path, module in model:walk() do
    local layer = path:match "[^.]*$"
    for _, group in ipairs { module.params, module.buffers } do
      for _, p in ipairs(group) do
        local kind = module.type == "BatchNorm2d" and norm_kinds[p[1]] or p[1]
        list[#list + 1] = { name = layer == "" and kind or layer .. "." .. kind, tensor = p[2],
          shape = { p[2]:shape() }, module = module, key = p[1] }
      end
    end
  end
  return list
end

--- The model's weights as name -> tensor (the tensors themselves): what
-- store.save takes.
function weights.table(model)
  local t = {}
  for _, row in ipairs(weights.list(model)) do t[row.name] = row.tensor end
  return t
end

-- The names of Keras's first ResNet50, as the later release has them.
local function modern(name)
  local layer, kind = name:match "^(.*)%.(%w+)$"
  if not layer then return name end
  local fixed = { conv1 = "conv1_conv", bn_conv1 = "conv1_bn", fc1000 = "predictions", probs = "predictions" }
  local stage, block, branch = layer:match "^res(%d)(%l)_branch(%w+)$"
  local suffix = "conv"
  if not stage then
    stage, block, branch = layer:match "^bn(%d)(%l)_branch(%w+)$"
    suffix = "bn"
  end
  if stage then
    local part = ({ ["1"] = 0, ["2a"] = 1, ["2b"] = 2, ["2c"] = 3 })[branch]
    if not part then return name end
    layer = ("conv%s_block%d_%d_%s"):format(stage, block:byte() - 96, part, suffix)
  end
  return (fixed[layer] or layer) .. "." .. kind
end

-- "a, b, c and 7 more"
local function few(names)
  table.sort(names)
  local shown = table.concat(names, ", ", 1, math.min(#names, 6))
  return #names > 6 and ("%s and %d more"):format(shown, #names - 6) or shown
end

-- Is this surplus name one of the model's classifier, which it was built without?
local function of_the_top(model, name)
  for _, layer in ipairs(model.top_layers or {}) do
    if name:match "^(.*)%." == layer then return true end
  end
  return false
end

--- Compares tensors (name -> tensor) with what the model needs.
-- @return list of { row, tensor } to copy, number of classifier weights left out
--   | nil, message, "mismatch"
function weights.match(model, tensors, path)
  local what, file = model.architecture or "model", files.show(path)
  local rows, wanted, plan = weights.list(model), {}, {}
  local wrong, missing, surplus, left_out = {}, {}, {}, 0
  for _, row in ipairs(rows) do
    wanted[row.name] = true
    local given = tensors[row.name]
    if not given then
      missing[#missing + 1] = row.name
    else
      local shape = { given:shape() }
      if shape_text(shape) ~= shape_text(row.shape) then
        wrong[#wrong + 1] = ("%s is %s in %s, the model has %s"):format(row.name, shape_text(shape), file,
          shape_text(row.shape))
      elseif given:dtype() ~= "f32" and given:dtype() ~= "f64" then
        wrong[#wrong + 1] = ("%s is %s in %s, weights are f32 or f64"):format(row.name, given:dtype(), file)
      end
      plan[#plan + 1] = { row, given }
    end
  end
  for name in pairs(tensors) do
    if not wanted[name] then
      if of_the_top(model, name) then left_out = left_out + 1 else surplus[#surplus + 1] = name end
    end
  end
  local faults = {}
  if #wrong > 0 then
    faults[1] = table.concat(wrong, "; ", 1, math.min(#wrong, 3))
    if #wrong > 3 then faults[1] = ("%s; and %d more"):format(faults[1], #wrong - 3) end
  end
  if #missing == #rows and #rows > 0 then
    faults[#faults + 1] = ("%s holds none of the model's %d weights; it holds %s"):format(file, #rows,
      #surplus > 0 and few(surplus) or "nothing")
  else
    if #missing > 0 then
      local top = #missing > 0
      for _, name in ipairs(missing) do top = top and of_the_top(model, name) end
      faults[#faults + 1] = ("%s lacks %s%s"):format(file, few(missing),
        top and " (it is a file without top: build the model with top = false)" or "")
    end
    if #surplus > 0 then faults[#faults + 1] = ("%s holds what the model has not: %s"):format(file, few(surplus)) end
  end
  if #faults > 0 then return nil, what .. ": " .. table.concat(faults, "; "), "mismatch" end
  return plan, left_out
end

-- "hdf5" or "safetensors", by the first bytes.
local function sniff(path)
  local f, message = io.open(path, "rb")
  if not f then return nil, (message:gsub("^.-: ", files.show(path) .. ": ", 1)), "io" end
  local first = f:read(8)
  f:close()
  return first == "\137HDF\r\n\26\n" and "hdf5" or "safetensors"
end

-- Which published file an MD5 is, and what to say about it.
local function origin(model, path, md5)
  for _, known in ipairs(official) do
    if known.md5 == md5 then return known, "official Keras file " .. known.file end
  end
  for _, known in ipairs(official) do
    if known.file == files.basename(path) and known.model == model.architecture then
      return nil, ("MD5 %s is not the official file's %s; shapes and names fit"):format(md5, known.md5)
    end
  end
  return nil, "Keras file with MD5 " .. md5
end

--- Loads weights into a model of the zoo; on failure the model is unchanged.
-- opts: cache = folder for converted HDF5 files; finite = true refuses NaN.
-- @return { path, format, md5, official, note, metadata } | nil, message, code
function weights.load(model, path, opts)
  opts = options.check("load_weights", opts, { cache = options.optional, finite = false })
  if type(path) ~= "string" then error(("load_weights: path must be a string, got %s"):format(type(path)), 2) end
  if files.is_dir(path) then return nil, files.show(path) .. ": is a folder", "io" end
  local format, message, code = sniff(path)
  if not format then return nil, message, code end
  local info = { path = path, format = format, note = "safetensors file" }
  local source = path
  if format == "hdf5" then
    source, message, code = h5.convert(path, { cache = opts.cache })
    if not source then return nil, message, code end
    info.md5 = message
  end
  local tensors, metadata, what = store.load(source, { finite = opts.finite })
  if not tensors then -- either format would have done: name both
    return nil, format == "safetensors" and metadata:gsub("not safetensors", "neither Keras HDF5 nor safetensors", 1)
      or metadata, what
  end
  info.metadata = metadata
  local first_release = false
  if model.architecture == "resnet50" then
    local renamed = {}
    for name, x in pairs(tensors) do
      renamed[modern(name)] = x
      first_release = first_release or name:find("^bn%d%l_branch") ~= nil
    end
    tensors = renamed
  end
  local plan, left_out, mismatch = weights.match(model, tensors, path)
  if not plan then return nil, left_out, mismatch end
  for _, pair in ipairs(plan) do
    pair[1].tensor:copy_(pair[2])
    pair[2]:close()
  end
  if info.md5 then info.official, info.note = origin(model, path, info.md5) end
  if left_out > 0 then info.note = ("%s; %d weights of its classifier left out"):format(info.note, left_out) end
  if first_release then
    weights.set_epsilon(model, 1e-3)
    info.note = info.note .. "; first release: batch-norm epsilon 1e-3"
  end
  return info
end

--- Sets the epsilon of every batch-norm layer.
function weights.set_epsilon(model, eps)
  for _, module in model:walk() do
    if module.type == "BatchNorm2d" then module.eps = eps end
  end
end

return weights
