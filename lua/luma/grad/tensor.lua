--- Derivatives of reductions, matrix products, and of ops that move elements:
-- rows for luma.grad, in the form described there.

local core = require "luma.core"

return function(grad)

local rows, like, sum_to, summed = grad.rows, grad.like, grad.sum_to, grad.summed
local NOTHING = {}

-- ---- reductions ----

--- The dimensions a reduction went over, as a set, and x's shape with 1 there.
local function reduced(x, dims)
  local rank, over, keep = x:rank(), {}, { x:shape() }
  if dims == nil then
    for d = 1, rank do over[d] = true end
  else
    for _, d in ipairs(type(dims) == "table" and dims or { dims }) do over[d > 0 and d or rank + 1 + d] = true end
  end
  local count = 1
  for d in pairs(over) do
    count = count * keep[d]
    keep[d] = 1
  end
  return keep, count
end

--- g, shaped like a reduction's result, spread over x (a view of stride 0).
local function spread(g, x, dims)
  local flat <close> = core.reshape(g, (reduced(x, dims)))
  return core.expand(flat, { x:shape() })
end

rows.sum = { reads = NOTHING, function(dy, _, x, dims) return spread(dy, x, dims) end }
rows.column_sum = { reads = NOTHING, function(dy, _, x) return core.expand(dy, { x:shape() }) end }
rows.mean = { reads = NOTHING, function(dy, _, x, dims)
  local _, count = reduced(x, dims)
  local part <close> = dy / count
  return spread(part, x, dims)
end }
local function extreme(dy, y, x, dims) -- equal extremes share dy
  local wide <close> = spread(y, x, dims)
  local hit <close> = core.eq(x, wide)
  local mask <close> = hit:to(x:dtype())
  local count <close> = core.sum(mask, dims, true)
  local g <close> = spread(dy, x, dims)
  local part <close> = g / count
  return part * mask
end
rows.max = { reads = { 0, 1 }, extreme }
rows.min = { reads = { 0, 1 }, extreme }
rows.prod = { -- the product of the others: 0 where two or more are 0
  reads = { 1 },
  function(dy, _, x, dims)
    local is_zero <close> = core.eq(x, 0)
    local zero <close> = is_zero:to(x:dtype())
    local safe <close> = core.where(is_zero, 1, x)
    local product <close> = core.prod(safe, dims, true)
    local zeros <close> = core.sum(zero, dims, true)
    local none_zero <close> = core.eq(zeros, 0)
    local one_zero <close> = core.eq(zeros, 1)
    local at_others <close> = product / safe * none_zero -- no zero in the lane
    local at_zero <close> = product * one_zero -- x is the lane's only zero
    local wide <close> = core.expand(at_zero, { x:shape() })
    local slope <close> = core.where(is_zero, wide, at_others)
    local g <close> = spread(dy, x, dims)
    return g * slope
  end,
}
local function correction(opts)
  return type(opts) == "table" and opts.correction or 0
end
rows.var = { -- 2 (x - mean) / (n - correction)
  reads = { 1 },
  function(dy, _, x, dims, opts)
    local _, count = reduced(x, dims)
    local mean <close> = core.mean(x, dims, true)
    local off <close> = x - mean
    local part <close> = dy * (2 / (count - correction(opts)))
    local g <close> = spread(part, x, dims)
    return g * off
  end,
}
rows.std = { -- (x - mean) / ((n - correction) std); 0 where std is 0
  reads = { 0, 1 },
  function(dy, y, x, dims, opts)
    local _, count = reduced(x, dims)
    local mean <close> = core.mean(x, dims, true)
    local off <close> = x - mean
    local flat <close> = core.eq(y, 0)
    local safe <close> = core.where(flat, 1, y)
    local part <close> = dy / safe
    local scaled <close> = part * (1 / (count - correction(opts)))
    local g <close> = spread(scaled, x, dims)
    return g * off
  end,
}
rows.norm = { -- x / norm; 0 where the norm is 0
  reads = { 0, 1 },
  function(dy, y, x, dims)
    local flat <close> = core.eq(y, 0)
    local safe <close> = core.where(flat, 1, y)
    local part <close> = dy / safe
    local g <close> = spread(part, x, dims)
    return g * x
  end,
}
rows.cumsum = { -- the sum of dy from here to the end
  reads = NOTHING,
  function(dy, _, _, dim)
    dim = dim or 1
    local upto <close> = core.cumsum(dy, dim)
    local total <close> = core.sum(dy, dim, true)
    local after <close> = total - upto
    return after + dy
  end,
}

-- ---- products ----

--- Matrices (at least rank 2) as matmul sees its operands.
local function as_row(a) return a:rank() == 1 and core.unsqueeze(a, 1) or core.expand(a, { a:shape() }) end
local function as_column(b) return b:rank() == 1 and core.unsqueeze(b, 2) or core.expand(b, { b:shape() }) end
--- dy with the dimensions that vectors dropped put back.
local function as_product(dy, a, b)
  local shape = { dy:shape() }
  if a:rank() == 1 then table.insert(shape, #shape + (b:rank() == 1 and 1 or 0), 1) end
  if b:rank() == 1 then shape[#shape + 1] = 1 end
  return core.reshape(dy, shape)
end
rows.matmul = { -- da = dy b', db = a' dy
  reads = { 1, 2 },
  function(dy, _, a, b)
    local g <close> = as_product(dy, a, b)
    local m <close> = as_column(b)
    local mt <close> = core.transpose(m, -1, -2)
    return summed(core.matmul(g, mt), a)
  end,
  function(dy, _, a, b)
    local g <close> = as_product(dy, a, b)
    local m <close> = as_row(a)
    local mt <close> = core.transpose(m, -1, -2)
    if b:rank() > 1 then return summed(core.matmul(mt, g), b) end
    local wide <close> = core.matmul(mt, g)
    local flat <close> = core.squeeze(wide, -1)
    return core.clone(sum_to(flat, b))
  end,
}
rows.dot = { reads = { 1, 2 }, function(dy, _, _, b) return dy * b end, function(dy, _, a) return dy * a end }

-- ---- shape ----

local function reshaped(dy, _, x) return like(dy, x) end
for _, name in ipairs { "reshape", "flatten", "squeeze", "unsqueeze" } do
  rows[name] = { reads = NOTHING, reshaped }
end
local function identity(dy) return dy end
for _, name in ipairs { "contiguous", "clone" } do rows[name] = { reads = NOTHING, identity } end
rows.to = { reads = NOTHING, function(dy, _, x) return dy:to(x:dtype()) end }

local function swapped(dy, _, _, a, b) return core.transpose(dy, a, b) end
rows.transpose = { reads = NOTHING, swapped }
rows.t = { reads = NOTHING, function(dy) return core.transpose(dy, 1, 2) end }
rows.permute = { -- the inverse permutation
  reads = NOTHING,
  function(dy, _, x, first, ...)
    local order, inverse = type(first) == "table" and first or { first, ... }, {}
    for k, d in ipairs(order) do inverse[d > 0 and d or x:rank() + 1 + d] = k end
    return core.permute(dy, inverse)
  end,
}
rows.expand = { reads = NOTHING, function(dy, _, x) return sum_to(dy, x) end }

--- Zeros like x with dy in the part that `view` cuts out.
local function placed(view)
  return { reads = NOTHING, function(dy, _, x, ...)
    local dx = core.zeros({ x:shape() }, x:dtype())
    local part <close> = view(dx, ...)
    core.copy_(part, dy)
    return dx
  end }
end
rows.narrow = placed(core.narrow)
rows.select = placed(core.select)
rows.get = placed(core.get)

--- dy cut along dim into pieces as long as the tensors of list are there.
local function cut(dy, list, dim)
  local pieces, start = {}, 1
  for i, x in ipairs(list) do
    local n = x:size(dim)
    pieces[i] = core.narrow(dy, dim, start, n)
    start = start + n
  end
  return pieces
end
rows.concat = { reads = NOTHING, function(dy, _, list, dim) return cut(dy, list, dim or 1) end }
rows.stack = { reads = NOTHING, function(dy, _, list, dim)
  local pieces = {}
  for i in ipairs(list) do pieces[i] = core.select(dy, dim or 1, i) end
  return pieces
end }

--- split and chunk are recorded piece by piece (see tape.lua): dy goes back to
-- where the piece was cut out, from `start` along `dim`.
rows.piece = { reads = NOTHING, function(dy, _, x, dim, start)
  local dx = core.zeros({ x:shape() }, x:dtype())
  local part <close> = core.narrow(dx, dim, start, dy:size(dim))
  core.copy_(part, dy)
  return dx
end }
rows.flip = { reads = NOTHING, function(dy, _, _, dim) return core.flip(dy, dim) end }
rows.tile = { -- the sum over the copies
  reads = NOTHING,
  function(dy, _, x, first, ...)
    local times = type(first) == "table" and first or { first, ... }
    local shape, sizes = {}, { x:shape() }
    local lead, dims = #times - #sizes, {}
    for d, t in ipairs(times) do
      shape[#shape + 1] = t
      dims[#dims + 1] = #shape
      shape[#shape + 1] = sizes[d - lead] or 1
    end
    local wide <close> = core.reshape(dy, shape)
    local sum <close> = core.sum(wide, dims)
    return like(sum, x)
  end,
}

-- ---- by index ----

rows.index_select = { reads = { 3 }, function(dy, _, x, dim, ids)
  local zeros <close> = core.zeros({ x:shape() }, x:dtype())
  return core.index_add(zeros, dim, ids, dy)
end }
rows.index_add = {
  reads = { 3 },
  function(dy) return dy end,
  false,
  false,
  function(dy, _, _, dim, ids) return core.index_select(dy, dim, ids) end,
}
local function scattered(dy, x, dim, places)
  local zeros <close> = core.zeros({ x:shape() }, x:dtype())
  return core.scatter_add(zeros, dim, places, dy)
end
rows.gather = { reads = { 3 }, function(dy, _, x, dim, ids) return scattered(dy, x, dim, ids) end }
rows.scatter_add = {
  reads = { 3 },
  function(dy) return dy end,
  false,
  false,
  function(dy, _, _, dim, ids) return core.gather(dy, dim, ids) end,
}
rows.sort = { reads = { 1 }, function(dy, _, x, dim, opts)
  local places <close> = core.argsort(x, dim or -1, opts)
  return scattered(dy, x, dim or -1, places)
end }
rows.topk = { reads = { 1 }, function(dy, _, x, k, dim, opts)
  local values, places = core.topk(x, k, dim or -1, opts)
  values:close()
  local closing <close> = places
  return scattered(dy, x, dim or -1, closing)
end }
rows.masked_fill = { reads = { 2 }, function(dy, _, _, mask) return core.masked_fill(dy, mask, 0) end }
rows.masked_select = { -- dy back to the places of the mask, in C order
  reads = { 2 },
  function(dy, _, x, mask)
    local wide <close> = core.expand(mask, { x:shape() })
    local flat <close> = core.reshape(wide, core.count(x))
    local found <close> = core.nonzero(flat)
    local places <close> = core.reshape(found, core.count(dy))
    local zeros <close> = core.zeros(core.count(x), x:dtype())
    local sum <close> = core.index_add(zeros, 1, places, dy)
    return like(sum, x)
  end,
}

end
