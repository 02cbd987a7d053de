--- luma.bench.measure: one case against its peers, in turn.
--
-- Ours and every peer run once each, round after round, so that whatever else
-- the machine does hits all of them alike; medians are compared, minima shown.
-- Results are compared before times are: a peer that computes something else is
-- not a peer.

local uv = require "luv"
local luma = require "luma"

local measure = {}

local TOLERANCE = 2e-3 -- of the largest value; tighter ones are the tests' business
local WARM = 2

local function sorted(list)
  local copy = { table.unpack(list) }
  table.sort(copy)
  return copy
end

function measure.median(list)
  local s = sorted(list)
  local n = #s
  return n % 2 == 1 and s[n // 2 + 1] or (s[n // 2] + s[n // 2 + 1]) / 2
end

function measure.minimum(list)
  return sorted(list)[1]
end

--- Milliseconds of f().
function measure.time(f)
  local start = uv.hrtime()
  f()
  return (uv.hrtime() - start) / 1e6
end

--- Largest difference over largest value of two flat f32 tensors.
function measure.error(ours, theirs)
  if ours:count() ~= theirs:count() then return math.huge end
  local a <close> = ours:to "f64"
  local b <close> = theirs:to "f64"
  local gap <close> = (a - b):abs()
  local size <close> = b:abs()
  return gap:max():item() / math.max(1e-30, size:max():item())
end

local function compare(running, peer, dir)
  local bytes = peer:result(dir)
  if not bytes then return nil, "gave no result" end
  local theirs <close> = luma.from_bytes(bytes, "f32")
  local ours = running.result()
  local err = measure.error(ours:reshape { ours:count() }, theirs)
  if not (err <= TOLERANCE) then return nil, ("computes something else (error %.2g)"):format(err) end
  return err
end

--- Runs a case.
-- @param case from luma.bench.cases
-- @param opts { runs=, dir=, quick=, say=function(text) }
-- @return the record of the JSON contract
function measure.run(case, opts)
  local running = case.setup { dir = opts.dir, quick = opts.quick }
  local peers = {}
  for _, make in ipairs(running.peers or {}) do
    local peer, why = make()
    if peer then peers[#peers + 1] = { peer = peer, times = {} } else opts.say(why) end
  end
  for _ = 1, WARM do
    running.run()
    for _, p in ipairs(peers) do p.peer:run() end
  end
  for i = #peers, 1, -1 do
    local err, why = compare(running, peers[i].peer, opts.dir)
    peers[i].error = err
    if not err then
      opts.say(("%s %s; left out"):format(peers[i].peer.name, why))
      table.remove(peers, i).peer:close()
    end
  end
  local times = {}
  for _ = 1, opts.runs do
    times[#times + 1] = measure.time(running.run)
    for _, p in ipairs(peers) do p.times[#p.times + 1] = p.peer:run() end
  end
  local median = measure.median(times)
  local record = { name = case.name, threads = luma.threads(), median_ms = median, min_ms = measure.minimum(times),
    runs = opts.runs, gflops = (running.flops or 0) / median / 1e6, per_item_ms = median / (running.items or 1),
    peers = {} }
  for _, p in ipairs(peers) do
    if #p.times == opts.runs then
      local theirs = measure.median(p.times)
      record.peers[p.peer.name] = { median_ms = theirs, min_ms = measure.minimum(p.times), ratio = theirs / median,
        max_rel_error = p.error }
    else
      opts.say(p.peer.name .. " stopped half way; left out")
    end
    p.peer:close()
  end
  if running.close then running.close() end
  return record
end

return measure
