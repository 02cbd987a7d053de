--- audit.page: what an audit leaves in a folder: audit.json (the contract),
-- audit.png (the pictures) and audit.html (everything on one page).

local figure = require "luma.study.audit.figure"
local files = require "luma.base.files"
local json = require "luma.base.json"
local report = require "luma.study.report"
local luma = require "luma"
local space = require "luma.study.audit.space"
local text = require "luma.base.text"
local words = require "luma.study.audit.words"

local html = report.html
local page = {}

-- ---- audit.json ----

local function interval(v)
  return { value = v.value, lo = v.lo, hi = v.hi, method = v.method, count = v.count, n = v.n }
end

local function plain(list) return json.list(table.move(list, 1, #list, 1, {})) end

local function by_class(shares)
  local out = {}
  for class, v in pairs(shares) do out[class] = interval(v) end
  return out
end

--- The result as the plain table that audit.json holds.
function page.contract(result)
  local out = {
    name = result.name, images = result.images, classes = plain(result.classes),
    counts = result.counts, patients = result.patients, imbalance = result.imbalance, folds = result.folds,
    seed = result.seed, version = result.version, missing = result.missing,
    notes = plain(result.notes),
    bars = { before = by_class(result.bars.before), after = by_class(result.bars.after),
      sentence = result.bars.sentence },
    leakage = { shared_patients = result.leakage.shared_patients, patients_known = result.leakage.patients_known,
      shared_duplicates = result.leakage.shared_duplicates,
      parts = json.list(result.leakage.parts), random_split = result.leakage.random_split,
      sentence = result.leakage.sentence },
    shortcuts = json.list {}, duplicates = json.list {}, pipeline = json.list {}, unread = json.list {},
  }
  for i, s in ipairs(result.shortcuts) do
    out.shortcuts[i] = { name = s.name, title = s.title, model = s.model, auc = interval(s.auc),
      accuracy = interval(s.accuracy), above_chance = s.above_chance, sees_lungs = s.lungs, features = s.features,
      sentence = s.sentence }
  end
  for i, d in ipairs(result.duplicates) do
    out.duplicates[i] = { a = d.a, b = d.b, kind = d.kind, how = d.how, correlation = d.correlation,
      same_class = d.same_class,
      same_patient = d.same_patient, patients_known = d.patients_known }
  end
  for i, p in ipairs(result.pipeline) do
    out.pipeline[i] = { name = p.name, classes = p.classes, differs = p.differs, class = p.class,
      auc = p.auc and interval(p.auc), sentence = p.sentence }
  end
  out.outliers, out.acquisition = json.list {}, json.list {}
  for i, one in ipairs(result.outliers or {}) do
    out.outliers[i] = { name = one.name, class = one.class, spread = one.spread }
  end
  for i, a in ipairs(result.acquisition or {}) do
    out.acquisition[i] = { column = a.column, class = a.class, values = plain(a.values), n = a.n,
      auc = interval(a.auc) }
  end
  if result.labels then
    out.labels = { auc = interval(result.labels.auc), list = json.list {} }
    for i, one in ipairs(result.labels.list) do
      out.labels.list[i] = { name = one.name, class = one.class, other = one.other, p_class = one.p_class,
        p_other = one.p_other }
    end
  end
  for i, u in ipairs(result.unread) do out.unread[i] = { name = u.name, class = u.class, reason = u.reason } end
  return out
end

-- ---- sections ----

local function list_of(sentences)
  local out = { "<ul>\n" }
  for _, sentence in ipairs(sentences) do out[#out + 1] = "<li>" .. html.escape(sentence) .. "</li>\n" end
  out[#out + 1] = "</ul>\n"
  return table.concat(out)
end

local function shortcut_table(result)
  local columns = {}
  for i, title in ipairs(words.columns) do columns[i] = { title, numeric = i >= 2 and i <= 5 } end
  local rows = words.rows(result)
  for _, row in ipairs(rows) do -- names keep their words whole on a phone
    row[1] = { html = '<span style="display:inline-block;min-width:10rem">' .. html.escape(row[1]) .. "</span>" }
  end
  return html.table(columns, rows)
end

local function bars_table(result)
  local rows = {}
  for i, class in ipairs(result.classes) do
    local function cell(v) return ("%d of %d (%.0f %%, %.0f to %.0f)"):format(v.count, v.n, 100 * v.value, 100 * v.lo,
      100 * v.hi) end
    rows[i] = { class, cell(result.bars.before[class]), cell(result.bars.after[class]) }
  end
  return html.table({ { "class" }, { "with black rows or columns", numeric = true },
    { "after luma's preparation", numeric = true } }, rows)
end

local function pipeline_table(result)
  local columns, rows = { { "property" } }, {}
  for _, class in ipairs(result.classes) do columns[#columns + 1] = { class } end
  columns[#columns + 1] = { "differs" }
  for i, p in ipairs(result.pipeline) do
    local row = { p.name }
    for _, class in ipairs(result.classes) do row[#row + 1] = p.classes[class] end
    row[#row + 1] = p.differs and "yes" or "no"
    rows[i] = row
  end
  return html.table(columns, rows)
end

local function key_tiles(result)
  local tiles = { { tostring(result.images), "images", ("%d classes"):format(#result.classes) } }
  for _, s in ipairs(result.shortcuts) do
    if not s.lungs and not s.metadata then
      tiles[#tiles + 1] = { ("%.2f"):format(s.auc.value), "AUC without a lung in view",
        ("%s; %s"):format(s.title, words.range(s.auc)) }
      break
    end
  end
  local p = result.patients
  tiles[#tiles + 1] = { p.known > 0 and tostring(p.multi_image) or "?", "patients with several images",
    p.known > 0 and ("of %d known"):format(p.known) or "patients are unknown" }
  tiles[#tiles + 1] = { tostring(#result.duplicates), "pairs of one image", "exact, near, changed or suspect" }
  return html.tiles(tiles)
end

local SHOWN = 12 -- pictures of a kind

-- A picture of the index as a figure, or its caption alone where it cannot be read.
local function pictured(index, i, caption, bold)
  local x <close> = luma.image.load(index[i].path, { mode = "gray", strict = false })
  local picture = ""
  if x then
    local small <close> = luma.image.resize(x, 168, 168, { method = "area" })
    picture = html.image(luma.image.encode(small, "jpeg", { quality = 85 }), caption)
  end
  return html.figure(picture, caption, bold)
end

-- Images to look at: those unlike all others, and those whose label a model would
-- change; nil when there are none.
local function to_look_at(result)
  local list, labels = {}, result.labels and result.labels.list or {}
  for k = 1, math.min(SHOWN, #(result.outliers or {})) do
    local one = result.outliers[k]
    list[#list + 1] = pictured(result.index, one.i, ("%s, %s"):format(one.class, text.printable(one.name, 60)),
      "Unlike all others:")
  end
  for k = 1, math.min(SHOWN, #labels) do
    local one = labels[k]
    list[#list + 1] = pictured(result.index, one.i, ("labelled %s, p %.2f; looks like %s, p %.2f. %s"):format(one.class,
      one.p_class, one.other, one.p_other, text.printable(one.name, 60)), "Label?")
  end
  return #list > 0 and html.group("gallery", list) or nil
end

--- The sections of an audit page, for report:section.
function page.sections(result, picture)
  local list = {}
  local function add(id, title, body) list[#list + 1] = { id = id, title = title, html = body } end
  add("findings", "What was found", key_tiles(result) .. list_of(words.findings(result)))
  if #result.shortcuts > 0 then
    add("shortcuts", "Shortcuts", html.p(("How well each of these alone tells the classes apart, in %d folds that keep "
      .. "patients and copies together. An AUC of 0.50 is chance; it counts as above chance when the whole interval "
      .. "is. Each was put to two learners, of which the better is shown."):format(result.folds))
      .. figure.chart(result) .. shortcut_table(result))
  end
  if picture then
    add("pictures", "Pictures", html.group("figures", { html.figure(html.image(picture, "pictures of the audit"),
      "The mean image of each class, the same without the lungs, and examples. What can be seen here without a lung "
      .. "can be learnt without one.") }))
  end
  add("bars", "Black bars", html.p(result.bars.sentence) .. bars_table(result))
  local pairs_, rows = figure.pairs(result), {}
  for i = 1, math.min(#result.duplicates, 50) do
    local d = result.duplicates[i]
    rows[i] = { d.how and d.kind .. ": " .. d.how or d.kind, d.a, d.b, ("%.3f"):format(d.correlation),
      d.same_class and "one" or "two",
      d.patients_known and (d.same_patient and "one" or "two") or "unknown" }
  end
  add("duplicates", "Copies and patients", html.p(words.duplicates(result)) .. html.p(result.leakage.sentence)
    .. (#rows > 0 and html.table({ { "kind" }, { "image" }, { "image" }, { "correlation", numeric = true },
      { "classes" }, { "patients" } }, rows) or "")
    .. (pairs_ and html.figure(html.image(pairs_, "copies side by side"), "Copies side by side.") or ""))
  local look = to_look_at(result)
  if look then add("look", "Images to look at", list_of(space.sentences(result)) .. look) end
  add("pipeline", "Were the classes treated alike?", html.p(table.concat(words.treatment(result), " "))
    .. pipeline_table(result))
  local notes = { words.counts(result), result.imbalance.sentence }
  for _, note in ipairs(result.notes) do notes[#notes + 1] = note end
  for i = 1, math.min(#result.unread, 20) do notes[#notes + 1] = "not read: " .. result.unread[i].reason end
  add("data", "The data", list_of(notes))
  return list
end

--- Writes audit.json, audit.png and audit.html into a folder, made when missing.
-- Returns true | nil, message, code.
function page.save(result, dir)
  local ok, message, code = files.mkdir_p(dir)
  if not ok then return nil, message, code end
  ok, message, code = files.write_atomic(files.join(dir, "audit.json"), json.encode(page.contract(result)))
  if not ok then return nil, message, code end
  local picture = figure.picture(result)
  if picture then
    ok, message, code = files.write_atomic(files.join(dir, "audit.png"), picture)
    if not ok then return nil, message, code end
  end
  local r = report.new { title = "Audit of " .. text.printable(result.name, 80), subtitle = words.counts(result) }
  for _, section in ipairs(page.sections(result, figure.picture(result, true))) do r:section(section) end
  return files.write_atomic(files.join(dir, "audit.html"), r:to_html())
end

return page
