--- Parts of a run's report that say how sure: more figures with intervals, what
-- the test means for one person, threshold and temperature, the settings that
-- inner folds chose, looks at the test set, and where the model looks.

local luma = require "luma"
local grid = require "luma.study.covid.grid"
local looks = require "luma.study.covid.looks"
local html = luma.report.html

local science = {}

--- Fewer validation images than this choose no threshold worth much.
science.enough = 30

local interval = luma.text.interval

--- The figures beyond accuracy, with intervals.
-- @return html, rows of text; nil for a run without them
function science.figures(m)
  local d = m.details
  if not d then return nil end
  local rows = {
    { "AUC", interval(m.auc), "chance that an image of the class scores above one that is not" },
    { "balanced accuracy", interval(d.balanced_accuracy), "mean of the classes' recalls; guessing has "
      .. ("%.2f"):format(1 / #m.classes) },
    { "Matthews' correlation", interval(d.mcc), "of truth and answer; guessing has 0" },
    { "Cohen's kappa", interval(d.kappa), "agreement beyond chance" },
    { "Brier score", interval(d.brier), "squared error of the probabilities; less is better" },
    { "log loss", interval(d.log_loss), ("always stating 1/%d has %.3f"):format(#m.classes, math.log(#m.classes)) },
    { "calibration error", interval(d.ece), "mean distance of confidence and accuracy over ten bins" },
  }
  table.insert(rows, 1, { "accuracy, by patients", interval(d.accuracy), "the interval draws whole patients" })
  local plain, cells = {}, {}
  for i, row in ipairs(rows) do
    plain[i] = { row[1], row[2] }
    cells[i] = { { html = ('%s<br><span class="soft small">%s</span>'):format(html.escape(row[1]),
      html.escape(row[3])) }, row[2] }
  end
  return html.table({ { "" }, { "value (95 % interval)", numeric = true } }, cells)
    .. html.p(("Intervals: %s; AUC by DeLong's method with each patient's images summed (%s)."):format(d.method,
      m.auc.method or "DeLong"), "soft"), plain
end

-- The class that counts as the illness among two.
local function shown(m)
  local list = m.details.diagnostic
  return #m.classes == 2 and { list[m.positive or 1] } or list
end

--- Sensitivity, specificity and predictive values at the stated prevalence.
function science.diagnostic(m)
  if not m.details then return nil end
  local rows, list = {}, shown(m)
  local prevalence = list[1].prevalence
  for _, d in ipairs(list) do
    for _, figure in ipairs { { "sensitivity", d.sensitivity }, { "specificity", d.specificity },
      { ("PPV at %g %%"):format(100 * prevalence), d.ppv }, { ("NPV at %g %%"):format(100 * prevalence), d.npv } } do
      rows[#rows + 1] = { d.class, figure[1], interval(figure[2]) }
    end
  end
  local words = ("Predictive values are for a place where %g of 100 examined people have the condition "
    .. "(the run's option prevalence), not for this data set, where it is far more common. They are the chance "
    .. "that a positive, or negative, answer is right."):format(100 * prevalence)
  return html.table({ { "class" }, { "" }, { "value (95 % interval)", numeric = true } }, rows)
    .. html.p(words, "soft"), rows
end

--- Threshold and temperature that validation images chose, and what they change
-- on the test images.
function science.judged(m)
  local j = m.details and m.details.judged
  if not j then
    return m.faithful and html.p("No threshold was chosen and no temperature fitted: in the article's way there are no "
      .. "validation images apart from the test part. The answer is the class with the larger probability.", "soft")
      or "", {}
  end
  local list, rows, least = j.judges, {}, math.huge
  for _, one in ipairs(list) do least = math.min(least, one.n) end
  if least < science.enough then
    local few = ("Threshold and temperature were chosen on %d images: too few (%d are asked for), so neither they nor "
      .. "figures at them are shown.%s"):format(least, science.enough, m.tried and "" or " With a grid the inner folds "
      .. "choose, on the whole training part.")
    return html.note(few), { { few } }
  end
  for i, one in ipairs(list) do
    rows[i] = { one.fold > 0 and ("fold %d"):format(one.fold) or "the split", one.n,
      ("%.2f"):format(one.temperature), one.threshold and ("%.3f"):format(one.threshold) or nil }
  end
  local words = ("Chosen on images that are not in the test part (%s), then kept. "):format(list[1].from)
  if j.threshold then
    words = words .. ("Threshold on the probability of %s by the rule: %s. "):format(m.classes[m.positive or 1],
      j.threshold.rule)
  end
  words = words .. "A temperature above 1 says that the model was too sure of itself."
  local after = {}
  if j.threshold then
    after[#after + 1] = { "sensitivity at the threshold", interval(j.threshold.diagnostic.sensitivity) }
    after[#after + 1] = { "specificity at the threshold", interval(j.threshold.diagnostic.specificity) }
    after[#after + 1] = { "accuracy at the threshold", interval(j.threshold.accuracy) }
  end
  if j.tempered then
    after[#after + 1] = { "Brier score at the temperature", interval(j.tempered.brier) }
    after[#after + 1] = { "log loss at the temperature", interval(j.tempered.log_loss) }
    after[#after + 1] = { "calibration error at the temperature", interval(j.tempered.ece) }
  end
  return html.p(words) .. html.table({ { "" }, { "chosen on images", numeric = true },
    { "temperature", numeric = true }, j.threshold and { "threshold", numeric = true } or nil }, rows)
    .. html.table({ { "on the test images" }, { "value (95 % interval)", numeric = true } }, after), after
end

-- One row a combination: mean inner scores and how many folds took it.
local function tried_rows(m)
  local rows, folds = {}, {}
  for _, f in ipairs(m.folds or {}) do
    if f.tried then folds[#folds + 1] = f end
  end
  if #folds == 0 then folds = { { tried = m.tried, chosen = m.chosen } } end
  for i, first in ipairs(folds[1].tried) do
    local loss, accuracy, taken, name = 0, 0, 0, grid.words(first.setting)
    for _, f in ipairs(folds) do
      loss, accuracy = loss + f.tried[i].log_loss / #folds, accuracy + f.tried[i].accuracy / #folds
      taken = taken + (grid.words(f.chosen) == name and 1 or 0)
    end
    rows[i] = { name, ("%.3f"):format(loss), ("%.3f"):format(accuracy), taken }
  end
  return rows, #folds
end

--- What the inner folds tried and chose.
function science.choice(m)
  if not m.tried then return "", {} end
  local rows, folds = tried_rows(m)
  local words = ("Nested cross-validation: inside each training part inner folds tried %d combinations, and the one "
    .. "with the least log loss there was taken, without the test images. Of %d outer folds:"):format(#rows, folds)
  local plain = { { "tried", "inner log loss", "inner accuracy", "taken" }, table.unpack(rows) }
  return "<h3>Settings</h3>" .. html.p(words) .. html.table({ { "combination" },
    { "inner log loss", numeric = true }, { "inner accuracy", numeric = true }, { "taken", numeric = true } }, rows)
    .. html.p(("The head that is kept was chosen in the same way on all images: %s."):format(grid.words(m.chosen)),
      "soft"), plain
end

--- How often this test set has been looked at.
function science.looks(m)
  if not m.looks then return "", {} end
  local words = looks.words(m.looks)
  return m.looks.count > 1 and html.note(words) or html.p(words, "soft"), { { words } }
end

-- Where the heat of some images lies against an even map's: "past", "at", "even",
-- or nil where nothing is known.
local function side_of(outside, even)
  if not outside or outside.value ~= outside.value then return nil end
  return outside.lo > even and "past" or outside.hi < even and "at" or "even"
end

--- What the heat says, one sentence per class: classes looked at in opposite places
-- average to a map that no image has, so the mean over all is never interpreted
-- where the classes differ.
-- @param h metrics.json's heat: classes, outside, even
function science.looking_verdict(h)
  local said = {
    past = "more of the heat lies outside the lungs than an even map has there: the model looks past them",
    at = "less of the heat lies outside the lungs than an even map has there",
    even = "the heat lies about as an even map would: no preference for the lungs is shown",
  }
  local sides, out, same = {}, {}, true
  for _, one in ipairs(h.classes) do
    local side = side_of(one.outside, h.even)
    if side then
      sides[#sides + 1] = side
      same = same and side == sides[1]
      out[#out + 1] = ("%s: %s (%.2f)."):format(one.class, said[side], one.outside.value)
    end
  end
  if #sides == 0 then return "No map has any heat." end
  if same then
    return ("In every class %s."):format(said[sides[1]])
  end
  out[#out + 1] = "The classes differ, so their mean describes neither."
  return table.concat(out, " ")
end

--- The section on where the model looks; nil for a run without maps.
function science.looking(run)
  local h = run.metrics.heat
  if not h then return nil end
  local rows = {}
  for i, one in ipairs(h.classes) do
    rows[i] = { one.class, interval(one.outside), one.outside and one.outside.n or 0 }
  end
  rows[#rows + 1] = { "right answers", interval(h.right), h.right and h.right.n or 0 }
  rows[#rows + 1] = { "wrong answers", interval(h.wrong), h.wrong and h.wrong.n or 0 }
  rows[#rows + 1] = { "all", interval(h.outside), h.outside.n }
  local words = ("Grad-CAM on every test image, by the head that did not see it: the share of the heat outside a fixed "
    .. "central box for the lungs. A map of even heat has %.2f there. %s"):format(h.even, science.looking_verdict(h))
  local alike = ""
  if h.alike then
    alike = ("Sanity check: maps of untrained heads agree with these by a rank correlation of %s (%d images). Near 1 "
      .. "the maps would say nothing about what was learned; near 0 they do."):format(interval(h.alike), h.alike.n)
  end
  return { title = "Where the model looks", id = "looks",
    html = html.p(words) .. html.table({ { "" }, { "share outside (95 % interval)", numeric = true },
      { "images", numeric = true } }, rows) .. html.p(alike, "soft"), text = words, rows = rows, after = alike }
end

--- The overlay of a heat map on an image file beside the image itself, as JPEG
-- bytes; nil where the file cannot be read.
function science.pair(path, map)
  local ok, bytes = pcall(function()
    local x <close> = assert(luma.image.load(path, "rgb"))
    local small <close> = luma.image.resize(x, 168, 168, { method = "area" })
    local heat <close> = luma.tensor(map, "f32")
    local over <close> = luma.explain.overlay(small, heat)
    local sheet <close> = luma.image.sheet({ small, over }, { rows = 1, cols = 2, height = 168, width = 168 })
    return luma.image.encode(sheet, "jpeg", { quality = 85 })
  end)
  if not ok and bytes == luma.core.interrupt then error(bytes, 0) end
  return ok and bytes or nil
end

return science
