--- luma.data: where images come from and how they reach a network: tables of
-- rows (csv), indexes of images (index, collections, folder, labelled), splits that keep
-- patients apart (split), class ids (encoder), batches decoded ahead of the
-- network (batches), and generated radiographs (phantom).

-- Modules, and functions lifted out of them.
local modules = {
  csv = "luma.base.csv", split = "luma.data.split", collections = "luma.data.collections", folder = "luma.data.folder",
  labelled = "luma.data.labelled", stages = "luma.data.stages", look = "luma.data.look",
  batches = "luma.data.batches", augment = "luma.data.augment", gallery = "luma.data.gallery",
}
local lifted = {
  Encoder = "encoder", Index = "index:new", merge = "index", is_index = "index",
  covid_chestxray = "collections.covid_chestxray:read", rsna = "collections.rsna:read",
  article = "collections.article:read", open = "collections",
  phantom = "phantom",
}

return setmetatable({}, {
  __index = function(self, key)
    local value
    if modules[key] then
      value = require(modules[key])
    elseif lifted[key] then
      local module, name = lifted[key]:match "^([%a_.]+):?(%a*)$"
      value = require("luma.data." .. module)[name ~= "" and name or key]
    end
    if value ~= nil then rawset(self, key, value) end
    return value
  end,
})
