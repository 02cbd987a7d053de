--- Where the head of a fold looked when it judged its test images: Grad-CAM on
-- the features that are there already, the share of heat outside the lungs, and
-- how alike the maps of untrained heads are.

local luma = require "luma"
local head = require "luma.study.covid.head"
local explain = luma.explain

local heat = {}

--- Images of a fold whose maps are also made with random heads.
heat.checked = 8
--- Mistakes whose maps are kept for the report.
heat.kept = 24

local function rounded(map)
  local rows = map:totable()
  for _, row in ipairs(rows) do
    for c, v in ipairs(row) do row[c] = tonumber(("%.4g"):format(v)) end
  end
  return rows
end

--- Adds to each prediction of a fold: outside (share of heat outside the lung
-- box, nil without heat), for mistakes map (rows of numbers), for the first few
-- alike (rank correlation with random heads' maps).
-- @param task config, features, shape (of an activation), net, predictions,
--   numbers (of the images in the index), classes (how many)
function heat.add(task)
  -- A base that ends in a vector has no places; behind trained layers Grad-CAM
  -- would cost a pass of them an image.
  if #task.shape ~= 3 or task.features.input.back then return end
  local h, w, c = table.unpack(task.shape)
  local scores, untrained = head.scores(task.net), {}
  for seed = 1, math.min(#task.predictions, 1) * 5 do
    untrained[seed] = head.build(task.features.input, task.classes, task.config, 200, seed)
  end
  for k, one in ipairs(task.predictions) do
    local row <close> = task.features:plain { task.numbers[k] }
    local activation <close> = row:reshape(1, h, w, c)
    local map <close> = explain.cam_of(activation, scores, one.predicted)
    local outside = explain.outside_share(map)
    one.outside = outside == outside and outside or nil
    if one.truth ~= one.predicted then one.map = rounded(map) end
    if k <= heat.checked then
      local alike = explain.sanity(map, function(seed)
        return (explain.cam_of(activation, head.scores(untrained[seed]), one.predicted))
      end)
      one.alike = alike == alike and alike or nil
    end
  end
  for _, net in ipairs(untrained) do
    for _, p in ipairs(net:named_parameters()) do p[2]:close() end
  end
end

local function mean_of(list)
  local sum = 0.0
  for _, v in ipairs(list) do sum = sum + v end
  return sum / #list
end

-- The mean of a field over some predictions with a bootstrap interval over patients.
local function mean(list, field, rng)
  local values, groups = {}, {}
  for _, one in ipairs(list) do
    if one[field] then values[#values + 1], groups[#groups + 1] = one[field], one.patient or "" end
  end
  if #values == 0 then return nil end
  local out = luma.metrics.bootstrap(#values, function(rows)
    local drawn = {}
    for k, i in ipairs(rows) do drawn[k] = values[i] end
    return mean_of(drawn)
  end, { rng = rng, groups = groups })
  out.n = #values
  return out
end

--- The heat of a run for metrics.json: even (what an even map would have outside),
-- per class and for right and wrong answers the mean share outside, and alike,
-- the sanity number.  nil when no map has heat.
function heat.summary(predictions, classes, seed, shape)
  local rng = luma.rng(seed):fork "heat"
  local all = mean(predictions, "outside", rng)
  if not all then return nil end
  local out = { outside = all, classes = luma.json.list {} }
  local flat <close> = luma.ones(shape[1], shape[2])
  out.even = explain.outside_share(flat)
  local function where(keep)
    local list = {}
    for _, one in ipairs(predictions) do
      if keep(one) then list[#list + 1] = one end
    end
    return mean(list, "outside", rng)
  end
  for c, class in ipairs(classes) do
    out.classes[c] = { class = class, outside = where(function(one) return one.truth == c end) }
  end
  out.right = where(function(one) return one.truth == one.predicted end)
  out.wrong = where(function(one) return one.truth ~= one.predicted end)
  out.alike = mean(predictions, "alike", rng)
  return out
end

--- The maps to keep: those of the most confident mistakes, for explain.json.
function heat.maps(predictions)
  local wrong, out = {}, luma.json.list {}
  for _, one in ipairs(predictions) do
    if one.map then wrong[#wrong + 1] = one end
  end
  table.sort(wrong, function(a, b)
    if a.p[a.predicted] ~= b.p[b.predicted] then return a.p[a.predicted] > b.p[b.predicted] end
    return a.file < b.file
  end)
  for k = 1, math.min(#wrong, heat.kept) do
    out[k] = { file = wrong[k].file, map = wrong[k].map, outside = wrong[k].outside }
  end
  return out
end

return heat
