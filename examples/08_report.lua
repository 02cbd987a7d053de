-- 08 The report: the whole job from one call, and what it leaves behind.
--
--   scripts/luma examples/08_report.lua
--
-- The same as `scripts/luma covid`, from Lua, on the generated default data: draw,
-- prepare, split by patient, features, head, numbers with intervals, report.

local luma = require "luma"
local files, json, metrics = luma.files, luma.json, luma.metrics
local run = require "luma.study.covid.run"

-- A small run into a folder of its own.  A folder that already holds a run is
-- never written over.
local dir
for n = 1, 10000 do
  dir = ("runs/examples/08_run_%d"):format(n)
  if not files.exists(dir) then break end
end
local code = run.start({ phantoms = 64, epochs = 40, out = dir }, print)
assert(code == 0)

-- metrics.json holds every number of it; nothing has to be read off a screen.
local m = json.decode(files.read(files.join(dir, "metrics.json")))
print(("\nclasses: %s"):format(table.concat(m.classes, ", ")))
print(("accuracy %.3f, and what %d test images allow to say: %.3f to %.3f"):format(m.accuracy.value, m.n,
  m.accuracy.lo, m.accuracy.hi))

-- Why intervals?  The article tested on 39 images and reported 0.82: 32 right.
local article = metrics.wilson(32, 39)
print(("the article's 0.82 on 39 images means %.2f to %.2f"):format(article.lo, article.hi))
for _, n in ipairs { 39, 100, 1000, 10000 } do
  local w = metrics.wilson(math.floor(0.82 * n + 0.5), n)
  print(("  the same on %5d images: %.3f to %.3f"):format(n, w.lo, w.hi))
end

-- The wrong number: with 19 COVID-19 and 309 normal test images, a model that
-- always says "Normal" is right 94 times in 100 and finds no one.
local truth, said = {}, {}
for i = 1, 328 do truth[i], said[i] = i <= 19 and "COVID-19" or "Normal", "Normal" end
print("\nalways saying Normal:")
print((metrics.classification_report(truth, said)))

-- The files of the run; report.html opens in any browser, without a network.
for _, name in ipairs(files.list(dir)) do print(files.join(dir, name)) end
