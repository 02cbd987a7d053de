--- luma predict: what a trained head says about new images.

local luma = require "luma"
local whole = require("luma.cli.arguments").whole

-- The image files that the arguments name: files are themselves, folders and tables
-- are opened as any collection is.  Returns paths, complaints.
local function expand(given)
  local paths, complaints = {}, {}
  for _, path in ipairs(given) do
    if luma.files.is_dir(path) or path:lower():match "%.[ct]sv$" then
      local index, message = luma.data.open(path, { scope = "audit" })
      if not index then complaints[#complaints + 1] = message end
      for _, row in ipairs(index or {}) do paths[#paths + 1] = row.path end
      for _, row in ipairs(index and index.missing or {}) do
        complaints[#complaints + 1] = ("%s: %s"):format(luma.files.show(row.path), row.reason)
      end
    else
      paths[#paths + 1] = path
    end
  end
  return paths, complaints
end

return {
  name = "predict",
  summary = "class and probability of new images, with a run's head",
  parser = function(p)
    p:option("--model", "The folder of a finished run."):argname("DIR"):count(1)
    p:argument("file", "PNG or JPEG files, folders of them, or tables that name them."):args("+")
    p:option("--prepared", "yes: the files are prepared already; no: prepare them; auto: those of exactly the "
      .. "prepared size are."):argname("yes|no|auto"):default("auto"):choices({ "yes", "no", "auto" })
    p:flag("--json", "One JSON object per line.")
    p:option("--threads", "Threads to use; changes no number."):argname("N"):convert(whole("threads", 1, 64))
  end,
  run = function(args)
    if args.threads then luma.threads(args.threads) end
    local predictor = require("luma.study.covid.predictor").open(args.model)
    local failed = 0
    local paths, complaints = expand(args.file)
    for _, complaint in ipairs(complaints) do
      failed = failed + 1
      io.stderr:write("luma predict: ", luma.text.printable(complaint, 400), "\n")
    end
    io.stderr:write(luma.report.disclaimer, "\n")
    for _, path in ipairs(paths) do
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
