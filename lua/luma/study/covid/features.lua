--- Features: what the frozen base makes of each image, computed once and kept.
--
-- Every image passes the base plain; every image that may be trained on passes
-- it `views` more times, augmented differently each time.  With views = 0 the
-- training views are made anew in every epoch, as the article did: that costs a
-- pass of the base per image and epoch.
--
-- features.transform(x), where given, changes each batch of images on the way (a
-- counterfactual twin of the run).
--
-- The rows of one view lie together, so the whole is one matrix; `row` finds
-- an image's row.  Whole batches are never split between an interrupted run and
-- its continuation, so both compute the same bits.

local luma = require "luma"
local progress = luma.progress

local Features = {}
Features.__index = Features

local BATCH = require("luma.study.covid.base").batch

--- Nanoseconds of computing after which the features are kept, so that a run that
-- is killed outright loses no more.
Features.keep_every = 60e9

-- Options of the loader for one pass over the images.
local function loading(self, view)
  local input = self.base.input
  return {
    size = BATCH, shuffle = false, epoch = view, height = input.height, width = input.width,
    channels = input.channels, scale = self.scale, seed = self.config.seed,
    augment = view > 0 and self.augment or nil,
  }
end

--- What has to be computed for `index`; `trained` marks the rows (by number)
-- that may be trained on.
function Features.new(base, config, scale, index, trained)
  local self = setmetatable({ base = base, config = config, scale = scale, index = index, passes = {}, at = {},
    seconds = 0, computed = 0, done = 0, augment = luma.data.augment.new(config.augment) }, Features)
  local number = {}
  for i, row in ipairs(index) do number[row] = i end
  self.number = number
  self.trained = index:filter(function(row) return trained[number[row]] end)
  local total = 0
  for view = 0, config.views do
    local part = view == 0 and index or self.trained
    self.passes[#self.passes + 1] = { view = view, part = part, first = total + 1 }
    self.at[view] = {}
    for k, row in ipairs(part) do self.at[view][number[row]] = total + k end
    total = total + #part
  end
  self.total = total
  local shape, width = base.output_shape, 1
  for _, size in ipairs(shape) do width = width * size end
  self.width = width
  self.input = { width = width, shape = shape, back = base.back,
    pool = config.features and config.features.pool or nil }
  local bytes, limit = total * width * 4, luma.memory().limit
  if bytes > 0.8 * limit then
    error(("the features of %d views need %.1f GB, luma's memory limit is %.1f GB: use --preset quick, fewer "
      .. "--normals, or --preset article, which keeps none"):format(total, bytes / 1e9, limit / 1e9), 0)
  end
  return self
end

-- One batch of images through the base: rows of features.
local function through(self, x)
  if self.transform then
    local changed = self.transform(x)
    x:close()
    x = changed
  end
  local y <close> = self.base.forward(x)
  local n = #x
  x:close()
  return y:reshape(n, self.width):clone()
end

--- Computes what is not there yet.  `state` may hold rows of an interrupted run;
-- without it nothing is kept.
function Features:compute(state)
  local uv = require "luv"
  self.x = luma.zeros(self.total, self.width)
  local kept, info
  if state then kept, info = state:load "features" end
  if kept then
    if info.done > 0 then self.x:narrow(1, 1, info.done):copy_(kept.x) end
    self.done = info.done
  end
  local meter <close> = progress(state and "features" or "twin's features", self.total, { unit = "views" })
  meter:add(self.done)
  local started = uv.hrtime()
  local kept_at = started
  for _, pass in ipairs(self.passes) do
    local last = pass.first + #pass.part - 1
    if self.done < last then
      local at = pass.first
      for x, y in pass.part:batches(loading(self, pass.view)) do
        local n = #x
        y:close()
        if at + n - 1 > self.done then
          local rows <close> = through(self, x)
          self.x:narrow(1, at, n):copy_(rows)
          self.done, self.computed = at + n - 1, self.computed + n
          meter:add(n)
          if state and uv.hrtime() - kept_at > Features.keep_every then
            self:save(state)
            kept_at = uv.hrtime()
          end
        else
          x:close()
        end
        at = at + n
      end
    end
  end
  self.seconds = (uv.hrtime() - started) / 1e9
  meter:done()
  return self
end

--- Keeps what is computed so far for the continuation of an interrupted or killed run.
function Features:save(state)
  if self.done == 0 or self.saved == self.done then return end
  local x <close> = self.x:narrow(1, 1, self.done)
  state:save("features", { x = x }, { done = self.done })
  self.saved = self.done
end

--- The plain features of images (a list of their numbers in the index): a (n, width) tensor.
function Features:plain(numbers)
  local rows = {}
  for k, i in ipairs(numbers) do rows[k] = self.at[0][i] end
  local ids <close> = luma.tensor(rows, "i32")
  return self.x:index_select(1, ids)
end

--- The plain features of images in batches: an iterator of features and numbers.
function Features:plain_batches(numbers, size)
  local at = 0
  return function()
    if at >= #numbers then return nil end
    local chosen = table.move(numbers, at + 1, math.min(at + size, #numbers), 1, {})
    at = at + #chosen
    return self:plain(chosen), chosen
  end
end

--- The training batches of one epoch over images `numbers`: an iterator of
-- features and image numbers.  Each image comes once, in one of its views, the
-- plain one among them (but for the article, which trained on augmented ones only).
function Features:training_batches(numbers, size, epoch, rng)
  local order = rng:permutation(#numbers)
  if self.config.fresh then return self:fresh_batches(numbers, order, size, epoch) end
  local at = 0
  return function()
    if at >= #numbers then return nil end
    local rows, chosen = {}, {}
    for k = 1, math.min(size, #numbers - at) do
      local i = numbers[order[at + k]]
      local least = self.config.faithful and self.config.views > 0 and 1 or 0
      chosen[k], rows[k] = i, self.at[rng:int(least, self.config.views)][i]
    end
    at = at + #rows
    local ids <close> = luma.tensor(rows, "i32")
    return self.x:index_select(1, ids), chosen
  end
end

--- All rows that belong to images `numbers`, plain ones first: a list of row numbers
-- and the image number of each.
function Features:rows_of(numbers)
  local rows, of = {}, {}
  for view = 0, self.config.views do
    for _, i in ipairs(numbers) do
      rows[#rows + 1], of[#of + 1] = self.at[view][i], i
    end
  end
  return rows, of
end

--- The same with views made now: images through loader and base in this order.
function Features:fresh_batches(numbers, order, size, epoch)
  local wanted = {}
  for k, at in ipairs(order) do wanted[k] = self.index[numbers[at]] end
  local part = luma.data.Index(wanted, { classes = self.index.classes })
  local options = loading(self, epoch)
  options.size = size
  local next_batch, a, b = part:batches(options)
  return function()
    local x, y, rows = next_batch(a, b)
    b = x
    if not x then return nil end
    y:close()
    local chosen = {}
    for k, row in ipairs(rows) do chosen[k] = self.number[row] end
    return through(self, x), chosen
  end
end

return Features
