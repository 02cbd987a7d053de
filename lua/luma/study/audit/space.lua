--- audit.space: what the embedded base sees in the images: which are unlike all
-- others, whose label a model that did not see them would change, and which
-- columns of how an image was taken can be read from it within one class.

local luma = require "luma"
local learn = require "luma.learn"
local roc = require "luma.metrics.roc"
local rows_of = require "luma.data.index"
local text = require "luma.base.text"

local space = {}

--- neighbours: an image's distance is the mean to so many nearest; spread: how many
-- robust standard deviations (of the log distances) above the middle are unlike
-- all others; least: images below which nothing is asked; value: images of each
-- value of a column; auc: a model that ranks worse than this judges no label.
space.limits = { neighbours = 5, spread = 4.5, least = 20, value = 8, auc = 0.7 }

local LAYERS = { block3_pool = true, block4_pool = true, block5_pool = true }

--- The base as a function: u8 pixels (n, h, w, 3) -> a list of rows of 288 numbers,
-- the means over places of the last three blocks.
function space.open()
  local base = assert(luma.models.tiny())
  base:freeze()
  return function(pixels)
    local small <close> = luma.image.resize(pixels, base.input.height, base.input.width, { method = "area" })
    local x, parts = luma.image.scale_input(small, base.input.scale), {}
    for _, child in ipairs(base.children) do
      local y = child[2](x)
      x:close()
      x = y
      if LAYERS[tostring(child[1])] then parts[#parts + 1] = x:mean { 2, 3 } end
    end
    x:close()
    local rows <close> = luma.concat(parts, 2)
    for _, part in ipairs(parts) do part:close() end
    return rows:totable()
  end
end

-- ---- unlike all others ----

local BLOCK = 256

-- The mean distance of each row to its nearest ones, all at unit length.
local function distances(rows, k)
  local x <close> = luma.tensor(rows, "f32")
  local square <close> = (x * x):sum(2, true)
  local norm <close> = square:sqrt():clamp(1e-6)
  local unit <close> = x / norm
  local columns <close> = unit:transpose(1, 2):contiguous()
  local out = {}
  for first = 1, #rows, BLOCK do
    local part <close> = unit:narrow(1, first, math.min(BLOCK, #rows - first + 1))
    local near <close> = part:matmul(columns)
    local top <close> = near:topk(k + 1, 2)
    for _, row in ipairs(top:totable()) do
      local sum = 0.0
      for j = 2, k + 1 do sum = sum + math.sqrt(math.max(0.0, 2 - 2 * row[j])) end -- the first is the image itself
      out[#out + 1] = math.max(sum / k, 1e-6)
    end
  end
  return out
end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

--- The images that are unlike all others: a list of { i, name, class, spread },
-- the strangest first.  rows: numbers of each image of the index (space.open).
function space.outliers(index, rows)
  local limits, out = space.limits, {}
  if #rows < space.limits.least then return out end
  local logs, away = {}, {}
  for i, d in ipairs(distances(rows, limits.neighbours)) do logs[i] = math.log(d) end
  local middle = median(logs)
  for i, v in ipairs(logs) do away[i] = math.abs(v - middle) end
  local scale = 1.4826 * median(away)
  if scale < 1e-9 then return out end
  for i, v in ipairs(logs) do
    local z = (v - middle) / scale
    if z > limits.spread then
      out[#out + 1] = { i = i, name = index[i].name or index[i].path, class = index[i].class, spread = z }
    end
  end
  table.sort(out, function(a, b)
    if a.spread ~= b.spread then return a.spread > b.spread end
    return a.i < b.i
  end)
  return out
end

-- ---- labels ----

local function learner(classes)
  return function() return learn.Logistic { classes = classes, c = 0.1 } end
end

--- The labels that out-of-fold probabilities contradict.
-- @param index the images asked about; rows their numbers; labels class ids; folds
--   lists of row numbers; groups keys of images that belong together
-- @return { auc, list of { i, name, class, other, p_class, p_other }, the surest first }
function space.labels(index, rows, setting)
  local x <close> = luma.tensor(rows, "f32")
  local y <close> = luma.tensor(setting.labels, "i32")
  local classes = #index.classes
  local proba = learn.cross_predict(learner(classes), x, y, setting.folds)
  local out = { auc = roc.roc_auc_ovr(setting.labels, proba, { groups = setting.groups }), list = {} }
  if not (out.auc.value >= space.limits.auc) then return out end
  for _, one in ipairs(learn.label_errors(setting.labels, proba)) do
    local row = index[one.i]
    out.list[#out.list + 1] = { i = one.i, name = row.name or row.path, class = row.class,
      other = index.classes[one.other], p_class = one.p_label, p_other = one.p_other }
  end
  return out
end

-- ---- how an image was taken ----

-- The rows of one class whose column is known, in values with enough images.
local function valued(index, class, key)
  local count, known = {}, {}
  for i, row in ipairs(index) do
    local v = row.class == class and rows_of.field(row, key)
    if v and v ~= "" then
      known[#known + 1] = { i = i, value = tostring(v) }
      count[tostring(v)] = (count[tostring(v)] or 0) + 1
    end
  end
  local values, list = {}, {}
  for value, n in pairs(count) do
    if n >= space.limits.value then values[#values + 1] = value end
  end
  table.sort(values)
  for _, one in ipairs(known) do
    if count[one.value] >= space.limits.value then list[#list + 1] = one end
  end
  return list, values
end

--- Which columns can be read from the images within one class: a list of { column,
-- title, class, values, n, auc }.  columns: { key, title }; keys: of images that
-- belong together.
function space.acquisition(index, rows, columns, keys, seed)
  local out = {}
  for _, column in ipairs(columns) do
    for _, class in ipairs(index.classes) do
      local list, values = valued(index, class, column.key)
      if #values >= 2 then
        local items, x, labels, groups, id = {}, {}, {}, {}, {}
        for k, value in ipairs(values) do id[value] = k end
        for k, one in ipairs(list) do
          items[k] = { path = tostring(one.i), class = one.value }
          x[k], labels[k], groups[k] = rows[one.i], id[one.value], keys[one.i]
        end
        local part, number = rows_of.new(items, { classes = values }), {}
        for k, row in ipairs(part) do number[row] = k end
        local folds, group_of = {}, {}
        for k, row in ipairs(part) do group_of[row] = groups[k] end
        local ok, split = pcall(part.kfold, part, { k = 5, seed = seed,
          group = function(row) return group_of[row] end }) -- fewer groups than folds: not asked
        for f, fold in ipairs(ok and split or {}) do
          folds[f] = {}
          for j, row in ipairs(fold.test) do folds[f][j] = number[row] end
        end
        if #folds > 1 then
          local features <close> = luma.tensor(x, "f32")
          local y <close> = luma.tensor(labels, "i32")
          local proba = learn.cross_predict(learner(#values), features, y, folds)
          out[#out + 1] = { column = column.key, title = column.title, class = class, values = values, n = #list,
            auc = roc.roc_auc_ovr(labels, proba, { groups = groups }) }
        end
      end
    end
  end
  return out
end

-- ---- words ----

local function names(list, most, show)
  local out = {}
  for k = 1, math.min(most, #list) do out[k] = show(list[k]) end
  if #list > most then out[#out + 1] = ("%d more"):format(#list - most) end
  return table.concat(out, ", ")
end

--- What was found, in sentences; none where nothing was asked.
-- @param result outliers, labels, acquisition of an audit
function space.sentences(result)
  local out = {}
  if result.outliers and #result.outliers > 0 then
    out[#out + 1] = ("%s unlike all others, as a picture that is no radiograph would be: %s."):format(
      #result.outliers == 1 and "1 image is" or #result.outliers .. " images are",
      names(result.outliers, 5, function(o) return text.printable(o.name, 48) end))
  end
  local labels = result.labels
  if labels and #labels.list > 0 then
    out[#out + 1] = ("%s to another class by a model that did not see them (AUC %.2f): check these labels first, "
      .. "though most may be right: %s."):format(#labels.list == 1 and "1 image is given" or #labels.list
      .. " images are given", labels.auc.value, names(labels.list, 5, function(o)
        return ("%s (is %s, looks like %s)"):format(text.printable(o.name, 48), text.printable(o.class, 30),
          text.printable(o.other, 30))
      end))
  end
  for _, a in ipairs(result.acquisition or {}) do
    if a.auc.lo > 0.5 then
      out[#out + 1] = ("Within %s, %s can be read from the images (AUC %.2f, %.2f to %.2f, %d images): where it "
        .. "differs between the classes, a model can use it instead of the lungs."):format(text.printable(a.class, 40),
        a.title, a.auc.value, a.auc.lo, a.auc.hi, a.n)
    end
  end
  return out
end

return space
