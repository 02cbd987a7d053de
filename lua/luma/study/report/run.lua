--- The sections of a run's report, from what lies in its folder.

local luma = require "luma"
local figures = require "luma.study.covid.figures"
local grid = require "luma.study.covid.grid"
local science = require "luma.study.report.science"
local files, report, text = luma.files, luma.report, luma.text
local html = report.html

local run_report = {}

local interval = text.interval

local function short(v)
  return v and v.value and ("%.3f"):format(v.value) or "n/a"
end

local function range(v)
  return v and v.value and ("95 %% interval %.3f to %.3f"):format(v.lo, v.hi) or "not defined"
end

-- A text table: columns padded to their widest cell.
local function lines(rows)
  local widths, out = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, text.len(tostring(cell))) end
  end
  for r, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do cells[i] = text.right_pad(tostring(cell), widths[i]) end
    out[r] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  return table.concat(out, "\n")
end

-- ---- sections ----

local function question(run)
  local m = run.metrics
  local words = ("Can %s be told apart on a chest radiograph by a small classifier on features of a network (%s) that "
    .. "was trained for something else? This run follows an article of March 2020 that reported an accuracy of 0.82, "
    .. "and a later version of its code that reported 0.95."):format(table.concat(run.classes, " and "), m.base)
  local tiles = html.tiles {
    { short(m.accuracy), "accuracy", range(m.accuracy) },
    { short(m.auc), "area under the ROC curve", range(m.auc) },
    m.strongest and { short(m.strongest.auc), "AUC of the strongest baseline",
      ("%s; %s"):format(m.strongest.title, range(m.strongest.auc)) } or
    { ("%.0f s"):format(m.seconds.total), "computing time", ("%d threads"):format(m.threads) },
    { ("%d"):format(m.n), "tested images", m.folds and ("in %d folds"):format(#m.folds) or "never trained on" } }
  local notes, plain = {}, {}
  for _, sentence in ipairs { m.headline or false, m.strongest_sentence or false } do
    if sentence then
      notes[#notes + 1], plain[#plain + 1] = html.note(sentence), sentence
    end
  end
  if m.generated then
    notes[#notes + 1] = html.note("The data of this run is generated: drawn phantoms, no patient's image.")
    plain[#plain + 1] = "The data of this run is generated: drawn phantoms, no patient's image."
  end
  for _, trap in ipairs(m.traps or {}) do
    notes[#notes + 1], plain[#plain + 1] = html.note(trap), trap
  end
  local said = m.answer or "" -- runs of earlier versions have none
  return { title = "Question and answer", id = "question",
    html = (said ~= "" and html.p(said, "answer") or "") .. tiles .. table.concat(notes) .. html.p(words, "soft"),
    text = (said ~= "" and said .. "\n\n" or "") .. words .. "\n\n" .. lines {
      { "accuracy", interval(m.accuracy) }, { "AUC", interval(m.auc) }, { "tested images", m.n } } .. "\n"
      .. table.concat(plain, "\n") }
end

local function data(run)
  local m, rows = run.metrics, {}
  for _, class in ipairs(m.data.classes) do
    rows[#rows + 1] = { class.class, class.images, class.patients or "unknown" }
  end
  local split = { { "train", m.split.train }, { "validation", m.split.val }, { "test", m.split.test } }
  if m.folds then -- parts that add up: each fold's own, as ranges
    for r, part in ipairs { "train", "val", "test" } do
      local lo, hi = math.huge, 0
      for _, f in ipairs(m.folds) do lo, hi = math.min(lo, f.split[part]), math.max(hi, f.split[part]) end
      split[r] = { split[r][1] .. ", per fold", lo == hi and lo or ("%d to %d"):format(lo, hi) }
    end
  end
  local known = 0
  for _, class in ipairs(m.data.classes) do known = known + (class.patients or 0) end
  local shared = known == 0 and "patients in more than one part: unknown, as the patients are"
    or ("patients in more than one part: %d"):format(m.split.shared_patients)
  return { title = "Data", id = "data",
    html = html.p(m.data.words) .. html.table({ { "class" }, { "images", numeric = true }, { "patients",
      numeric = true } }, rows) .. html.pre(m.data.found) .. "<h3>Parts</h3>"
      .. html.table({ { "part" }, { "images", numeric = true } }, split) .. html.p(m.data.split_words)
      .. (m.split.shared_patients > 0 and html.note(shared .. ": a test image may show a person the model has seen.")
        or html.p(shared, "soft")),
    text = m.data.words .. "\n\n" .. m.data.found .. "\n\n" .. lines(split) .. "\n" .. m.data.split_words .. "\n"
      .. shared }
end

-- Which part of the base was trained.
local function trained_words(config)
  if not config.unfreeze then return "frozen" end
  return (config.unfreeze == "all" and "trained as a whole" or "frozen up to " .. config.unfreeze
    .. ", trained from there on") .. (" (rate %g)"):format(config.base_rate)
end

local function done(run)
  local m, c = run.metrics, grid.over(run.config, run.metrics.chosen)
  local rows = {
    { "base", ("%s, %s; weights %s%s"):format(m.base, trained_words(c), m.weights,
      m.weights_md5 and " (MD5 " .. m.weights_md5 .. ")" or "") },
    { "input scaling", m.scale .. (m.scale_words and ": " .. m.scale_words or "") },
    { "features", ("%d numbers an image; %d images passed the base, %s a second"):format(m.features.width,
      m.features.images, m.features.per_second and ("%.1f"):format(m.features.per_second) or "?") },
    c.augmentation == "none" and { "augmentation", "none: every image as it is" } or
    { "augmentation", ("rotation up to %g degrees, shifts up to %g, flips; %s; convention %s"):format(
      c.augment.rotation, c.augment.width_shift, not c.fresh and text.plural(c.views, "kept view") .. " per image"
      .. (m.faithful and "" or " beside the plain one") or "fresh views every epoch", c.augment.compat) },
    c.head == "logistic" and { "head",
      ("L2-regularised logistic regression on %d standardised numbers per image%s, C = %g")
      :format(m.head_width, c.features and (" (%s%s)"):format(c.features.layer, c.features.pool == "gap"
      and ", averaged over places" or "") or "", c.c) } or
    { "head", ("Flatten, Dropout %g, Dense %d, softmax: %d trained weights"):format(c.dropout, #run.classes,
      (m.head_width or m.features.width) * #run.classes + #run.classes) },
    c.head == "logistic" and { "training", "L-BFGS to the minimum; C chosen by inner folds of each training part" } or
    { "training", ("Adam, rate %.3g%s, batches of %d, %s; the last one is kept%s"):format(c.rate or m.rate or 0 / 0,
      c.schedule == "cosine" and " falling to 0 along a cosine" or "", c.batch, text.plural(c.epochs, "epoch"),
      c.normalise and "; features divided by their root mean square on the training part" or "") },
    { "class weights", c.class_weights == "balanced" and "balanced: every class counts alike in training"
      or "none: every image counts alike" },
    { "mode", m.faithful and "faithful: the article's choices, its mistakes included" or "fixed: the article's "
      .. "mistakes mended" },
    { "seed, threads", ("%d, %d"):format(m.seed, m.threads) },
    { "settings and inputs", "SHA-256 " .. m.digest },
    { "computing time", ("%.0f s"):format(m.seconds.total) },
    { "made by", m.version },
  }
  local words = ""
  for _, warning in ipairs(m.cautions or {}) do words = words .. html.note(warning) end
  return { title = "What was done", id = "done", html = words .. html.table({ { "what" }, { "how" } }, rows),
    text = lines(rows) .. "\n" .. table.concat(m.cautions or {}, "\n") }
end

local published = {
  { "the article (39 images)", "0.82", "0.67 to 0.91", "" },
  { "its code, later (39 images)", "0.95", "0.83 to 0.99", "" },
}

local function results(run)
  local m = run.metrics
  local compare = { { "this run", short(m.accuracy), m.accuracy.value and ("%.2f to %.2f"):format(m.accuracy.lo,
    m.accuracy.hi) or "", interval(m.auc) } }
  for _, row in ipairs(published) do compare[#compare + 1] = row end
  local classes, plain = {}, { { "class", "precision", "recall", "95 % interval", "F1", "images" } }
  for i, row in ipairs(m.per_class) do
    local r = row.recall
    classes[i] = { row.class, ("%.3f"):format(row.precision), short(r), r.value and ("%.3f to %.3f"):format(r.lo, r.hi)
      or "n/a", ("%.3f"):format(row.f1), row.support }
    plain[#plain + 1] = classes[i]
  end
  local body = html.table({ { "accuracy of" }, { "value", numeric = true }, { "95 % interval", numeric = true },
    { "AUC", numeric = true } }, compare)
    .. html.p("Intervals of proportions: Wilson's, which take images as independent; several images of one patient "
      .. "make them a little too narrow. The published figures are shown for comparison, not as a target: with 39 test "
      .. "images, two runs of the same code differ by more than that.", "soft")
    .. html.table({ { "class" }, { "precision", numeric = true }, { "recall", numeric = true },
      { "95 % interval", numeric = true }, { "F1", numeric = true }, { "images", numeric = true } }, classes)
    .. "<h3>Confusion</h3>" .. html.matrix(m.confusion, run.classes)
    .. "<h3>Classification report</h3>" .. html.pre(m.report)
  for _, warning in ipairs(m.warnings or {}) do body = body .. html.p(warning, "soft") end
  local folds = ""
  if m.folds then
    local rows = {}
    for k, f in ipairs(m.folds) do
      rows[k] = { ("fold %d"):format(k), f.split.test, interval(f.accuracy), interval(f.auc) }
    end
    body = body .. "<h3>Folds</h3>" .. html.table({ { "" }, { "test images", numeric = true }, { "accuracy",
      numeric = true }, { "AUC", numeric = true } }, rows)
    folds = "\n" .. lines(rows) .. "\n"
  end
  local more = ""
  for _, part in ipairs { "looks", "choice", "figures", "diagnostic", "judged" } do
    local page, rows = science[part](m)
    local title = ({ figures = "<h3>More figures</h3>", diagnostic = "<h3>For one person</h3>",
      judged = "<h3>Threshold and calibration</h3>" })[part]
    if page and page ~= "" then
      body = body .. (title or "") .. page
      if #rows > 0 then more = more .. "\n" .. lines(rows) .. "\n" end
    end
  end
  return { title = "Results", id = "results", html = body,
    text = m.report .. "\n" .. lines(plain) .. "\n" .. folds .. more .. "\n" .. lines {
      { "accuracy of", "value", "95 % interval" }, compare[1], compare[2], compare[3] } }
end

local function shortcuts(run)
  local a = run.metrics.audit
  if not a or #a.shortcuts == 0 then return nil end
  local m, rows = run.metrics, {}
  rows[1] = { "this run's model", interval(m.auc), interval(m.accuracy), "the whole image" }
  for _, twin in ipairs(m.twins or {}) do
    rows[#rows + 1] = { "the same pipeline, " .. twin.title, interval(twin.auc), interval(twin.accuracy),
      twin.sees_lungs and "all of it, without detail" or "no lung" }
  end
  for _, s in ipairs(a.shortcuts) do
    rows[#rows + 1] = { s.title, interval(s.auc), interval(s.accuracy),
      s.sees or "" }
  end
  local words = "What something that cannot read a lung scores on the same test images, trained on the same training "
    .. "images: the run's own pipeline on images from which something was taken, and simple features (the better of "
    .. "logistic regression and a random forest). What the model does not add to these, it may owe to them."
  local head = { { "what is looked at" }, { "AUC", numeric = true }, { "accuracy", numeric = true },
    { "what it sees" } }
  local plain = { { "what is looked at", "AUC", "accuracy", "what it sees" } }
  table.move(rows, 1, #rows, 2, plain)
  return { title = "Shortcuts", id = "shortcuts", html = html.p(words) .. (a.sentence and html.note(a.sentence) or "")
    .. html.table(head, rows) .. (a.warning and html.note(a.warning) or ""),
    text = words .. "\n" .. (a.sentence or "") .. "\n" .. lines(plain) .. "\n" .. (a.warning or "") }
end

local function curves(run)
  local list = {}
  for _, figure in ipairs(figures.list(run)) do
    local svg, message = figure.plot:svg()
    if not svg then return { title = "Curves", id = "curves", html = html.note("No plots: " .. message .. ".") } end
    list[#list + 1] = html.figure(svg, figure.caption)
  end
  return { title = "Curves", id = "curves", html = html.group("figures", list) }
end

-- A thumbnail of an image file, or nil.
local function thumbnail(path, alt)
  if not path or not files.is_file(path) then return nil end
  local ok, bytes = pcall(function()
    local x = assert(luma.image.load(path, "gray"))
    local small = luma.image.resize(x, 168, 168, { method = "area" })
    local out = luma.image.encode(small, "jpeg", { quality = 85 })
    x:close()
    small:close()
    return out
  end)
  if not ok and bytes == luma.core.interrupt then error(bytes, 0) end
  return ok and html.image(bytes, alt) or nil
end
run_report.thumbnail = thumbnail

local MISTAKES = 24

local function mistakes(run)
  local wrong = {}
  for _, one in ipairs(run.predictions) do
    if one.truth ~= one.predicted then wrong[#wrong + 1] = one end
  end
  table.sort(wrong, function(a, b)
    if a.p[a.predicted] ~= b.p[b.predicted] then return a.p[a.predicted] > b.p[b.predicted] end
    return a.file < b.file
  end)
  local list, plain, maps = {}, { { "file", "is", "called", "with" } }, nil
  for k, one in ipairs(wrong) do
    local p = ("%.3f"):format(one.p[one.predicted])
    plain[#plain + 1] = { text.printable(one.file, 70), run.classes[one.truth], run.classes[one.predicted], p }
    if k <= MISTAKES then
      local pair = one.map and science.pair(one.path, one.map)
      local outside = one.outside and ("Heat outside the lungs: %.2f. "):format(one.outside) or ""
      maps = maps or pair ~= nil
      list[k] = html.figure(pair and html.image(pair, one.file .. ", and where the model looked")
        or thumbnail(one.path, one.file) or "", ("is %s, called so with %s. %s%s"):format(run.classes[one.truth], p,
        outside, text.printable(one.file, 60)), run.classes[one.predicted] .. ":")
    end
  end
  local words = #wrong == 0 and ("None in %d images."):format(run.metrics.n)
    or ("%d of %d tested images, the most confident first%s."):format(#wrong, run.metrics.n,
      #wrong > MISTAKES and (", %d shown"):format(MISTAKES) or "")
  return { title = "Mistakes", id = "mistakes", html = html.p(words) .. html.group(maps and "pairs" or "gallery", list),
    text = words .. (#wrong > 0 and "\n" .. lines(plain) or "") }
end

local function looking(run)
  local section = science.looking(run)
  if not section then return nil end
  section.text = section.text .. "\n" .. lines(section.rows) .. "\n" .. section.after
  section.rows, section.after = nil, nil
  return section
end

local function sheets(run)
  local dir, list = files.join(run.dir, "sheets"), {}
  local captions = run.metrics.sheets or {}
  for _, name in ipairs(files.list(dir) or {}) do
    local bytes = name:match "%.[jp][pn]g$" and files.read(files.join(dir, name))
    if bytes then list[#list + 1] = html.figure(html.image(bytes, name), captions[name] or name) end
  end
  if #list == 0 then return nil end
  return { title = "Images", id = "images", html = html.group("figures", list) }
end

--- The sections of a run (see experiment.artefacts.read): a list for report:section.
function run_report.sections(run)
  local list = {}
  for _, make in ipairs { question, data, done, results, shortcuts, curves, mistakes, looking, sheets } do
    local section = make(run)
    if section then list[#list + 1] = section end
  end
  return list
end

--- Makes the report of a run: report.html and report.txt in its folder.
-- extra: more sections, put before the images.
function run_report.write(run, extra)
  local r = report.new { title = run.metrics.title, subtitle = run.metrics.subtitle }
  local sections = run_report.sections(run)
  for _, section in ipairs(sections) do
    if section.id == "images" then
      for _, more in ipairs(extra or {}) do r:section(more) end
      extra = nil
    end
    r:section(section)
  end
  for _, more in ipairs(extra or {}) do r:section(more) end
  local ok, message = r:save(run.dir)
  if not ok then error(message, 0) end
end

return run_report
