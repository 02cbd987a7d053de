-- Every row of luma.grad against central differences, through the tape.  Ops
-- that compute in f64 are held to 1e-6, the f32 layers (whose kernels are held
-- to double references in tests/c/nn_test.c) to 5e-3.
local luma = require "luma"
local core = luma.core
local grad = require "luma.grad"

local f64 = "f64"
local function rnd(...) return luma.randn({ ... }, f64) end
local function pos(...) return luma.rand({ ... }, f64) + 0.5 end
local function f32(...) return luma.randn { ... } end
-- Distinct values 0.05 apart: a small step never changes which is largest.
local function apart(...)
  local n = 1
  for _, size in ipairs { ... } do n = n * size end
  return (luma.randperm(n):to "f32" * 0.05 - n * 0.025):reshape { ... }
end
local function ids(list) return luma.tensor(list, "i32") end
local function mask(list) return luma.tensor(list, "u8") end

-- op = { { f, inputs... }, ... }: f(inputs...) must call the op.
local cases = {
  add = { { function(a, b) return a + b end, rnd(3, 2), rnd(2) }, { function(a) return 2 + a end, rnd(3) },
    { function(a) return a + a end, rnd(3) } },
  sub = { { function(a, b) return a - b end, rnd(2), rnd(3, 2) }, { function(a) return 2 - a end, rnd(3) } },
  mul = { { function(a, b) return a * b end, rnd(3, 1, 2), rnd(4, 1) }, { function(a) return a * a end, rnd(1) } },
  div = { { function(a, b) return a / b end, rnd(3, 2), pos(2) }, { function(b) return 2 / b end, pos(3) } },
  pow = { { function(a, b) return a ^ b end, pos(3, 2), rnd(2) }, { function(b) return 2 ^ b end, rnd(3) },
    { function(a) return a ^ 3 end, rnd(3) } },
  maximum = { { core.maximum, rnd(3, 2), rnd(2) } },
  minimum = { { core.minimum, rnd(3, 2), rnd(3, 1) } },
  neg = { { function(a) return -a end, rnd(3) } },
  square = { { core.square, rnd(3) } },
  exp = { { core.exp, rnd(3) } }, expm1 = { { core.expm1, rnd(3) } },
  log = { { core.log, pos(3) } }, log1p = { { core.log1p, pos(3) } },
  sqrt = { { core.sqrt, pos(3) } }, reciprocal = { { core.reciprocal, pos(3) } },
  abs = { { core.abs, rnd(5) } }, sin = { { core.sin, rnd(3) } }, cos = { { core.cos, rnd(3) } },
  clamp = { { function(x) return core.clamp(x, -0.5, 0.5) end, rnd(9) },
    { function(x) return core.clamp(x, nil, 0.2) end, rnd(9) } },
  where = { { function(a, b) return core.where(mask { 1, 0, 1 }, a, b) end, rnd(2, 3), rnd(3) } },
  sum = { { core.sum, rnd(2, 3) }, { function(x) return core.sum(x, -1) end, rnd(2, 3) },
    { function(x) return core.sum(x, { 1, 3 }, true) end, rnd(2, 3, 2) } },
  mean = { { core.mean, rnd(2, 3) }, { function(x) return core.mean(x, 1) end, rnd(7, 3) } },
  max = { { core.max, rnd(7) }, { function(x) return core.max(x, 2) end, rnd(3, 4) } },
  min = { { function(x) return core.min(x, { 1, 2 }) end, rnd(3, 4) } },
  prod = { { core.prod, pos(4) }, { function(x) return core.prod(x, 2) end, rnd(3, 4) },
    { core.prod, luma.tensor({ 2, 0, 3 }, f64) }, { core.prod, luma.tensor({ 2, 0, 0 }, f64) } },
  var = { { core.var, rnd(5) }, { function(x) return core.var(x, 1, { correction = 1 }) end, rnd(5, 2) } },
  std = { { core.std, rnd(5) }, { function(x) return core.std(x, 2, true) end, rnd(2, 5) } },
  norm = { { core.norm, rnd(5) }, { function(x) return core.norm(x, 1) end, rnd(3, 2) } },
  cumsum = { { core.cumsum, rnd(4, 2) }, { function(x) return core.cumsum(x, 2) end, rnd(2, 4) } },
  matmul = { { core.matmul, rnd(3, 4), rnd(4, 2) }, { core.matmul, rnd(2, 3, 4), rnd(4, 2) },
    { core.matmul, rnd(4), rnd(4, 2) }, { core.matmul, rnd(3, 4), rnd(4) }, { core.matmul, rnd(2, 3, 4), rnd(4) },
    { core.matmul, rnd(4), rnd(2, 4, 3) }, { core.matmul, rnd(4), rnd(4) } },
  dot = { { core.dot, rnd(4), rnd(4) } },
  reshape = { { function(x) return core.reshape(x, 3, 2) end, rnd(2, 3) } },
  flatten = { { core.flatten, rnd(2, 3) } },
  squeeze = { { core.squeeze, rnd(2, 1, 3) } }, unsqueeze = { { function(x) return core.unsqueeze(x, 2) end, rnd(3) } },
  contiguous = { { function(x) return core.contiguous(x:t()) end, rnd(2, 3) } },
  clone = { { core.clone, rnd(3) } },
  to = { { function(x) return x:to "f32":to "f64" * 1 end, rnd(3), tolerance = 1e-2 } },
  transpose = { { function(x) return core.transpose(x, 1, 3) end, rnd(2, 3, 4) } },
  t = { { core.t, rnd(2, 3) } },
  permute = { { function(x) return core.permute(x, 3, 1, 2) end, rnd(2, 3, 4) } },
  expand = { { function(x) return core.expand(x, 4, 3, 2) end, rnd(3, 1) } },
  narrow = { { function(x) return core.narrow(x, 2, 2, 2) end, rnd(2, 4) } },
  select = { { function(x) return core.select(x, 1, -1) end, rnd(3, 2) } },
  get = { { function(x) return x[2] end, rnd(3, 2) }, { function(x) return x[{ { 1, 2 }, -1 }] end, rnd(3, 2) } },
  concat = { { function(a, b) return core.concat({ a, b, a }, 2) end, rnd(2, 3), rnd(2, 1) } },
  stack = { { function(a, b) return core.stack({ a, b }, 2) end, rnd(2, 3), rnd(2, 3) } },
  piece = { { function(x) local p = core.split(x, 2, 2); return p[1] * p[2] end, rnd(2, 4) },
    { function(x) return core.chunk(x, 2)[2] end, rnd(5) } },
  flip = { { function(x) return core.flip(x, 2) end, rnd(2, 3) } },
  tile = { { function(x) return core.tile(x, 2, 3) end, rnd(2, 2) } },
  index_select = { { function(x) return core.index_select(x, 2, { 3, 1, 3 }) end, rnd(2, 3) } },
  index_add = { { function(x, s) return core.index_add(x, 1, { 2, 2 }, s) end, rnd(3, 2), rnd(2, 2) } },
  gather = { { function(x) return core.gather(x, 2, ids { { 1, 1 }, { 3, 2 } }) end, rnd(2, 3) } },
  scatter_add = { { function(x, s) return core.scatter_add(x, 2, ids { { 1, 1 }, { 3, 2 } }, s) end, rnd(2, 3),
    rnd(2, 2) } },
  sort = { { core.sort, rnd(2, 5) }, { function(x) return core.sort(x, 1, { descending = true }) end, rnd(4, 2) } },
  topk = { { function(x) return (core.topk(x, 2)) end, rnd(3, 5) } },
  masked_fill = { { function(x) return core.masked_fill(x, mask { 1, 0, 1 }, 9) end, rnd(2, 3) } },
  masked_select = { { function(x) return core.masked_select(x, mask { { 1, 0, 1 }, { 0, 0, 1 } }) end, rnd(2, 3) } },
  column_sum = { { core.column_sum, f32(3, 4, 2) } },
  tanh = { { core.tanh, f32(5) } }, sigmoid = { { core.sigmoid, f32(5) } },
  relu = { { core.relu, apart(17) } },
  leaky_relu = { { core.leaky_relu, apart(17) }, { function(x) return core.leaky_relu(x, 0.3) end, apart(7) } },
  gelu = { { core.gelu, f32(17) }, { function(x) return core.gelu(x, { form = "tanh" }) end, f32(17) } },
  softmax = { { core.softmax, f32(3, 4) }, { function(x) return core.softmax(x, 1) end, f32(3, 4) } },
  log_softmax = { { core.log_softmax, f32(3, 4) }, { function(x) return core.log_softmax(x, 2) end, f32(2, 4, 3) } },
  dropout = { { function(x) luma.seed(11); return core.dropout(x, 0.4, { always = true }) end, f32(50) } },
  linear = { { core.linear, f32(3, 5), f32(5, 2), f32(2) }, { core.linear, f32(3, 5), f32(5, 17), f32(17) },
    { core.linear, f32(1, 1), f32(1, 1) } },
  mod = { { core.mod, luma.tensor { 5.5, -5.5, 3.2 }, luma.tensor { 2, 2, -1.5 } } },
  conv2d_grad_input = {
    { function(x, w) return core.conv2d_grad_input(x, w, { height = 5, width = 4, pad = 1 }) end, f32(2, 5, 4, 3),
      f32(3, 3, 2, 3) },
    { function(x, w) return core.conv2d_grad_input(x, w, { height = 5, width = 5, stride = 2, pad = "same",
      groups = 2 }) end, f32(1, 3, 3, 4), f32(3, 3, 2, 4) } },
  conv2d_grad_weight = {
    { function(x, g) return core.conv2d_grad_weight(x, g, { kernel = { 3, 3 }, pad = 1 }) end, f32(2, 5, 4, 2),
      f32(2, 5, 4, 3) } },
  linear_grad_input = { { core.linear_grad_input, f32(3, 2), f32(5, 2) } },
  linear_grad_weight = { { core.linear_grad_weight, f32(3, 5), f32(3, 2) } },
  conv2d = { { function(x, w, b) return core.conv2d(x, w, b, { pad = 1 }) end, f32(2, 5, 4, 3), f32(3, 3, 3,
    2), f32(2) },
    { function(x, w) return core.conv2d(x, w, { stride = 2, pad = "same", groups = 2 }) end, f32(1, 5, 5, 4),
      f32(3, 3, 2, 4) },
    { function(x, w, b) return core.conv2d(x, w, b, { relu = true }) end, f32(2, 4, 4, 2), f32(1, 1, 2, 3),
      luma.tensor { 9, -9, 9 } } },
  max_pool2d = { { core.max_pool2d, apart(2, 5, 4, 3) },
    { function(x) return core.max_pool2d(x, { kernel = 3, stride = 2, pad = 1 }) end, apart(1, 7, 6, 2) } },
  avg_pool2d = { { core.avg_pool2d, f32(2, 4, 5, 3) },
    { function(x) return core.avg_pool2d(x, { kernel = { 3, 2 }, stride = 1, pad = "same" }) end, f32(1, 4, 3, 2) },
    { function(x) return core.avg_pool2d(x, { kernel = 3, pad = 1, count_pad = true }) end, f32(1, 5, 5, 1) } },
  global_avg_pool2d = { { core.global_avg_pool2d, f32(2, 3, 4, 5) } },
  batch_norm = { { function(x, g, b) return core.batch_norm(x, g, b, luma.zeros(3), luma.ones(3),
    { training = true }) end,
      f32(2, 3, 2, 3), f32(3), f32(3) },
    { function(x, g, b) return core.batch_norm(x, g, b, luma.ones(3), luma.full({ 3 }, 4), { training = false }) end,
      f32(4, 3), f32(3), f32(3) },
    { function(x) return core.batch_norm(x, nil, nil, luma.zeros(2), luma.ones(2), { training = true }) end,
      f32(5, 2) } },
  pad2d = { { function(x) return core.pad2d(x, { 1, 2, 0, 3 }) end, f32(2, 2, 3, 2) } },
  cross_entropy = { { function(x) return core.cross_entropy(x, ids { 1, 3, 2 }) end, f32(3, 4) },
    { function(x) return core.cross_entropy(x, ids { 1, 3, 2 }, { weights = luma.tensor { 1, 0, 2, 3 },
      smoothing = 0.1 }) end,
      f32(3, 4) },
    { function(x) return core.cross_entropy(x, ids { 1, 3, 2 }, { reduction = "none", smoothing = 1 }) end, f32(3, 4) },
    { function(x) return core.cross_entropy(x, ids { 1, 1 }, { reduction = "sum" }) end, f32(2, 1) } },
  categorical_cross_entropy = {
    { function(x) return core.categorical_cross_entropy(x, ids { 1, 3 }) end, luma.rand(2, 3) + 0.1 },
    { function(x) return core.categorical_cross_entropy(x, luma.tensor { { 0.2, 0.8 }, { 1, 0 } },
      { reduction = "sum" }) end,
      luma.rand(2, 2) + 0.1 } },
  binary_cross_entropy = {
    { function(x) return core.binary_cross_entropy(x, luma.tensor { 0, 1, 0.3 }) end, luma.tensor { 0.2, 0.7, 0.9 } },
    { function(x) return core.binary_cross_entropy(x, luma.tensor { 0, 1, 0.3 }, { logits = true }) end, f32(3) } },
  mse = { { core.mse, f32(3, 2), f32(3, 2) } },
}

-- The loss of a case: sum of y * r in double, r fixed.
local function run(f, inputs, weights)
  local y = f(table.unpack(inputs))
  weights.r = weights.r or luma.randn({ y:shape() }, f64)
  return y, (y:to "f64" * weights.r):sum():item()
end

-- Gradients of the case by the tape, as tables of bytes and clones.
local function by_tape(f, inputs, weights)
  for _, x in ipairs(inputs) do x:requires_grad() end
  local grads = {}
  do
    local tape <close> = luma.tape()
    local y = f(table.unpack(inputs))
    tape:backward(y, { gradient = weights.r:to(y:dtype()) })
    for i, x in ipairs(inputs) do grads[i] = x:grad():clone() end
  end
  for _, x in ipairs(inputs) do x:requires_grad(false) end
  return grads
end

local function check(case)
  local f, inputs, weights = case[1], {}, {}
  for i = 2, #case do inputs[i - 1] = case[i]:clone() end
  run(f, inputs, weights)
  local grads = by_tape(f, inputs, weights)
  local double = inputs[1]:dtype() == f64
  local h, tolerance = double and 1e-5 or 1e-2, case.tolerance or (double and 1e-6 or 5e-3)
  for i, x in ipairs(inputs) do
    assert.same({ x:shape() }, { grads[i]:shape() })
    local v = luma.randn({ x:shape() }, f64)
    if not double then v = v:sign() end -- steps no longer than h, so that no kink is crossed
    local was = x:clone()
    local function at(t)
      inputs[i] = (was:to "f64" + v * t):to(x:dtype())
      local _, loss = run(f, inputs, weights)
      inputs[i] = was
      return loss
    end
    local numeric = (at(h) - at(-h)) / (2 * h)
    local analytic = (grads[i]:to "f64" * v):sum():item()
    local scale = math.max(1, math.abs(numeric), grads[i]:to("f64"):abs():sum():item())
    assert.is_true(math.abs(numeric - analytic) <= tolerance * scale,
      ("argument %d: tape %.9g, differences %.9g"):format(i, analytic, numeric))
  end
  local again = by_tape(f, inputs, weights)
  for i in ipairs(inputs) do assert.equal(grads[i]:bytes(), again[i]:bytes()) end
end

describe("gradient of", function()
  before_each(function() luma.seed(5) end)
  local names = {}
  for op in pairs(cases) do names[#names + 1] = op end
  table.sort(names)
  for _, op in ipairs(names) do
    it(op, function()
      for _, case in ipairs(cases[op]) do check(case) end
    end)
  end

  it("every row has a case here, and every method a row or a reason", function()
    for op in pairs(grad.rows) do assert.is_truthy(cases[op], "no case for " .. op) end
    -- Not maps of tensors, or seen by the tape under another name.
    local exempt = { split = true, chunk = true }
    for name in ([[bytes totable item shape size rank count dtype is_contiguous close tostring set allclose equal
      stats requires_grad grad tracked]]):gmatch "%S+" do exempt[name] = true end
    for _, op in ipairs(core.oplist) do
      local in_place = op.name:sub(-1) == "_"
      if op.method and not op.name:find(".", 1, true) and not in_place and not exempt[op.name] then
        assert.is_truthy(grad.rows[op.name] or grad.none[op.name], "no gradient row or reason for " .. op.name)
      end
    end
  end)
end)

describe("gradients", function()
  it("have the same bits on one and on two threads", function()
    luma.seed(9)
    local nn = luma.nn
    local net = nn.Sequential { nn.Conv2d(3, 8, 3, { pad = "same" }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
      nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 17 * 16, 2) }
    local x, y = luma.randn(3, 35, 33, 3), luma.tensor({ 1, 2, 2 }, "i32")
    local threads = luma.threads()
    local function bytes(n)
      luma.threads(n)
      luma.seed(4)
      local tape <close> = luma.tape()
      local loss = luma.cross_entropy(net(x), y)
      tape:backward(loss)
      local out = { loss:bytes() }
      for _, p in ipairs(net:parameters()) do out[#out + 1] = p:grad():bytes() end
      return table.concat(out)
    end
    local one, two = bytes(1), bytes(2)
    luma.threads(threads)
    assert.is_true(one == two)
  end)

  it("of a maximum over a ReLU are those of the two apart", function()
    luma.seed(12)
    local w = luma.randn(3, 3, 2, 5):requires_grad()
    local x = luma.randn(2, 9, 8, 2)
    local function gradient(f)
      local tape <close> = luma.tape()
      tape:backward((f(luma.conv2d(x, w, { pad = 1, relu = true })) * luma.arange(1, 5)):sum())
      return w:grad():bytes()
    end
    local joined = gradient(function(h) return luma.max_pool2d(h) end)
    assert.is_true(joined == gradient(function(h) return luma.max_pool2d(h * 1) end))
    assert.is_true(joined == gradient(function(h) return luma.max_pool2d(luma.relu(h)) end))
    -- and when the ReLU's result has another use
    local both = gradient(function(h) return luma.max_pool2d(h) + h[{ {}, { 1, 4 }, { 1, 4 } }] end)
    assert.is_true(both == gradient(function(h) return luma.max_pool2d(h * 1) + h[{ {}, { 1, 4 }, { 1, 4 } }] end))
  end)

  it("of an empty batch are empty or zero", function()
    local net = luma.nn.Sequential { luma.nn.Conv2d(1, 2, 3), luma.nn.BatchNorm2d(2), luma.nn.ReLU(),
      luma.nn.MaxPool2d(2), luma.nn.Flatten(), luma.nn.Linear(8, 2) }
    local tape <close> = luma.tape()
    tape:backward(luma.cross_entropy(net(luma.zeros(0, 6, 6, 1)), luma.zeros({ 0 }, "i32")))
    for _, p in ipairs(net:parameters()) do assert.equal(0, p:grad():to("f64"):abs():sum():item()) end
  end)
end)
