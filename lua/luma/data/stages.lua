--- luma.data.stages: ordinal classes from the course of a disease.

--- Ordinal classes from the days since the first symptoms: a labeller for
-- index:relabel.  stages(4, 10) makes three classes; rows without a day go.
return function(...)
  local limits = { ... }
  for i, limit in ipairs(limits) do
    if type(limit) ~= "number" or (i > 1 and limit <= limits[i - 1]) then
      error("data.stages: limits must be numbers that increase, e.g. data.stages(4, 10)", 2)
    end
  end
  if #limits == 0 then error("data.stages: give at least one limit in days", 2) end
  return function(row)
    local day = row.offset
    if day == nil then return nil end
    local stage = 1
    while limits[stage] and day >= limits[stage] do stage = stage + 1 end
    local from, to = limits[stage - 1], limits[stage]
    return ("stage %d: %s"):format(stage, not from and ("before day %g"):format(to)
      or not to and ("from day %g"):format(from) or ("day %g to %g"):format(from, to - 1))
  end
end
