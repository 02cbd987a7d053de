--- luma.data.augment: random small changes of training images, drawn here,
-- applied in C.
--
--   local a = augment.new { rotation = 20, width_shift = 0.2, height_shift = 0.2, horizontal_flip = true }
--   local params = a:sample(seed, epoch, index, 224, 224)     -- plain numbers
--   local y = a:apply(x, params)
--   local ys = a:batch(xs, rng)                               -- a batch, in parallel
--
-- What a sample gets is a function of (seed, epoch, index) alone: the same with
-- any number of threads and in any order.
--
-- compat says whose geometry is meant:
--   "sane"         the image turns about its centre, + is counter-clockwise; + shifts move it
--                  down and right; one zoom factor for both axes, > 1 is larger.
--   "keras-1.1.0"  keras-preprocessing 1.1.0, which the article ran: the centre is half a pixel
--                  beyond the last row's middle, + turns clockwise, + shifts move up and left,
--                  zoom draws two factors, < 1 is larger; all in (row, column).
--   "keras-head"   Keras today: the centre is right for squares, but the axes are exchanged:
--                  + turns counter-clockwise and height_shift moves columns.
-- Under both Keras forms the numbers are drawn in Keras's order (angle, height shift, width shift,
-- shear, zoom, both flips, channel shift, brightness), what is switched off drawing nothing except
-- the flips.  brightness is a plain factor in all three (Keras's detour through 8 bits is not copied).

local core = require "luma.core"
local image = require "luma.image"
local options = require "luma.base.options"

local augment = {}

local Augment = {}
Augment.__index = Augment
Augment.__name = "luma.Augment"

local finite = function(v) return type(v) == "number" and v == v and v > -math.huge and v < math.huge end

-- A range as {low, high}: from a number r, around `centre`, or from a table.
local function range(key, value, centre)
  local low, high
  if type(value) == "table" then
    low, high = value[1], value[2]
    if #value ~= 2 or not finite(low) or not finite(high) then
      error(("augment.new: option %s must be a number or {low, high}"):format(key), 3)
    end
    if low > high then error(("augment.new: option %s is reversed: {%g, %g}"):format(key, low, high), 3) end
  else
    if not finite(value) or value < 0 then
      error(("augment.new: option %s must be finite and >= 0, got %s"):format(key, tostring(value)), 3)
    end
    low, high = centre - value, centre + value
  end
  return { low, high, off = low == centre and high == centre }
end

local function boolean(key, value)
  if type(value) ~= "boolean" then
    error(("augment.new: option %s must be true or false, got %s"):format(key, type(value)), 3)
  end
  return value
end

--- A recipe.  Numbers mean plus or minus; tables are {low, high}.
-- @param opts
--   rotation=0 degrees; height_shift=0, width_shift=0: share of the side, or pixels when >= 1;
--   shear=0 degrees; zoom=0 around 1; horizontal_flip=false, vertical_flip=false: half of the images;
--   channel_shift=0 in units of the pixels; brightness=0 around 1;
--   fill="nearest" (see luma.image.affine), cval=0, compat="sane"
function augment.new(opts)
  local o = options.check("augment.new", opts, { rotation = options.optional, width_shift = options.optional,
    height_shift = options.optional, shear = options.optional, zoom = options.optional, horizontal_flip = false,
    vertical_flip = false, channel_shift = options.optional, brightness = options.optional, fill = "nearest",
    cval = 0, compat = "sane" })
  options.choice("augment.new", "compat", o.compat, { "sane", "keras-1.1.0", "keras-head" })
  options.choice("augment.new", "fill", o.fill,
    { "nearest", "constant", "grid-constant", "reflect", "mirror", "wrap", "grid-wrap" })
  if not finite(o.cval) then error(("augment.new: option cval must be finite, got %s"):format(o.cval), 2) end
  local self = {
    compat = o.compat, fill = o.fill, cval = o.cval,
    rotation = range("rotation", o.rotation or 0, 0), shear = range("shear", o.shear or 0, 0),
    height_shift = range("height_shift", o.height_shift or 0, 0),
    width_shift = range("width_shift", o.width_shift or 0, 0),
    zoom = range("zoom", o.zoom or 0, 1), channel_shift = range("channel_shift", o.channel_shift or 0, 0),
    brightness = range("brightness", o.brightness or 0, 1),
    horizontal_flip = boolean("horizontal_flip", o.horizontal_flip),
    vertical_flip = boolean("vertical_flip", o.vertical_flip),
  }
  if self.zoom[1] <= 0 then
    error(("augment.new: option zoom must stay above 0, got factors from %g"):format(self.zoom[1]), 2)
  end
  return setmetatable(self, Augment)
end

--- The article's recipe: rotation 20, both shifts 0.2, horizontal flip, fill
-- nearest, by keras-preprocessing 1.1.0; other options replace these.
function augment.article(opts)
  local merged = { rotation = 20, width_shift = 0.2, height_shift = 0.2, horizontal_flip = true, fill = "nearest",
    compat = "keras-1.1.0" }
  for key, value in pairs(opts or {}) do merged[key] = value end
  return augment.new(merged)
end

-- ---- matrices: {a, b, c, d, e, f} maps (row, col) to (a*row + b*col + c, d*row + e*col + f) ----

local function multiply(p, q) -- first q, then p
  return { p[1] * q[1] + p[2] * q[4], p[1] * q[2] + p[2] * q[5], p[1] * q[3] + p[2] * q[6] + p[3],
    p[4] * q[1] + p[5] * q[4], p[4] * q[2] + p[5] * q[5], p[4] * q[3] + p[5] * q[6] + p[6] }
end

local function translate(row, col) return { 1, 0, row, 0, 1, col } end

-- Cosine and sine of degrees, the angle first reduced to (-360, 360).
local function turn(degrees)
  local a = math.rad(math.fmod(degrees, 360))
  return math.cos(a), math.sin(a)
end

-- Keras: output to input, C * R * S * shear * zoom * C^-1, leaving out what is off.
local function keras_matrix(d, h, w, offset, swapped)
  local c, s = turn(d.theta)
  local m = { c, -s, 0, s, c, 0 }
  m = multiply(m, translate(d.tx, d.ty))
  if d.shear ~= 0 then
    local cos, sin = turn(d.shear)
    m = multiply(m, { 1, -sin, 0, 0, cos, 0 })
  end
  m = multiply(m, { d.zx, 0, 0, 0, d.zy, 0 })
  local row, col = h / 2 + offset, w / 2 + offset
  m = multiply(multiply(translate(row, col), m), translate(-row, -col))
  if swapped then m = { m[5], m[4], m[6], m[2], m[1], m[3] } end
  return m
end

-- Sane: the content is zoomed, sheared and turned about the centre, then
-- shifted; this is the inverse of that.
local function sane_matrix(d, h, w)
  local row, col = (h - 1) / 2, (w - 1) / 2
  local c, s = turn(d.theta)
  local m = multiply({ c, s, 0, -s, c, 0 }, translate(-row - d.tx, -col - d.ty))
  if d.shear ~= 0 then
    local cos, sin = turn(d.shear)
    m = multiply({ 1, 0, 0, sin / cos, 1, 0 }, m) -- columns slide in proportion to the row
  end
  m = multiply({ 1 / d.zx, 0, 0, 0, 1 / d.zy, 0 }, m)
  return multiply(translate(row, col), m)
end

--- The output-to-input matrix (see luma.image.affine) of drawn numbers.
-- @param d {theta=, tx=, ty=, shear=, zx=, zy=}: degrees, pixels (tx along rows,
--   ty along columns), factors; absent ones change nothing
function Augment:matrix(d, h, w)
  local full = { theta = d.theta or 0, tx = d.tx or 0, ty = d.ty or 0, shear = d.shear or 0, zx = d.zx or 1,
    zy = d.zy or 1 }
  for key, value in pairs(full) do
    if not finite(value) then error(("augment: %s must be finite, got %s"):format(key, tostring(value)), 2) end
  end
  if full.theta == 0 and full.tx == 0 and full.ty == 0 and full.shear == 0 and full.zx == 1 and full.zy == 1 then
    return { 1, 0, 0, 0, 1, 0 }
  end
  if self.compat == "keras-1.1.0" then return keras_matrix(full, h, w, 0.5, false) end
  if self.compat == "keras-head" then return keras_matrix(full, h, w, -0.5, true) end
  return sane_matrix(full, h, w)
end

-- ---- drawing ----

-- A shift in pixels: bounds below 1 are shares of the side.
local function pixels(r, value, side)
  if math.max(math.abs(r[1]), math.abs(r[2])) < 1 then return value * side end
  return value
end

--- Draws one image's parameters.
-- @param rng a luma.rng
-- @param h rows of the image
-- @param w columns of the image
-- @return a record of plain numbers for apply, image.warp_batch and the
--   background loader; record.draws holds what was drawn
function Augment:draw(rng, h, w)
  -- "sane" draws everything always, so that switching one thing on or off does
  -- not change the others.
  local always = self.compat == "sane"
  local function uniform(r)
    if r.off and not always then return (r[1] + r[2]) / 2 end
    return rng:uniform(r[1], r[2])
  end
  local d = {}
  d.theta = uniform(self.rotation)
  d.tx = pixels(self.height_shift, uniform(self.height_shift), h)
  d.ty = pixels(self.width_shift, uniform(self.width_shift), w)
  d.shear = uniform(self.shear)
  d.zx = uniform(self.zoom)
  d.zy = always and d.zx or uniform(self.zoom)
  d.flip_h = rng:uniform(0, 1) < 0.5 and self.horizontal_flip
  d.flip_v = rng:uniform(0, 1) < 0.5 and self.vertical_flip
  d.shift = uniform(self.channel_shift)
  d.brightness = uniform(self.brightness)
  return { matrix = self:matrix(d, h, w), flip_h = d.flip_h, flip_v = d.flip_v, fill = self.fill, cval = self.cval,
    shift = d.shift, brightness = d.brightness, draws = d }
end

--- The parameters of one sample of one epoch: a pure function of its arguments.
-- @param seed integer
-- @param epoch integer
-- @param index which sample, by its place in the set (not in the batch)
function Augment:sample(seed, epoch, index, h, w)
  return self:draw(core.rng(seed):fork(("augment %d %d"):format(epoch, index)), h, w)
end

-- ---- applying ----

--- One image (h, w, c) or (h, w), u8 or f32, changed by drawn parameters.
function Augment:apply(x, params, opts) return image.warp_batch(x, params, opts) end

--- A batch (n, h, w, c), every image changed by its own parameters, in parallel.
-- @param x u8 or f32
-- @param how a luma.rng to draw from, or a list of n parameter records
-- @param opts {dtype="f32"} keeps the fractions of u8 images
-- @return the batch, and the list of records
function Augment:batch(x, how, opts)
  if not core.is_tensor(x) or x:rank() ~= 4 then error("augment:batch: a batch (n, h, w, c) expected", 2) end
  local n, h, w = x:shape()
  local list = how
  if type(how) ~= "table" then
    if type(how) ~= "userdata" then
      error(("augment:batch: a luma.rng or a list of parameters expected, got %s"):format(type(how)), 2)
    end
    list = {}
    for i = 1, n do list[i] = self:draw(how, h, w) end
  end
  if n == 0 then return x:clone(), list end
  return image.warp_batch(x, list, opts), list
end

local function shown(r)
  if not r.off then return ("%g..%g"):format(r[1], r[2]) end
end

function Augment:__tostring()
  local parts = {}
  for _, key in ipairs { "rotation", "height_shift", "width_shift", "shear", "zoom", "channel_shift", "brightness" } do
    local text = shown(self[key])
    if text then parts[#parts + 1] = key .. " " .. text end
  end
  if self.horizontal_flip then parts[#parts + 1] = "horizontal flip" end
  if self.vertical_flip then parts[#parts + 1] = "vertical flip" end
  return ("Augment(%s; fill %s, %s)"):format(#parts > 0 and table.concat(parts, ", ") or "nothing", self.fill,
    self.compat)
end

return augment
