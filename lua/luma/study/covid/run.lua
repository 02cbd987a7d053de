--- The main job, phase after phase: load, split, features, heads, numbers, files.
--
-- Every phase takes up what an interrupted run left of it, so starting and
-- continuing are one function.  Ctrl-C ends it after the batch in hand: what is
-- computed is written, and `luma resume DIR` goes on to the same numbers.

local luma = require "luma"
local uv = require "luv"
local answer = require "luma.study.covid.answer"
local artefacts = require "luma.study.covid.artefacts"
local audit = require "luma.study.covid.audit"
local base = require "luma.study.covid.base"
local counterfactual = require "luma.study.covid.counterfactual"
local dataset = require "luma.study.covid.dataset"
local evaluate = require "luma.study.covid.evaluate"
local Features = require "luma.study.covid.features"
local grid = require "luma.study.covid.grid"
local head = require "luma.study.covid.head"
local heat = require "luma.study.covid.heat"
local judge = require "luma.study.covid.judge"
local looks = require "luma.study.covid.looks"
local nested = require "luma.study.covid.nested"
local plan = require "luma.study.covid.plan"
local preparation = require "luma.study.covid.preparation"
local settings = require "luma.study.covid.options"
local sheets = require "luma.study.covid.sheets"
local State = require "luma.study.covid.state"

local files, json, store, system, text = luma.files, luma.json, luma.store, luma.core.system, luma.text

local run = {}

local function seconds_since(moment)
  return (uv.hrtime() - moment) / 1e9
end

-- ---- features and heads ----

-- Settings and inputs as one digest; threads change no number and are left out.
local function digest(config, index, network)
  local what = {}
  for key, value in pairs(config) do what[key] = value end
  what.threads, what.data, what.metadata = nil, nil, nil
  return system.sha256(json.encode { settings = what, images = dataset.digest(index), weights = network.md5,
    scale = network.scale, version = luma._VERSION })
end

-- Class ids and probabilities of images that a head has not seen.
local function unseen(job, net, numbers)
  local x <close> = job.features:plain(numbers)
  local truth = {}
  for k, i in ipairs(numbers) do truth[k] = job.index:encoder():encode(job.index[i].class) end
  return truth, head.probabilities(net, x)
end

-- Threshold and temperature of a fold: from its inner predictions where settings
-- were chosen, else from its validation part.
local function judge_of(job, fold, net, choice)
  local config = job.config
  if config.faithful or #fold.test == 0 then return nil end
  local options = { classes = #job.index.classes, sensitivity = config.sensitivity,
    positive = evaluate.positive(job.index.classes),
    from = choice and "inner folds" or "validation part" }
  local made
  if choice then
    made = judge.make(choice.truth, choice.p, options)
  elseif #fold.val > 0 then
    local truth, p = unseen(job, net, fold.val)
    made = judge.make(truth, p, options)
  end
  if made then made.fold = fold.fold end
  return made
end

-- Trains the head of one fold and predicts its test part; finished folds are
-- read back.  Returns { predictions, history, judge }, the head's tensors.
local function one_fold(job, fold)
  local choice = job.choices[fold.fold]
  local config = grid.over(job.config, choice and choice.setting)
  local tensors, info = job.state:load("fold-" .. fold.fold)
  if tensors then
    job.meter:add(config.epochs)
    return info, tensors
  end
  local net, history = head.train { config = config, index = job.index, features = job.features, fold = fold.fold,
    train = fold.train, val = fold.val, meter = job.meter,
    checkpoint = job.state:path("state", ("head-%d.safetensors"):format(fold.fold)) }
  local predictions = json.list {}
  if #fold.test > 0 then
    local _, rows = unseen(job, net, fold.test)
    for k, p in ipairs(rows) do
      local row = job.index[fold.test[k]]
      predictions[k] = { file = row.name, path = row.path, patient = row.patient, fold = fold.fold, p = p,
        truth = job.index:encoder():encode(row.class), predicted = head.argmax(p) }
    end
  end
  for _, row in ipairs(history) do row.fold = fold.fold end
  local judged = judge_of(job, fold, net, choice)
  judge.apply(judged, predictions)
  heat.add { config = config, features = job.features, shape = job.network.output_shape, net = net,
    predictions = predictions, numbers = fold.test, classes = #job.index.classes }
  info = { predictions = predictions, history = json.list(history), judge = judged }
  job.state:save("fold-" .. fold.fold, net:state(), info)
  return info, net:state()
end

-- ---- what is said and written ----

local function split_of(fold)
  return { train = #fold.train, val = #fold.val, test = #fold.test, shared_patients = fold.shared_patients }
end

local function split_words(config)
  local how = config.group and "Images of one patient stay in one part where patients are known."
    or "Patients are not kept apart (the article's way)."
  if config.folds > 0 then
    return ("%d folds; each image is tested once, by a head that never saw it. %s The head that is kept was trained "
      .. "on all images.")
      :format(config.folds, how)
  end
  return how .. (config.faithful and " The test part served as validation, as in the article."
    or " Test images are used once, at the end.")
end

local function data_record(job)
  local counts, list = job.index:counts(), json.list {}
  for i, class in ipairs(job.index.classes) do
    local patients = job.index:patients(class)
    list[i] = { class = class, images = counts[class], patients = patients > 0 and patients or nil }
  end
  return { words = dataset.words(job.config, job.index), found = job.index:report(), classes = list,
    split_words = split_words(job.config) }
end

local function cautions(job)
  local out = json.list {}
  out[#out + 1] = job.network.warning
  if job.config.weights == "none" then
    out[#out + 1] = "The base has random weights: nothing is transferred (the article reports 0.5 to 0.6 for that)."
  end
  out[#out + 1] = job.network.note
  if job.config.data then
    out[#out + 1] = "Tested on images of the same collection only; whether the result travels is not shown "
      .. "(luma evaluate RUN DIR tests it on images from elsewhere)."
  end
  if job.index:patients() == 0 then
    out[#out + 1] = "Patients are unknown: images of one person may stand in several parts, and the numbers flatter."
  end
  return out
end

-- metrics.json: the contract of the main job, and what the report needs besides.
local function record(job, results)
  local config, numbers = job.config, results.numbers
  local final = job.choices[0]
  local m = {
    details = results.details, positive = evaluate.positive(job.index.classes), heat = results.heat,
    looks = results.looks,
    chosen = final and final.setting, tried = final and json.list(final.scores),
    classes = json.list(job.index.classes), accuracy = numbers.accuracy, f1 = numbers.f1, auc = numbers.auc,
    confusion = numbers.confusion, report = numbers.report, per_class = numbers.classes, n = numbers.n,
    warnings = numbers.warnings, traps = evaluate.traps(numbers, job.index:counts(), job.index.classes),
    split = split_of(job.folds[#job.folds]), seconds = job.seconds, seed = config.seed, threads = luma.threads(),
    features = { images = job.features.total, width = job.features.width,
      per_second = job.features.computed > 0 and job.features.computed / job.features.seconds or nil },
    base = config.base, weights = job.network.weights, weights_md5 = job.network.md5, scale = job.network.scale,
    scale_words = base.scalings[job.network.scale], faithful = config.faithful, generated = config.data == nil,
    preparation = preparation.of(config, job.index, job.index[1].raw ~= nil),
    head_width = head.width(job.features.input), rate = head.rate(config, head.width(job.features.input)),
    digest = job.digest, data = data_record(job), cautions = cautions(job),
    version = ("%s, %s, %s"):format(luma._VERSION, luma.cpu_info().isa, luma.cpu_info().blas_config),
    title = config.data and "COVID-19 on chest radiographs: a run of luma"
      or "Opacities on phantom radiographs: a run of luma",
    subtitle = ("preset %s, base %s, seed %d%s"):format(config.preset, config.base, config.seed,
      config.faithful and ", faithful to the article" or ""),
  }
  if config.folds > 0 then
    m.split.test, m.split.shared_patients, m.folds = numbers.n, 0, json.list {}
    for k, fold in ipairs(job.folds) do
      if fold.fold > 0 then
        local f = results.by_fold[k]
        m.folds[k] = { fold = k, split = split_of(fold), accuracy = f.accuracy, f1 = f.f1, auc = f.auc,
          confusion = f.confusion }
        m.split.shared_patients = m.split.shared_patients + fold.shared_patients
      end
    end
    for k, choice in pairs(job.choices) do
      if m.folds[k] then
        m.folds[k].chosen = choice.setting
        m.folds[k].tried = json.list(choice.scores)
      end
    end
    m.pooled = { accuracy = m.accuracy, f1 = m.f1, auc = m.auc, confusion = m.confusion }
  end
  return m
end

local function announce(job, m)
  local say = job.say
  say ""
  say(m.report)
  if m.folds then
    for _, f in ipairs(m.folds) do
      say(("fold %d   accuracy %.3f   AUC %s   (%d images)"):format(f.fold, f.accuracy.value,
        f.auc.value == f.auc.value and ("%.3f"):format(f.auc.value) or "unknown", f.split.test))
    end
  end
  local function line(name, v)
    if v.value ~= v.value then return say(("%-9s unknown: all tested images are of one class"):format(name)) end
    say(("%-9s %.3f   95 %% interval %.3f to %.3f"):format(name, v.value, v.lo, v.hi))
  end
  line("accuracy", m.accuracy)
  line("AUC", m.auc)
  say(m.answer)
  for _, twin in ipairs(m.twins) do
    say(("  twin: %-62s AUC %.3f (%.3f to %.3f)"):format(twin.title, twin.auc.value, twin.auc.lo, twin.auc.hi))
  end
  if m.headline then say(m.headline) end
  if m.strongest_sentence then say(m.strongest_sentence) end
  for _, sentence in ipairs(m.traps) do say(sentence) end
  if m.audit.sentence then say(m.audit.sentence) end
  for _, sentence in ipairs(m.warnings) do say(sentence) end
  say(("%s: report.html, report.txt, metrics.json, predictions.csv, history.csv, plots/, sheets/"):format(
    files.show(job.state.dir)))
  say(("%s in all; %s"):format(text.duration(m.seconds.total), "not for clinical use"))
end

-- ---- the phases ----

local function load(job)
  job.where = "loading the images"
  local index, seconds = dataset.load(job.config, job.state)
  job.index, job.seconds.prepare = index, seconds
  job.say(index:report())
  local lines
  job.folds, lines = plan.make(index, job.config)
  for _, line in ipairs(lines) do job.say(line) end
  job.seen = audit.read(index)
  job.leakage = audit.leakage(job.folds, job.seen)
  job.leak_warning = audit.guard(job.config, job.leakage)
  if job.leak_warning then job.say("warning: " .. job.leak_warning) end
end

local function compute(job)
  job.where = "computing features"
  job.network = base.open(job.config)
  for _, sentence in ipairs(cautions(job)) do job.say("warning: " .. sentence) end
  job.digest = digest(job.config, job.index, job.network)
  job.state:bind(job.digest)
  job.features = Features.new(job.network, job.config, job.network.scale, job.index, plan.trained(job.folds))
  job.say(("base %s, weights %s, scaling %s; %d views of %d images"):format(job.network.name, job.network.weights,
    job.network.scale, job.features.total, #job.index))
  job.features:compute(job.state)
  job.seconds.features = job.features.seconds
  if job.features.computed > 0 then
    job.say(("features: %d views in %s, %.1f a second"):format(job.features.computed,
      text.duration(job.features.seconds), job.features.computed / job.features.seconds))
  end
end

-- Chooses the settings of every fold's head where there is a grid.
local function choose(job)
  job.choices = {}
  if not job.config.grid then return end
  job.where = "choosing settings"
  local meter <close> = luma.progress("choosing", nested.work(job.config, job.folds), { unit = "trainings" })
  job.meter = meter
  for _, fold in ipairs(job.folds) do
    local choice = nested.choose(job, fold)
    job.choices[fold.fold] = choice
    job.say(("  %s: %s (log loss %.3f, %d inner folds, %d combinations)"):format(
      fold.fold > 0 and "fold " .. fold.fold or "the kept head", grid.words(choice.setting),
      choice.scores[choice.chosen].log_loss, job.config.inner, #job.config.grid))
  end
  meter:done()
  job.where = "training"
end

local function train(job)
  job.where, job.learning = "training", true
  local started, config = uv.hrtime(), job.config
  local results = { predictions = {}, history = {}, by_fold = {}, judges = {} }
  choose(job)
  local epochs = 0
  for _, fold in ipairs(job.folds) do
    local choice = job.choices[fold.fold]
    epochs = epochs + grid.over(config, choice and choice.setting).epochs
  end
  local meter <close> = luma.progress("training", epochs, { unit = "epochs" })
  job.meter = meter
  for k, fold in ipairs(job.folds) do
    local info, net = one_fold(job, fold)
    local predictions = info.predictions
    table.move(predictions, 1, #predictions, #results.predictions + 1, results.predictions)
    table.move(info.history, 1, #info.history, #results.history + 1, results.history)
    results.judges[#results.judges + 1] = info.judge
    if #predictions > 0 then results.by_fold[k] = evaluate.numbers(predictions, job.index.classes) end
    results.net = net
  end
  meter:done()
  results.numbers = evaluate.numbers(results.predictions, job.index.classes)
  results.details = evaluate.details(results.predictions, job.index.classes, { seed = config.seed,
    prevalence = config.prevalence, judges = results.judges })
  results.heat = heat.summary(results.predictions, job.index.classes, config.seed,
    job.network.output_shape)
  job.seconds.train = seconds_since(started)
  return results
end

local function leave(job, results)
  job.where, job.leaving = "writing the report", true
  local state = job.state
  local ok, message = store.save(state:path "head.safetensors", results.net, { base = job.config.base,
    scale = job.network.scale, classes = json.encode(job.index.classes), version = luma._VERSION })
  if not ok then error(message, 0) end
  artefacts.write_history(state, results.history)
  artefacts.write_predictions(state, results.predictions, job.index.classes)
  artefacts.write_maps(state, heat.maps(results.predictions))
  local tested = {}
  for _, fold in ipairs(job.folds) do
    for _, i in ipairs(fold.test) do tested[#tested + 1] = job.index[i] end
  end
  results.looks = looks.note(state, looks.digest(tested))
  local m = record(job, results)
  m.audit = audit.score(job, results.predictions)
  local without = counterfactual.why_not(job.config) or not job.config.twins and "left out (--no-twins)" or nil
  m.twins = without and json.list {} or counterfactual.score(job, results.predictions)
  m.twins_note = without
  m.headline = counterfactual.sentence(m.twins)
  m.strongest = counterfactual.strongest(m.twins, m.audit.shortcuts)
  m.strongest_sentence = counterfactual.beside(m.strongest, m.auc)
  m.answer = answer.of(m)
  m.sheets = sheets.write(state, job.index)
  local drawn, why = artefacts.write_plots(state, { history = results.history, predictions = results.predictions,
    numbers = results.numbers, classes = job.index.classes, faithful = job.config.faithful })
  if not drawn then job.say("no plots: " .. why) end
  job.seconds.total = job.before + seconds_since(job.started)
  state:write("metrics.json", json.encode(m))
  require("luma.study.report.run").write(artefacts.read(state.dir))
  state:finish()
  return m
end

-- Keeps everything that an interrupted run has computed.
local function keep(job)
  if job.features and job.features.x then job.features:save(job.state) end
  job.state:write("state/seconds", ("%.3f\n"):format(job.before + seconds_since(job.started)))
end

local function execute(job)
  local config = job.config
  if config.threads then luma.threads(config.threads) end
  luma.seed(config.seed)
  job.started, job.seconds = uv.hrtime(), {}
  job.before = tonumber(files.read(job.state:path("state", "seconds")) or "") or 0
  local ok, result = xpcall(function()
    load(job)
    compute(job)
    return leave(job, train(job))
  end, function(err)
    return err
  end)
  if ok then
    announce(job, result)
    return 0
  end
  if result ~= luma.core.interrupt then
    if not job.learning then job.state:abandon() end -- the fault is in what was given: mend it and start anew
    if job.leaving and type(result) == "string" then -- a full disk, as a rule
      result = ("%s (the training is kept: luma resume %s)"):format(result, files.show(job.state.dir))
    end
    error(result, 0)
  end
  system.interrupt_clear()
  keep(job)
  job.state:close()
  io.stderr:write(("luma: interrupted while %s; everything is kept, go on with: luma resume %s\n"):format(job.where,
    files.show(job.state.dir)))
  return 130
end

-- ---- the two doors ----

local function first_line(config, say)
  if not config.data then
    say(("Generated data: %d phantom radiographs, no patient's image (give --data DIR for real ones)."):format(
      config.phantoms))
  end
end

--- A new run from what the command line gave; returns an exit code.
function run.start(args, say)
  local config = settings.resolve(args)
  for _, key in ipairs { "data", "metadata" } do
    if config[key] then config[key] = uv.fs_realpath(config[key]) or config[key] end
  end
  if config.weights ~= "none" and config.weights ~= "embedded" then
    config.weights = uv.fs_realpath(config.weights) or config.weights
  end
  first_line(config, say)
  local state <close> = State.create("covid", args.out, config)
  say("run folder: " .. files.show(state.dir))
  return execute { config = config, state = state, say = say }
end

-- config.json as settings.resolve wrote it, or one line.
local function check_settings(state)
  local kinds = { seed = "number", views = "number", folds = "number", size = "number", preset = "string",
    base = "string", weights = "string", augment = "table" }
  if not state.config.data then kinds.phantoms = "number" end
  for key, kind in pairs(kinds) do
    if type(state.config[key]) ~= kind then
      error(("%s/config.json: not the settings of a run: %s must be a %s"):format(files.show(state.dir), key, kind), 0)
    end
  end
end

--- Goes on with an interrupted run; returns an exit code.
function run.resume(dir, say, threads)
  local state <close> = State.open(dir)
  check_settings(state)
  if state:finished() then
    state:finish() -- what a run that was killed while tidying up has left
    say(files.show(dir) .. ": this run has ended; luma report makes its report again")
    return 0
  end
  state.config.threads = threads or state.config.threads
  first_line(state.config, say)
  return execute { config = state.config, state = state, say = say }
end

return run
