--- metrics.Mean: a running mean, weighted by the number of samples.

local Mean = {}
Mean.__index = Mean
Mean.__name = "luma.Mean"

--- Adds `value`, the mean over `weight` samples (1 by default).
function Mean:add(value, weight)
  weight = weight or 1
  self.total, self.weight = self.total + value * weight, self.weight + weight
  return self
end

--- The mean so far; NaN before the first sample.
function Mean:value()
  return self.total / self.weight
end

--- Forgets everything.
function Mean:reset()
  self.total, self.weight = 0.0, 0
end

function Mean:__tostring()
  return ("%.4f"):format(self:value())
end

return { Mean = function() return setmetatable({ total = 0.0, weight = 0 }, Mean) end }
