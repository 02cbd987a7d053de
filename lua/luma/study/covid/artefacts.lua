--- What a run leaves in its folder, and reading it back.
--
--   metrics.json  looks.json  explain.json  predictions.csv  history.csv  head.safetensors  plots/  sheets/
--   report.txt  report.html                                   (config.json: state.lua)
-- Everything the report shows is read from these files, so `luma report DIR`
-- can make it again.

local luma = require "luma"
local csv = luma.data.csv
local figures = require "luma.study.covid.figures"
local files, json = luma.files, luma.json

local artefacts = {}

local function must(ok, message)
  if not ok then error(message, 0) end
  return ok
end

local function real(v)
  return v and ("%.9g"):format(v) or ""
end

--- Writes history.csv: one line an epoch and fold.
function artefacts.write_history(state, history)
  local rows = {}
  for i, h in ipairs(history) do
    rows[i] = { fold = tostring(h.fold), epoch = tostring(h.epoch), loss = real(h.loss), accuracy = real(h.accuracy),
      val_loss = real(h.val_loss), val_accuracy = real(h.val_accuracy) }
  end
  must(csv.write(state:path "history.csv", { "fold", "epoch", "loss", "accuracy", "val_loss", "val_accuracy" }, rows))
end

--- Writes predictions.csv: one line a tested image.
function artefacts.write_predictions(state, predictions, classes)
  local columns = { "file", "class", "predicted", "correct", "fold", "patient" }
  for _, class in ipairs(classes) do columns[#columns + 1] = "p_" .. class end
  columns[#columns + 1] = "path"
  columns[#columns + 1] = "heat_outside"
  local rows = {}
  for i, one in ipairs(predictions) do
    local row = { file = one.file, class = classes[one.truth], predicted = classes[one.predicted],
      correct = one.truth == one.predicted and "1" or "0", fold = tostring(one.fold),
      patient = one.patient and tostring(one.patient) or "", path = one.path,
      heat_outside = real(one.outside) }
    for c, class in ipairs(classes) do row["p_" .. class] = real(one.p[c]) end
    rows[i] = row
  end
  must(csv.write(state:path "predictions.csv", columns, rows))
end

--- Writes the plots.  Without gnuplot nothing is written and the reason returned.
function artefacts.write_plots(state, run)
  must(files.mkdir_p(state:path "plots"))
  for _, figure in ipairs(figures.list(run)) do
    local bytes, message, code = figure.plot:png()
    if not bytes and code == "absent" then return nil, message end
    must(bytes, message)
    state:write(files.join("plots", figure.name .. ".png"), bytes)
  end
  return true
end

-- ---- reading a run back ----

local function read_table(path, required)
  local rows, message = csv.read(path, { require = required, empty = true })
  if not rows then error(message, 0) end
  return rows
end

-- The maps of explain.json by file; none where it is missing.
local function read_maps(path)
  local source = files.is_file(path) and files.read(path)
  local kept, by_file = source and json.decode(source), {}
  for _, one in ipairs(type(kept) == "table" and kept or {}) do by_file[one.file] = one.map end
  return by_file
end

--- Writes explain.json: the heat maps of the mistakes that the report shows.
function artefacts.write_maps(state, maps)
  state:write("explain.json", json.encode(maps))
end

--- A finished run, read from its folder; raises one line when it is not one.
-- @return { dir, config, metrics, classes, history, predictions, numbers, faithful }
function artefacts.read(dir)
  local function object(name)
    local source, message = files.read(files.join(dir, name))
    if not source then error(message, 0) end
    local value, why = json.decode(source)
    if type(value) ~= "table" then error(("%s/%s: %s"):format(files.show(dir), name, why or "not an object"), 0) end
    return value
  end
  if not files.is_dir(dir) then error(files.show(dir) .. ": no such folder", 0) end
  local run = { dir = dir, config = object "config.json", metrics = object "metrics.json", history = {},
    predictions = {} }
  run.classes, run.numbers, run.faithful = run.metrics.classes, run.metrics, run.metrics.faithful
  for i, row in ipairs(read_table(files.join(dir, "history.csv"), { "epoch", "loss" })) do
    local h = {}
    for _, key in ipairs { "fold", "epoch", "loss", "accuracy", "val_loss", "val_accuracy" } do
      h[key] = tonumber(row[key])
    end
    run.history[i] = h
  end
  local maps = read_maps(files.join(dir, "explain.json"))
  local ids = {}
  for c, class in ipairs(run.classes) do ids[class] = c end
  for i, row in ipairs(read_table(files.join(dir, "predictions.csv"), { "file", "class", "predicted" })) do
    local one = { file = row.file, truth = ids[row.class], predicted = ids[row.predicted], p = {}, path = row.path,
      fold = tonumber(row.fold), patient = row.patient, outside = tonumber(row.heat_outside),
      map = maps[row.file] }
    for c, class in ipairs(run.classes) do one.p[c] = tonumber(row["p_" .. class]) or 0 / 0 end
    if not one.truth or not one.predicted then
      error(("%s/predictions.csv: line %d names a class that metrics.json does not"):format(files.show(dir), i + 1), 0)
    end
    run.predictions[i] = one
  end
  return run
end

return artefacts
