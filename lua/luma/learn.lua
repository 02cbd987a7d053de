--- learn: classical learners over feature tables, for the audit and for
-- baselines: logistic regression and a random forest, behind one grammar.
--
--   local model = learn.Logistic { c = 1 }
--   model:fit(x, y)                 -- x f32 (rows, features), y i32 class ids from 1
--   local proba = model:predict(x)  -- (rows, classes)
--
-- Missing values (NaN) are allowed in x: each feature that has any is filled
-- with its training mean and followed by an indicator column, so that "was not
-- recorded" can itself be evidence, as it often is.

local core = require "luma.core"
local options = require "luma.base.options"

local learn = {}

-- Column means and standard deviations over the finite values, which columns
-- have missing ones.  x: f32 (rows, features), read through its row lists.
local function fit_columns(x)
  local n, d = x:shape()
  local columns = {}
  for j = 1, d do columns[j] = { mean = 0, sd = 0, count = 0, missing = false } end
  local rows = x:totable()
  for i = 1, n do
    for j, v in ipairs(rows[i]) do
      local c = columns[j]
      if v ~= v then
        c.missing = true
      else
        -- Welford's update: one pass, no cancellation.
        c.count = c.count + 1
        local delta = v - c.mean
        c.mean = c.mean + delta / c.count
        c.sd = c.sd + delta * (v - c.mean)
      end
    end
  end
  for _, c in ipairs(columns) do
    c.sd = c.count > 0 and math.sqrt(c.sd / c.count) or 0
    if c.sd < 1e-12 then c.sd = 1 end -- a constant column stays zero after centring
  end
  return columns
end

-- Fills, marks and (for the linear model) standardises.
local function apply_columns(columns, x, standardise)
  local _, d = x:shape()
  if d ~= #columns then
    error(("predict: x has %d features, the model was fitted on %d"):format(d, #columns), 3)
  end
  local rows = x:totable()
  for i, row in ipairs(rows) do
    local out, k = {}, 0
    for j, c in ipairs(columns) do
      local v = row[j]
      local absent = v ~= v
      if absent then v = c.mean end
      k = k + 1
      out[k] = standardise and (v - c.mean) / c.sd or v
      if c.missing then
        k = k + 1
        out[k] = absent and 1 or 0
      end
    end
    rows[i] = out
  end
  return core.tensor(rows, "f32")
end

local function check_labels(name, x, y)
  local rows = x:shape()
  if #y ~= rows then
    error(("bad argument #2 to '%s' (%d labels for %d rows)"):format(name, #y, rows), 3)
  end
end

local Logistic = { __name = "luma.learn.Logistic" }
Logistic.__index = Logistic

--- Logistic regression on standardised features, L2 penalty 1/c (scikit-learn's
-- C).  Options: c (1), classes (2), iterations (1000), tolerance (1e-6), weights (f32,
-- what a row of each class counts; 1).
function learn.Logistic(opts)
  local o = options.check("learn.Logistic", opts, { c = 1, classes = 2, iterations = 1000, tolerance = 1e-6,
    weights = options.optional })
  return setmetatable({ options = o }, Logistic)
end

--- Fits the model; returns it.
function Logistic:fit(x, y)
  check_labels("Logistic:fit", x, y)
  self.columns = fit_columns(x)
  local table_ <close> = apply_columns(self.columns, x, true)
  self.theta, self.iterations, self.gradient = core.learn.logistic_fit(table_, y, self.options)
  return self
end

--- Class probabilities, f64 (rows, classes).
function Logistic:predict(x)
  if not self.theta then error("Logistic:predict: the model is not fitted yet", 2) end
  local table_ <close> = apply_columns(self.columns, x, true)
  return core.learn.logistic_predict(self.theta, table_)
end

local Forest = { __name = "luma.learn.Forest" }
Forest.__index = Forest

--- A random forest (scikit-learn's semantics).  Options: classes (2), trees
-- (100), max_depth (0 = until pure), min_leaf (1), features (0 = the root of
-- their number), bootstrap (true), seed (0).
function learn.Forest(opts)
  local o = options.check("learn.Forest", opts, {
    classes = 2, trees = 100, max_depth = 0, min_leaf = 1, features = 0, bootstrap = true, seed = 0,
  })
  if o.features == 0 then o.features = nil end
  return setmetatable({ options = o }, Forest)
end

--- Fits the forest; returns it.
function Forest:fit(x, y)
  check_labels("Forest:fit", x, y)
  self.columns = fit_columns(x)
  local table_ <close> = apply_columns(self.columns, x, false)
  self.forest = core.learn.forest_fit(table_, y, self.options)
  return self
end

--- Class probabilities, f32 (rows, classes).
function Forest:predict(x)
  if not self.forest then error("Forest:predict: the forest is not fitted yet", 2) end
  local table_ <close> = apply_columns(self.columns, x, false)
  return core.learn.forest_predict(self.forest, table_)
end

--- The mean decrease of impurity each column brought, summing to 1 (missing
-- indicators count as columns of their own).
function Forest:importance()
  local gain <close> = self.forest.gain:sum(1)
  local list, total = gain:totable(), 0
  for _, v in ipairs(list) do total = total + v end
  for i, v in ipairs(list) do list[i] = total > 0 and v / total or 0 end
  return list
end

--- Out-of-fold probabilities: for each fold, a fresh model from make() is
-- fitted on the other folds' rows and asked about this fold's.
-- folds: list of lists of row numbers, together every row once.  Returns a
-- list (row -> list of class probabilities).
function learn.cross_predict(make, x, y, folds)
  local n = x:shape()
  local result, labels = {}, y:totable()
  for _, fold in ipairs(folds) do
    local held = {}
    for _, row in ipairs(fold) do held[row] = true end
    local train, train_y = {}, {}
    for row = 1, n do
      if not held[row] then
        train[#train + 1] = row
        train_y[#train_y + 1] = labels[row]
      end
    end
    local x_train <close> = x:index_select(1, core.tensor(train, "i32"))
    local x_test <close> = x:index_select(1, core.tensor(fold, "i32"))
    local y_train <close> = core.tensor(train_y, "i32")
    local proba <close> = make():fit(x_train, y_train):predict(x_test)
    for i, p in ipairs(proba:totable()) do result[fold[i]] = p end
  end
  return result
end

--- Labels that out-of-fold probabilities contradict, by confident learning
-- (Northcutt et al. 2021): an image counts as one of class k where its probability
-- of k reaches the mean that images labelled k have; it is returned where that
-- class, the likeliest of those reached, is another than its label.
-- @param labels class ids from 1; probabilities rows that no model saw in training
-- @return list of { i, other, p_label, p_other }, the surest first
function learn.label_errors(labels, probabilities)
  local classes = #(probabilities[1] or {})
  local mean, count = {}, {}
  for c = 1, classes do mean[c], count[c] = 0.0, 0 end
  for i, p in ipairs(probabilities) do
    local c = labels[i]
    mean[c], count[c] = mean[c] + p[c], count[c] + 1
  end
  for c = 1, classes do mean[c] = count[c] > 0 and mean[c] / count[c] or math.huge end
  local out = {}
  for i, p in ipairs(probabilities) do
    local best
    for c = 1, classes do
      if p[c] >= mean[c] and (not best or p[c] > p[best]) then best = c end
    end
    if best and best ~= labels[i] and p[best] > p[labels[i]] then
      out[#out + 1] = { i = i, other = best, p_label = p[labels[i]], p_other = p[best] }
    end
  end
  table.sort(out, function(a, b)
    local x, y = a.p_other - a.p_label, b.p_other - b.p_label
    if x ~= y then return x > y end
    return a.i < b.i
  end)
  return out
end

return learn
