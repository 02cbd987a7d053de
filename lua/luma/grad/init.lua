--- luma.grad: the gradient rules, one row per op.
--
-- grad.rows[op] is a list of functions, one per argument: the k-th computes the
-- gradient for argument k and is called only when that argument is followed by
-- the tape:
--
--   row[k](dy, y, arg1, arg2, ...) -> gradient for arg k, shaped like it
--
-- dy is the gradient of the loss for the result y.  A row with `all` has one
-- function that returns every gradient at once.  Where the op saved something
-- (LUMA_SAVES) the table of it stands in y's place.
--
-- row.reads names what the functions read: 0 is y, 1.. the arguments.  The tape
-- refuses to go back when one of these was changed in place; without `reads`
-- every tensor counts.  Temporaries are <close>d, so that going back holds no
-- more memory than it needs.
--
-- Reductions, products and changes of shape are in grad/tensor.lua.
--
-- grad.none[op] = reason: ops through which no gradient flows.
-- grad.refused[op] = reason: ops that raise when a tape would follow them.

local core = require "luma.core"

local grad = { rows = {}, none = {} }
local rows, none = grad.rows, grad.none

-- ---- helpers ----

local NOTHING = {}

local function is_tensor(x)
  return type(x) == "userdata"
end

local function same_shape(a, b)
  local n, m = { a:shape() }, { b:shape() }
  if #n ~= #m then return false end
  for d = 1, #n do
    if n[d] ~= m[d] then return false end
  end
  return true
end

local function like(g, x)
  return core.reshape(g, { x:shape() })
end

--- Sums g over the dimensions along which x was broadcast, so that the result
-- has x's shape.
local function sum_to(g, x)
  if same_shape(g, x) then return g end
  local size, want = { g:shape() }, { x:shape() }
  local lead, trailing = #size - #want, true
  for d, n in ipairs(want) do
    if n ~= size[lead + d] then trailing = false end
  end
  if trailing and #want > 0 and g:dtype() == "f32" then -- x is the tail of g: a bias
    local count = 1
    for _, n in ipairs(want) do count = count * n end
    local flat <close> = core.reshape(g, { count > 0 and core.count(g) // count or 0, count })
    local sum <close> = core.column_sum(flat)
    return like(sum, x)
  end
  local dims = {}
  for d = 1, #size do
    if size[d] ~= (d > lead and want[d - lead] or 1) or d <= lead then dims[#dims + 1] = d end
  end
  local sum <close> = core.sum(g, dims, true)
  return like(sum, x)
end

--- g computed by f, then summed to x's shape; the wide one is closed.
local function summed(wide, x)
  if same_shape(wide, x) then return wide end
  local closing <close> = wide
  return sum_to(closing, x)
end

grad.like, grad.sum_to, grad.summed = like, sum_to, summed

-- ---- arithmetic: either operand may be a number, and may be broadcast ----

rows.add = { -- d(a+b) = da + db
  reads = NOTHING,
  function(dy, _, a) return sum_to(dy, a) end,
  function(dy, _, _, b) return sum_to(dy, b) end,
}
rows.sub = { -- d(a-b) = da - db
  reads = NOTHING,
  function(dy, _, a) return sum_to(dy, a) end,
  function(dy, _, _, b) return summed(-dy, b) end,
}
rows.mul = { -- d(ab) = b da + a db
  reads = { 1, 2 },
  function(dy, _, a, b) return summed(dy * b, a) end,
  function(dy, _, a, b) return summed(dy * a, b) end,
}
rows.div = { -- d(a/b) = da/b - a/b^2 db
  reads = { 0, 1, 2 },
  function(dy, _, a, b) return summed(dy / b, a) end,
  function(dy, y, _, b)
    local q <close> = y / b
    local p <close> = dy * q
    return summed(-p, b)
  end,
}
rows.mod = { -- a % b = a - b floor(a/b): da - floor(a/b) db
  reads = { 1, 2 },
  function(dy, _, a) return sum_to(dy, a) end,
  function(dy, _, a, b)
    local q <close> = core.idiv(a, b)
    local p <close> = dy * q
    return summed(-p, b)
  end,
}
rows.pow = { -- d(a^b) = b a^(b-1) da + a^b log(a) db; where a = 0 the second term is 0
  reads = { 0, 1, 2 },
  function(dy, _, a, b)
    if b == 0 then return summed(dy * 0, a) end -- x^0 is 1, at 0 too
    local p <close> = a ^ (b - 1)
    local q <close> = p * b
    if not is_tensor(b) then return summed(dy * q, a) end
    local flat <close> = core.eq(b, 0)
    local slope <close> = core.where(flat, 0, q)
    return summed(dy * slope, a)
  end,
  function(dy, y, a, b)
    if not is_tensor(a) then
      if a <= 0 then return summed(dy * 0, b) end
      local p <close> = y * math.log(a)
      return summed(dy * p, b)
    end
    local positive <close> = core.gt(a, 0)
    local safe <close> = core.where(positive, a, 1)
    local logs <close> = core.log(safe)
    local p <close> = y * logs
    return summed(dy * p, b)
  end,
}

-- The larger (smaller) operand takes dy; equal ones share it.
local function pick(name)
  local wins = name == "maximum" and core.gt or core.lt
  local function share(dy, x, other, shape_of)
    local won <close> = wins(x, other)
    local tied <close> = core.eq(x, other)
    local w <close> = won:to "f32"
    local t <close> = tied:to "f32"
    local half <close> = t * 0.5
    local part <close> = w + half
    return summed(dy * part, shape_of)
  end
  rows[name] = {
    reads = { 1, 2 },
    function(dy, _, a, b) return share(dy, a, b, a) end,
    function(dy, _, a, b) return share(dy, b, a, b) end,
  }
end
pick "maximum"
pick "minimum"

-- ---- elementwise functions of one tensor ----

--- A row for y = f(x) with dx = dy * slope(y, x); what it reads in `reads`.
local function elementwise(name, reads, slope)
  rows[name] = {
    reads = reads,
    function(dy, y, x, ...)
      local s <close> = slope(y, x, ...)
      return dy * s
    end,
  }
end

rows.neg = { reads = NOTHING, function(dy) return -dy end }
rows.square = { reads = { 1 }, function(dy, _, x) -- 2x
  local two <close> = x * 2
  return dy * two
end }
rows.exp = { reads = { 0 }, function(dy, y) return dy * y end }
rows.expm1 = { reads = { 0 }, function(dy, y) -- e^x = y + 1
  local e <close> = y + 1
  return dy * e
end }
rows.log = { reads = { 1 }, function(dy, _, x) return dy / x end }
rows.log1p = { reads = { 1 }, function(dy, _, x)
  local e <close> = x + 1
  return dy / e
end }
rows.sqrt = { reads = { 0 }, function(dy, y) -- 1 / 2 sqrt(x)
  local two <close> = y * 2
  return dy / two
end }
rows.reciprocal = { reads = { 0 }, function(dy, y) -- -y^2
  local q <close> = y * y
  local p <close> = dy * q
  return -p
end }
elementwise("abs", { 1 }, function(_, x) return core.sign(x) end)
elementwise("sin", { 1 }, function(_, x) return core.cos(x) end)
rows.cos = { reads = { 1 }, function(dy, _, x)
  local s <close> = core.sin(x)
  local p <close> = dy * s
  return -p
end }
-- The fused kernels are f32; doubles take the formula.
rows.tanh = { reads = { 0 }, function(dy, y)
  if y:dtype() == "f32" then return core.tanh_grad(dy, y) end
  local q <close> = y * y
  local s <close> = 1 - q
  return dy * s
end }
rows.sigmoid = { reads = { 0 }, function(dy, y)
  if y:dtype() == "f32" then return core.sigmoid_grad(dy, y) end
  local q <close> = 1 - y
  local s <close> = y * q
  return dy * s
end }
elementwise("clamp", { 1 }, function(_, x, low, high) -- 1 inside the bounds, 0 outside
  local inside = core.eq(x, x) -- not NaN
  for i, bound in pairs { low, high } do
    local was <close> = inside
    local ok <close> = i == 1 and core.ge(x, bound) or core.le(x, bound)
    inside = was * ok
  end
  local mask <close> = inside
  return mask:to "f32"
end)
rows.where = { -- dy goes where each came from
  reads = { 1 },
  false,
  function(dy, _, mask, a) return summed(core.where(mask, dy, 0), a) end,
  function(dy, _, mask, _, b) return summed(core.where(mask, 0, dy), b) end,
}

-- ---- activations ----

rows.relu = { reads = { 0 }, function(dy, y) return core.relu_grad(dy, y) end }
rows.leaky_relu = { reads = { 1 }, function(dy, _, x, slope) return core.leaky_relu_grad(dy, x, slope) end }
rows.gelu = { reads = { 1 }, function(dy, _, x, opts) return core.gelu_grad(dy, x, opts) end }
rows.softmax = { reads = { 0 }, function(dy, y, _, dim) return core.softmax_grad(dy, y, dim) end }
rows.log_softmax = { reads = { 0 }, function(dy, y, _, dim) return core.log_softmax_grad(dy, y, dim) end }
rows.dropout = { -- saved: seed and stream of the mask
  reads = NOTHING,
  function(dy, saved, _, p) return core.dropout_grad(dy, p, saved[1], saved[2]) end,
}

-- ---- layers ----

rows.linear = { -- y = x w + b:  dx = dy w', dw = x' dy, db = sum of dy over the batch
  reads = { 1, 2 },
  function(dy, _, _, w) return core.linear_grad_input(dy, w) end,
  function(dy, _, x) return core.linear_grad_weight(x, dy) end,
  function(dy) return core.column_sum(dy) end,
}

--- conv2d(x, w, opts) is conv2d(x, w, nil, opts); with {relu = true} dy is
-- masked by the output first, once for the three gradients.
local function conv_options(b, opts)
  if type(b) == "table" then opts = b end
  local o = {}
  for _, key in ipairs { "stride", "pad", "dilation", "groups" } do o[key] = opts and opts[key] end
  return o, opts and opts.relu
end
rows.conv2d = {
  reads = { 0, 1, 2 },
  before = function(dy, y, _, _, b, opts)
    local _, relu = conv_options(b, opts)
    return relu and core.relu_grad(dy, y) or dy
  end,
  function(dy, _, x, w, b, opts)
    local o = conv_options(b, opts)
    o.height, o.width = x:size(2), x:size(3)
    return core.conv2d_grad_input(dy, w, o)
  end,
  function(dy, _, x, w, b, opts)
    local o = conv_options(b, opts)
    o.kernel = { w:size(1), w:size(2) }
    return core.conv2d_grad_weight(x, dy, o)
  end,
  function(dy) return core.column_sum(dy) end,
}
rows.batch_norm = { -- saved: mean, inverse deviation, frozen; the formulas are in kern/norm.h
  reads = { 1, 2 },
  all = function(dy, saved, x, gamma)
    return core.batch_norm_grad(dy, x, gamma, saved[1], saved[2], saved[3])
  end,
}
rows.pad2d = { -- the middle of dy
  reads = NOTHING,
  function(dy, _, x, pad)
    local top, left = pad, pad
    if type(pad) == "table" then top, left = pad[1], pad[2] end
    local rows_only <close> = core.narrow(dy, 2, top + 1, x:size(2))
    return core.narrow(rows_only, 3, left + 1, x:size(3))
  end,
}
rows.max_pool2d = {
  reads = { 0, 1 },
  function(dy, y, x, opts) return core.max_pool2d_grad(dy, y, x, opts) end,
}
rows.avg_pool2d = {
  reads = NOTHING,
  function(dy, _, x, opts) return core.avg_pool2d_grad(dy, x, opts) end,
}
rows.global_avg_pool2d = {
  reads = NOTHING,
  function(dy, _, x) return core.global_avg_pool2d_grad(dy, x) end,
}

-- The gradients of linear maps are linear maps: conv2d_grad_input is the transposed
-- convolution, and may be trained.
local function without(opts, ...)
  local o = {}
  for key, value in pairs(opts or {}) do o[key] = value end
  for _, key in ipairs { ... } do o[key] = nil end
  return o
end
rows.conv2d_grad_input = { -- y = transposed convolution of x by w
  reads = { 1, 2 },
  function(dy, _, _, w, opts) return core.conv2d(dy, w, without(opts, "height", "width")) end,
  function(dy, _, x, w, opts)
    local o = without(opts, "height", "width")
    o.kernel = { w:size(1), w:size(2) }
    return core.conv2d_grad_weight(dy, x, o)
  end,
}
rows.conv2d_grad_weight = { -- y = gradient of the weight for input x and output's gradient g
  reads = { 1, 2 },
  function(dy, _, x, g, opts)
    local o = without(opts, "kernel")
    o.height, o.width = x:size(2), x:size(3)
    return core.conv2d_grad_input(g, dy, o)
  end,
  function(dy, _, x, _, opts) return core.conv2d(x, dy, without(opts, "kernel")) end,
}
rows.linear_grad_input = { -- y = g w'
  reads = { 1, 2 },
  function(dy, _, _, w) return core.linear(dy, w) end,
  function(dy, _, g) return core.linear_grad_weight(dy, g) end,
}
rows.linear_grad_weight = { -- y = x' g
  reads = { 1, 2 },
  function(dy, _, _, g) return core.linear_grad_input(g, dy) end,
  function(dy, _, x) return core.linear(x, dy) end,
}

-- ---- losses ----

rows.cross_entropy = {
  reads = { 1, 2 },
  function(dy, _, x, labels, opts) return core.cross_entropy_grad(dy, x, labels, opts) end,
}
rows.categorical_cross_entropy = {
  reads = { 1, 2 },
  function(dy, _, p, targets, opts) return core.categorical_cross_entropy_grad(dy, p, targets, opts) end,
}
rows.binary_cross_entropy = {
  reads = { 1, 2 },
  function(dy, _, x, target, opts) return core.binary_cross_entropy_grad(dy, x, target, opts) end,
}
rows.mse = {
  reads = { 1, 2 },
  function(dy, _, x, target) return core.mse_grad(dy, x, target) end,
  function(dy, _, x, target)
    local dx <close> = core.mse_grad(dy, x, target)
    return -dx
  end,
}

require("luma.grad.tensor")(grad)

-- ---- no gradient ----

local function no_gradient(reason, names)
  for name in names:gmatch "%S+" do none[name] = reason end
end
no_gradient("its result is a truth value or a place",
  "eq ne lt le gt ge isnan isfinite logical_not any all argmin argmax argsort nonzero one_hot")
no_gradient("it is constant between its steps", "floor ceil round sign idiv")

-- Gradients of nonlinear ops have derivatives that luma does not compute: followed
-- by a tape they are refused, never taken for constants.
grad.refused = {}
for name in ([[relu_grad leaky_relu_grad gelu_grad sigmoid_grad tanh_grad softmax_grad log_softmax_grad
  max_pool2d_grad avg_pool2d_grad global_avg_pool2d_grad dropout_grad cross_entropy_grad
  categorical_cross_entropy_grad binary_cross_entropy_grad mse_grad batch_norm_grad]]):gmatch "%S+" do
  grad.refused[name] = "second-order gradients are not supported"
end

return grad
