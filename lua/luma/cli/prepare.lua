--- luma prepare: raw radiographs in, prepared ones out.

local luma = require "luma"
local collections = require "luma.data.collections"
local uv = require "luv"
local text = require "luma.base.text"
local progress = require "luma.base.progress"
local files = require "luma.base.files"

local whole = require("luma.cli.arguments").whole

-- {"view=PA", "view=AP", "sex=F"} -> {view = {"PA", "AP"}, sex = "F"}
local function conditions(list)
  local out = {}
  for _, item in ipairs(list or {}) do
    local column, value = item:match "^([^=]+)=(.*)$"
    if not column then
      error(("--where wants COLUMN=VALUE, got '%s'"):format(text.printable(item, 60)), 0)
    end
    local before = out[column]
    if before == nil then
      out[column] = value
    elseif type(before) == "table" then
      before[#before + 1] = value
    else
      out[column] = { before, value }
    end
  end
  return out
end

local function class_counts(rows)
  local counts, order = {}, {}
  for _, row in ipairs(rows) do
    if not counts[row.class] then order[#order + 1] = row.class end
    counts[row.class] = (counts[row.class] or 0) + 1
  end
  table.sort(order)
  for i, class in ipairs(order) do order[i] = ("%s %d"):format(text.printable(class, 40), counts[class]) end
  return table.concat(order, ", ")
end

local function announce(args, rows, index, selected)
  local absent = 0
  for _, row in ipairs(rows) do
    if not files.exists(row.path) then absent = absent + 1 end
  end
  print(("%s: %s selected (%s), %d absent"):format(args.source, text.plural(#rows, "image"), selected, absent))
  print("  " .. class_counts(rows))
  for _, note in ipairs(index.notes) do print("  " .. note) end
  print(args.faithful
    and "faithful: the author's steps with every published bug (square images only, window 200..800, "
      .. "skipping deletion, empty at a difference of one, red and blue exchanged)"
    or "mended: any shape, window relative to the size, every index, always square (--faithful has the "
      .. "published bugs)")
end

local function summary(result, args)
  local parts = {}
  for _, status in ipairs { "missing", "not read", "unreadable", "not square", "empty", "unsafe name" } do
    if result.counts[status] then parts[#parts + 1] = ("%d %s"):format(result.counts[status], status) end
  end
  print(("%d written to %s%s"):format(result.written, files.show(args.out),
    #parts > 0 and ", " .. table.concat(parts, ", ") or ""))
  if result.resumed > 0 then print(("  %d were done before"):format(result.resumed)) end
  if result.done_now > 0 then
    print(("  %s in %s, %.0f a second, %s"):format(text.plural(result.done_now, "image"),
      text.duration(result.seconds), result.done_now / math.max(result.seconds, 1e-9),
      text.plural(luma.threads(), "thread")))
  end
  for _, path in ipairs(result.tables) do print("  " .. files.show(path)) end
  print(("  %s: %s"):format(files.show(result.skipped),
    #result.skipped_rows == 0 and "nothing was skipped" or "what was skipped, and why"))
  if (result.counts["not square"] or 0) > 0 and not args.squash then
    print "    (--squash first makes every image square, as the published COVID-19 images were made)"
  end
  local shown = 0
  for _, row in ipairs(result.skipped_rows) do
    if row.status ~= "missing" and shown < 5 then
      shown = shown + 1
      print(("    %s: %s"):format(text.printable(row.filename, 80), row.reason or row.status))
    end
  end
end

return {
  name = "prepare",
  summary = "remove black bars, cut square, resize: raw radiographs to prepared ones",
  parser = function(p)
    local layouts = {}
    for i, one in ipairs(collections.list) do layouts[i] = ("%s (%s)"):format(one.name, one.layout) end
    p:option("--source", "What --in is: " .. table.concat(layouts, ", ") .. ". Without it: what luma takes it for "
      .. "(luma look DIR says).")
      :choices(collections.names())
    p:option("--in", "Folder with the raw images, or a table that names them."):argname("DIR"):target("dir"):count(1)
    p:option("--out", "Folder for the prepared images, made when missing. A second call goes on where the first "
      .. "one stopped."):argname("DIR"):count(1)
    p:option("--images", "Folder of the files that a table names (default: beside it)."):argname("DIR")
    p:option("--label", "Column of a table that has the classes."):argname("COLUMN")
    p:option("--label-map", "Text file with lines VALUE = CLASS for the labels of a table; (blank) for an empty "
      .. "cell, the class - leaves rows out."):argname("FILE")
    p:flag("--faithful", "Every published bug on; gives the article's files.")
    p:flag("--squash", "Resize to SIZE x SIZE first, as the published images were.")
    p:option("--fit", "How an image becomes square once its bars are gone: crop cuts the longer side (the article), "
      .. "pad fills the shorter one with the edge's colour, squash scales both."):argname("crop|pad|squash")
      :default("crop"):choices({ "crop", "pad", "squash" })
    p:option("--size", "Side of the result."):argname("N"):default("224"):convert(whole("size", 1, 8192))
    p:option("--quality", "JPEG quality."):argname("N"):default("95"):convert(whole("quality", 1, 100))
    p:option("--threads", "Threads to use."):argname("N"):convert(whole("threads", 1, 64))
    p:option("--where", "Only rows whose COLUMN is VALUE; several columns must all match, several values of one "
      .. "column are alternatives."):argname("COLUMN=VALUE"):count("*")
    p:flag("--selection", "The article's own selection: COVID-19, X-ray, PA; Normal.")
    p:option("--limit", "Only the first N rows."):argname("N"):convert(whole("limit", 1, 1 << 31))
    p:flag("--fresh", "Forget an earlier run in --out and start over.")
    p:flag("--log", "Print the article's line for every image: its number and the time spent so far.")
  end,
  run = function(args)
    if args.threads then luma.threads(args.threads) end
    if args.faithful and args.fit ~= "crop" then error("--fit does not go with --faithful: the article crops", 0) end
    local where = conditions(args.where)
    if args.selection then
      if next(where) then error("--selection and --where exclude each other", 0) end
      where = "article"
    end
    local source = uv.fs_realpath(args.dir)
    local target = uv.fs_realpath(files.dirname((args.out:gsub("(.)/+$", "%1"))))
    if source and target and (target == source or target:sub(1, #source + 1) == source .. "/") then
      error(("--out %s lies inside --in: its results would be read as images next time; choose another"):format(
        files.show(args.out)), 0)
    end
    local rows, index, selected = luma.prepare.rows(args.source, args.dir, where, args.limit,
      { images = args.images, label = args.label, label_map = args.label_map })
    if not rows then error(index, 0) end
    args.source = index.collection.name
    announce(args, rows, index, selected)
    local ok, result = pcall(luma.prepare.run, rows, args.out, {
      name = args.source, faithful = args.faithful, squash = args.squash, size = args.size, quality = args.quality,
      fit = args.fit, fresh = args.fresh,
      progress = function(n) return progress("preparing", n, { unit = "images", quiet = args.log }) end,
      each = args.log and function(number, seconds)
        print(("image number %d, time spent %2fs"):format(number, seconds))
      end or nil,
    })
    if not ok and result == luma.core.interrupt then
      luma.core.system.interrupt_clear()
      io.stderr:write("luma prepare: interrupted; what is done is kept, the same command goes on from there\n")
      return 130
    end
    if not ok then error(result, 0) end
    summary(result, args)
    if result.written == 0 then
      io.stderr:write("luma prepare: no image could be prepared\n")
      return 1
    end
    return 0
  end,
}
