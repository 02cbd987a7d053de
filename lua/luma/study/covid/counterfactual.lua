--- Twins of a run: the same pipeline, the same folds, the same settings, trained
-- and tested on images from which something was taken away.  What the run does not
-- gain over them it does not owe to what was taken.  Differences are paired by
-- image, intervals by patient.

local luma = require "luma"
local compare = require "luma.metrics.compare"
local head = require "luma.study.covid.head"
local Features = require "luma.study.covid.features"
local evaluate = require "luma.study.covid.evaluate"
local grid = require "luma.study.covid.grid"
local image, json = luma.image, luma.json

local counterfactual = {}

-- x (n, h, w, c) with the rectangle `margin` pixels inside the edge filled with
-- each image's own mean colour: nothing of its content is left, nor its contrast.
local function blank_inside(x, margin)
  local n, h, w, c = x:shape()
  local mean <close> = x:mean({ 2, 3 }, true)
  local out = x:clone()
  local inner <close> = out:narrow(2, margin + 1, h - 2 * margin)
  local box <close> = inner:narrow(3, margin + 1, w - 2 * margin)
  local fill <close> = mean:expand(n, h - 2 * margin, w - 2 * margin, c)
  box:copy_(fill)
  return out
end

--- What is taken away; sees_lungs: whether the lungs are still there.
counterfactual.list = {
  { name = "blanked", title = "the middle of the image blanked (lungs, heart, spine)",
    apply = function(x) return blank_inside(x, x:size(2) // 7) end }, -- 160 x 160 of 224 x 224
  { name = "border", title = "only a border of 1/14 of the side left",
    apply = function(x) return blank_inside(x, x:size(2) // 14) end },
  { name = "low_pass", title = "the image reduced to 32 x 32 pixels and enlarged again", sees_lungs = true,
    apply = function(x)
      local _, h, w = x:shape()
      local small <close> = image.resize(x, 32, 32, { method = "area" })
      return image.resize(small, h, w)
    end },
}

--- Why a run has no twins, or nil: they need a frozen base and kept features.
function counterfactual.why_not(config)
  if config.unfreeze then return "part of the base is trained: a twin would cost as much as the run" end
  if config.fresh then return "fresh views every epoch: a twin would cost as much as the run" end
end

-- The predictions of one twin for the test images of all folds.
local function predict(job, twin)
  local config = {}
  for key, value in pairs(job.config) do config[key] = value end
  config.views = 0 -- plain images, trained and tested alike
  local features = Features.new(job.network, config, job.network.scale, job.index, {})
  features.transform = twin.apply
  features:compute()
  local by_path = {}
  for _, fold in ipairs(job.folds) do
    if #fold.test > 0 then
      local choice = job.choices[fold.fold]
      local net = head.train { config = grid.over(config, choice and choice.setting), index = job.index,
        features = features, fold = fold.fold, train = fold.train, val = {}, stream = 4096 }
      local x <close> = features:plain(fold.test)
      for k, p in ipairs(head.probabilities(net, x)) do by_path[job.index[fold.test[k]].path] = p end
      for _, parameter in ipairs(net:named_parameters()) do parameter[2]:close() end
    end
  end
  features.x:close()
  return by_path
end

--- Scores the twins on the run's own test images.
-- @param job the run: config, index, folds, features, network, choices
-- @param predictions the model's
-- @return list of { name, title, auc, accuracy, costs }: costs is the model's AUC
--   minus the twin's with its interval (two classes)
function counterfactual.score(job, predictions)
  local classes, out = job.index.classes, json.list {}
  local meter <close> = luma.progress("counterfactuals", #counterfactual.list, { unit = "twins" })
  for _, twin in ipairs(counterfactual.list) do
    local by_path, list = predict(job, twin), {}
    for i, one in ipairs(predictions) do
      local p = by_path[one.path]
      list[i] = { truth = one.truth, p = p, predicted = head.argmax(p), patient = one.patient }
    end
    local numbers = evaluate.numbers(list, classes)
    local row = { name = twin.name, title = twin.title, sees_lungs = twin.sees_lungs or false,
      auc = numbers.auc, accuracy = numbers.accuracy }
    if #classes == 2 then
      local labels, groups, a, b = {}, {}, { scores = {}, predicted = {} }, { scores = {}, predicted = {} }
      for i, one in ipairs(list) do
        labels[i], groups[i] = one.truth, one.patient or false
        a.scores[i], a.predicted[i] = one.p[1], one.predicted
        b.scores[i], b.predicted[i] = predictions[i].p[1], predictions[i].predicted
      end
      row.costs = compare.paired(labels, a, b, { rng = luma.rng(job.config.seed):fork "counterfactual",
        groups = groups, positive = 1 }).auc_difference
    end
    out[#out + 1] = row
    meter:add(1)
  end
  meter:done()
  return out
end

local function known(d) return d and d.value == d.value and d.lo == d.lo end

--- The headline of a run: what blanking the middle of the image costs, and what
-- that does and does not show.  nil without a blanked twin.
function counterfactual.sentence(twins)
  for _, twin in ipairs(twins or {}) do
    if twin.name == "blanked" and known(twin.costs) then
      local d = twin.costs
      local said = ("Blanking the middle of every image, where the lungs are, costs %.3f of AUC (%.3f to %.3f)"):format(
        d.value, d.lo, d.hi)
      if d.hi < 0 then return said .. ": the same pipeline does better without the lungs." end
      if d.lo <= 0 then return said .. ": this result does not show that lungs are read." end
      if d.value < 0.05 then
        return said .. ": a little of the answer comes from there; most of it needs no lung."
      end
      return said .. ": that much of the answer comes from there."
    end
  end
end

--- The baseline that comes closest to the model, or passes it: among the twins and
-- all shortcuts; sees_lungs says whether it saw them.
-- @return { title, auc, sees_lungs }, or nil
function counterfactual.strongest(twins, shortcuts)
  local best
  local function offer(row)
    local v = row.auc and row.auc.value
    if v and v == v and (not best or v > best.auc.value) then
      best = { title = row.title, auc = row.auc, sees_lungs = row.sees_lungs }
    end
  end
  for _, twin in ipairs(twins or {}) do
    offer { title = "the same pipeline with " .. twin.title, auc = twin.auc, sees_lungs = twin.sees_lungs }
  end
  for _, s in ipairs(shortcuts or {}) do offer(s) end
  return best
end

--- "Strongest baseline: ..., AUC 0.95 (0.91 to 0.98)", with what it means beside the model's.
function counterfactual.beside(best, auc)
  if not best or not (auc.value == auc.value) then return nil end
  local how = best.auc.value >= auc.value and "not below the model's" or best.auc.hi >= auc.value
    and "its interval reaches the model's" or "the model is above its interval"
  return ("Strongest baseline: %s, AUC %.3f (%.3f to %.3f); the model's is %.3f: %s."):format(best.title,
    best.auc.value, best.auc.lo, best.auc.hi, auc.value, how)
end

return counterfactual
