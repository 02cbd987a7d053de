--- luma.prepare: from raw radiographs to what a network takes: black bars off,
-- square, resized (rows P1-P13 of the article).
--
--   steps  the article's four functions, one by one, faithful or mended
--   run    a whole collection, from folder to folder, resumable
--   rows   the rows that run takes, from the collections that luma.data reads

local steps = require "luma.study.prepare.steps"

local prepare = {
  get_black_pixel_indices = steps.get_black_pixel_indices,
  remove_obstructing_indices = steps.remove_obstructing_indices,
  remove_black_pixels = steps.remove_black_pixels,
  adjust_aspect_ratio = steps.adjust_aspect_ratio,
  all = steps.all,
  scan_by_hand = steps.scan_by_hand,
}

return setmetatable(prepare, {
  __index = function(self, key)
    if key ~= "run" and key ~= "rows" then return nil end
    local value = require("luma.study.prepare." .. key)
    rawset(self, key, value)
    return value
  end,
})
