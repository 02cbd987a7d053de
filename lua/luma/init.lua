--- luma: a Lua 5.4-scriptable numerical runtime.  This file assembles the
-- package and does nothing else: the core's ops, and the modules on first use.
--
-- The folders are floors; a file requires from its own floor and those below:
--   base     files, JSON, CSV, text, options, progress, child processes; knows no tensor
--   (here)   the library: tape, grad, nn, optim, train, image, store, models,
--            data, metrics, learn, plot
--   study    the article's job: prepare, audit, covid, report, explain
--   cli      the command, the prompt, help and the manual
-- Only study, cli, scripts and users require "luma"; scripts/layers checks it.

local boot = require "luma.boot" -- before the core: chooses OpenBLAS's kernels
boot()
local core = require "luma.core"
boot(true)

-- Name under which users reach a module -> the module.
local modules = {
  files = "luma.base.files", json = "luma.base.json", options = "luma.base.options",
  progress = "luma.base.progress", stats = "luma.base.distributions", text = "luma.base.text",
  data = "luma.data", grad = "luma.grad", image = "luma.image", info = "luma.info", learn = "luma.learn",
  metrics = "luma.metrics", models = "luma.models", nn = "luma.nn", optim = "luma.optim", plot = "luma.plot",
  ref = "luma.ref", store = "luma.store", tape = "luma.tape", train = "luma.train",
  audit = "luma.study.audit", explain = "luma.study.explain", prepare = "luma.study.prepare",
  report = "luma.study.report",
  help = "luma.cli.help", prompt = "luma.cli.prompt",
}
local names = {}
for name in pairs(modules) do names[#names + 1] = name end
table.sort(names)

-- Ops are looked up first, then modules are loaded when they are first named.
local luma = { core = core, _VERSION = require "luma.base.version", modules = names }
for key, value in pairs(core) do
  if type(value) == "function" then luma[key] = value end
end

return setmetatable(luma, {
  __index = function(self, key)
    local path = modules[key]
    if not path then return nil end
    local module = require(path)
    rawset(self, key, module)
    return module
  end,
})
