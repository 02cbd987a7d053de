--- A finished run tested on images from elsewhere: its own preparation, its own
-- head, its own threshold; nothing is fitted, unless a few local images are given
-- up for recalibration.

local luma = require "luma"
local argmax = require("luma.base.lists").argmax
local evaluate = require "luma.study.covid.evaluate"
local files, json, text = luma.files, luma.json, luma.text

local external = {}

-- "COVID", "covid-19" and "COVID19" are one class; so are "normal" and "Normal".
local function key(class)
  local s = class:lower():gsub("[^%w]", "")
  return s:match "^covid" and "covid" or s
end

--- Which class of the run each class of the set is; raises a line that names both
-- lists where one has no counterpart.
function external.match(ours, theirs)
  local at, map = {}, {}
  for c, class in ipairs(ours) do at[key(class)] = c end
  for _, class in ipairs(theirs) do
    map[class] = at[key(class)]
    if not map[class] then
      local function shown(list)
        local out = {}
        for i, name in ipairs(list) do out[i] = text.printable(name, 40) end
        return table.concat(out, ", ")
      end
      error(("class '%s' of the images is none of the run's (images: %s; run: %s)"):format(text.printable(class, 40),
        shown(theirs), shown(ours)), 0)
    end
  end
  return map
end

--- Opens any collection that luma knows.  A metadata.csv beside class folders tells
-- patients and columns to split by.
-- @param classes the run's classes: only their images are taken from a collection
--   that has many more findings
function external.open(path, classes)
  local collections = luma.data.collections
  local one, message = collections.recognise(path)
  if not one then error(message, 0) end
  local index
  index, message = collections.open(path, { classes = one.needs_classes and classes or nil })
  if not index then error(message, 0) end
  local table_path = files.is_dir(path) and files.join(path, "metadata.csv")
  if table_path and files.is_file(table_path) then
    local rows, why = luma.data.csv.read(table_path, { require = { "filename" } })
    if not rows then error(why, 0) end
    local by_name = {}
    for _, row in ipairs(rows) do by_name[row.filename] = row end
    for _, row in ipairs(index) do
      row.meta = by_name[row.original]
      row.patient = row.patient or row.meta and (row.meta.patientid or row.meta.patient)
    end
  end
  return index
end

-- Rows per value of a column: how the figures differ within the set.
local function by_column(predictions, column, classes)
  local groups, order = {}, {}
  for _, one in ipairs(predictions) do
    local value = one.meta and one.meta[column] or "(unknown)"
    if not groups[value] then groups[value], order[#order + 1] = {}, value end
    table.insert(groups[value], one)
  end
  table.sort(order)
  local out = json.list {}
  for _, value in ipairs(order) do
    local numbers = evaluate.numbers(groups[value], classes)
    local counts = {}
    for _, one in ipairs(groups[value]) do counts[classes[one.truth]] = (counts[classes[one.truth]] or 0) + 1 end
    out[#out + 1] = { value = value, n = numbers.n, accuracy = numbers.accuracy, auc = numbers.auc, counts = counts }
  end
  return out
end

-- Platt's scaling of the positive class's log odds on the first images of each
-- class that are given up for it: { slope, offset } by logistic regression.
local function recalibrate(predictions, positive, count)
  local used, rest, seen, x, y = {}, {}, {}, {}, {}
  for _, one in ipairs(predictions) do
    seen[one.truth] = (seen[one.truth] or 0) + 1
    if seen[one.truth] <= count then used[#used + 1] = one else rest[#rest + 1] = one end
  end
  local function odds(one)
    local p = math.min(1 - 1e-9, math.max(1e-9, one.p[positive]))
    return math.log(p / (1 - p))
  end
  for i, one in ipairs(used) do x[i], y[i] = { odds(one) }, one.truth == positive and 2 or 1 end
  local model = luma.learn.Logistic { c = 1, classes = 2 }
  model:fit(luma.tensor(x), luma.tensor(y, "i32"))
  local values = {}
  for i, one in ipairs(rest) do values[i] = { odds(one) } end
  local p = model:predict(luma.tensor(values)):totable()
  local out = {}
  for i, one in ipairs(rest) do
    local q = {}
    q[positive], q[3 - positive] = p[i][2], p[i][1]
    out[i] = { truth = one.truth, p = q, predicted = argmax(q), patient = one.patient, meta = one.meta }
  end
  return out
end

--- Tests a run on a set.
-- @param predictor of the run; index the images; opts by (a column of metadata.csv),
--   recalibrate (images per class given up), internal (the run's own metrics),
--   meter (a progress line)
-- @return { n, accuracy, auc, confusion, classes, failed, drop, by, recalibrated, sentences }
function external.evaluate(predictor, index, opts)
  local map = external.match(predictor.classes, index.classes)
  local predictions, failed = {}, json.list {}
  for _, row in ipairs(index) do
    local answer, message = predictor:predict(row.path, "auto")
    if answer then
      predictions[#predictions + 1] = { truth = map[row.class], predicted = argmax(answer.p),
        p = answer.p, patient = row.patient,
        meta = row.meta, path = row.path }
    else
      failed[#failed + 1] = { path = row.path, message = message }
    end
    if opts.meter then opts.meter:add(1) end
  end
  if #predictions == 0 then error("no image of the set could be read", 0) end
  local classes = predictor.classes
  local out = evaluate.numbers(predictions, classes)
  out.failed, out.class_names = failed, json.list(classes)
  out.positive = evaluate.positive(classes)
  out.by = opts.by and by_column(predictions, opts.by, classes) or nil
  local internal = opts.internal
  out.internal = { accuracy = internal.accuracy, auc = internal.auc }
  local function fell(a, b) return a and b and b.value == b.value and a.hi < b.lo end
  local said = json.list {}
  local function figure(v) return ("%.3f (%.3f to %.3f)"):format(v.value, v.lo, v.hi) end
  said[1] = ("On %d images from elsewhere the run's accuracy is %s, on its own test images %s: %s."):format(out.n,
    figure(out.accuracy), figure(internal.accuracy), fell(out.accuracy, internal.accuracy)
    and "a drop that the intervals show" or out.accuracy.value < internal.accuracy.value
    and "lower, but the intervals overlap" or "no drop")
  if out.auc.value == out.auc.value and internal.auc.value == internal.auc.value then
    said[2] = ("Ranking: AUC %s here, %s there."):format(figure(out.auc), figure(internal.auc))
  end
  if #classes == 2 then
    local c = out.confusion
    for k = 1, 2 do
      local wrong, all = c[k][3 - k], c[k][1] + c[k][2]
      if all > 0 and wrong / all >= 0.3 then
        said[#said + 1] = ("%d of %d images of %s are called %s: the threshold does not travel."):format(wrong, all,
          text.printable(classes[k], 40), text.printable(classes[3 - k], 40))
      end
    end
  end
  if opts.recalibrate and #classes == 2 then
    local counts, enough = {}, true
    for _, one in ipairs(predictions) do counts[one.truth] = (counts[one.truth] or 0) + 1 end
    for c = 1, 2 do enough = enough and (counts[c] or 0) > opts.recalibrate end
    if not enough then
      error(("--recalibrate %d: needs more than that many images of each class"):format(opts.recalibrate), 0)
    end
    local again = recalibrate(predictions, out.positive, opts.recalibrate)
    local numbers = evaluate.numbers(again, classes)
    out.recalibrated = { per_class = opts.recalibrate, n = numbers.n, accuracy = numbers.accuracy, auc = numbers.auc }
    said[#said + 1] = ("Recalibrated on %d local images per class, the accuracy on the other %d is %s."):format(
      opts.recalibrate, numbers.n, figure(numbers.accuracy))
  end
  out.sentences = said
  return out
end

return external
