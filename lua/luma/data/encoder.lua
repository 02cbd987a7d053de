--- luma.data.encoder: classes to 1-based ids and back, fitted once.
-- The article fits a LabelBinarizer on the training labels and another on the
-- test labels; with a class missing from one of them the columns mean different
-- things.  Here one encoder is made from the whole index and shared by its parts.

local core = require "luma.core"
local by_bytes = require("luma.data.index").by_bytes

local Encoder = {}
Encoder.__index = Encoder
Encoder.__name = "luma.Encoder"

--- Encoder(classes): classes is a list of strings; it is sorted by bytes
-- ("COVID-19" is 1, "Normal" is 2) and doubles are dropped.
local function new(classes)
  local self = setmetatable({ classes = {}, ids = {} }, Encoder)
  for i, class in ipairs(classes) do
    if type(class) ~= "string" then
      error(("data.Encoder: class %d must be a string, got %s"):format(i, type(class)), 2)
    end
    if not self.ids[class] then
      self.ids[class] = 0
      self.classes[#self.classes + 1] = class
    end
  end
  table.sort(self.classes, by_bytes)
  for id, class in ipairs(self.classes) do self.ids[class] = id end
  return self
end

local function id_of(self, class, level)
  local id = self.ids[class]
  if not id then
    error(("encode: unknown class '%s' (known: %s)"):format(tostring(class), table.concat(self.classes, ", ")),
      level + 1)
  end
  return id
end

--- The id of one class; or, for a list of classes or of rows, an i32 tensor.
function Encoder:encode(what)
  if type(what) ~= "table" then return id_of(self, what, 2) end
  local ids = {}
  for i, item in ipairs(what) do
    ids[i] = id_of(self, type(item) == "table" and item.class or item, 2)
  end
  if #ids == 0 then return core.zeros(0, "i32") end
  return core.tensor(ids, "i32")
end

--- The class of one id; or, for a list or a tensor of ids, a list of classes.
function Encoder:decode(what)
  local function one(id)
    local class = self.classes[math.tointeger(id)]
    if not class then error(("decode: id %s is not in 1..%d"):format(tostring(id), #self.classes), 3) end
    return class
  end
  if type(what) == "number" then return one(what) end
  if type(what) == "userdata" then what = what:totable() end
  local out = {}
  for i, id in ipairs(what) do out[i] = one(id) end
  return out
end

--- One row a label with a 1 at its class: (n) ids or class names -> (n, k) f32,
-- for two classes and for more.
function Encoder:one_hot(what)
  local ids = (type(what) == "table" and self:encode(what) or what):totable()
  local rows = {}
  for i, id in ipairs(ids) do
    rows[i] = {}
    for class = 1, #self.classes do rows[i][class] = class == id and 1 or 0 end
  end
  return core.tensor(rows, "f32")
end

function Encoder:__len() return #self.classes end
function Encoder:__tostring()
  local out = {}
  for id, class in ipairs(self.classes) do out[id] = id .. " = " .. class end
  return "Encoder {" .. table.concat(out, ", ") .. "}"
end

return { Encoder = new }
