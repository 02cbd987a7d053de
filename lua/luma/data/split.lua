--- luma.data.split: parts of an index that share nothing they should not.
--
-- Without groups this is scikit-learn's train_test_split a class (n_test =
-- ceil(test * n); a random permutation, of which test takes the first), joined
-- normal class first as the article does.  With groups (the default where
-- patients are known) all images of a patient land in one part, and the parts
-- still keep the class proportions as closely as whole patients allow.
-- Every part is checked: each row in exactly one, no patient in two.

local core = require "luma.core"
local options = require "luma.base.options"
local text = require "luma.base.text"
local indexes = require "luma.data.index"

local split = {}

-- ---- random numbers: one stream for splitting, apart from all others ----

local function generator(fname, o)
  if o.rng ~= nil and o.seed ~= nil then error(fname .. ": give seed or rng, not both", 3) end
  if o.rng ~= nil then return o.rng end
  local seed = o.seed
  if seed == nil then seed = core.seed() end
  options.integer(fname, "seed", seed, math.mininteger, nil, 3)
  return core.rng(seed):fork "split", seed
end

-- A permuted copy of a list.
local function permuted(rng, list)
  local out = {}
  for i, k in ipairs(rng:permutation(#list)) do out[i] = list[k] end
  return out
end

-- ---- groups ----

-- How rows are grouped: a function of the row, and its name; nil when not at all.
local function grouping(fname, index, group)
  if group == false then return nil end
  if group == nil then
    if index:patients() == 0 then return nil end
    group = "patient"
  end
  if group == "patient" then return indexes.patient_key, "patient" end
  if type(group) == "function" then return group, "group" end
  if type(group) == "string" then
    return function(row) return indexes.field(row, group) end, group
  end
  error(("%s: option group must be a field name, a function or false, got %s"):format(fname, type(group)), 3)
end

-- Groups in order of first appearance: {rows = {...}, counts = {class -> n}}.  A
-- row whose key is nil is a group of its own.
local function groups_of(index, key_of)
  local groups, by_key = {}, {}
  for _, row in ipairs(index) do
    local key = key_of and key_of(row)
    local group = key ~= nil and by_key[key]
    if not group then
      group = { rows = {}, counts = {} }
      groups[#groups + 1] = group
      if key ~= nil then by_key[key] = group end
    end
    group.rows[#group.rows + 1] = row
    group.counts[row.class] = (group.counts[row.class] or 0) + 1
  end
  return groups
end

-- The order in which classes are joined: the one called normal first (as the
-- article has it), then the others as sorted.
local function class_order(classes)
  local order = {}
  for _, class in ipairs(classes) do
    if class:lower() == "normal" then order[#order + 1] = class end
  end
  for _, class in ipairs(classes) do
    if class:lower() ~= "normal" then order[#order + 1] = class end
  end
  return order
end

-- ---- the result ----

local Split = { __name = "luma.Split" }
Split.__index = Split

-- Number of patients with images in more than one part, and of known patients.
local function shared(parts, key_of)
  local home, count, known = {}, 0, 0
  for p, part in ipairs(parts) do
    for _, row in ipairs(part) do
      local key = key_of(row)
      if key ~= nil then
        if home[key] == nil then
          home[key] = p
          known = known + 1
        elseif home[key] ~= p and home[key] ~= 0 then
          home[key] = 0
          count = count + 1
        end
      end
    end
  end
  return count, known
end

-- Builds the split from lists of rows and proves what it promises.
-- names: part names in order; lists: the rows of each; info: fields to keep.
local function make(index, names, lists, key_of, info)
  local result = setmetatable(info, Split)
  result.parts = names
  result.notes = info.notes or {}
  local order, parts = class_order(index.classes), {}
  local seen, total = {}, 0
  for p, name in ipairs(names) do
    local rows = {}
    for _, class in ipairs(order) do
      for _, row in ipairs(lists[p]) do
        if row.class == class then rows[#rows + 1] = row end
      end
    end
    for _, row in ipairs(rows) do
      if seen[row] then error("split: a row is in two parts") end -- our fault, never the caller's
      seen[row] = true
    end
    total = total + #rows
    local part = indexes.new(rows, { name = name, classes = index.classes })
    rawset(part, "fitted", index:encoder())
    result[name], parts[p] = part, part
  end
  if total ~= #index then error("split: a row is in no part") end
  if key_of and shared(parts, key_of) > 0 then error("split: a group is in two parts") end
  result.shared_patients, result.known_patients = shared(parts, indexes.patient_key)
  if result.shared_patients > 0 then
    result.notes[#result.notes + 1] = ("%d patients have images in more than one part: the scores will flatter"):format(
      result.shared_patients)
  end
  result.classes = index.classes
  return result
end

--- A table of images per class and part, patients below, then the notes.
function Split:__tostring()
  local width = 8
  for _, class in ipairs(self.classes) do width = math.max(width, text.len(text.printable(class, 60))) end
  local function padded(label) return "  " .. text.right_pad(text.printable(label, 60), width) end
  local counts, header = {}, padded "class"
  for p, name in ipairs(self.parts) do
    counts[p] = self[name]:counts()
    header = header .. ("  %6s"):format(name)
  end
  local how = self.given and "as given" or self.group and ("by " .. self.group) or "by image"
  if self.fold then how = how .. (", fold %d of %d"):format(self.fold, self.k) end
  if self.seed then how = how .. (", seed %d"):format(self.seed) end
  local lines = { "split " .. how .. ("; patients in two parts: %s"):format(
    self.known_patients > 0 and self.shared_patients or "unknown"), header }
  for _, class in ipairs(self.classes) do
    local line = padded(class)
    for p in ipairs(self.parts) do line = line .. ("  %6d"):format(counts[p][class]) end
    lines[#lines + 1] = line
  end
  local sums, people = padded "all", padded "patients"
  for _, name in ipairs(self.parts) do
    sums = sums .. ("  %6d"):format(#self[name])
    people = people .. ("  %6d"):format((self[name]:patients()))
  end
  lines[#lines + 1] = sums
  if self.known_patients > 0 then lines[#lines + 1] = people end
  for _, note in ipairs(self.notes) do lines[#lines + 1] = "  note: " .. note end
  return table.concat(lines, "\n")
end

-- ---- one split ----

-- The three fractions; the one not given takes the rest.
local function fractions(o)
  local given, sum, absent = {}, 0, {}
  for _, name in ipairs { "train", "test", "val" } do
    local f = o[name]
    if f == nil then
      absent[#absent + 1] = name
    elseif type(f) ~= "number" or not (f >= 0 and f <= 1) then
      error(("stratify: option %s must be a fraction in 0..1, got %s"):format(name, tostring(f)), 3)
    else
      given[name] = f
      sum = sum + f
    end
  end
  if #absent == 3 then error("stratify: give at least one of train, val, test, e.g. { test = 0.2 }", 3) end
  if sum > 1 + 1e-9 or (#absent == 0 and sum < 1 - 1e-9) then
    error(("stratify: train, val and test must add up to 1, got %.12g"):format(sum), 3)
  end
  for i, name in ipairs(absent) do
    given[name] = i == 1 and tonumber(("%.12f"):format(math.max(0, 1 - sum))) or 0
  end
  if given.train <= 0 then error("stratify: nothing is left for train", 3) end
  return given
end

-- How many images of each class test and val should get.  At least one group
-- of every class stays in train: a class of one goes there whole.
local function targets(index, groups, f, notes)
  local counts, owners = index:counts(), {}
  for _, group in ipairs(groups) do
    for class in pairs(group.counts) do owners[class] = (owners[class] or 0) + 1 end
  end
  local want = { test = {}, val = {} }
  for _, class in ipairs(index.classes) do
    local n, free = counts[class], math.max(0, (owners[class] or 0) - 1)
    if n > 0 and free == 0 then
      notes[#notes + 1] = ("class %s has a single %s: all of it is in train"):format(class,
        n == 1 and "image" or "patient")
      want.test[class], want.val[class] = 0, 0
    else
      want.test[class] = math.min(math.ceil(f.test * n), n - 1)
      want.val[class] = math.min(math.ceil(f.val * n), n - 1 - want.test[class])
    end
  end
  return want
end

-- Takes from groups (in order) those that fit the wishes of one part.  left:
-- class -> groups not yet taken, so that train keeps one of each class.
local function take(groups, want, left)
  local got, rows, rest = {}, {}, {}
  local function may(group)
    for class in pairs(group.counts) do
      if left[class] <= 1 then return false end
    end
    return true
  end
  local function accept(group)
    for class, n in pairs(group.counts) do
      got[class] = (got[class] or 0) + n
      left[class] = left[class] - 1
    end
    table.move(group.rows, 1, #group.rows, #rows + 1, rows)
  end
  for _, group in ipairs(groups) do
    local fits = may(group)
    for class, n in pairs(group.counts) do fits = fits and (got[class] or 0) + n <= want[class] end
    if fits then accept(group) else rest[#rest + 1] = group end
  end
  -- Where whole groups leave a gap, one that overshoots less than the gap helps.
  local last = {}
  for _, group in ipairs(rest) do
    local before, after = 0, 0
    for class, n in pairs(group.counts) do
      local gap, size = want[class] - (got[class] or 0), math.max(1, want[class])
      before = before + math.abs(gap) / size
      after = after + math.abs(gap - n) / size
    end
    if after < before and may(group) then accept(group) else last[#last + 1] = group end
  end
  return rows, last
end

--- Splits an index into train, val and test with the classes in proportion.
-- @param opts train, val, test: fractions (the one left out takes the rest);
--   group: "patient" (default where patients are known), another field name, a
--   function of the row, or false; seed or rng (default: luma.seed)
-- @return a split: .train .val .test (indexes that share one encoder),
--   .shared_patients, .known_patients, .group, .notes; print it
function split.stratify(index, opts)
  local optional = options.optional
  local o = options.check("stratify", opts, {
    train = optional, val = optional, test = optional, group = optional, seed = optional, rng = optional,
  })
  local f = fractions(o)
  local key_of, group_name = grouping("stratify", index, o.group)
  local rng, seed = generator("stratify", o)
  local notes = {}
  local groups = groups_of(index, key_of)
  local want = targets(index, groups, f, notes)
  local lists = { {}, {}, {} } -- train, val, test
  if key_of then
    local left = {}
    for _, group in ipairs(groups) do
      for class in pairs(group.counts) do left[class] = (left[class] or 0) + 1 end
    end
    local order = permuted(rng, groups)
    lists[3], order = take(order, want.test, left)
    lists[2], order = take(order, want.val, left)
    for _, group in ipairs(order) do table.move(group.rows, 1, #group.rows, #lists[1] + 1, lists[1]) end
  else
    for _, class in ipairs(class_order(index.classes)) do
      local rows = {}
      for _, row in ipairs(index) do
        if row.class == class then rows[#rows + 1] = row end
      end
      local n_test, n_val = want.test[class], want.val[class]
      for i, row in ipairs(permuted(rng, rows)) do
        local list = i <= n_test and lists[3] or i <= n_test + n_val and lists[2] or lists[1]
        list[#list + 1] = row
      end
    end
  end
  local result = make(index, { "train", "val", "test" }, lists, key_of,
    { group = group_name, seed = seed, notes = notes })
  for _, name in ipairs(result.parts) do
    if f[name] > 0 and #result[name] == 0 then
      notes[#notes + 1] = ("part %s is empty: too few images for a share of %g"):format(name, f[name])
    elseif f[name] > 0 then
      for class, n in pairs(result[name]:counts()) do
        if n == 0 then notes[#notes + 1] = ("part %s has no %s"):format(name, class) end
      end
    end
  end
  table.sort(notes, indexes.by_bytes)
  return result
end

-- ---- folds ----

-- Deals groups onto k folds: large groups first, each to the fold that has the
-- least of its classes (then the fewest images, then the first).
local function deal(rng, groups, k, totals, stratified)
  local order = {}
  for i, g in ipairs(rng:permutation(#groups)) do order[i] = { group = groups[g], at = i } end
  table.sort(order, function(a, b)
    local x, y = #a.group.rows, #b.group.rows
    if x ~= y then return x > y end
    return a.at < b.at
  end)
  local folds = {}
  for i = 1, k do folds[i] = { rows = {}, counts = {} } end
  for _, item in ipairs(order) do
    local group, best, best_cost, best_size = item.group, nil, math.huge, math.huge
    for _, fold in ipairs(folds) do
      local cost = 0
      if stratified then
        for _, class in ipairs(totals.classes) do
          local n = group.counts[class]
          if n then cost = cost + n * (2 * (fold.counts[class] or 0) + n) / totals.counts[class] ^ 2 end
        end
      end
      if cost < best_cost or (cost == best_cost and #fold.rows < best_size) then
        best, best_cost, best_size = fold, cost, #fold.rows
      end
    end
    table.move(group.rows, 1, #group.rows, #best.rows + 1, best.rows)
    for class, n in pairs(group.counts) do best.counts[class] = (best.counts[class] or 0) + n end
  end
  return folds
end

--- Cuts an index into k folds; each image is tested exactly once a repeat.
-- @param opts k (5); group as in stratify; stratify (true) keeps the classes in
--   proportion; repeats (1): whole k-fold rounds, each shuffled anew; seed or rng
-- @return list of k * repeats splits with .train, .test, .fold, .k, .round
function split.kfold(index, opts)
  local optional = options.optional
  local o = options.check("kfold", opts, {
    k = 5, group = optional, stratify = true, repeats = 1, seed = optional, rng = optional,
  })
  local k = options.integer("kfold", "k", o.k, 2)
  local repeats = options.integer("kfold", "repeats", o.repeats, 1)
  local key_of, group_name = grouping("kfold", index, o.group)
  local rng, seed = generator("kfold", o)
  local groups = groups_of(index, key_of)
  if k > #groups then
    error(("kfold: %d folds need as many %s, there are %d"):format(k,
      key_of and group_name .. "s" or "images", #groups), 3)
  end
  local totals = { counts = index:counts(), classes = index.classes }
  local owners = {}
  for _, group in ipairs(groups) do
    for class in pairs(group.counts) do owners[class] = (owners[class] or 0) + 1 end
  end
  local result = { k = k, repeats = repeats, group = group_name, seed = seed }
  for round = 1, repeats do
    local folds = deal(rng, groups, k, totals, o.stratify)
    for i, fold in ipairs(folds) do
      local train, notes = {}, {}
      for j, other in ipairs(folds) do
        if j ~= i then table.move(other.rows, 1, #other.rows, #train + 1, train) end
      end
      for _, class in ipairs(index.classes) do
        if (owners[class] or 0) < k then
          notes[#notes + 1] = ("class %s has %d %s for %d folds: some test parts lack it"):format(class,
            owners[class] or 0, key_of and group_name .. "s" or "images", k)
        end
      end
      result[#result + 1] = make(index, { "train", "test" }, { train, fold.rows }, key_of,
        { group = group_name, seed = seed, fold = i, k = k, round = round, notes = notes })
    end
  end
  return result
end

--- One split a source: that source is the test part, the others train.  The
-- question it asks: does the model know the disease, or the hospital?
-- @param opts by ("source"): the field whose values are left out in turn
function split.leave_one_source_out(index, opts)
  local o = options.check("leave_one_source_out", opts, { by = "source" })
  local values, seen = {}, {}
  for _, row in ipairs(index) do
    local value = indexes.field(row, o.by)
    value = value == nil and "(none)" or tostring(value)
    if not seen[value] then
      seen[value] = true
      values[#values + 1] = value
    end
  end
  if #values < 2 then
    error(("leave_one_source_out: %s has %d value%s, at least 2 are needed"):format(o.by, #values,
      #values == 1 and "" or "s"), 3)
  end
  table.sort(values, indexes.by_bytes)
  local result = { by = o.by }
  for i, value in ipairs(values) do
    local train, test, notes = {}, {}, {}
    for _, row in ipairs(index) do
      local own = indexes.field(row, o.by)
      own = own == nil and "(none)" or tostring(own)
      local list = own == value and test or train
      list[#list + 1] = row
    end
    local one = make(index, { "train", "test" }, { train, test }, nil,
      { group = o.by, left_out = value, fold = i, k = #values, notes = notes })
    for _, name in ipairs(one.parts) do
      for class, n in pairs(one[name]:counts()) do
        if n == 0 then notes[#notes + 1] = ("part %s has no %s (left out: %s)"):format(name, class, value) end
      end
    end
    table.sort(notes, indexes.by_bytes)
    result[i] = one
  end
  return result
end

--- The split that a set comes with: the parts its rows name (the Kaggle folders
-- train, val and test).  Nothing is moved; shared patients are counted.
-- @param opts by ("part"): the field that names train, val or test
-- @return split | nil, message, "data" when a row names no part
function split.given(index, opts)
  local o = options.check("given", opts, { by = "part" })
  local lists = { train = {}, val = {}, test = {} }
  for i, row in ipairs(index) do
    local list = lists[indexes.field(row, o.by) or ""]
    if not list then
      return nil, ("%s: row %d (%s) has %s '%s', not train, val or test"):format(index.name, i,
        require("luma.base.files").show(row.path or row.name or "?"), o.by, tostring(indexes.field(row, o.by))), "data"
    end
    list[#list + 1] = row
  end
  return make(index, { "train", "val", "test" }, { lists.train, lists.val, lists.test }, nil, { given = o.by })
end

--- Nested cross-validation: outer folds, and in each an inner k-fold of its
-- training part for choosing settings without looking at the test part.
-- @param opts outer (5), inner (3), group, seed or rng
-- @return list of splits with .train, .test and .inner (a list of splits)
function split.nested(index, opts)
  local optional = options.optional
  local o = options.check("nested", opts, { outer = 5, inner = 3, group = optional, seed = optional, rng = optional })
  local rng, seed = generator("nested", o)
  local result = split.kfold(index, { k = o.outer, group = o.group, rng = rng })
  for i, outer in ipairs(result) do
    outer.seed = seed
    outer.inner = split.kfold(outer.train, { k = o.inner, group = o.group, rng = rng:fork("inner " .. i) })
  end
  result.seed = seed
  return result
end

--- Patients (or the keys of any function of a row) that stand in more than one
-- of the given indexes, and how many are known.
function split.shared(parts, key_of) return shared(parts, key_of or indexes.patient_key) end

return split
