--- luma.bench.chain: the convolutional cases: a chain of 3x3 convolutions with
-- ReLU, 2x2 maxima ("p") and dense layers ("d256", the last one without ReLU),
-- run forward or trained, here and by PyTorch, oneDNN and ONNX Runtime on the
-- same numbers.

local luma = require "luma"
local files = require "luma.base.files"
local Peer = require "bench.peer"

local chain = {}

-- ---- the network ----

--- The modules, and multiplications an image, of layers like "64,64,p,d2".
local function build(layers, h, w, c)
  local nn = luma.nn
  local list, flops, flat = {}, 0, false
  for layer in layers:gmatch "[^,]+" do
    if layer == "p" then
      list[#list + 1] = nn.MaxPool2d(2)
      h, w = h // 2, w // 2
    elseif layer:sub(1, 1) == "d" then
      if flat then list[#list + 1] = nn.ReLU() else list[#list + 1] = nn.Flatten() end
      local k = tonumber(layer:sub(2))
      local inputs = flat or h * w * c
      list[#list + 1] = nn.Linear(inputs, k)
      flops, flat = flops + 2 * inputs * k, k
    else
      local k = tonumber(layer)
      list[#list + 1] = nn.Conv2d(c, k, 3, { pad = "same", init = "he_normal" })
      list[#list + 1] = nn.ReLU()
      flops, c = flops + 2 * 9 * c * k * h * w, k
    end
  end
  return nn.Sequential(list), flops
end

local function write(path, tensors)
  local parts = {}
  for i, t in ipairs(tensors) do parts[i] = t:bytes() end
  assert(files.write_atomic(path, parts))
end

-- ---- peers ----

local function tuned()
  local env = { OMP_NUM_THREADS = tostring(luma.threads()), MALLOC_TOP_PAD_ = "4294967296",
    MALLOC_MMAP_THRESHOLD_ = "4294967296", MALLOC_TRIM_THRESHOLD_ = "17179869184" }
  if luma.cpu_info().isa == "avx2" then -- held to what we are held to
    env.ATEN_CPU_CAPABILITY, env.ONEDNN_MAX_CPU_ISA, env.DNNL_MAX_CPU_ISA = "avx2", "AVX2", "AVX2"
  end
  return env
end

local function python(script, args)
  local path = Peer.source(script)
  if not path then return nil, script .. " is not part of this build" end
  return Peer.start(script:match "^[^_]+", "/usr/bin/python3", { path, table.unpack(args) }, tuned())
end

local function torch(mode, spec)
  return function()
    local peer, why = python("torch_peer.py", { mode, tostring(spec.n), tostring(spec.h), tostring(spec.w),
      tostring(spec.c), spec.layers, spec.weights, spec.input, spec.optimizer or "none",
      tostring(spec.batch or spec.n) })
    return peer, why and "PyTorch is left out: " .. why
  end
end

--- oneDNN's program is built on demand beside the weights.
local function onednn(dir, spec)
  return function()
    local source, program = Peer.source "onednn_peer.c", files.join(dir, "onednn_peer")
    if not source then return nil, "oneDNN is left out: onednn_peer.c is not part of this build" end
    if not files.is_file(program)
      and not os.execute(("cc -O2 -w '%s' -o '%s' -ldnnl 2>/dev/null"):format(source, program)) then
      return nil, "oneDNN is left out: libdnnl-dev is not installed"
    end
    local peer, why = Peer.start("onednn", program, { tostring(spec.n), tostring(spec.h), tostring(spec.w),
      tostring(spec.c), spec.layers, spec.weights, spec.input }, tuned())
    return peer, why and "oneDNN is left out: " .. why
  end
end

-- Prints where the package is: where node itself looks, or among those that npm
-- installed globally, which node does not look at.
local FIND = [[NODE_PATH="$NODE_PATH:$(timeout 10 npm root -g 2>/dev/null)" \
  timeout 10 node -p 'require.resolve("onnxruntime-node")' 2>/dev/null]]
local onnxruntime_node -- its path, or false; asked once

--- ONNX Runtime always takes the best instructions there are, so it stays out where
-- LUMA_ISA keeps luma from them.
local function onnxruntime(spec)
  return function()
    local held = os.getenv "LUMA_ISA"
    if held and held == luma.cpu_info().isa and held ~= "avx512" then
      return nil, ("ONNX Runtime is left out: it has no switch that holds it to %s, as LUMA_ISA does luma"):format(held)
    end
    local source = Peer.source "onnxruntime_peer.js"
    if not source then return nil, "ONNX Runtime is left out: onnxruntime_peer.js is not part of this build" end
    if onnxruntime_node == nil then
      local answer <close> = assert(io.popen(FIND))
      onnxruntime_node = answer:read "l" or false
    end
    if not onnxruntime_node then
      return nil, "ONNX Runtime is left out: onnxruntime-node is not installed "
        .. "(npm install -g --ignore-scripts onnxruntime-node)"
    end
    local peer, why = Peer.start("onnxruntime", "node", { source, onnxruntime_node, tostring(spec.n), tostring(spec.h),
      tostring(spec.w), tostring(spec.c), spec.layers, spec.weights, spec.input }, tuned())
    return peer, why and "ONNX Runtime is left out: " .. why
  end
end

local function prepare(ctx, spec)
  luma.seed(1)
  local net, flops = build(spec.layers, spec.h, spec.w, spec.c)
  local x = luma.rand(spec.n, spec.h, spec.w, spec.c)
  spec.weights, spec.input = files.join(ctx.dir, "weights.f32"), files.join(ctx.dir, "input.f32")
  local tensors = {}
  for i, p in ipairs(net:named_parameters()) do tensors[i] = p[2] end
  write(spec.weights, tensors)
  write(spec.input, { x })
  return net, x, flops
end

--- Inference by a compiled network.
function chain.forward(spec)
  return function(ctx)
    local net, x, flops = prepare(ctx, spec)
    local fast = net:freeze():compile { height = spec.h, width = spec.w, channels = spec.c, batch = spec.n,
      release = true }
    return {
      items = spec.n, flops = flops * spec.n,
      run = function() fast(x):close() end,
      result = function() return fast(x) end,
      peers = { onednn(ctx.dir, spec), torch("infer", spec), onnxruntime(spec) },
      close = function()
        fast:close()
        x:close()
      end,
    }
  end
end

--- Training: forward, backward and update; classes alternate.  The results
-- compared are the losses of the first two passes.
function chain.train(spec)
  return function(ctx)
    local net, x, flops = prepare(ctx, spec)
    local optimizer = spec.optimizer == "adam" and luma.optim.Adam(net:parameters(), { lr = 1e-4 })
      or luma.optim.SGD(net:parameters(), { lr = 1e-3 })
    local batch = spec.batch or spec.n
    local parts, losses = {}, {}
    for first = 1, spec.n, batch do
      local count, ids = math.min(batch, spec.n - first + 1), {}
      for i = 1, count do ids[i] = (first + i) % 2 + 1 end
      parts[#parts + 1] = { x:narrow(1, first, count), luma.tensor(ids, "i32") }
    end
    local function run()
      for _, part in ipairs(parts) do
        local tape <close> = luma.tape()
        local loss = luma.cross_entropy(net(part[1]), part[2])
        if #losses < 2 then losses[#losses + 1] = loss:item() end
        tape:backward(loss)
        optimizer:step()
      end
    end
    return {
      items = spec.n, flops = 3 * flops * spec.n, run = run,
      result = function() return luma.tensor(losses) end,
      peers = { torch("train", spec) },
    }
  end
end

chain.python, chain.onnxruntime = python, onnxruntime

return chain
