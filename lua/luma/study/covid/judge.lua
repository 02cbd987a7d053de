--- What may be read off validation images and nowhere else: the threshold at
-- which a case is called positive, and the temperature of the probabilities.
--
-- The images are a fold's validation part, or with a grid the inner predictions
-- of its training part (more of them, and none seen by the head that made them).
-- The test part never serves; where it doubles as validation (--faithful) there
-- is no judge.

local luma = require "luma"
local metrics = luma.metrics

local judge = {}

local function both_sides(truth)
  for i = 2, #truth do
    if truth[i] ~= truth[1] then return true end
  end
  return false
end

--- judge.make(truth, p, {classes = number of, sensitivity = nil, from = words, positive = 1}) ->
-- { n, from, rule, threshold, temperature }: class ids and rows of probabilities
-- of images that the head was not trained on.  threshold (two classes) is on the
-- probability of the positive class: Youden's, or the highest that still finds
-- the stated share of it.  nil when the images show one class only.
function judge.make(truth, p, opts)
  if #truth < 2 or not both_sides(truth) then return nil end
  local out = { n = #truth, from = opts.from, temperature = metrics.temperature(truth, p) }
  if opts.classes == 2 then
    out.positive = opts.positive
    local s = {}
    for i, row in ipairs(p) do s[i] = row[opts.positive] end
    out.rule = opts.sensitivity and ("sensitivity of at least %g"):format(opts.sensitivity) or "Youden"
    out.threshold = metrics.choose_threshold(truth, s, { positive = opts.positive,
      rule = opts.sensitivity and "sensitivity" or "youden", sensitivity = opts.sensitivity })
  end
  return out
end

--- Puts a fold's judge on its test predictions: one.tempered (probabilities) and
-- one.decided (class id at the threshold).
function judge.apply(self, predictions)
  if not self then return end
  for _, one in ipairs(predictions) do
    one.tempered = metrics.with_temperature({ one.p }, self.temperature)[1]
    if self.threshold then
      one.decided = one.p[self.positive] >= self.threshold and self.positive or 3 - self.positive
    end
  end
end

return judge
