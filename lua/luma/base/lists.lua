--- Small questions about lists of numbers.

local lists = {}

--- The index of the largest entry, the first of equal ones.
function lists.argmax(row)
  local best = 1
  for k = 2, #row do
    if row[k] > row[best] then best = k end
  end
  return best
end

return lists
