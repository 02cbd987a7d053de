--- The parts of a network that its picture shows: convolutions and dense layers
-- with the marks of what follows them, residual blocks, and equal neighbours
-- counted instead of repeated.
--
-- A part: { kind = "conv"|"pool"|"avg"|"dense"|"flatten"|"block"|"other", label,
-- marks = {"R"}, out = output shape, count, parts = of a block, shortcut = label }

local function kernel_text(k) return ("%d×%d"):format(k[1], k[2]) end

local function stride_of(layer)
  local s = layer.options and layer.options.stride
  return type(s) == "table" and s[1] or s or 1
end

local labels = {
  Conv2d = function(layer)
    return "conv", ("%s conv, %d%s"):format(kernel_text(layer.kernel), layer.cout,
      stride_of(layer) > 1 and (" /%d"):format(stride_of(layer)) or "")
  end,
  MaxPool2d = function(layer) return "pool", kernel_text(layer.kernel) .. " max pool" end,
  AvgPool2d = function(layer) return "pool", kernel_text(layer.kernel) .. " avg pool" end,
  GlobalAvgPool2d = function() return "pool", "global avg pool" end,
  Flatten = function() return "flatten", "flatten" end,
  Linear = function(layer) return "dense", ("dense, %d"):format(layer.outputs) end,
  Dropout = function(layer) return "other", ("dropout %g"):format(layer.p) end,
  ZeroPad2d = function() return "other", "pad" end,
}

local marks = { ReLU = "R", Softmax = "S", Sigmoid = "σ", Tanh = "T", GELU = "G", LeakyReLU = "L" }

-- What two parts must share to be drawn as one with a count.
local function signature(part)
  local out = { part.kind, part.label or "", part.shortcut or "", table.concat(part.marks, ",") }
  for _, below in ipairs(part.parts or {}) do out[#out + 1] = signature(below) end
  return table.concat(out, "|")
end

local walk

-- Appends the parts of one layer; returns its output shape.
local function visit(list, layer, shape, state)
  if layer.type == "Sequential" or layer.type == "Checkpoint" then return walk(list, layer, shape, state) end
  local out = layer:output_shape(shape)
  local last = list[#list]
  if layer.type == "BatchNorm2d" then
    state.normed = true
  elseif marks[layer.type] and last then
    last.marks[#last.marks + 1] = marks[layer.type]
  elseif layer.type == "Residual" then
    local part = { kind = "block", label = "", marks = {}, parts = {}, out = out, count = 1 }
    visit(part.parts, layer.children[1][2], shape, state)
    local short = layer.children[2]
    if short then
      local inner = {}
      visit(inner, short[2], shape, state)
      part.shortcut = inner[1] and inner[1].label:gsub(" conv", ""):gsub("^(%d+×%d+), ", "%1, ") or nil
    end
    list[#list + 1] = part
  else
    local make = labels[layer.type] or function() return "other", layer.type end
    local kind, label = make(layer)
    list[#list + 1] = { kind = kind, label = label, marks = {}, out = out, count = 1 }
  end
  return out
end

function walk(list, net, shape, state)
  for _, child in ipairs(net.children) do shape = visit(list, child[2], shape, state) end
  return shape
end

-- Equal neighbours become one with a count.
local function merge(list)
  local merged = {}
  for _, part in ipairs(list) do
    if part.parts then part.parts = merge(part.parts) end
    local last = merged[#merged]
    if last and last.kind ~= "pool" and signature(last) == signature(part) then
      last.count = last.count + part.count
      last.out = part.out
    else
      merged[#merged + 1] = part
    end
  end
  return merged
end

--- The parts of a network fed with `shape`, and whether it has batch-norm.
return function(net, shape)
  local list, state = {}, {}
  visit(list, net, shape, state)
  return merge(list), state.normed or false
end
