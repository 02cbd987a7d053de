--- luma.optim: SGD, Adam, AdamW; schedules; gradient clipping.
--
--   local opt = optim.Adam(net:parameters(), { lr = 1e-3 })
--   tape:backward(loss); opt:step()
--
-- Parameters may come in groups with settings of their own:
--   optim.SGD({ { params = head:parameters(), lr = 1e-2 },
--               { params = base:parameters() } }, { lr = 1e-4, momentum = 0.9 })
-- Options and defaults:
--   SGD   lr=0.01  momentum=0  nesterov=false  weight_decay=0 (added to the gradient)
--   Adam  lr=1e-3  beta1=0.9  beta2=0.999  eps=1e-7  weight_decay=0 (added to the gradient)
--         Keras's form: w -= lr sqrt(1-beta2^t)/(1-beta1^t) m / (sqrt(v) + eps)
--   AdamW the same with weight_decay=0.01 applied to the weight (Loshchilov and Hutter 2019)

local core = require "luma.core"
local options = require "luma.base.options"
local hook, step, system = core.hook, core.step, core.system

local optim = {}

local Optimiser = {}
Optimiser.__index = Optimiser

--- Checks one number of an option table: finite and within lo..hi.
local function check_number(fname, key, v, lo, hi)
  if type(v) ~= "number" or v ~= v or v < lo or v > hi or v == math.huge then
    error(("%s: option %s must be a finite number in %g..%g, got %s"):format(fname, key, lo, hi, tostring(v)), 4)
  end
end

local RANGE = { lr = { 0, 1e30 }, momentum = { 0, 1 }, weight_decay = { 0, 1e30 }, beta1 = { 0, 1 - 1e-12 },
  beta2 = { 0, 1 - 1e-12 }, eps = { 0, 1 } }

local function check_settings(fname, settings)
  for key, range in pairs(RANGE) do
    if settings[key] ~= nil then check_number(fname, key, settings[key], range[1], range[2]) end
  end
end

--- Accepts { tensor, ... } or { { params = {...}, lr = ... }, ... }.
local function make_groups(fname, params, defaults)
  if type(params) ~= "table" then error(fname .. ": a list of parameters expected, got " .. type(params), 3) end
  local given = params
  if #params == 0 or type(params[1]) ~= "table" then given = { { params = params } } end
  local groups, seen, count = {}, {}, 0
  for i, g in ipairs(given) do
    local known = { params = options.optional, name = options.optional }
    for key, value in pairs(defaults) do known[key] = value end
    local group = options.check(("%s group %d"):format(fname, i), g, known, 4)
    check_settings(fname, group)
    if type(group.params) ~= "table" then error(("%s: group %d has no params"):format(fname, i), 3) end
    for k, p in ipairs(group.params) do
      if not hook.is_tensor(p) then
        error(("%s: parameter %d is no tensor but %s"):format(fname, k, type(p)), 3)
      end
      if seen[p] then error(("%s: parameter %d is in two groups"):format(fname, k), 3) end
      seen[p] = true
      count = count + 1
    end
    groups[i] = group
  end
  if count == 0 then error(fname .. ": no parameters to train (is everything frozen?)", 3) end
  return groups
end

local function new(class, fname, params, opts, defaults)
  local settings = options.check(fname, opts, defaults, 4)
  check_settings(fname, settings)
  local groups = make_groups(fname, params, settings)
  return setmetatable({ type = fname, groups = groups, steps = 0, slots = {} }, class)
end

--- Iterates group, parameter, and the parameter's running number.
function Optimiser:each()
  return coroutine.wrap(function()
    local n = 0
    for _, group in ipairs(self.groups) do
      for _, p in ipairs(group.params) do
        n = n + 1
        coroutine.yield(group, p, n)
      end
    end
  end)
end

--- The state tensor `key` of parameter n, zeros when first asked for.
function Optimiser:slot(n, key, p)
  local slots = self.slots[n]
  if not slots then
    slots = {}
    self.slots[n] = slots
  end
  if not slots[key] then slots[key] = core.zeros(p:shape()) end
  return slots[key]
end

--- Applies the gradients left by tape:backward to every parameter.  Parameters
-- without a gradient stay as they are.  The step is whole: an interrupt waits.
function Optimiser:step()
  local updates = {}
  for group, p, n in self:each() do
    local g = hook.grad(p)
    if g then updates[#updates + 1] = { group, p, g, n } end
  end
  if #updates == 0 then error(self.type .. ":step: no parameter has a gradient; call tape:backward(loss) first", 2) end
  system.interrupt_hold(true)
  local ok, err = pcall(function()
    self.steps = self.steps + 1
    for _, u in ipairs(updates) do self:update(u[1], u[2], u[3], u[4]) end
  end)
  system.interrupt_hold(false)
  if not ok then error(err, 0) end
end

--- The learning rate of the first group; sets that of every group, keeping
-- their ratios, when lr is given.
function Optimiser:lr(lr)
  local now = self.groups[1].lr
  if lr then
    check_number(self.type, "lr", lr, 0, 1e30)
    for _, group in ipairs(self.groups) do
      group.base_lr = group.base_lr or group.lr
      group.lr = self.groups[1].base_lr == 0 and lr or lr * (group.base_lr / self.groups[1].base_lr)
    end
  end
  return now
end

--- Everything a checkpoint needs: { steps, groups = { {lr=...} }, tensors }
-- where tensors maps "3.m" to the tensor itself.
function Optimiser:state()
  local state = { type = self.type, steps = self.steps, groups = {}, tensors = {} }
  for i, group in ipairs(self.groups) do
    state.groups[i] = {}
    for key, value in pairs(group) do
      if key ~= "params" then state.groups[i][key] = value end
    end
  end
  for n, slots in pairs(self.slots) do
    for key, tensor in pairs(slots) do state.tensors[n .. "." .. key] = tensor end
  end
  return state
end

--- Takes up such a state again.  Everything is checked before anything changes.
-- @return true | nil, message, "mismatch"
function Optimiser:load_state(state)
  local function mismatch(...) return nil, self.type .. ": " .. string.format(...), "mismatch" end
  if type(state) ~= "table" or state.type ~= self.type then
    return mismatch("the state is of %s", tostring(type(state) == "table" and state.type))
  end
  if #state.groups ~= #self.groups then
    return mismatch("the state has %d groups, this optimiser %d", #state.groups, #self.groups)
  end
  local params = {}
  for _, p, n in self:each() do params[n] = p end
  local found, names = {}, {}
  for name in pairs(state.tensors) do
    names[#names + 1] = name
    if not params[tonumber(name:match "^(%d+)%.%w+$")] then
      return mismatch("the state names parameter '%s', which is not here", name)
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local tensor = state.tensors[name]
    local n, key = name:match "^(%d+)%.(%w+)$"
    local p = params[tonumber(n)]
    local _, _, want = hook.info(p)
    local _, _, got = hook.info(tensor)
    if want ~= got then return mismatch("%s is %s, the parameter %s", name, got, want) end
    found[#found + 1] = { tonumber(n), key, tensor, p }
  end
  for i, group in ipairs(self.groups) do
    for key, value in pairs(state.groups[i]) do group[key] = value end
  end
  self.steps, self.slots = math.tointeger(state.steps), {}
  for _, f in ipairs(found) do core.copy_(self:slot(f[1], f[2], f[4]), f[3]) end
  return true
end

function Optimiser.__tostring(self)
  local n = 0
  for _ in self:each() do n = n + 1 end
  return ("%s(%d parameters in %d group%s, lr %g, %d steps)"):format(self.type, n, #self.groups,
    #self.groups == 1 and "" or "s", self.groups[1].lr, self.steps)
end

local function define()
  local class = setmetatable({}, { __index = Optimiser })
  class.__index, class.__tostring = class, Optimiser.__tostring
  return class
end

-- ---- SGD ----

local SGD = define()

--- Stochastic gradient descent; options at the top of this file.
function optim.SGD(params, opts)
  return new(SGD, "SGD", params, opts, { lr = 0.01, momentum = 0.0, nesterov = false, weight_decay = 0.0 })
end

function SGD:update(group, p, g, n)
  local v = group.momentum ~= 0 and self:slot(n, "v", p) or nil
  step.sgd_(p, g, v, { lr = group.lr, momentum = group.momentum, decay = group.weight_decay,
    nesterov = group.nesterov })
end

-- ---- Adam, AdamW ----

local Adam = define()

local function adam(fname, params, opts, decay)
  return new(Adam, fname, params, opts, { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-7, weight_decay = decay })
end

--- Adam as Keras has it (article row M6); options at the top of this file.
function optim.Adam(params, opts)
  return adam("Adam", params, opts, 0.0)
end

--- Adam with decoupled weight decay.
function optim.AdamW(params, opts)
  return adam("AdamW", params, opts, 0.01)
end

function Adam:update(group, p, g, n)
  local t = self.steps
  local rate = group.lr * math.sqrt(1 - group.beta2 ^ t) / (1 - group.beta1 ^ t)
  local decay = group.weight_decay
  local coupled = self.type == "Adam" and decay or 0
  step.adam_(p, g, self:slot(n, "m", p), self:slot(n, "v", p), { rate = rate, beta1 = group.beta1,
    beta2 = group.beta2, eps = group.eps, decay = coupled, shrink = self.type == "AdamW" and group.lr * decay or 0 })
end

optim.schedule = require "luma.optim.schedule"

return optim
