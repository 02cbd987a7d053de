--- luma bench: the hot paths timed, beside every peer that is installed.

local luma = require "luma"
local uv = require "luv"
local files = require "luma.base.files"
local json = require "luma.base.json"
local text = require "luma.base.text"

local function line_of(r)
  local parts = { ("%-32s %9.2f ms (min %.2f)"):format(r.name, r.median_ms, r.min_ms) }
  if r.per_item_ms ~= r.median_ms then parts[#parts + 1] = (" %8.2f an item"):format(r.per_item_ms) end
  if r.gflops > 0 then parts[#parts + 1] = (" %6.0f GFLOP/s"):format(r.gflops) end
  local names = {}
  for name in pairs(r.peers) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local p = r.peers[name]
    parts[#parts + 1] = ("  %s x%.2f (%.2f ms)"):format(name, p.ratio, p.median_ms)
  end
  return table.concat(parts)
end

--- Removes the working folder and what the cases left in it.
local function clear(dir)
  for _, name in ipairs(files.list(dir, true) or {}) do
    local path = files.join(dir, name)
    if files.is_dir(path) then clear(path) else files.remove(path) end
  end
  uv.fs_rmdir(dir)
end

local function run_all(args, dir)
  local measure = require "bench.measure"
  local records, matched, failed = {}, false, false
  local say = function(message) io.stderr:write("  ", message, "\n") end
  for _, case in ipairs(require "bench.cases") do
    if not args.filter or case.name:find(args.filter, 1, true) then
      matched = true
      if args.list then
        print(case.name)
      else
        local runs = args.runs or (args.quick and 3 or 7)
        local ok, record = pcall(measure.run, case, { runs = runs, dir = dir, say = say })
        if record == luma.core.interrupt then error(record, 0) end
        if ok then
          print(line_of(record))
          io.stdout:flush()
          records[#records + 1] = json.line(record)
        else
          failed = true
          io.stderr:write(("%s: failed: %s\n"):format(case.name, tostring(record)))
        end
        collectgarbage()
      end
    end
  end
  if not matched then
    error(("no case is named like '%s' (luma bench --list shows them)"):format(text.printable(args.filter, 60)), 0)
  end
  if args.json and not args.list then
    local ok, why = files.write_atomic(args.json, table.concat(records, "\n") .. (#records > 0 and "\n" or ""))
    if not ok then error(why, 0) end
  end
  return failed and 1 or 0
end

return {
  name = "bench",
  summary = "time the hot paths beside PyTorch, oneDNN, ONNX Runtime and OpenCV, where they are installed",
  parser = function(p)
    p:option("--filter", "Only cases whose name contains this."):argname "NAME"
    p:option("--json", "Also write one JSON object a line: name, threads, median_ms, min_ms, runs, gflops, "
      .. "per_item_ms, peers."):argname "FILE"
    p:option("--runs", "Rounds of each case (7; with --quick 3)."):argname("N"):convert(function(value)
      local n = math.tointeger(tonumber(value))
      if n and n >= 1 and n <= 10000 then return n end
      return nil, ("--runs must be a whole number in 1..10000, got '%s'"):format(text.printable(value, 40))
    end)
    p:flag("--quick", "Fewer rounds: for a first look.")
    p:flag("--list", "Only name the cases.")
  end,
  run = function(args)
    local dir = assert(uv.fs_mkdtemp(files.join(uv.os_tmpdir(), "luma-bench-XXXXXX")))
    if not args.list then
      local cpu = luma.cpu_info()
      print(("%s, %s, interleaved; x1.50 after a peer: it takes 1.5 times as long"):format(cpu.isa,
        text.plural(cpu.threads, "thread")))
    end
    local ok, result = pcall(run_all, args, dir)
    clear(dir)
    if not ok then error(result, 0) end
    return result
  end,
}
