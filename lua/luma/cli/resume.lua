--- luma resume: go on with an interrupted run.

return {
  name = "resume",
  summary = "go on with an interrupted run, to the same numbers",
  parser = function(p)
    p:argument("dir", "The run's folder.")
    p:option("--threads", "Threads to use; changes no number."):argname("N")
  end,
  run = function(args)
    local threads
    if args.threads then
      threads = math.tointeger(tonumber(args.threads))
      if not threads or threads < 1 or threads > 64 then
        error(("--threads must be a whole number in 1..64, got '%s'"):format(args.threads), 0)
      end
    end
    return require("luma.study.covid.run").resume(args.dir, print, threads)
  end,
}
