--- luma audit: what a data set gives away before a model has looked at a lung.

local luma = require "luma"
local files = require "luma.base.files"

local whole = require("luma.cli.arguments").whole

local function normals(value)
  if value == "all" then return value end
  return whole("normals", 1, 1 << 31)(value)
end

return {
  name = "audit",
  summary = "what a data set gives away: shortcuts, bars, copies, leaks, before any training",
  parser = function(p)
    p:argument("data", "A folder (the article's layout, a raw covid-chestxray or RSNA folder, phantoms, one folder a "
      .. "class, also inside train/val/test) or a CSV with columns path or filename, class or finding, and if "
      .. "known patient, part, view, age, sex."):argname("DIR|CSV")
    p:option("--out", "Folder for audit.json, audit.png and audit.html."):argname("DIR")
    p:option("--metadata", "CSV that knows the patients (article layout; DIR/metadata.csv when it is there).")
      :argname("FILE")
    p:option("--normals", "The first N normal images, or all (article layout; the article took 99)."):argname("N")
      :convert(normals)
    p:option("--images", "Folder of the files that a CSV names (default: beside it)."):argname("DIR")
    p:option("--label", "Column of a table that has the classes."):argname("COLUMN")
    p:option("--label-map", "Text file with lines VALUE = CLASS for the labels of a table; (blank) for an empty "
      .. "cell, the class - leaves rows out."):argname("FILE")
    p:option("--folds", "Folds of the shortcuts; patients and copies stay together."):argname("K"):default("5")
      :convert(whole("folds", 2, 100))
    p:option("--sample", "Of more images than this, so many are asked about shortcuts; copies, bars, leaks and files "
      .. "are counted on all."):argname("N"):default("1000"):convert(whole("sample", 10, 1 << 31))
    p:option("--seed", "Everything random follows from it."):argname("N"):default("0")
      :convert(whole("seed", 0, math.maxinteger))
    p:option("--threads", "Threads to use; changes no number."):argname("N"):convert(whole("threads", 1, 64))
    p:flag("--json", "Print audit.json instead of the table.")
  end,
  run = function(args)
    if args.threads then luma.threads(args.threads) end
    if args.out then
      local ok, message = files.mkdir_p(args.out)
      if not ok then error(message, 0) end
    end
    local index, message = luma.audit.open(args.data, { metadata = args.metadata, normals = args.normals,
      images = args.images, label = args.label, label_map = args.label_map })
    if not index then error(message, 0) end
    local result, why = luma.audit.run(index, { folds = args.folds, seed = args.seed, sample = args.sample })
    if not result then error(why, 0) end
    if args.json then
      io.stdout:write(luma.json.encode(luma.audit.contract(result)))
    else
      print(luma.audit.text(result))
    end
    if args.out then
      local ok, trouble = luma.audit.save(result, args.out)
      if not ok then error(trouble, 0) end
      if not args.json then print(("%s: audit.html, audit.png, audit.json"):format(files.show(args.out))) end
    end
    return 0
  end,
}
