--- What a network consists of: one row per layer, with output shape, weights and
-- multiplications.  `print(net:summary())` shows it; the rows are data too.

local core = require "luma.core"
local modules = require "luma.nn.module"
local text = require "luma.base.text"

local Summary = {}
Summary.__index = Summary
Summary.__name = "luma.Summary"

-- 20024384 -> "20,024,384"
local function grouped(n)
  local s = ("%d"):format(n)
  repeat
    local more
    s, more = s:gsub("^(-?%d+)(%d%d%d)", "%1,%2")
  until more == 0
  return s
end

-- 19632062464 -> "19.6 G"
local function scaled(n)
  if n == 0 then return "" end
  for _, unit in ipairs { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } } do
    if n >= unit[1] then return ("%.1f %s"):format(n / unit[1], unit[2]) end
  end
  return ("%d"):format(n)
end

local function counts(module, seen)
  local all, trained = 0, 0
  for k, group in ipairs { module.params, module.buffers } do
    for _, p in ipairs(group) do
      if not seen[p[2]] then
        seen[p[2]] = true
        local n = core.count(p[2])
        all = all + n
        if k == 1 and core.hook.trainable(p[2]) then trained = trained + n end
      end
    end
  end
  return all, trained
end

-- Appends the rows of module, fed with shape; returns its output shape.
local function collect(rows, module, name, shape, seen)
  if module.type == "Sequential" then
    for _, child in ipairs(module.children) do
      local below = tostring(child[1])
      if name and math.type(child[1]) == "integer" then below = name .. "." .. below end
      shape = collect(rows, child[2], below, shape, seen)
    end
    return shape
  end
  if module.type == "Checkpoint" then return collect(rows, module.children[1][2], name, shape, seen) end
  local out = module:output_shape(shape)
  for _, child in ipairs(module.children) do -- Residual, Concat: every branch sees the input
    collect(rows, child[2], (name and name .. "." or "") .. child[1], shape, seen)
  end
  local all, trained = counts(module, seen)
  local kind = module.type == "Residual" and "Add" or module.type
  rows[#rows + 1] = { name = name or module.type, type = kind, shape = out, parameters = all, trainable = trained,
    macs = #module.children == 0 and module:macs(shape) or 0 }
  return out
end

--- The summary of a network.  shape: the input's, batch included, {1, 224, 224, 3};
-- absent, what the model itself states (model.input), or its first dense layer.
-- @return { rows = {{ name, type, shape, parameters, trainable, macs }, ...},
--   input, output, parameters, trainable, macs, bytes }
local function summary(net, shape)
  if shape == nil and net.input then shape = { 1, net.input.height, net.input.width, net.input.channels } end
  local first = net
  while shape == nil and first and first.type == "Sequential" do
    first = first.children[1] and first.children[1][2]
    if first and first.input then shape = { 1, first.input.height, first.input.width, first.input.channels } end
  end
  if shape == nil and first and first.type == "Linear" then shape = { 1, first.inputs } end
  if type(shape) ~= "table" then
    error("summary: the input's shape is needed, for example net:summary { 1, 224, 224, 3 }", 2)
  end
  local self = setmetatable({ rows = {}, title = net.architecture or net.name or net.type,
    input = { table.unpack(shape) }, parameters = 0, trainable = 0, macs = 0 }, Summary)
  self.output = collect(self.rows, net, nil, self.input, {})
  for _, row in ipairs(self.rows) do
    self.parameters = self.parameters + row.parameters
    self.trainable = self.trainable + row.trainable
    self.macs = self.macs + row.macs
  end
  self.bytes = 4 * self.parameters
  return self
end

-- A shape without its batch: "7x7x512".
local function inner(shape) return modules.shape_text(shape):gsub("^%[%d+x?", ""):gsub("%]$", "") .. "" end

function Summary:__tostring()
  local table_ = { { "layer", "type", "output", "parameters", "trainable", "MACs" } }
  for _, row in ipairs(self.rows) do
    table_[#table_ + 1] = { row.name, row.type, inner(row.shape), row.parameters > 0 and grouped(row.parameters) or "",
      row.parameters > 0 and (row.trainable == row.parameters and "yes" or row.trainable == 0 and "no"
        or grouped(row.trainable)) or "", scaled(row.macs) }
  end
  local widths = {}
  for _, cells in ipairs(table_) do
    for i, cell in ipairs(cells) do widths[i] = math.max(widths[i] or 0, text.len(cell)) end
  end
  local lines = { ("%s, input %s"):format(self.title, inner(self.input)) }
  local total = 2 * (#widths - 1)
  for _, w in ipairs(widths) do total = total + w end
  local rule = ("-"):rep(total)
  for i, cells in ipairs(table_) do
    for k, cell in ipairs(cells) do
      cells[k] = (k <= 2 and text.right_pad or text.left_pad)(cell, widths[k])
    end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
    if i == 1 then lines[#lines + 1] = rule end
  end
  lines[#lines + 1] = rule
  lines[#lines + 1] = ("%s parameters (%.1f MB), %s trainable, %s frozen or kept; %s multiply-adds per image"):format(
    grouped(self.parameters), self.bytes / 1e6, grouped(self.trainable), grouped(self.parameters - self.trainable),
    scaled(self.macs // math.max(1, self.input[1])):gsub("^$", "0") .. "")
  return table.concat(lines, "\n")
end

return summary
