--- luma.data: where images come from and how they reach a network: tables of
-- rows (csv), indexes of images (index, sources, folder), splits that keep
-- patients apart (split), class ids (encoder), batches decoded ahead of the
-- network (batches), and generated radiographs (phantom).

local modules = { csv = "luma.data.csv" }

local data = {}

return setmetatable(data, {
  __index = function(self, key)
    local path = modules[key]
    if not path then return nil end
    local module = require(path)
    rawset(self, key, module)
    return module
  end,
})
