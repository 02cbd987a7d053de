--- luma.data.batches: rows to tensors, made ahead of the network.
--
-- While the network computes on one batch, the next ones are decoded, resized,
-- warped and scaled by background jobs (core.loader).  What a sample becomes
-- depends on (seed, epoch, its place in the index) alone: not on the batch size,
-- the order, or the number of threads.  Semantics of Keras' flow (article row
-- G7): reshuffled every epoch, the short last batch kept, augmented images in
-- place of the originals.

local core = require "luma.core"
local options = require "luma.base.options"

local batches = {}


local DECODE = { height = 224, width = 224, channels = 3, scale = "unit", method = "bilinear", strict = true }

-- The part of the options that the loader takes.
local function plan_of(o, extra)
  local plan = { height = o.height, width = o.width, channels = o.channels, method = o.method, strict = o.strict,
    scale = o.scale, dtype = o.dtype }
  for key, value in pairs(extra or {}) do plan[key] = value end
  return plan
end

local function with_defaults(extra)
  local all = {}
  for key, value in pairs(DECODE) do all[key] = value end
  for key, value in pairs(extra) do all[key] = value end
  return all
end

-- "path: reason" once: file errors name the path themselves.
local function failure_text(row, failure)
  local path = require("luma.base.files").show(row.path or row.name or "?")
  if failure.message:sub(1, #path) == path then return failure.message end
  return path .. ": " .. failure.message
end

-- The warp record of one sample: a function of (seed, epoch, place) alone, the
-- same as Augment:sample gives (luma.data.augment).
local function draw(o, place, row)
  if type(o.augment) ~= "function" then return o.augment:sample(o.seed, o.epoch, place, o.height, o.width) end
  local rng = core.rng(o.seed):fork(("augment %d %d"):format(o.epoch, place))
  return o.augment(rng, o.height, o.width, row)
end

-- The order of an epoch: a list of places in the index.
local function epoch_order(n, o, rng)
  local order = {}
  for i = 1, n do order[i] = i end
  if not o.shuffle then return order end
  if o.shuffle ~= true then return o.shuffle:permutation(n) end
  return rng:fork("shuffle"):fork(o.epoch):permutation(n)
end

-- Starts the job for the places in the index that one batch holds.
local function start(index, places, o)
  local items, warps = {}, nil
  for i, place in ipairs(places) do
    items[i] = o.images and place or index[place].path
      if items[i] == nil then
      error(("batches: row %d has no path (give the pixels with the option images)"):format(place), 0)
    end
  end
  if o.augment then
    warps = {}
    for i, place in ipairs(places) do warps[i] = draw(o, place, index[place]) or false end
  end
  return core.loader.start(plan_of(o, { source = o.images }), items, warps)
end

-- Rows and pixels of a finished batch without those that failed.
local function finish(index, places, job, o)
  local x, failures = core.loader.wait(job)
  local rows, bad = {}, {}
  for _, failure in ipairs(failures) do
    local row = index[places[failure.item]]
    local text = failure_text(row, failure)
    if o.on_failure == "error" then error(text, 0) end
    bad[failure.item] = true
    local entry = { row = row, message = text, code = failure.code }
    if type(o.on_failure) == "function" then o.on_failure(entry) end
    o.failures[#o.failures + 1] = entry
  end
  local good = {}
  for i, place in ipairs(places) do
    if not bad[i] then
      good[#good + 1] = i
      rows[#rows + 1] = index[place]
    end
  end
  if #rows == 0 then return nil, nil, rows end
  if #rows < #places then
    local all <close> = x
    x = core.index_select(all, 1, core.tensor(good, "i32"))
  end
  return x, index:encoder():encode(rows), rows
end

-- The slow road: a Lua function makes every image in the foreground.
local function mapped(index, places, o, rng)
  local images, rows = {}, {}
  local stream = rng:fork("map"):fork(o.epoch)
  for i, place in ipairs(places) do
    local img = o.map(index[place], o.shuffle and stream:fork(place) or nil)
    if not core.is_tensor(img) then
      error(("batches: map returned %s for row %d, a tensor (h, w, c) is expected"):format(type(img), place), 0)
    end
    if img:dtype() == "u8" then img = core.image.scale_input(img, o.scale, { channels = o.channels }) end
    images[i], rows[i] = img, index[place]
  end
  return core.stack(images, 1), index:encoder():encode(rows), rows
end

--- Iterates over batches: for x, y, rows in part:batches { size = 32 } do ... end
-- x is f32 (n, height, width, channels), y i32 class ids (1-based), rows the rows.
-- Leaving the loop early gives up what was being made ahead.
-- @param opts size (32); shuffle: true (keyed by seed and epoch) or a luma.rng;
--   epoch (1); seed (luma.seed()); augment: an augmenter (luma.data.augment) or a
--   function (rng, height, width, row) -> warp record, see image.warp_batch;
--   height, width (224), channels (3), scale ("unit"), method ("bilinear");
--   images: u8 tensor with the pixels of the rows, in their order, instead of the
--   files (see index:load); map: function (row, rng) -> image, instead of all
--   that; ahead (2): batches made in advance; strict (true): damaged files fail;
--   on_failure: "error" (default), "skip", or a function of {row, message, code}:
--   the other two leave the row out and list it in failures, a table you give
function batches.batches(index, opts)
  local optional = options.optional
  local o = options.check("batches", opts, with_defaults {
    size = 32, shuffle = false, epoch = 1, seed = optional, augment = optional, images = optional, map = optional,
    ahead = 2, on_failure = "error", failures = optional,
  })
  options.integer("batches", "size", o.size, 1)
  options.integer("batches", "epoch", o.epoch, 0)
  options.integer("batches", "ahead", o.ahead, 1, 64)
  if type(o.on_failure) ~= "function" then
    options.choice("batches", "on_failure", o.on_failure, { "error", "skip" })
  end
  o.failures = o.failures or {}
  if o.images and (not core.is_tensor(o.images) or #o.images ~= #index) then
    error(("batches: option images must be a tensor with one image a row (%d), got %s"):format(#index,
      core.is_tensor(o.images) and #o.images or type(o.images)), 2)
  end
  if o.seed == nil then o.seed = core.seed() end
  local rng = core.rng(options.integer("batches", "seed", o.seed, math.mininteger)):fork "batches"
  local order = epoch_order(#index, o, rng)

  local next_place, queue = 1, {}
  local function take()
    if next_place > #order then return nil end
    local last = math.min(next_place + o.size - 1, #order)
    local places = table.move(order, next_place, last, 1, {})
    next_place = last + 1
    return places
  end
  local function drop_all()
    for _, entry in ipairs(queue) do core.loader.drop(entry.job) end
    queue, next_place = {}, #order + 1
  end
  local function step()
    if o.map then
      local places = take()
      if places then return mapped(index, places, o, rng) end
      return nil
    end
    while true do
      while #queue <= o.ahead do -- the one that is due, and those ahead of it
        local places = take()
        if not places then break end
        queue[#queue + 1] = { places = places, job = start(index, places, o) }
      end
      local entry = table.remove(queue, 1)
      if not entry then return nil end
      local x, y, rows = finish(index, entry.places, entry.job, o)
      if x then return x, y, rows end -- a batch of which nothing could be read is left out
    end
  end
  return step, nil, nil, setmetatable({}, { __close = drop_all })
end

--- All images of an index at once: x is u8 (n, height, width, channels), a
-- quarter of what floats would take; y the class ids.
-- @param opts height, width (224), channels (3; 1 is a third of the memory where
--   all is gray), method, strict, on_failure: "error" (default) or "skip"
-- @return x, y, rows (the index of what was read), failures ({row, message,
--   code}) | nil, message, code
function batches.load(index, opts)
  local o = options.check("load", opts, {
    height = 224, width = 224, channels = 3, method = "bilinear", strict = true, on_failure = "error",
  })
  options.choice("load", "on_failure", o.on_failure, { "error", "skip" })
  if #index == 0 then return nil, index.name .. ": no images to load", "data" end
  local places = {}
  for i = 1, #index do places[i] = i end
  local job <close> = start(index, places, { height = o.height, width = o.width, channels = o.channels,
    method = o.method, strict = o.strict, dtype = "u8" })
  local x, found = core.loader.wait(job)
  local failures, bad = {}, {}
  for i, failure in ipairs(found) do
    local row = index[failure.item]
    failures[i] = { row = row, message = failure_text(row, failure), code = failure.code }
    bad[failure.item] = true
  end
  if #failures > 0 and (o.on_failure == "error" or #failures == #index) then
    x:close()
    return nil, failures[1].message .. (#failures > 1 and (" (and %d more)"):format(#failures - 1) or ""),
      failures[1].code
  end
  local rows = index
  if #failures > 0 then
    local good, keep = {}, {}
    for i, row in ipairs(index) do
      if not bad[i] then
        good[#good + 1] = i
        keep[#keep + 1] = row
      end
    end
    local all <close> = x
    x = core.index_select(all, 1, core.tensor(good, "i32"))
    rows = require("luma.data.index").new(keep, { name = index.name, missing = index.missing, notes = index.notes,
      classes = index.classes })
    rawset(rows, "fitted", index:encoder())
  end
  return x, index:encoder():encode(rows), rows, failures
end

return batches
