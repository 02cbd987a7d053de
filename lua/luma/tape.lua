--- luma.tape(): records what happens to trainable tensors, and goes back.
--
--   local tape <close> = luma.tape()
--   local loss = luma.cross_entropy(net(x), y)
--   tape:backward(loss)                  -- p:grad() of every trainable leaf
--
-- The newest open tape records; closing it makes the previously opened tape
-- current again.  A tape belongs to the coroutine that opened it: while that
-- coroutine is suspended or dead, the tape records nothing.  An op is recorded
-- when an argument is trainable or came from such a tensor inside this tape, and
-- nothing else is: a frozen base costs nothing.
--
-- backward walks the list from its end (list order is a topological order),
-- asks luma.grad for each step's gradients, and closes every recorded result
-- as soon as it is done with it, so memory falls as it goes and no collector
-- is needed.  What stays until the tape is closed: the loss, what the
-- outermost net(x) returned, and, for good, what tape:keep(x) names.

local core = require "luma.core"
local options = require "luma.base.options"
local grad = require "luma.grad"
local hook = core.hook

local tape = {} -- what require "luma.tape" returns; tape.place is set by luma.nn
local Tape = {}
Tape.__index = Tape
Tape.__name = "luma.Tape"

-- newest[1]: the newest open tape; current[1]: the one that records.  Weak: an
-- abandoned tape is collected, and closed by that.
local newest, current = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "v" })
local paused = 0
local serials = 0

local is_tensor = hook.is_tensor

--- Calls f(tensor, k, i) for each tensor argument; i is its place inside a
-- table argument (concat {a, b}), nil otherwise.
local function each_tensor(args, f)
  for k = 1, args.n do
    local a = args[k]
    if type(a) == "table" then
      for i, t in ipairs(a) do
        if is_tensor(t) then f(t, k, i) end
      end
    elseif is_tensor(a) then
      f(a, k)
    end
  end
end

local FLOAT = { f32 = true, f64 = true }

local record

-- Whether the coroutine that opened a tape runs, or waits for one that it resumed.
local function is_active(self)
  local status = coroutine.status(self.owner)
  return status == "running" or status == "normal"
end

-- Finds the tape that records now.  The dispatcher calls it when the running
-- coroutine has changed.
local function choose_current()
  local t = newest[1]
  while t and (t.closed or not is_active(t)) do t = t.outer end
  current[1] = t
  hook.tape_serial(t and not t.loss and paused == 0 and t.serial or 0)
end
hook.retarget(choose_current)

--- Whether a step ends in a ReLU, so that its result is nowhere below 0.
local function is_relu(step)
  local args = step.args
  if step.op == "relu" then return true end
  local opts = step.op == "conv2d" and (type(args[4]) == "table" and args[4] or args[3])
  return type(opts) == "table" and opts.relu == true
end

--- split and chunk give a list of views: each is a step of its own.
local function record_pieces(list, x, _, dim)
  dim = dim or 1
  local start = 1
  for _, piece in ipairs(list) do
    if not is_tensor(piece) then return end
    record("piece", piece, nil, x, dim, start)
    start = start + piece:size(dim)
  end
end

--- Called by the dispatcher for every op that has a followed argument.
function record(op, out, saved, ...)
  if type(out) == "table" then return record_pieces(out, ...) end
  local listener = current[1]
  local args = table.pack(...)
  if op == "neg" then args.n = 1 end -- Lua hands __unm its operand twice
  local followed, same = 0, false
  each_tensor(args, function(t)
    if hook.tracked(t) then followed = followed + 1 end
    if t == out then same = true end
  end)
  if same then -- x:add_(y), or an op that had nothing to do and returned its argument
    if (op:sub(-1) == "_" or op == "set") and (followed > 1 or not hook.tracked(args[1])) then
      error(("%s: gradients do not flow through a change in place; inside a tape use %s"):format(op,
        op == "set" and "concat, stack, where or masked_fill" or "the op without '_'"), 0)
    end
    return
  end
  if grad.refused[op] then error(("%s: %s"):format(op, grad.refused[op]), 0) end
  if grad.none[op] or not FLOAT[hook.info(out)] then
    if FLOAT[hook.info(out)] then listener.blocked = listener.blocked or op end
    return
  end
  local step = { op = op, args = args, out = out, saved = saved, place = tape.place and tape.place(),
    version = hook.version(out), versions = {} }
  each_tensor(args, function(t) step.versions[t] = hook.version(t) end)
  local steps = listener.steps
  local last = steps[#steps]
  if op == "max_pool2d" and last and last.out == args[1] and is_relu(last) then step.over_relu = last end
  steps[#steps + 1] = step
  hook.tape_of(out, listener.serial)
end
hook.recorder(record)

--- Opens a tape, which records until it is closed or has gone back.
local function new()
  serials = serials + 1
  local self = setmetatable({ serial = serials, steps = {}, kept = {}, results = {}, outer = newest[1],
    owner = coroutine.running() }, Tape)
  newest[1] = self
  choose_current()
  return self
end

--- Keeps x out of the tape's hands: it is closed neither by backward nor with
-- the tape.
function Tape:keep(x)
  self.kept[x] = true
  return x
end

--- The same until the tape closes; nn uses it for what net(x) returns.
function Tape:keep_result(x)
  self.results[#self.results + 1] = x
  self.results[x] = true
  return x
end

local function close_unless_kept(self, x)
  if not self.kept[x] then x:close() end
end

--- Closes what a step recorded: its result and what the op saved.
local function close_step(self, step)
  for _, v in ipairs(step.saved or {}) do
    if is_tensor(v) then v:close() end
  end
  if step.out ~= self.loss and not self.results[step.out] then close_unless_kept(self, step.out) end
end

local function stop_listening(self)
  if hook.tape_serial() == self.serial then hook.tape_serial(0) end
end

--- Frees everything recorded and makes the previously opened tape current again.
function Tape:close()
  if self.closed then return end
  self.closed = true
  for i = #self.steps, 1, -1 do close_step(self, self.steps[i]) end
  for _, x in ipairs(self.results) do close_unless_kept(self, x) end
  if self.loss then close_unless_kept(self, self.loss) end
  for _, g in ipairs(self.pending or {}) do g:close() end -- an error came in the middle of backward
  self.steps, self.results, self.loss, self.pending = {}, {}, nil, nil
  if newest[1] == self or newest[1] == nil then
    local outer = self.outer
    while outer and outer.closed do outer = outer.outer end
    newest[1] = outer
  end
  choose_current()
end
Tape.__close = Tape.close
Tape.__gc = Tape.close

-- ---- going back ----

--- The gradients on their way: one tensor may stand for several (add hands dy
-- to both operands), so each is counted and closed with its last holder.
local Flow = {}
Flow.__index = Flow

function Flow:hold(g)
  self.holders[g] = (self.holders[g] or 0) + 1
end

function Flow:release(g)
  local n = self.holders[g] - 1
  if n > 0 then
    self.holders[g] = n
  else
    self.holders[g] = nil
    if not self.given[g] then g:close() end
  end
end

--- Adds g to what has arrived for x so far, in x's own type.
function Flow:add(x, g)
  local dtype = hook.info(x)
  if hook.info(g) ~= dtype then
    local converted = core.to(g, dtype)
    if not self.holders[g] and not self.given[g] then g:close() end
    g = converted
  end
  local sum = self.of[x]
  self.masked[x] = nil
  if sum == nil then
    self:hold(g)
    self.of[x] = g
  elseif self.holders[sum] == 1 and sum ~= g and not self.given[sum] and not hook.shared(sum) then
    core.add_(sum, g)
    if not self.holders[g] and not self.given[g] then g:close() end
  else
    local total = core.add(sum, g)
    self:release(sum)
    if not self.holders[g] and not self.given[g] then g:close() end
    self:hold(total)
    self.of[x] = total
  end
end

local function check_version(step, number, x, version, what)
  if hook.closed(x) then
    error(("tensor %s by '%s' (step %d) was closed before backward"):format(what, step.op, number), 0)
  end
  if hook.version(x) ~= version then
    error(("tensor %s by '%s' (step %d) was changed in place"):format(what, step.op, number), 0)
  end
end

local function check_unchanged(step, number, row)
  local reads
  if row.reads then
    reads = {}
    for _, k in ipairs(row.reads) do reads[k] = true end
  end
  check_version(step, number, step.out, step.version, "made")
  each_tensor(step.args, function(t, k)
    if not reads or reads[k] then check_version(step, number, t, step.versions[t], "saved") end
  end)
end

--- One step back: dy is known, the arguments' gradients are asked for.
local function step_back(flow, step, number, dy)
  local row = step.back and { reads = {}, all = function(dy_, _, ...) return step.back(dy_, ...) end }
    or grad.rows[step.op]
  if not row then
    error(("backward: no gradient for '%s' (step %d); add a row to luma.grad"):format(step.op, number), 0)
  end
  check_unchanged(step, number, row)
  local args = step.args
  local y = step.saved or step.out
  if step.over_relu then
    -- The maximum of what a ReLU gave is 0 only where the ReLU blocks: with dy
    -- masked here, on the small side, the ReLU's own gradient has nothing to do.
    local small <close> = core.relu_grad(dy, step.out)
    local x, before = args[1], flow.of[args[1]]
    flow:add(x, core.max_pool2d_grad(small, step.out, x, args[2]))
    if before == nil then flow.masked[x] = true end
    return
  end
  local masked = row.before and not flow.masked[step.out] and row.before(dy, y, table.unpack(args, 1, args.n)) or dy
  if step.op == "relu" and flow.masked[step.out] then
    flow:add(args[1], dy)
    return
  end
  local all = row.all and table.pack(row.all(masked, y, table.unpack(args, 1, args.n)))
  for k = 1, args.n do
    local a = args[k]
    local g
    if type(a) == "table" and not all then
      local wanted = false
      for _, t in ipairs(a) do wanted = wanted or (is_tensor(t) and flow.follows(t)) end
      if wanted and row[k] then
        g = row[k](masked, y, table.unpack(args, 1, args.n))
        for i, t in ipairs(a) do
          if flow.follows(t) then flow:add(t, g[i]) else g[i]:close() end
        end
      end
    elseif is_tensor(a) then
      if all then
        g = all[k]
        if g and flow.follows(a) then flow:add(a, g) end
      elseif flow.follows(a) then
        if not row[k] then
          error(("backward: '%s' (step %d) has no gradient for argument %d"):format(step.op, number, k), 0)
        end
        flow:add(a, row[k](masked, y, table.unpack(args, 1, args.n)))
      end
    end
  end
  for k = 1, all and all.n or 0 do -- what nobody asked for
    if is_tensor(all[k]) and not flow.holders[all[k]] then all[k]:close() end
  end
  if masked ~= dy and not flow.holders[masked] then masked:close() end
end

--- Checks what backward and gradients were given.
local function check_backward(self, fname, loss, opts)
  if self.closed then error(fname .. ": the tape is closed", 3) end
  if self.loss then error(fname .. ": this tape has gone back already; its activations are gone", 3) end
  if not is_tensor(loss) then error(fname .. ": luma.Tensor expected, got " .. type(loss), 3) end
  if hook.tape_of(loss) ~= self.serial then
    local why = self.blocked and (": no gradient flows through '%s' (%s)"):format(self.blocked,
      grad.none[self.blocked]) or ""
    error(fname .. ": the loss does not depend on anything trainable inside this tape" .. why, 3)
  end
  local _, _, shape = hook.info(loss)
  if not opts.gradient and core.count(loss) ~= 1 then
    error(("%s: a loss with one element expected, got shape %s (reduce it with mean, or pass {gradient = dy})")
      :format(fname, shape), 3)
  end
  if opts.gradient then
    local _, _, got = hook.info(opts.gradient)
    if got ~= shape then error(("%s: gradient of shape %s expected, got %s"):format(fname, shape, got), 3) end
  end
end

--- Walks from loss to the leaves; what arrived at the leaves (and at the tensors
-- in `wanted`) is left in the flow that is returned.
local function go_back(self, loss, seed, wanted)
  self.loss = loss
  stop_listening(self)

  local serial = self.serial
  local flow = setmetatable({ of = {}, holders = {}, given = {}, masked = {} }, Flow)
  function flow.follows(x)
    return is_tensor(x) and (hook.trainable(x) or hook.tape_of(x) == serial)
  end
  if seed and hook.info(seed) == hook.info(loss) then
    flow.given[seed] = true -- the caller's: never closed or changed here
  elseif seed then
    seed = core.to(seed, (hook.info(loss)))
  else
    local lead = { loss:shape() }
    seed = core.full(lead, 1, (hook.info(loss)))
  end
  flow:hold(seed)
  flow.of[loss] = seed

  local steps = self.steps
  for i = #steps, 1, -1 do
    local step = steps[i]
    local dy = flow.of[step.out]
    if dy then
      local ok, err = pcall(step_back, flow, step, i, dy)
      if not ok then
        self.pending = {}
        for g in pairs(flow.holders) do
          if not flow.given[g] then self.pending[#self.pending + 1] = g end
        end
        -- The user's line, not the tape's own or the rule's.
        if type(err) ~= "string" then error(err, 0) end
        error((err:gsub("^[^\n:]*%.lua:%d+: ", "")), 3)
      end
      if not hook.trainable(step.out) and not wanted[step.out] then
        flow.of[step.out] = nil
        flow:release(dy)
      end
    end
    steps[i] = nil
    close_step(self, step)
  end
  self.pending = nil
  return flow
end

--- Takes x's gradient out of the flow.  One tensor may have arrived for two
-- leaves (x + y): each gets its own.
function Flow:take(x)
  local g = self.of[x]
  self.of[x] = nil
  if g == nil then return nil end
  if self.holders[g] > 1 or self.given[g] or hook.shared(g) then
    local own = core.clone(g)
    self:release(g)
    return own
  end
  self.holders[g] = nil
  return g
end

--- Computes the gradient of `loss` for every trainable tensor it depends on.
-- Gradients replace those of the last backward; with {accumulate = true} they
-- are added to them (for batches that do not fit into memory at once).
-- @param loss a tensor with one element, or any with {gradient = dy}
-- @param opts {accumulate = false, gradient = nil}
function Tape:backward(loss, opts)
  opts = options.check("backward", opts, { accumulate = false, gradient = options.optional })
  check_backward(self, "backward", loss, opts)
  local flow = go_back(self, loss, opts.gradient, {})
  for x in pairs(flow.of) do
    local old = hook.grad(x)
    local g = flow:take(x)
    if old and opts.accumulate then
      core.add_(old, g)
      g:close()
    else
      hook.grad(x, g)
      if old then old:close() end
    end
  end
end

--- The gradients of `loss` for the tensors in the list `wanted` (leaves, or
-- anything computed inside this tape), without touching any x:grad().
-- @param opts {gradient = nil}
-- @return a list; false where the loss does not depend on that tensor
function Tape:gradients(loss, wanted, opts)
  opts = options.check("gradients", opts, { gradient = options.optional })
  check_backward(self, "gradients", loss, opts)
  local set = {}
  for _, x in ipairs(wanted) do set[x] = true end
  local flow = go_back(self, loss, opts.gradient, set)
  local list = {}
  for i, x in ipairs(wanted) do list[i] = flow:take(x) or false end
  for x in pairs(flow.of) do flow:take(x):close() end
  return list
end

--- Adds a step of the caller's own: backward calls
--   back(dy, args...) -> gradient for each of args
-- for what `out` was computed from.  nn's Checkpoint is made of this.
function Tape:add_step(op, out, back, ...)
  local step = { op = op, args = table.pack(...), out = out, back = back, version = hook.version(out), versions = {} }
  each_tensor(step.args, function(t) step.versions[t] = hook.version(t) end)
  self.steps[#self.steps + 1] = step
  hook.tape_of(out, self.serial)
end

-- ---- seeing ----

local function bytes_text(n)
  return n >= 1 << 20 and ("%.1f MB"):format(n / (1 << 20)) or ("%.1f kB"):format(n / 1024)
end

--- The recorded steps, one per line: number, op, arguments, result, bytes.
function Tape:__tostring()
  if self.closed then return "tape (closed)" end
  local lines, total = { "" }, 0
  for i, step in ipairs(self.steps) do
    local shapes = {}
    each_tensor(step.args, function(t)
      shapes[#shapes + 1] = select(3, hook.info(t)) .. (hook.trainable(t) and "*" or "")
    end)
    local _, bytes, shape = hook.info(step.out)
    total = total + bytes
    lines[#lines + 1] = ("%4d  %-20s %s -> %s  %s"):format(i, step.op, table.concat(shapes, " "), shape,
      bytes_text(bytes))
  end
  lines[1] = ("tape: %d steps, %s%s (* trainable)"):format(#self.steps, bytes_text(total),
    self.loss and ", gone back" or "")
  return table.concat(lines, "\n")
end

tape.Tape = Tape

--- The tape that records now, or nil.
function tape.current()
  choose_current()
  return hook.tape_serial() ~= 0 and current[1] or nil
end

--- Runs f(...) while no tape records; recording goes on afterwards, also when
-- f raises.
function tape.paused(f, ...)
  paused = paused + 1
  choose_current()
  local results = table.pack(pcall(f, ...))
  paused = paused - 1
  choose_current()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return setmetatable(tape, { __call = function() return new() end })
