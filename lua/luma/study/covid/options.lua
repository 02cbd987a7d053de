--- The settings of a run: what the command line gives, the presets behind it,
-- and the checks that need no data.  The result is plain data, written to
-- config.json as it stands.

local luma = require "luma"
local files = luma.files

local grid = require "luma.study.covid.grid"

local settings = {}

--- views: augmented views of each training image that are computed once and
-- kept; 0 computes fresh ones every epoch, as the article did.
settings.presets = {
  quick = { views = 4, epochs = 100 },
  standard = { views = 20, epochs = 120 },
  article = { views = 0, epochs = 500, fresh = true },
}

--- How strongly training views are moved.
settings.augmentations = {
  none = { rotation = 0, width_shift = 0, height_shift = 0, horizontal_flip = false },
  mild = { rotation = 5, width_shift = 0.05, height_shift = 0.05, horizontal_flip = false },
  article = { rotation = 20, width_shift = 0.2, height_shift = 0.2, horizontal_flip = true },
}

--- What each input scaling does, in words.
settings.scalings = {
  unit = "RGB divided by 255 (the article's)", caffe = "BGR, ImageNet means subtracted, 0 to 255",
  tf = "RGB from -1 to 1", torch = "RGB, ImageNet's mean subtracted, divided by its standard deviation",
}

local function fail(message, ...)
  error(select("#", ...) > 0 and message:format(...) or message, 0)
end

-- A whole number from lo on, from what was typed.
local function whole(name, value, lo, hi)
  local n = math.tointeger(tonumber(value))
  if not n or n < lo or (hi and n > hi) then
    fail("--%s must be a whole number %s, got '%s'", name, hi and ("in %d..%d"):format(lo, hi)
      or ("from %d on"):format(lo), tostring(value))
  end
  return n
end

local function positive(name, value)
  local v = tonumber(value)
  if not v or not (v > 0 and v < math.huge) then
    fail("--%s must be a number above 0, got '%s'", name, tostring(value))
  end
  return v + 0.0
end

local function existing_file(name, path)
  local kind = files.kind(path)
  if kind == "file" then return path end
  fail("--%s: %s: %s", name, files.show(path), kind and "is not a file" or "no such file")
end

-- Which part of the base is trained, and how fast.
local function choose_trained(a, c)
  if a.train and a.unfreeze then fail("--train and --unfreeze both say what is trained: give one of them") end
  local what = a.train or "head"
  if what ~= "head" and what ~= "all" then
    fail("--train must be head or all, got '%s'", luma.text.printable(what, 40))
  end
  c.unfreeze = what == "all" and "all" or a.unfreeze
  if not c.unfreeze then
    if a.base_rate then fail("--base-rate goes with --unfreeze NAME or --train all") end
    return
  end
  if c.fresh then fail("--unfreeze and --train all need kept activations: --preset quick or standard") end
  -- Pretrained layers move slowly, random ones as Adam's default has it.
  c.base_rate = a.base_rate and tonumber(a.base_rate) or (c.weights == "none" and 1e-3 or 1e-5)
  if not (c.base_rate > 0 and c.base_rate < math.huge) then
    fail("--base-rate must be a number above 0, got '%s'", luma.text.printable(a.base_rate, 40))
  end
end

-- A share strictly between 0 and 1, from what was typed.
local function share(name, value)
  local v = tonumber(value)
  if not v or not (v > 0 and v < 1) then
    fail("--%s must be a number between 0 and 1, got '%s'", name, luma.text.printable(tostring(value), 40))
  end
  return v
end

-- What is chosen without the test part: the grid, the threshold's rule.
local function choose_choices(a, c)
  if a.faithful and a.grid then
    fail("--grid chooses without the test part, which --faithful uses as validation: give one of them")
  end
  if a.grid and c.fresh then fail("--grid needs kept features: --preset quick or standard") end
  if a.inner and not a.grid then fail("--inner goes with --grid") end
  if a.sensitivity and a.faithful then
    fail("--sensitivity chooses a threshold on validation images, and --faithful has none apart from the test part")
  end
  c.grid = a.grid and grid.parse(a.grid)
  c.inner = a.grid and whole("inner", a.inner or 3, 2, 20) or nil
  c.prevalence = a.prevalence and share("prevalence", a.prevalence) or 0.05
  c.sensitivity = a.sensitivity and share("sensitivity", a.sensitivity)
end

-- Two names at least: between commas, or the option given once per name.
local function list_of(name, given)
  if type(given) == "string" then given = { given } end
  local out, seen = luma.json.list {}, {}
  local function add(word)
    local one = word:match "^%s*(.-)%s*$"
    if one ~= "" and not seen[one] then out[#out + 1], seen[one] = one, true end
  end
  if #given == 1 then
    for word in given[1]:gmatch "[^,]+" do add(word) end
  else
    for _, word in ipairs(given) do add(word) end
  end
  if #out < 2 then
    fail("--%s must name two or more, with commas between, got '%s'", name,
      luma.text.printable(table.concat(given, "', '"), 60))
  end
  return out
end

-- Which network, with which weights.
local function choose_base(a, c)
  c.weights = a.weights
  c.base = a.base or ((a.weights and a.weights ~= "none") and "vgg19" or "tiny")
  local known = false
  for _, name in ipairs(luma.models.names) do known = known or name == c.base end
  if not known then
    fail("--base must be one of %s, got '%s'", table.concat(luma.models.names, ", "), luma.text.printable(c.base, 40))
  end
  if a.weights and a.weights ~= "none" then existing_file("weights", a.weights) end
  if not a.weights then
    if c.base ~= "tiny" then
      fail("--base %s needs --weights FILE (Keras .h5 or .safetensors), or --weights none for random filters", c.base)
    end
    c.weights = "embedded"
  end
end

local function one_of(name, value, known)
  for _, word in ipairs(known) do
    if value == word then return value end
  end
  fail("--%s must be one of %s, got '%s'", name, table.concat(known, ", "), luma.text.printable(value, 40))
end

-- Head, features and training views belong together.  The defaults for VGG with
-- published weights (block4_pool averaged over places, logistic regression, torch
-- scaling, plain views) were chosen on the article's images by folds by patient,
-- among three depths, three scalings and four penalties; the penalty is chosen anew
-- by inner folds of every run.
local function choose_head(a, c)
  local vgg = c.base:match "^vgg" and c.weights ~= "none"
  local free = not (a.faithful or c.fresh or c.unfreeze)
  c.head = a.head and one_of("head", a.head, { "adam", "logistic" }) or (free and vgg and not a.epochs and not a.rate
    and "logistic" or "adam")
  if c.head == "logistic" then
    if not free then
      fail("--head logistic needs a frozen base and kept features: it does not go with --faithful, --unfreeze, "
        .. "--train all or --preset article")
    end
    for _, name in ipairs { "epochs", "rate", "batch" } do
      if a[name] then fail("--%s goes with --head adam: logistic regression has no steps", name) end
    end
    c.c = 0.1
    if not c.grid then
      c.grid, c.inner = luma.json.list { { c = 0.01 }, { c = 0.1 }, { c = 1 } }, 3
    end
    c.epochs = 1
  end
  local layer, pool
  if a.features then
    if not free then fail("--features does not go with --faithful, --unfreeze, --train all or --preset article") end
    layer, pool = a.features:match "^([%w_]+):?(%a*)$"
    if not layer then
      fail("--features wants LAYER, LAYER:gap or LAYER:flat, got '%s'", luma.text.printable(a.features, 40))
    end
    pool = pool == "" and "gap" or one_of("features (after the colon)", pool, { "gap", "flat" })
  elseif c.head == "logistic" and vgg then
    layer, pool = "block4_pool", "gap"
  end
  if layer then c.features = { layer = layer, pool = pool } end
  if vgg and layer and not a.scale then a.scale, c.scale_measured = "torch", true end
  local strength = a.augment and one_of("augment", a.augment, { "none", "mild", "article" })
    or (a.faithful or c.fresh) and "article" or c.head == "logistic" and "none" or "mild"
  if a.faithful and strength ~= "article" then fail "--augment does not go with --faithful, which has the article's" end
  c.augment = { compat = a.faithful and "keras-1.1.0" or "sane" }
  for key, value in pairs(settings.augmentations[strength]) do c.augment[key] = value end
  c.augmentation = strength
  if strength == "none" then
    if c.fresh then fail "--augment none makes every view the same: it does not go with --preset article" end
    c.views = 0
  end
  -- A validation part is held back where something is chosen on it: the network's
  -- layers are trained, or a threshold is asked for without inner folds.
  if (c.unfreeze or c.fresh or c.sensitivity) and not a.faithful and not c.grid then c.val = 0.12 end
end

--- The settings for what the command line gave (a table of its options); raises
-- one line on a mistake.
function settings.resolve(a)
  local preset = settings.presets[a.preset or "quick"]
  if not preset then fail("--preset must be quick, standard or article, got '%s'", tostring(a.preset)) end
  local c = {
    preset = a.preset or "quick",
    views = preset.views,
    epochs = a.epochs and whole("epochs", a.epochs, 1, 1000000) or preset.epochs,
    seed = a.seed and whole("seed", a.seed, 0) or 7,
    folds = a.folds and whole("folds", a.folds, 2, 100) or 0,
    batch = a.batch and whole("batch", a.batch, 1, 4096) or 32,
    rate = a.rate and positive("rate", a.rate) or (a.faithful and 1e-3 or nil), -- nil: head.rate
    dropout = 0.5,
    schedule = a.faithful and "constant" or "cosine", normalise = not a.faithful,
    faithful = a.faithful or false, size = 224,
    fresh = preset.fresh, test = 0.2, val = 0,
    class_weights = a.class_weights and one_of("class-weights", a.class_weights, { "none", "balanced" }) or nil,
    group = not a.faithful, allow_leak = a.allow_leak or nil, twins = not a.no_twins,
  }
  if a.faithful and c.class_weights == "balanced" then
    fail("--class-weights balanced does not go with --faithful: the article counted every image alike")
  end
  if type(a.classes) == "table" and #a.classes == 0 then a.classes = nil end
  c.data = a.data
  if a.data then
    if not files.exists(a.data) then fail("--data: %s: no such folder", files.show(a.data)) end
    local known, why = luma.data.collections.recognise(a.data)
    if not known then fail("--data: %s", why) end
    -- nil: the article's 99
    c.normals = a.normals == "all" and "all" or a.normals and whole("normals", a.normals, 1) or nil
    c.metadata = a.metadata and existing_file("metadata", a.metadata)
    c.images, c.label = a.images, a.label
    c.label_map = a.label_map and existing_file("label-map", a.label_map)
    c.classes = a.classes and list_of("classes", a.classes)
  else
    for _, name in ipairs { "normals", "metadata", "classes", "images", "label", "label_map" } do
      if a[name] then fail("--%s goes with --data DIR", (name:gsub("_", "-"))) end
    end
    c.phantoms = a.phantoms and whole("phantoms", a.phantoms, 8, 100000) or 160
  end
  if a.threads then c.threads = whole("threads", a.threads, 1, 64) end
  choose_choices(a, c)
  choose_base(a, c)
  choose_trained(a, c)
  choose_head(a, c)
  c.scale = a.scale -- nil: what the base was trained with
  if a.scale and not settings.scalings[a.scale] then
    fail("--scale must be unit, caffe, tf or torch, got '%s'", luma.text.printable(a.scale, 40))
  end
  if c.faithful and not c.scale then c.scale = "unit" end
  return c
end

return settings
