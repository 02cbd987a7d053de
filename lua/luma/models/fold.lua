--- Batch-norm folded into the convolution before it, for inference on frozen
-- networks: y = gamma (conv(x) - mean) / sqrt(var + eps) + beta is a convolution
-- with scaled kernels.  Computed in double, stored in f32.

local core = require "luma.core"
local nn = require "luma.nn"

local function folded(conv, norm, name)
  local function wide(x) return x:to "f64" end
  local scale = wide(norm.weight) / (wide(norm.running_var) + norm.eps):sqrt()
  local o = conv.options
  local copy = nn.Conv2d(conv.cin, conv.cout, conv.kernel, { stride = o.stride, pad = o.pad, dilation = o.dilation,
    groups = o.groups, init = "zeros", name = name })
  copy.weight:copy_(wide(conv.weight) * scale) -- (kh, kw, cin, cout): scale runs along cout
  local bias = conv.bias and wide(conv.bias) or core.zeros(conv.cout):to "f64"
  copy.bias:copy_((bias - wide(norm.running_mean)) * scale + wide(norm.bias))
  copy:freeze()
  return copy
end

--- A network that computes what net computes with frozen batch-norm.  Layers that
-- do not change are shared with net.
local function fold(net)
  if net.type == "Residual" then
    local branch, shortcut = net.children[1][2], net.children[2] and net.children[2][2]
    return nn.Residual(fold(branch), { shortcut = shortcut and fold(shortcut), name = net.name })
  end
  if net.type ~= "Sequential" then return net end
  local list, i = { name = net.name }, 1
  while i <= #net.children do
    local layer, following = net.children[i][2], net.children[i + 1] and net.children[i + 1][2]
    if layer.type == "Conv2d" and following and following.type == "BatchNorm2d" then
      list[#list + 1] = folded(layer, following, layer.name)
      i = i + 2
    else
      list[#list + 1] = fold(layer)
      i = i + 1
    end
  end
  return nn.Sequential(list)
end

return fold
