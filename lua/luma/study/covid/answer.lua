--- The answer of a run in two sentences: what was asked and found, and what that
-- does not show.  Terminal, report and metrics.json have the same words.

local text = require "luma.base.text"

local answer = {}

local function known(v) return v and v.value and v.value == v.value end

-- "0.91 (0.85 to 0.95)"
local function figure(v) return ("%.2f (%.2f to %.2f)"):format(v.value, v.lo, v.hi) end

-- What was found: accuracy, and ranking against chance.
local function found(m)
  local classes = {}
  for i, class in ipairs(m.classes) do classes[i] = text.printable(class, 40) end
  local said = ("Asked to tell %s apart, the classifier is right on %s of %d images that it had not seen"):format(
    table.concat(classes, " and "), figure(m.accuracy), m.n)
  if not known(m.auc) then return said .. "; all of them are of one class, so nothing is known about telling apart." end
  local chance = m.auc.lo > 0.5 and "better than chance" or m.auc.hi < 0.5 and "worse than chance"
    or "not shown to be better than chance"
  return ("%s; its ranking, AUC %s, is %s."):format(said, figure(m.auc), chance)
end

-- What is not shown: the baseline that reaches the model, or that none was asked.
local function not_shown(m)
  if m.generated then return "The images are drawn: nothing follows for patients." end
  if not known(m.auc) or m.auc.lo <= 0.5 then return "It does not show that the images tell the classes apart." end
  local best = m.strongest
  if not best then return "It does not show what the answer rests on: no baseline was run beside it." end
  if best.auc.hi >= m.auc.value and best.sees_lungs then
    return ("It does not show that more is read than coarse features: %s reaches AUC %s."):format(best.title,
      figure(best.auc))
  elseif best.auc.hi >= m.auc.value then
    return ("It does not show that lungs are read: %s reaches AUC %s."):format(best.title, figure(best.auc))
  end
  return ("It does not show that the result holds elsewhere; the strongest baseline, %s, stays below with AUC %s.")
    :format(best.title, figure(best.auc))
end

--- answer.of(m) -> two sentences.
-- @param m metrics.json: classes, accuracy, auc, n, generated, strongest { title, auc, sees_lungs }
function answer.of(m) return found(m) .. " " .. not_shown(m) end

return answer
