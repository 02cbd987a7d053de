--- Who trains, who validates, who is tested: the parts of a run as lists of
-- image numbers, by patient where patients are known.


local plan = {}

local function numbers_of(part, number)
  local out = {}
  for _, row in ipairs(part or {}) do out[#out + 1] = number[row] end
  table.sort(out)
  return out
end

-- nil lets the split group by patient where patients are known, false forbids it.
local function grouping(config)
  if config.group then return nil end
  return false
end

-- A validation part out of a training part, patients kept whole.
local function carve(part, config, seed)
  if config.val <= 0 then return part, {} end
  local inner = part:stratify { train = 1 - config.val, val = config.val, test = 0, group = grouping(config),
    seed = seed }
  return inner.train, inner.val
end

local function fold(k, train, val, test, number, shared)
  return { fold = k, train = numbers_of(train, number), val = numbers_of(val, number),
    test = numbers_of(test, number), shared_patients = shared }
end

--- The folds of a run: a list of { fold, train, val, test, shared_patients }.
-- Without --folds there is one, number 0.  With them fold 0 comes last: all
-- images, for the head that is kept; nothing is tested on it.
-- In the article's mode the test part serves as validation.
-- @return folds, lines to print
function plan.make(index, config)
  local number, folds, lines = {}, {}, {}
  for i, row in ipairs(index) do number[row] = i end
  local group = grouping(config)
  if config.folds == 0 then
    local split = index:stratify { train = 1 - config.test - config.val, val = config.val, test = config.test,
      group = group, seed = config.seed }
    folds[1] = fold(0, split.train, config.faithful and split.test or split.val, split.test, number,
      split.shared_patients)
    lines[1] = tostring(split)
  else
    local splits = index:kfold { k = config.folds, group = group, seed = config.seed }
    for k, split in ipairs(splits) do
      local train, val = carve(split.train, config, config.seed + k)
      folds[k] = fold(k, train, config.faithful and split.test or val, split.test, number, split.shared_patients)
      lines[k] = ("  fold %d: %d train, %d validation, %d test"):format(k, #train, #folds[k].val, #split.test)
    end
    local train, val = carve(index, config, config.seed)
    folds[#folds + 1] = fold(0, train, val, {}, number, 0)
    table.insert(lines, 1, ("%d folds%s"):format(config.folds,
      splits.group and ", each " .. tostring(splits.group) .. " in one fold" or ""))
  end
  for _, f in ipairs(folds) do
    if #f.train == 0 or (f.fold == 0 and config.folds == 0 and #f.test == 0) then
      error(("%d images are too few to split into training and test"):format(#index), 0)
    end
  end
  if config.faithful then
    lines[#lines + 1] = "  the article's split: patients are not kept apart, and the test set serves as validation"
  end
  return folds, lines
end

--- Which images may be trained on: number -> true.
function plan.trained(folds)
  local out = {}
  for _, f in ipairs(folds) do
    for _, i in ipairs(f.train) do out[i] = true end
  end
  return out
end

return plan
