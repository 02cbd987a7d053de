--- optim.schedule: how the learning rate moves.  A schedule is a table with
--   rate(base, epoch, step) -> lr    epoch counts from 1, step from 0 (optimiser steps)
--   observe(row)                     called with each epoch's row of the history
--   state() / load_state(t)          what a checkpoint keeps (plain numbers)
-- Only `plateau` observes anything; the others are functions of epoch and step.

local options = require "luma.base.options"

local schedule = {}

local Schedule = {}
Schedule.__index = Schedule
function Schedule:observe() end
function Schedule:state() return {} end
function Schedule:load_state() end

local function make(rate, extra)
  local s = setmetatable(extra or {}, Schedule)
  s.rate = function(_, base, epoch, step) return rate(base, epoch, step) end
  return s
end

local function positive(fname, key, v)
  if type(v) ~= "number" or not (v > 0) or v == math.huge then
    error(("%s: option %s must be a number > 0, got %s"):format(fname, key, tostring(v)), 3)
  end
  return v
end

--- lr * factor ^ floor((epoch - 1) / every).
function schedule.step(opts)
  opts = options.check("schedule.step", opts, { every = 10, factor = 0.1 })
  positive("schedule.step", "every", opts.every)
  positive("schedule.step", "factor", opts.factor)
  return make(function(base, epoch) return base * opts.factor ^ ((epoch - 1) // opts.every) end)
end

--- Half a cosine from lr in the first epoch towards floor * lr, which it reaches
-- after `epochs`: the last epoch still trains (PyTorch's CosineAnnealingLR).
function schedule.cosine(opts)
  opts = options.check("schedule.cosine", opts, { epochs = options.optional, floor = 0.0 })
  local epochs = positive("schedule.cosine", "epochs", opts.epochs)
  return make(function(base, epoch)
    local t = math.min(1, (epoch - 1) / epochs)
    return base * (opts.floor + (1 - opts.floor) * 0.5 * (1 + math.cos(math.pi * t)))
  end)
end

--- A straight line from 0 to lr over the first `steps` optimiser steps, then the
-- schedule `after` (or lr as it is).
function schedule.warm_up(opts)
  opts = options.check("schedule.warm_up", opts, { steps = options.optional, after = options.optional })
  local steps = positive("schedule.warm_up", "steps", opts.steps)
  local after = opts.after
  local s = make(function(base, epoch, step)
    local target = after and after:rate(base, epoch, step) or base
    return target * math.min(1, (step + 1) / steps)
  end)
  function s:observe(row) if after then after:observe(row) end end
  function s:state() return after and after:state() or {} end
  function s:load_state(t) if after then after:load_state(t) end end
  return s
end

--- lr * factor each time `monitor` has not improved by min_delta for `patience`
-- epochs, never below floor * lr.  monitor: "val_loss", or any column of the
-- history; accuracies are to rise, everything else to fall.
function schedule.plateau(opts)
  opts = options.check("schedule.plateau", opts,
    { monitor = "val_loss", factor = 0.1, patience = 10, min_delta = 1e-4, floor = 1e-3 })
  positive("schedule.plateau", "factor", opts.factor)
  local now = { scale = 1.0, wait = 0 }
  local s = make(function(base) return base * now.scale end)
  function s:observe(row)
    local value = row[opts.monitor]
    if value == nil then
      error(("schedule.plateau: the history has no '%s' (is there validation data?)"):format(opts.monitor), 0)
    end
    if opts.monitor:match "accuracy$" then value = -value end
    if now.best == nil or value < now.best - opts.min_delta then
      now.best, now.wait = value, 0
    else
      now.wait = now.wait + 1
      if now.wait >= opts.patience then
        now.scale, now.wait = math.max(opts.floor, now.scale * opts.factor), 0
      end
    end
  end
  function s:state() return { scale = now.scale, wait = now.wait, best = now.best } end
  function s:load_state(t) now.scale, now.wait, now.best = t.scale, math.tointeger(t.wait), t.best end
  return s
end

return schedule
