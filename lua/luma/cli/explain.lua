--- luma explain: heat maps of where a trained run looks.

local luma = require "luma"
local files, json = luma.files, luma.json

-- A file name for the overlay of an image, unique within one call.
local function target(dir, path, used)
  local stem = files.basename(path):gsub("%.[^.]*$", "")
  local name, n = stem .. ".heat.png", 1
  while used[name] do
    n = n + 1
    name = ("%s.%d.heat.png"):format(stem, n)
  end
  used[name] = true
  return files.join(dir, name)
end

return {
  name = "explain",
  summary = "where a run's model looks: heat maps over images",
  parser = function(p)
    p:option("--model", "The folder of a finished run."):argname("DIR"):count(1)
    p:argument("file", "PNG or JPEG files."):args("+")
    p:option("--method", "gradcam: channels weighted by their gradient; occlusion: what happens when a square is "
      .. "hidden (slower, no gradients)."):argname("gradcam|occlusion"):default("gradcam")
      :choices({ "gradcam", "occlusion" })
    p:option("--class", "Heat for this class (default: the predicted one)."):argname("NAME")
    p:option("--prepared", "As for luma predict."):argname("yes|no|auto"):default("auto")
      :choices({ "yes", "no", "auto" })
    p:option("--out", "Folder for the pictures."):argname("DIR"):default("explain")
    p:flag("--no-sanity", "Leave out the check against random heads (Grad-CAM only).")
  end,
  run = function(args)
    local predictor = require("luma.study.covid.predictor").open(args.model)
    local made, message = files.mkdir_p(args.out)
    if not made then error(message, 0) end
    io.stderr:write(luma.report.disclaimer, "\n")
    local failed, used, rows = 0, {}, {}
    local meter <close> = luma.progress("explaining", #args.file, { unit = "images" })
    for _, path in ipairs(args.file) do
      local answer, why = predictor:explain(path, { method = args.method, class = args.class,
        prepared = args.prepared, sanity = not args.no_sanity })
      local to = answer and target(args.out, path, used)
      if answer then
        local side = answer.picture:size(1)
        local overlay <close> = luma.explain.overlay(answer.picture, answer.map)
        local pair <close> = luma.image.sheet({ answer.picture, overlay },
          { rows = 1, cols = 2, height = side, width = answer.picture:size(2) })
        local saved
        saved, why = luma.image.save(to, pair)
        if not saved then answer = nil end
      end
      if answer then
        local heat = answer.outside == answer.outside
          and ("heat outside the lungs %.2f (even: %.2f)"):format(answer.outside, answer.even)
          or "no heat: nothing in the image speaks for this class"
        local sane = answer.sanity == answer.sanity and answer.sanity
        print(("%s\t%s\t%.4f\t%s%s\t%s"):format(luma.text.printable(path, 300), answer.class, answer.probability,
          heat, sane and ("\tlike random heads %.2f"):format(sane) or "", to))
        rows[#rows + 1] = { file = path, class = answer.class, predicted = answer.predicted,
          probability = answer.probability, outside = answer.outside, even = answer.even, sanity = answer.sanity,
          picture = to, method = args.method }
        answer.map:close()
        answer.picture:close()
      else
        failed = failed + 1
        io.stderr:write("luma explain: ", luma.text.printable(why, 400), "\n")
      end
      meter:add(1)
    end
    meter:done()
    if #rows > 0 then
      local table_of_maps = json.encode(json.list(rows)) .. "\n"
      local written, trouble = files.write_atomic(files.join(args.out, "explain.json"), table_of_maps)
      if not written then error(trouble, 0) end
    end
    return failed > 0 and 1 or 0
  end,
}
