--- luma predict: what a trained head says about new images.

local luma = require "luma"
local whole = require("luma.cli.arguments").whole

return {
  name = "predict",
  summary = "class and probability of new images, with a run's head",
  parser = function(p)
    p:option("--model", "The folder of a finished run."):argname("DIR"):count(1)
    p:argument("file", "PNG or JPEG files."):args("+")
    p:option("--prepared", "yes: the files are prepared already; no: prepare them; auto: those of exactly the "
      .. "prepared size are."):argname("yes|no|auto"):default("auto"):choices({ "yes", "no", "auto" })
    p:flag("--json", "One JSON object per line.")
    p:option("--threads", "Threads to use; changes no number."):argname("N"):convert(whole("threads", 1, 64))
  end,
  run = function(args)
    if args.threads then luma.threads(args.threads) end
    local predictor = require("luma.study.covid.predictor").open(args.model)
    local failed = 0
    io.stderr:write(luma.report.disclaimer, "\n")
    for _, path in ipairs(args.file) do
      local answer, message
      if path == "" then
        message = "'': empty path"
      else
        answer, message = predictor:predict(path, args.prepared)
      end
      local shown = luma.text.printable(path, 300)
      if not answer then
        failed = failed + 1
        io.stderr:write("luma predict: ", luma.text.printable(message, 400), "\n")
      elseif args.json then
        local probabilities = {}
        for c, class in ipairs(predictor.classes) do probabilities[class] = answer.p[c] end
        print((luma.json.encode({ file = path, class = answer.class, probability = answer.probability,
          probabilities = probabilities, prepared_here = answer.prepared_here }):gsub("\n%s*", " "):gsub(" $", "")))
      else
        print(("%s\t%s\t%.4f%s"):format(shown, answer.class, answer.probability,
          answer.prepared_here and "" or "\t(taken as prepared)"))
      end
    end
    return failed > 0 and 1 or 0
  end,
}
