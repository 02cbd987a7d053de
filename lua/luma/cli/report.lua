--- luma report: make the report of a finished run again from its files.

local luma = require "luma"

return {
  name = "report",
  summary = "make report.html and report.txt of a run again",
  parser = function(p)
    p:argument("dir", "The run's folder.")
  end,
  run = function(args)
    local run = require("luma.study.covid.artefacts").read(args.dir)
    require("luma.study.report.run").write(run)
    print(luma.files.join(luma.files.show(args.dir), "report.html"))
    return 0
  end,
}
