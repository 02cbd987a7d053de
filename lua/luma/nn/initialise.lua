--- nn.init: initial weights.  Each takes a shape, (inputs, outputs) for a dense
-- layer or (kh, kw, cin, cout) for a convolution, and gives an f32 tensor.
-- fan_in is the number of inputs an output sees, fan_out the reverse.
-- The numbers follow luma.seed.

local core = require "luma.core"

local init = {}

local function fans(shape)
  local rank = #shape
  if rank < 2 then error("initialiser: a shape of rank 2 or more expected, got rank " .. rank, 3) end
  local field = 1
  for d = 1, rank - 2 do field = field * shape[d] end
  return shape[rank - 1] * field, shape[rank] * field
end

local function uniform(shape, limit)
  local x <close> = core.rand(shape)
  local wide <close> = x * (2 * limit)
  return wide - limit
end

local function normal(shape, std)
  local x <close> = core.randn(shape)
  return x * std
end

--- Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010; Keras's default).
function init.glorot_uniform(shape)
  local fan_in, fan_out = fans(shape)
  return uniform(shape, math.sqrt(6 / math.max(1, fan_in + fan_out)))
end

--- Normal with variance 2 / (fan_in + fan_out).
function init.glorot_normal(shape)
  local fan_in, fan_out = fans(shape)
  return normal(shape, math.sqrt(2 / math.max(1, fan_in + fan_out)))
end

--- Uniform in +-sqrt(6 / fan_in) (He et al. 2015), for layers before a ReLU.
function init.he_uniform(shape)
  return uniform(shape, math.sqrt(6 / math.max(1, (fans(shape)))))
end

--- Normal with variance 2 / fan_in.
function init.he_normal(shape)
  return normal(shape, math.sqrt(2 / math.max(1, (fans(shape)))))
end

function init.zeros(shape)
  return core.zeros(shape)
end

function init.ones(shape)
  return core.full(shape, 1)
end

--- The initialiser called `name`, or `name` itself when it is a function.
function init.pick(name)
  if type(name) == "function" then return name end
  local f = init[name]
  if not f or name == "pick" then
    error(("unknown initialiser '%s' (known: glorot_normal, glorot_uniform, he_normal, he_uniform, ones, zeros)")
      :format(tostring(name)), 3)
  end
  return f
end

return init
