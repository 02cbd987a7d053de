--- The audit beside a run: copies that a split tears apart are found before
-- anything is trained, and the shortcuts are scored on the run's own test images,
-- so that the report can say what the model adds to them.

local luma = require "luma"
local compare = require "luma.metrics.compare"
local duplicates = require "luma.study.audit.duplicates"
local features = require "luma.study.audit.features"
local reader = require "luma.study.audit.reader"
local shortcuts = require "luma.study.audit.shortcuts"
local json, text = luma.json, luma.text

local beside = {}

-- Row number in the run's index -> row number among the images that were read.
local function places(index, seen)
  local number, at = {}, {}
  for i, row in ipairs(seen.index) do number[row] = i end
  for i, row in ipairs(index) do at[i] = number[row] end
  return at
end

--- Reads the images once; what the guard and the shortcuts need of them.
function beside.read(index)
  local meter <close> = luma.progress("auditing", #index, { unit = "images" })
  local seen = reader.read(index, { step = function() meter:add(1) end })
  meter:done()
  seen.at = places(index, seen)
  seen.duplicates = duplicates.find(seen.index, seen.images)
  return seen
end

-- What one fold tears apart: pairs of copies with one image tested and the other
-- trained on or validated with.
local function torn(fold, seen)
  local part, out = {}, {}
  for _, name in ipairs { "train", "val", "test" } do -- the article validates with its test part: test counts
    for _, i in ipairs(fold[name]) do
      if seen.at[i] then part[seen.at[i]] = name end
    end
  end
  for _, pair in ipairs(seen.duplicates) do
    local a, b = part[pair.i], part[pair.j]
    if pair.kind ~= "suspect" and a and b and a ~= b and (a == "test" or b == "test") then out[#out + 1] = pair end
  end
  return out
end

--- Counts what the folds share: {shared_patients, shared_duplicates, first}.
function beside.leakage(folds, seen)
  local out, counted = { shared_patients = 0, shared_duplicates = 0 }, {}
  for _, fold in ipairs(folds) do
    out.shared_patients = out.shared_patients + (fold.shared_patients or 0)
    for _, pair in ipairs(torn(fold, seen)) do
      if not counted[pair] then
        counted[pair], out.shared_duplicates = true, out.shared_duplicates + 1
        out.first = out.first or pair
      end
    end
  end
  return out
end

--- Refuses a split that leaks, unless the settings allow it (--allow-leak, or
-- --faithful, whose split is the article's); returns a warning or nil.
function beside.guard(config, leakage)
  local what = {}
  if leakage.shared_patients > 0 then what[1] = text.plural(leakage.shared_patients, "patient") end
  if leakage.shared_duplicates > 0 then
    what[#what + 1] = ("%s of copies (%s = %s)"):format(text.plural(leakage.shared_duplicates, "pair"),
      text.printable(leakage.first.a, 60), text.printable(leakage.first.b, 60))
  end
  if #what == 0 then return nil end
  local found = ("the test part shares %s with the training part"):format(table.concat(what, " and "))
  if not (config.faithful or config.allow_leak) then
    error(found .. ": its score would flatter. Remove the copies (luma audit lists them), or say --allow-leak", 0)
  end
  return found:gsub("^the", "The") .. ": the score flatters."
end

-- ---- shortcuts on the run's test images ----

-- Probabilities of the test images of all folds: row number -> list.
local function predict(make, x, y, folds, at)
  local out = {}
  local function rows_of(list)
    local rows = {}
    for _, i in ipairs(list) do rows[#rows + 1] = at[i] end
    return rows
  end
  for _, fold in ipairs(folds) do
    if #fold.test > 0 then
      local train, test, labels = rows_of(fold.train), rows_of(fold.test), {}
      for k, row in ipairs(train) do labels[k] = y[row] end
      local ids <close> = luma.tensor(train, "i32")
      local asked <close> = luma.tensor(test, "i32")
      local seen <close> = x:index_select(1, ids)
      local held <close> = x:index_select(1, asked)
      local told <close> = luma.tensor(labels, "i32")
      local proba <close> = make():fit(seen, told):predict(held)
      for k, p in ipairs(proba:totable()) do out[test[k]] = p end
    end
  end
  return out
end

local function difference(labels, a, b, classes, groups, seed)
  if #classes ~= 2 then return nil end
  local function model(p)
    local scores, predicted = {}, {}
    for i, row in ipairs(p) do scores[i], predicted[i] = row[1], row[1] >= row[2] and 1 or 2 end
    return { scores = scores, predicted = predicted }
  end
  return compare.paired(labels, model(a), model(b), { rng = luma.rng(seed):fork "audit", groups = groups,
    positive = 1 }).auc_difference
end

--- Scores the pixel families on the run's own test images, with learners trained
-- on its own training images.  job: index, folds, config, seen, leakage;
-- predictions: the model's.  Returns what metrics.json holds as `audit`.
function beside.score(job, predictions)
  local seen, index = job.seen, job.index
  local y, by_path = {}, {}
  for i, row in ipairs(seen.index) do
    y[i] = index:encoder():encode(row.class)
    by_path[row.path] = i
  end
  local tested, labels, groups, model = {}, {}, {}, {}
  for _, one in ipairs(predictions) do
    local at = by_path[one.path]
    if at then
      tested[#tested + 1], labels[#labels + 1] = at, one.truth
      groups[#groups + 1], model[#model + 1] = one.patient or false, one.p
    end
  end
  local out = { leakage = { shared_patients = job.leakage.shared_patients,
    shared_duplicates = job.leakage.shared_duplicates }, warning = job.leak_warning, shortcuts = json.list {} }
  local proba = {}
  for _, family in ipairs(features.families) do
    if family.needs == "pixels" and shortcuts.varies(seen.tables[family.name]) then
      local x <close> = luma.tensor(seen.tables[family.name], "f32")
      local best
      for _, learner in ipairs(shortcuts.learners) do
        local all, p = predict(learner.make(#index.classes, job.config.seed, #y), x, y, job.folds, seen.at), {}
        for k, at in ipairs(tested) do p[k] = all[at] end
        local s = shortcuts.score(labels, p, groups)
        if s.auc.value == s.auc.value and (not best or s.auc.value > best.auc.value) then
          best, proba[family.name], s.model = s, p, learner.name
        end
      end
      if best then
        out.shortcuts[#out.shortcuts + 1] = { name = family.name, title = family.title, model = best.model,
          auc = best.auc, accuracy = best.accuracy, sees_lungs = family.lungs ~= nil,
          sees = family.lungs and "the lungs, " .. family.lungs or "no lung" }
      end
    end
  end
  table.sort(out.shortcuts, function(a, b)
    if a.auc.value ~= b.auc.value then return a.auc.value > b.auc.value end
    return a.name < b.name
  end)
  for _, s in ipairs(out.shortcuts) do
    if not s.sees_lungs then
      local d = difference(labels, proba[s.name], model, index.classes, groups, job.config.seed)
      out.against, out.adds = s.name, d
      out.sentence = beside.sentence(s, d)
      break
    end
  end
  return out
end

--- "The model adds x", given a shortcut and the difference of the areas: in words
-- that do not promise more than the interval.
function beside.sentence(s, d)
  local reached = ("On the same test images, %s reaches AUC %.2f (%.2f to %.2f) without looking at the lungs"):format(
    s.title, s.auc.value, s.auc.lo, s.auc.hi)
  if not d or d.value ~= d.value then return reached .. "." end
  local added = ("%s; the model adds %.2f (95 %% interval %.2f to %.2f)"):format(reached, d.value, d.lo, d.hi)
  if d.lo > 0 then return added .. "." end
  if d.hi < 0 then
    return ("%s; the model stays %.2f below that (95 %% interval of the difference %.2f to %.2f)."):format(reached,
      -d.value, d.lo, d.hi)
  end
  return added .. ": that it sees more than this is not shown."
end

return beside
