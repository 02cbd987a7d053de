--- luma evaluate: a finished run on labelled images from elsewhere.

local luma = require "luma"
local whole = require("luma.cli.arguments").whole
local text = require "luma.base.text"

return {
  name = "evaluate",
  summary = "test a finished run on labelled images from elsewhere: does its result travel?",
  parser = function(p)
    p:argument("run", "The folder of a finished run."):argname("RUN")
    p:argument("data", "Any collection that luma opens: one folder per class (metadata.csv beside them knows patients "
      .. "and more), a CSV table, a published set."):argname("DIR")
    p:option("--by", "A column of metadata.csv: figures for each of its values, too."):argname("COLUMN")
    p:option("--recalibrate", "Give up N images per class to fit the probabilities anew; the others are tested.")
      :argname("N"):convert(whole("recalibrate", 2, 10000))
    p:option("--threads", "Threads to use; changes no number."):argname("N"):convert(whole("threads", 1, 64))
    p:flag("--json", "One JSON object instead of words.")
  end,
  run = function(args)
    if args.threads then luma.threads(args.threads) end
    local external = require "luma.study.covid.external"
    local predictor = require("luma.study.covid.predictor").open(args.run)
    local index = external.open(args.data, predictor.classes)
    local source = assert(luma.files.read(luma.files.join(args.run, "metrics.json")))
    local meter <close> = luma.progress("evaluating", #index, { unit = "images" })
    local result = external.evaluate(predictor, index, { by = args.by, recalibrate = args.recalibrate,
      internal = luma.json.decode(source), meter = meter })
    meter:done()
    if args.json then
      print(luma.json.line(result))
      return 0
    end
    print(index:report())
    print ""
    print(result.report)
    for _, sentence in ipairs(result.sentences) do print(sentence) end
    if result.by then
      print(("\nby %s:"):format(text.printable(args.by, 40)))
      for _, row in ipairs(result.by) do
        local counts = {}
        for _, class in ipairs(predictor.classes) do
          counts[#counts + 1] = ("%s %d"):format(text.printable(class, 30), row.counts[class] or 0)
        end
        print(("  %s  %4d images (%s)   accuracy %.3f (%.3f to %.3f)%s"):format(
          text.right_pad(text.printable(row.value, 24), 24), row.n, table.concat(counts, ", "), row.accuracy.value,
          row.accuracy.lo, row.accuracy.hi, row.auc.value == row.auc.value and ("   AUC %.3f"):format(row.auc.value)
          or "   AUC unknown: one class only"))
      end
    end
    for _, one in ipairs(result.failed) do
      io.stderr:write("luma evaluate: ", text.printable(one.message, 300), "\n")
    end
    print "Not for clinical use."
    return #result.failed > 0 and 1 or 0
  end,
}
