--- Fine-tuning: where a base is cut into a frozen front, whose activations are
-- computed once and kept, and a back that is trained with the head.
--
-- "all" trains everything (the front is then empty and the images themselves are
-- kept); a prefix such as "block5" trains the first layer of that name and all
-- that follow.  Batch-norm with trained statistics stays frozen in the back:
-- batches of a few images would spoil them.

local luma = require "luma"
local nn = luma.nn
local layout = require "luma.nn.config"

local tune = {}

-- The stages a prefix may name, in order.
local function stages(model)
  local list, seen = {}, {}
  for _, child in ipairs(model.children) do
    local stage = tostring(child[1]):match "^[^_]+"
    if not seen[stage] then
      seen[stage] = true
      list[#list + 1] = stage
    end
  end
  return table.concat(list, ", ")
end

local function first_of(model, what)
  if what == "all" then return 1 end
  for i, child in ipairs(model.children) do
    if tostring(child[1]):sub(1, #what) == what then return i end
  end
  error(("--unfreeze: no layer of %s begins with '%s' (stages: %s)"):format(model.architecture,
    luma.text.printable(what, 40), stages(model)), 0)
end

local function sequence(model, first, last)
  local list = {}
  for i = first, last do list[#list + 1] = model.children[i][2] end
  return nn.Sequential(list)
end

local function freeze_batch_norm(net)
  for _, layer in net:walk() do
    if layer.type == "BatchNorm2d" then layer:freeze() end
  end
end

--- Cuts a model.
-- @param model a network of luma.models
-- @param what "all" or the beginning of a layer's name
-- @param trained whether its weights come from a file
-- @return front (nil when everything is trained), back: { build() -> a new
--   trainable copy, what }
function tune.split(model, what, trained)
  local k = first_of(model, what)
  local front = k > 1 and sequence(model, 1, k - 1) or nil
  if front then front.input = model.input end
  local template = sequence(model, k, #model.children)
  local description = layout.describe(template)
  local back = { what = what }
  function back.output_shape(shape) return template:output_shape(shape) end
  function back.build()
    local net = layout.build(description)
    local ok, message = net:load_state(template:state())
    if not ok then error(message, 0) end
    net:unfreeze()
    if trained then freeze_batch_norm(net) end
    net.name = "back"
    return net
  end
  return front, back
end

return tune
