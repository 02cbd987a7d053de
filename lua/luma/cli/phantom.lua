--- luma phantom: a folder of drawn chest radiographs, with the black bars of the
-- article planted.

local luma = require "luma"
local progress = require "luma.base.progress"
local text = require "luma.base.text"

local whole = require("luma.cli.arguments").whole

local function share(name)
  return function(value)
    local x = luma.data.csv.number(value)
    if x and x >= 0 and x <= 1 then return x end
    return nil, ("--%s must be in 0..1, got '%s'"):format(name, text.printable(value, 40))
  end
end

local known = { "Normal", "opacity", "effusion", "cardiomegaly", "nodule" }

return {
  name = "phantom",
  summary = "draw a set of chest radiograph phantoms to try things on",
  parser = function(p)
    p:option("--out", "Folder to write: metadata.csv and images/."):argname("DIR"):count(1)
    p:option("--count", "Number of images."):argname("N"):default("240"):convert(whole("count", 1, 1000000))
    p:option("--patients", "Number of patients (seven for ten images)."):argname("N")
      :convert(whole("patients", 1, 1000000))
    p:option("--size", "Side of an image in pixels."):argname("N"):default("1024"):convert(whole("size", 64, 4096))
    p:option("--seed", "The same seed draws the same files."):argname("N"):default("1")
      :convert(whole("seed", 0, math.maxinteger))
    p:option("--class", ("A class to draw: %s (default: the first two).")
      :format(table.concat(known, ", ")))
      :argname("NAME"):count("*")
    p:option("--bars-normal", "Share of normal images with black bars."):argname("P"):default("0.95")
      :convert(share "bars-normal")
    p:option("--bars-other", "Share of the other images with black bars."):argname("P"):default("0.15")
      :convert(share "bars-other")
    p:option("--threads", "Threads to use."):argname("N"):convert(whole("threads", 1, 64))
  end,
  run = function(args)
    if args.threads then luma.threads(args.threads) end
    local classes = #args.class > 0 and args.class or { "Normal", "opacity" }
    for _, class in ipairs(classes) do
      local is_known = false
      for _, name in ipairs(known) do is_known = is_known or name:lower() == class:lower() end
      if not is_known then
        error(("--class must be one of %s, got '%s'"):format(table.concat(known, ", "), text.printable(class, 40)), 0)
      end
    end
    local bars = {}
    for _, class in ipairs(classes) do
      bars[class] = class:lower() == "normal" and args.bars_normal or args.bars_other
    end
    local shown = progress("drawing", args.count, { unit = "images" })
    local drawn = 0
    local index, message = luma.data.phantom { dir = args.out, count = args.count, patients = args.patients,
      size = args.size, seed = args.seed, classes = classes, bars = bars,
      progress = function(done)
        shown:add(done - drawn)
        drawn = done
      end }
    if not index then error(message, 0) end
    shown:done()
    print(index:report())
    print("  " .. luma.files.join(args.out, "metadata.csv"))
    return 0
  end,
}
