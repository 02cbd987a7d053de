--- explain: where does the model look?  Grad-CAM, occlusion, input gradients,
-- the share of heat outside the lungs, and the check that a map says something
-- about the trained weights at all.
--
--   local map = explain.gradcam(net, x, { class = 1 })     -- f32 (h, w), >= 0
--   image.save("heat.png", explain.overlay(picture, map))
--   print(explain.outside_share(map))                      -- 0..1
--
-- A map is where the output changes, not why the patient is ill.

local luma = require "luma"
local options = require "luma.base.options"

local explain = {}

-- The leaves of nested Sequentials in order, without Dropout: an explanation is
-- of the network that predicts.
local function leaves(net, out)
  out = out or {}
  if net.type == "Sequential" then
    for i = 1, #net do leaves(net[i], out) end
  elseif net.type ~= "Dropout" then
    out[#out + 1] = net
  end
  return out
end

local function run(list, first, last, x)
  for i = first, last do x = list[i](x) end
  return x
end

local function check_class(fname, class, classes)
  local k = math.tointeger(class)
  if not k or k < 1 or k > classes then
    error(("%s: option class must be in 1..%d, got %s"):format(fname, classes, tostring(class)), 3)
  end
  return k
end

-- The gradient of one class's logit with respect to x, through f: x -> logits
-- (1, k).  class nil: the most probable one.  Returns gradient, class, logits.
local function gradient_of(fname, f, x, class)
  if not class then
    local logits <close> = f(x)
    class = logits:argmax(2):totable()[1]
  end
  local leaf = x:clone()
  leaf:requires_grad(true)
  local tape <close> = luma.tape()
  local logits = f(leaf)
  if logits:rank() ~= 2 then error(fname .. ": the net must end in class scores (n, classes)", 3) end
  class = check_class(fname, class, logits:size(2))
  local one <close> = luma.one_hot(luma.tensor({ class }, "i32"), logits:size(2), "f32")
  tape:backward((logits * one):sum())
  local g = leaf:grad():clone()
  leaf:close()
  return g, class
end

local function check_input(fname, x)
  if not luma.is_tensor(x) or x:rank() ~= 4 or x:size(1) ~= 1 then
    error(fname .. ": one image expected, shape (1, h, w, c)", 3)
  end
end

--- Grad-CAM from an activation: how much each place of `a` (1, h, w, c) speaks
-- for the class, where f maps it to class scores (Selvaraju et al. 2017: the
-- channels weighted by their mean gradient, summed, negative parts cut).
-- Returns f32 (h, w) and the class.
function explain.cam_of(a, f, class)
  check_input("explain.cam_of", a)
  local g <close>, chosen = gradient_of("explain.cam_of", f, a, class)
  local weight <close> = g:mean({ 2, 3 }, true)
  local weighted <close> = a * weight
  local sum <close> = weighted:sum(4)
  return sum:relu():reshape(a:size(2), a:size(3)), chosen
end

--- Grad-CAM of a net at one of its layers.
-- opts: class (default: the predicted one), layer (a name or a position among
-- the leaves; default: the last one with an (n, h, w, c) output).
function explain.gradcam(net, x, opts)
  local o = options.check("explain.gradcam", opts, { class = options.optional, layer = options.optional })
  check_input("explain.gradcam", x)
  local list = leaves(net)
  local at
  if type(o.layer) == "number" then
    at = math.tointeger(o.layer)
  else
    local shape = { x:shape() }
    for i, layer in ipairs(list) do
      shape = layer:output_shape(shape)
      if o.layer and layer.name == o.layer then at = i end
      if not o.layer and #shape == 4 then at = i end
    end
  end
  if not at or at < 1 or at >= #list then
    local names = {}
    for i, layer in ipairs(list) do names[i] = layer.name or layer.type end
    error(("explain.gradcam: option layer: no layer '%s' before the last (layers: %s)"):format(
      tostring(o.layer), table.concat(names, ", ")), 2)
  end
  local a <close> = run(list, 1, at, x)
  return explain.cam_of(a, function(v) return run(list, at + 1, #list, v) end, o.class)
end

--- Input gradients: |d score / d pixel|, the largest over the channels, f32 (h, w).
function explain.saliency(net, x, opts)
  local o = options.check("explain.saliency", opts, { class = options.optional })
  check_input("explain.saliency", x)
  local list = leaves(net)
  local g <close>, class = gradient_of("explain.saliency", function(v) return run(list, 1, #list, v) end, x, o.class)
  local size <close> = g:abs()
  return size:max(4):reshape(x:size(2), x:size(3)), class
end

--- Occlusion: how much the class's probability falls when a gray square hides a
-- place (Zeiler and Fergus 2014).  score: function(batch) -> (n, classes)
-- probabilities; x: (1, h, w, c).
-- opts: class, patch (side of the square, 32), stride (16), fill (0, in the
-- units of x), batch (16).  Returns f32 (h, w): the mean fall over the squares
-- that hide a pixel, negative parts cut.
function explain.occlusion(score, x, opts)
  local o = options.check("explain.occlusion", opts,
    { class = options.optional, patch = 32, stride = 16, fill = 0, batch = 16, step = options.optional })
  check_input("explain.occlusion", x)
  local _, h, w = x:shape()
  local patch = options.integer("explain.occlusion", "patch", o.patch, 1, math.min(h, w))
  local stride = options.integer("explain.occlusion", "stride", o.stride, 1)
  local whole <close> = score(x)
  local p = whole:totable()[1]
  local class = o.class and check_class("explain.occlusion", o.class, #p) or whole:argmax(2):totable()[1]
  local places = {}
  for top = 1, h - patch + 1, stride do
    for left = 1, w - patch + 1, stride do places[#places + 1] = { top, left } end
  end
  local fall = luma.zeros(h, w)
  local hidden = luma.zeros(h, w)
  for first = 1, #places, o.batch do
    local last = math.min(#places, first + o.batch - 1)
    local list = {}
    for k = first, last do
      local copy = x:select(1, 1):clone()
      copy:narrow(1, places[k][1], patch):narrow(2, places[k][2], patch):fill_(o.fill)
      list[#list + 1] = copy
    end
    local batch <close> = luma.stack(list)
    for _, copy in ipairs(list) do copy:close() end
    local scores <close> = score(batch)
    for k, row in ipairs(scores:totable()) do
      local top, left = table.unpack(places[first + k - 1])
      local one <close> = luma.full({ patch, patch }, 1.0)
      local loss <close> = luma.full({ patch, patch }, p[class] - row[class])
      fall:narrow(1, top, patch):narrow(2, left, patch):add_(loss)
      hidden:narrow(1, top, patch):narrow(2, left, patch):add_(one)
    end
    if o.step then o.step(last - first + 1) end
  end
  local count <close> = hidden:maximum(1)
  local mean <close> = fall / count
  fall:close()
  hidden:close()
  return mean:relu(), class
end

--- The fixed box that holds the lungs of a frontal radiograph, in shares of the
-- height and width.  A statement, not a segmentation.
explain.lung_box = { top = 0.15, bottom = 0.85, left = 0.125, right = 0.875 }

--- The share of a map's heat that lies outside the lung box, 0..1; NaN for a map
-- without heat.  `outside_area` is what an even map would score.
function explain.outside_share(map, box)
  box = box or explain.lung_box
  local h, w = map:shape()
  local inside, total = 0.0, 0.0
  for r, row in ipairs(map:totable()) do
    local y = (r - 0.5) / h
    for c, v in ipairs(row) do
      local x = (c - 0.5) / w
      total = total + v
      if y >= box.top and y <= box.bottom and x >= box.left and x <= box.right then inside = inside + v end
    end
  end
  local area = (box.bottom - box.top) * (box.right - box.left)
  return total > 0 and 1 - inside / total or 0 / 0, 1 - area
end

-- Heat from cold to hot: nothing, violet, red, orange, pale yellow; opacity
-- rises with the heat so that a cold place shows the radiograph itself.
local ramp = {
  { 0.00, 60, 20, 110 }, { 0.25, 130, 30, 130 }, { 0.50, 215, 50, 60 }, { 0.75, 250, 140, 30 }, { 1.00, 252, 250, 170 },
}

local function heat_colour(v)
  for k = 2, #ramp do
    local a, b = ramp[k - 1], ramp[k]
    if v <= b[1] then
      local t = (v - a[1]) / (b[1] - a[1])
      return a[2] + t * (b[2] - a[2]), a[3] + t * (b[3] - a[3]), a[4] + t * (b[4] - a[4])
    end
  end
  return ramp[#ramp][2], ramp[#ramp][3], ramp[#ramp][4]
end

-- 256 x 3: the colours of 0..255.
local function colour_table()
  local rows = {}
  for i = 0, 255 do rows[i + 1] = { heat_colour(i / 255) } end
  return luma.tensor(rows, "f32")
end

--- The map over the picture: u8 (h, w, 3).  picture: u8 (h, w) or (h, w, c); the
-- map is scaled to its size and to its own maximum.  opts: opacity (0.65).
function explain.overlay(picture, map, opts)
  local o = options.check("explain.overlay", opts, { opacity = 0.65 })
  local h, w, c = picture:shape()
  local top = map:max():item()
  local heat = luma.image.resize(map:reshape(map:size(1), map:size(2), 1), h, w):clamp(0)
  if top > 0 then heat = heat / top end
  heat = heat:clamp(0, 1):reshape(h, w)
  local level <close> = (heat * 255):round():to "i32":add(1):to "i32":reshape(h * w)
  local colour <close> = colour_table():index_select(1, level):reshape(h, w, 3)
  local alpha <close> = (heat:sqrt() * o.opacity):reshape(h, w, 1)
  local base = picture:to "f32"
  if c == nil then base = base:reshape(h, w, 1) end
  local mixed <close> = base * (alpha * -1 + 1) + colour * alpha
  return mixed:to "u8"
end

-- Ranks with ties at their mean, of a flat list.
local function ranks(list)
  local order, out = {}, {}
  for i = 1, #list do order[i] = i end
  table.sort(order, function(a, b)
    if list[a] ~= list[b] then return list[a] < list[b] end
    return a < b
  end)
  local i = 1
  while i <= #order do
    local j = i
    while j < #order and list[order[j + 1]] == list[order[i]] do j = j + 1 end
    for k = i, j do out[order[k]] = (i + j) / 2 end
    i = j + 1
  end
  return out
end

--- Spearman's rank correlation of two maps of one size: near 1, they say the
-- same.  NaN when one is constant.
function explain.rank_correlation(a, b)
  local x, y = ranks(a:flatten():totable()), ranks(b:flatten():totable())
  if #x ~= #y then
    error(("explain.rank_correlation: maps of %d and %d places"):format(#x, #y), 2)
  end
  local n, mean = #x, (#x + 1) / 2
  local xy, xx, yy = 0.0, 0.0, 0.0
  for i = 1, n do
    local p, q = x[i] - mean, y[i] - mean
    xy, xx, yy = xy + p * q, xx + p * p, yy + q * q
  end
  return xy / math.sqrt(xx * yy)
end

--- The sanity check of Adebayo et al. (2018): a map that stays the same when
-- the weights are drawn at random says nothing about the weights.
-- make(seed) -> map with randomised weights; returns the mean rank correlation
-- of `map` with `times` (5) of them, and the list.
function explain.sanity(map, make, times)
  local list, sum, used = {}, 0.0, 0
  for seed = 1, times or 5 do
    local other <close> = make(seed)
    list[seed] = explain.rank_correlation(map, other)
    if list[seed] == list[seed] then sum, used = sum + list[seed], used + 1 end
  end
  return used > 0 and sum / used or 0 / 0, list
end

return explain
