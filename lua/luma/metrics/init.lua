--- metrics: how good, and how sure.  Assembles luma.metrics from its files.
--
-- Labels are Lua lists or label tensors; any numbers or strings serve as class
-- names, so long as truth and prediction use the same.  Nothing here needs the
-- network: give it what was true and what was said.

local metrics = {}

for _, file in ipairs { "count", "report", "interval", "roc", "mean", "agreement", "calibration", "compare",
  "summary" } do
  for name, value in pairs(require("luma.metrics." .. file)) do metrics[name] = value end
end

return metrics
