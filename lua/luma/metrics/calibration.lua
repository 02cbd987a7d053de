--- Are the probabilities true?  Brier score, log loss, reliability, expected
-- calibration error, and temperature scaling.
--
-- labels are class ids from 1, probabilities rows of k numbers.

local argmax = require("luma.base.lists").argmax
local options = require "luma.base.options"

local calibration = {}

--- brier(labels, probabilities) -> number: the mean squared error of the
-- probabilities.  With two classes that of class 2's (scikit-learn's
-- brier_score_loss), with more the sum over classes (Brier 1950).
function calibration.brier(labels, probabilities)
  local sum = 0.0
  for i, p in ipairs(probabilities) do
    for k = #p == 2 and 2 or 1, #p do sum = sum + (p[k] - (labels[i] == k and 1 or 0)) ^ 2 end
  end
  return sum / #labels
end

--- log_loss(labels, probabilities) -> number: mean of -log of the probability of
-- the truth, clipped to the double's epsilon as scikit-learn clips.
function calibration.log_loss(labels, probabilities)
  local sum, eps = 0.0, 2.220446049250313e-16
  for i, p in ipairs(probabilities) do
    sum = sum - math.log(math.max(eps, math.min(1 - eps, p[labels[i]])))
  end
  return sum / #labels
end

--- reliability(labels, probabilities [, {bins=10}]) -> list of {lo, hi, count,
-- confidence, accuracy}: predictions sorted into bins of equal width by the
-- probability of the predicted class; an empty bin has count 0 and no means.
function calibration.reliability(labels, probabilities, opts)
  local o = options.check("reliability", opts, { bins = 10 })
  local bins = options.integer("reliability", "bins", o.bins, 1, 1000)
  local out = {}
  for b = 1, bins do out[b] = { lo = (b - 1) / bins, hi = b / bins, count = 0, confidence = 0, accuracy = 0 } end
  for i, p in ipairs(probabilities) do
    local said = argmax(p)
    -- Bins are open at the left, closed at the right (Guo et al. 2017).
    local bin = out[math.max(1, math.min(bins, math.ceil(p[said] * bins)))]
    bin.count = bin.count + 1
    bin.confidence = bin.confidence + p[said]
    bin.accuracy = bin.accuracy + (said == labels[i] and 1 or 0)
  end
  for _, bin in ipairs(out) do
    if bin.count > 0 then
      bin.confidence, bin.accuracy = bin.confidence / bin.count, bin.accuracy / bin.count
    else
      bin.confidence, bin.accuracy = nil, nil
    end
  end
  return out
end

--- ece(labels, probabilities [, {bins=10}]) -> number: expected calibration
-- error, the mean distance between confidence and accuracy over the bins.
function calibration.ece(labels, probabilities, opts)
  local sum = 0.0
  for _, bin in ipairs(calibration.reliability(labels, probabilities, opts)) do
    if bin.count > 0 then sum = sum + bin.count * math.abs(bin.accuracy - bin.confidence) end
  end
  return sum / #labels
end

-- Probabilities at temperature t: softmax(log(p) / t).
local function soften(p, t)
  local top, z, sum = -math.huge, {}, 0.0
  for k, v in ipairs(p) do
    z[k] = math.log(math.max(v, 1e-300)) / t
    top = math.max(top, z[k])
  end
  for k = 1, #z do
    z[k] = math.exp(z[k] - top)
    sum = sum + z[k]
  end
  for k = 1, #z do z[k] = z[k] / sum end
  return z
end

--- temperature(labels, probabilities) -> t: the temperature that makes the log
-- loss of these (validation) probabilities least (Guo et al. 2017), between
-- 0.05 and 20; above 1 the model was too sure.
function calibration.temperature(labels, probabilities)
  local function loss(log_t)
    local scaled = {}
    for i, p in ipairs(probabilities) do scaled[i] = soften(p, math.exp(log_t)) end
    return calibration.log_loss(labels, scaled)
  end
  -- The loss is convex in 1/t, so unimodal in log t: golden section.
  local lo, hi, ratio = math.log(0.05), math.log(20), (math.sqrt(5) - 1) / 2
  local a, b = hi - ratio * (hi - lo), lo + ratio * (hi - lo)
  local fa, fb = loss(a), loss(b)
  for _ = 1, 60 do
    if fa <= fb then
      hi, b, fb = b, a, fa
      a = hi - ratio * (hi - lo)
      fa = loss(a)
    else
      lo, a, fa = a, b, fb
      b = lo + ratio * (hi - lo)
      fb = loss(b)
    end
  end
  return math.exp((lo + hi) / 2)
end

--- with_temperature(probabilities, t) -> rows: the probabilities at temperature t.
function calibration.with_temperature(probabilities, t)
  if not (t > 0) then error(("with_temperature: t must be above 0, got %s"):format(tostring(t)), 2) end
  local out = {}
  for i, p in ipairs(probabilities) do out[i] = soften(p, t) end
  return out
end

return calibration
