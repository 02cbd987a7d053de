-- The bench's arithmetic and its contract, with a peer made of a shell.
local luma = require "luma"
local json = require "luma.base.json"
local uv = require "luv"
local chain = require "bench.chain"
local measure = require "bench.measure"
local Peer = require "bench.peer"
local folders = require "support.folder"

--- A child that answers 12.5 ms and dumps the given octal bytes.
local function shell_peer(bytes, answer)
  local script = ([[echo ready; while read -r word file; do case $word in
    run) echo %s;; dump) printf '%s' > "$file"; echo dumped;; esac; done]]):format(answer or "12.5", bytes)
  return function() return Peer.start("shell", "/bin/sh", { "-c", script }) end
end

local function case(peers)
  return { name = "fake", setup = function()
    return { items = 4, flops = 1e6, run = function() end, result = function() return luma.tensor { 1, 2 } end,
      peers = peers }
  end }
end

-- 1.0 and 2.0 as little-endian f32
local SAME, OTHER = [[\000\000\200\077\000\000\000\100]], [[\000\000\200\077\000\000\200\100]]

describe("bench", function()
  it("takes medians and minima", function()
    assert.equal(2, measure.median { 3, 1, 2 })
    assert.equal(2.5, measure.median { 4, 1, 3, 2 })
    assert.equal(1, measure.minimum { 3, 1, 2 })
  end)

  it("writes the record the JSON contract names", function()
    local dir = folders.new()
    finally(function() folders.remove(dir) end)
    local r = measure.run(case { shell_peer(SAME) }, { runs = 3, dir = dir, say = error })
    assert.equal("fake", r.name)
    assert.equal(3, r.runs)
    assert.equal(luma.threads(), r.threads)
    assert.equal(r.median_ms / 4, r.per_item_ms)
    assert.equal(12.5, r.peers.shell.median_ms)
    assert.equal(12.5, r.peers.shell.min_ms)
    assert.equal(12.5 / r.median_ms, r.peers.shell.ratio)
    assert.equal(0, r.peers.shell.max_rel_error)
    local line = json.line(r)
    assert.is_nil(line:find "\n")
    assert.equal("fake", json.decode(line).name)
    os.remove(dir)
  end)

  it("leaves out a peer that computes something else, dies or is absent, and says so", function()
    local dir, said = folders.new(), {}
    finally(function() folders.remove(dir) end)
    local absent = function() return nil, "nothing there" end
    local silent = function() return Peer.start("silent", "/bin/false", {}) end
    local r = measure.run(case { shell_peer(OTHER), absent, silent },
      { runs = 2, dir = dir, say = function(text) said[#said + 1] = text end })
    assert.same({}, r.peers)
    assert.equal(3, #said)
    assert.matches("^nothing there$", said[1])
    assert.matches("^did not start$", said[2])
    assert.matches("^shell computes something else %(error 0%.5%); left out$", said[3])
    os.remove(dir)
  end)

  it("names its cases once", function()
    local seen = {}
    for _, c in ipairs(require "bench.cases") do
      assert.is_nil(seen[c.name], c.name)
      seen[c.name] = true
    end
  end)

  describe("ONNX Runtime", function()
    it("computes what luma computes", function()
      local dir, said = folders.new(), {}
      finally(function() folders.remove(dir) end)
      local spec = { n = 2, h = 9, w = 7, c = 3, layers = "16,p,5" } -- an odd size: maxima drop the last row
      local setup = chain.forward(spec)
      local r = measure.run({ name = "tiny", setup = function(ctx)
        local running = setup(ctx)
        running.peers = { chain.onnxruntime(spec) }
        return running
      end }, { runs = 2, dir = dir, say = function(text) said[#said + 1] = text end })
      local why = said[1] or ""
      if why:find "is not installed" or why:find "LUMA_ISA" then return pending(why) end
      assert.same({}, said)
      assert.is_true(r.peers.onnxruntime.max_rel_error < 1e-4)
      assert.is_true(r.peers.onnxruntime.median_ms > 0)
    end)

    it("is left out, with a way to install it, where it is absent", function()
      local dir, loaded = folders.new(), package.loaded["bench.chain"]
      local path, isa = os.getenv "PATH", os.getenv "LUMA_ISA"
      finally(function()
        uv.os_setenv("PATH", path)
        if isa then uv.os_setenv("LUMA_ISA", isa) end
        package.loaded["bench.chain"] = loaded
        folders.remove(dir)
      end)
      package.loaded["bench.chain"] = nil -- it asks once
      uv.os_setenv("PATH", dir)
      uv.os_unsetenv "LUMA_ISA"
      local peer, why = require "bench.chain".onnxruntime {}()
      assert.is_nil(peer)
      assert.equal("ONNX Runtime is left out: onnxruntime-node is not installed "
        .. "(npm install -g --ignore-scripts onnxruntime-node)", why)
    end)

    it("is left out where luma is held to lower instructions", function()
      local f <close> = assert(io.popen([[LUMA_ISA=plain lua5.4 -e '
        print(select(2, require "bench.chain".onnxruntime {}()))']]))
      assert.equal("ONNX Runtime is left out: it has no switch that holds it to plain, as LUMA_ISA does luma",
        f:read "l")
    end)
  end)
end)
