--- luma compare: two runs on the images that both tested.

local luma = require "luma"
local files, json, metrics, text = luma.files, luma.json, luma.metrics, luma.text

local function read_run(dir)
  if not files.is_dir(dir) then error(files.show(dir) .. ": no such folder", 0) end
  local source, message = files.read(files.join(dir, "metrics.json"))
  if not source then error(("%s: no finished run here (%s)"):format(files.show(dir), message), 0) end
  local numbers, why = json.decode(source)
  if type(numbers) ~= "table" or type(numbers.classes) ~= "table" then
    error(("%s/metrics.json: %s"):format(files.show(dir), why or "not a run's numbers"), 0)
  end
  local rows, trouble = luma.data.csv.read(files.join(dir, "predictions.csv"))
  if not rows then error(trouble, 0) end
  -- Names may stand in several folders: a path decides, where both runs know it.
  local by_file, by_path, twice = {}, {}, {}
  for _, row in ipairs(rows) do
    twice[row.file] = twice[row.file] or by_file[row.file] ~= nil
    by_file[row.file] = row
    if row.path then by_path[row.path] = row end
  end
  return { dir = dir, classes = numbers.classes, by_file = by_file,
    by_path = by_path, twice = twice, rows = rows, digest = numbers.digest }
end

-- The images that both runs tested, with both answers.
local function join(a, b)
  if table.concat(a.classes, "\0") ~= table.concat(b.classes, "\0") then
    error(("the runs tell different classes apart: %s (%s) and %s (%s)"):format(table.concat(a.classes, ", "),
      files.show(a.dir), table.concat(b.classes, ", "), files.show(b.dir)), 0)
  end
  local out = { labels = {}, groups = {}, a = { predicted = {}, scores = {} }, b = { predicted = {}, scores = {} } }
  local column = "p_" .. a.classes[1]
  for _, row in ipairs(a.rows) do
    local other = b.by_path[row.path or ""]
    if not other and not a.twice[row.file] and not b.twice[row.file] then other = b.by_file[row.file] end
    if other then
      if other.class ~= row.class then
        error(("%s is %s in %s and %s in %s"):format(text.printable(row.file, 100), row.class, files.show(a.dir),
          other.class, files.show(b.dir)), 0)
      end
      local k = #out.labels + 1
      out.labels[k], out.groups[k] = row.class, row.patient or ""
      out.a.predicted[k], out.b.predicted[k] = row.predicted, other.predicted
      out.a.scores[k], out.b.scores[k] = tonumber(row[column]), tonumber(other[column])
    end
  end
  if #out.labels < 2 then
    error(("the runs share %d tested images; compare runs with the same --seed or with --folds"):format(#out.labels), 0)
  end
  if #a.classes > 2 then out.a.scores, out.b.scores = nil, nil end
  return out
end

return {
  name = "compare",
  summary = "two runs on the images both tested: is the difference more than luck?",
  parser = function(p)
    p:argument("a", "The first run's folder.")
    p:argument("b", "The second run's folder.")
    p:option("--resamples", "Bootstrap resamples (of whole patients)."):argname("N"):default("2000")
    p:option("--seed", "Seed of the bootstrap."):argname("N"):default("7")
    p:flag("--json", "One JSON object instead of words.")
  end,
  run = function(args)
    local resamples, seed = math.tointeger(tonumber(args.resamples)), math.tointeger(tonumber(args.seed))
    if not resamples or resamples < 20 or resamples > 1000000 then
      error(("--resamples must be a whole number in 20..1000000, got '%s'"):format(
        text.printable(args.resamples, 40)), 0)
    end
    if not seed then error(("--seed must be a whole number, got '%s'"):format(text.printable(args.seed, 40)), 0) end
    local a, b = read_run(args.a), read_run(args.b)
    local both = join(a, b)
    local c = metrics.paired(both.labels, both.a, both.b, { rng = luma.rng(seed), groups = both.groups,
      positive = a.classes[1], resamples = resamples })
    if args.json then
      print(json.encode(c))
      return 0
    end
    local function difference(name, x, y, d)
      print(("%-9s %.3f and %.3f, difference %+.3f   95 %% interval %+.3f to %+.3f"):format(name, x, y, d.value, d.lo,
        d.hi))
    end
    print(("%d images that both runs tested; A = %s, B = %s"):format(c.n, files.show(a.dir), files.show(b.dir)))
    difference("accuracy", c.accuracy_a, c.accuracy_b, c.accuracy_difference)
    local known = c.auc_difference and c.auc_difference.value == c.auc_difference.value
    if c.auc_difference and not known then
      print "AUC       cannot be computed: the shared images are of one class"
    end
    if known then difference("AUC", c.auc_a.value, c.auc_b.value, c.auc_difference) end
    print(("only A right: %d, only B right: %d; McNemar's exact test p = %.3g"):format(c.only_a, c.only_b, c.mcnemar_p))
    local d = known and c.auc_difference or c.accuracy_difference
    print((d.lo > 0 or d.hi < 0) and "The difference is larger than the draw of these images explains."
      or "The draw of these images alone could make this difference.")
    print "Intervals: bootstrap over patients (images without one stand alone). Not for clinical use."
    return 0
  end,
}
