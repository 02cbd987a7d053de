--- Ranking quality: ROC and precision-recall curves, areas, DeLong's interval.
--
-- The area under the ROC curve is the chance that a sample of the class scores
-- higher than one outside it, ties counting half.  Its interval is DeLong's
-- (1988): the variance comes from how each sample fares against all of the
-- other side.  Samples of one group (a patient) are not independent: with
-- `groups` their influences are summed before they are squared (Obuchowski
-- 1997).  At perfect separation that variance is zero, which says nothing about
-- the next sample: there the lower end is the exact one-sided-pair bound
-- (alpha/2)^(1/m) with m the smaller side, and `method` says so.

local count = require "luma.metrics.count"
local options = require "luma.base.options"
local stats = require "luma.base.distributions"

local roc = {}

local function lists(fname, is_positive, scores)
  local y = count.labels_of(fname .. ": labels", is_positive)
  local s = count.labels_of(fname .. ": scores", scores)
  if #y ~= #s then error(("%s: %d labels but %d scores"):format(fname, #y, #s), 3) end
  for i = 1, #s do
    if s[i] ~= s[i] then error(("%s: the score of sample %d is NaN"):format(fname, i), 3) end
  end
  return y, s
end

local function descending(s)
  local order = {}
  for i = 1, #s do order[i] = i end
  table.sort(order, function(a, b)
    if s[a] ~= s[b] then return s[a] > s[b] end
    return a < b
  end)
  return order
end

-- Midranks of a list of scores, in its order.
local function midranks(s)
  local order, ranks = descending(s), {}
  local n, i = #s, 1
  while i <= n do
    local j = i
    while j < n and s[order[j + 1]] == s[order[i]] do j = j + 1 end
    for k = i, j do ranks[order[k]] = n + 1 - (i + j) / 2 end
    i = j + 1
  end
  return ranks
end

-- The area, and for each sample its share: the chance that it is on the right
-- side of a sample of the other class.
local function placements(positive, s)
  local pos, neg, where = {}, {}, {}
  for i = 1, #s do
    local side = positive[i] and pos or neg
    side[#side + 1], where[i] = s[i], #side + 1
  end
  local m, n = #pos, #neg
  if m == 0 or n == 0 then return nil, m, n end
  local all, within_pos, within_neg = midranks(s), midranks(pos), midranks(neg)
  local share, area = {}, 0.0
  for i = 1, #s do
    if positive[i] then
      share[i] = (all[i] - within_pos[where[i]]) / n
      area = area + share[i]
    else
      share[i] = 1 - (all[i] - within_neg[where[i]]) / m
    end
  end
  return area / m, m, n, share
end

-- Each sample's influence on the area, scaled so that the squares sum to
-- DeLong's variance.
local function influences(positive, area, m, n, share)
  local out = {}
  for i = 1, #share do
    local size = positive[i] and m or n
    out[i] = (share[i] - area) / math.sqrt(size * math.max(size - 1, 1))
  end
  return out
end

local function bounded(area, variance, smaller, level)
  local out = { value = area, method = "DeLong" }
  if variance == 0 and (area == 1 or area == 0) then
    local edge = ((1 - level) / 2) ^ (1 / smaller)
    out.method = "perfect separation: exact bound (alpha/2)^(1/m)"
    out.lo, out.hi = area == 1 and edge or 0.0, area == 1 and 1.0 or 1 - edge
    return out
  end
  local half = stats.normal_quantile(0.5 + level / 2) * math.sqrt(variance)
  out.lo, out.hi = math.max(0.0, area - half), math.min(1.0, area + half)
  return out
end

-- The variance of a sum of influences.  groups: false, or a list of keys; a
-- sample whose key is nil (or "") is a group of its own.
local function sum_squares(v, groups)
  local s, joint = 0.0, {}
  for i = 1, #v do
    local key = groups and groups[i]
    if not key or key == "" then
      s = s + v[i] * v[i]
    else
      joint[key] = (joint[key] or 0.0) + v[i]
    end
  end
  local keys = {}
  for key in pairs(joint) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end) -- the same sum every time
  for _, key in ipairs(keys) do s = s + joint[key] ^ 2 end
  return s
end

-- The smaller side's number of independent groups.
local function smaller_side(positive, groups)
  local seen, sizes = { [true] = {}, [false] = {} }, { [true] = 0, [false] = 0 }
  for i = 1, #positive do
    local side, key = positive[i], groups and groups[i]
    if not key or key == "" or not seen[side][key] then
      sizes[side] = sizes[side] + 1
      if key then seen[side][key] = true end
    end
  end
  return math.min(sizes[true], sizes[false])
end

--- roc_auc(labels, scores, {positive=, level=0.95, groups=}) -> {value, lo, hi, method}
-- scores are for class `positive`, every other label is the other side.
-- groups: whose sample each is (a list of keys, nil or "" = its own), for an
-- interval that does not count a patient twice.  NaN when one side is empty.
function roc.roc_auc(labels, scores, opts)
  local y, s = lists("roc_auc", labels, scores)
  local o = options.check("roc_auc", opts, { positive = options.optional, level = 0.95, groups = false })
  if o.positive == nil then o.positive = 1 end
  local positive = {}
  for i = 1, #y do positive[i] = y[i] == o.positive end
  local area, m, n, share = placements(positive, s)
  if not area then return { value = 0 / 0, lo = 0 / 0, hi = 0 / 0, method = "one class only" } end
  return bounded(area, sum_squares(influences(positive, area, m, n, share), o.groups),
    smaller_side(positive, o.groups), o.level)
end

--- roc_auc_ovr(labels, probabilities, {classes=, level=0.95, groups=}) -> {value, lo, hi, method, classes}
-- The mean over classes of the one-against-the-rest area (macro), for rows of
-- k probabilities in the order of `classes` (default 1..k).  With two classes
-- it equals roc_auc.  Classes without samples on both sides are left out and
-- have NaN in the list `classes`.
function roc.roc_auc_ovr(labels, probabilities, opts)
  local y = count.labels_of("roc_auc_ovr: labels", labels)
  local rows = count.labels_of("roc_auc_ovr: probabilities", probabilities)
  if #y ~= #rows then error(("roc_auc_ovr: %d labels but %d rows"):format(#y, #rows), 2) end
  local o = options.check("roc_auc_ovr", opts, { classes = false, level = 0.95, groups = false })
  local classes = o.classes
  if not classes then
    classes = {}
    for c = 1, #(rows[1] or {}) do classes[c] = c end
  end
  local total, used, smaller, joint, per_class = 0.0, 0, math.huge, {}, {}
  for i = 1, #y do joint[i] = 0.0 end
  for c, class in ipairs(classes) do
    local positive, s = {}, {}
    for i = 1, #y do positive[i], s[i] = y[i] == class, rows[i][c] end
    lists("roc_auc_ovr", positive, s)
    local area, m, n, share = placements(positive, s)
    per_class[c] = area or 0 / 0
    if area then
      total, used, smaller = total + area, used + 1, math.min(smaller, smaller_side(positive, o.groups))
      for i, v in ipairs(influences(positive, area, m, n, share)) do
        -- The sign that a sample's score enters with differs by side, its influence does not.
        joint[i] = joint[i] + v
      end
    end
  end
  if used == 0 then
    return { value = 0 / 0, lo = 0 / 0, hi = 0 / 0, method = "one class only", classes = per_class }
  end
  for i = 1, #joint do joint[i] = joint[i] / used end
  local out = bounded(total / used, sum_squares(joint, o.groups), smaller, o.level)
  if #classes > 2 then out.method = out.method .. ", one against the rest, macro" end
  out.classes = per_class
  return out
end

--- roc_curve(labels, scores, {positive=}) -> list of {fpr, tpr, threshold}
-- One point a distinct score, from (0, 0) to (1, 1).
function roc.roc_curve(labels, scores, opts)
  local y, s = lists("roc_curve", labels, scores)
  local o = options.check("roc_curve", opts, { positive = options.optional })
  if o.positive == nil then o.positive = 1 end
  local m, n = 0, 0
  for i = 1, #y do
    if y[i] == o.positive then m = m + 1 else n = n + 1 end
  end
  local points, hits, alarms = { { fpr = 0.0, tpr = 0.0, threshold = math.huge } }, 0, 0
  local order = descending(s)
  for k, i in ipairs(order) do
    if y[i] == o.positive then hits = hits + 1 else alarms = alarms + 1 end
    if k == #order or s[order[k + 1]] ~= s[i] then
      points[#points + 1] = { fpr = alarms / n, tpr = hits / m, threshold = s[i] }
    end
  end
  return points
end

--- precision_recall_curve(labels, scores, {positive=}) -> list of {recall, precision, threshold}
-- By falling threshold; it starts at recall 0, precision 1.
function roc.precision_recall_curve(labels, scores, opts)
  local y, s = lists("precision_recall_curve", labels, scores)
  local o = options.check("precision_recall_curve", opts, { positive = options.optional })
  if o.positive == nil then o.positive = 1 end
  local m = 0
  for i = 1, #y do
    if y[i] == o.positive then m = m + 1 end
  end
  local points, hits = { { recall = 0.0, precision = 1.0, threshold = math.huge } }, 0
  local order = descending(s)
  for k, i in ipairs(order) do
    if y[i] == o.positive then hits = hits + 1 end
    if k == #order or s[order[k + 1]] ~= s[i] then
      points[#points + 1] = { recall = hits / m, precision = hits / k, threshold = s[i] }
    end
  end
  return points
end

--- average_precision(labels, scores, {positive=}): the area under the precision-recall steps.
function roc.average_precision(labels, scores, opts)
  local points, area = roc.precision_recall_curve(labels, scores, opts), 0.0
  for i = 2, #points do
    area = area + (points[i].recall - points[i - 1].recall) * points[i].precision
  end
  return area
end

return roc
