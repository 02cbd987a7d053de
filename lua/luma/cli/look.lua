--- luma look: in ten lines, what a folder is and what luma would do with it.

local luma = require "luma"
local files, text = luma.files, luma.text

-- The lines about the images of an index.
local function about_images(found, say)
  local index, headers = found.index, found.headers
  local counts, order = index:counts(), {}
  for _, class in ipairs(index.classes) do order[#order + 1] = class end
  for i, class in ipairs(order) do order[class] = counts[class] end
  say("images", ("%d in %s: %s"):format(#index, text.plural(#index.classes, "class", "classes"), found.listed(order)))
  say("kind", ("%s%s"):format(found.listed(headers.kinds),
    headers.smallest and (", from %s to %s (height x width)"):format(headers.smallest, headers.largest) or ""))
  say("patients", found.with_patient == 0 and "unknown: images of one patient may land in two parts"
    or ("%d, known for %d of %d images"):format(found.patients, found.with_patient, #index))
  local parts, other = {}, {}
  for _, row in ipairs(index) do
    local part = row.part or ""
    if part ~= "" and not other[part] then parts[#parts + 1] = part end
    other[part] = (other[part] or 0) + 1
  end
  for _, part in ipairs(parts) do parts[part] = other[part] end
  if #parts > 0 then say("parts", found.listed(parts)) end
  if found.masks > 0 then say("masks", ("%d images have one beside them"):format(found.masks)) end
  if #headers.faults > 0 then
    local first = headers.faults[1]
    say("unreadable", ("%s, e.g. %s"):format(found.listed(headers.faults, 2),
      files.show(headers.faults.examples[first])))
  end
  if #index.missing > 0 then
    say("absent", ("%d images that a table names, e.g. %s"):format(#index.missing, files.show(index.missing[1].name)))
  end
end

return {
  name = "look",
  summary = "what a folder is: images, layout, what luma would skip and why",
  parser = function(p)
    p:argument("data", "A folder, a table (CSV, TSV) or an image."):argname("DIR|CSV|FILE")
  end,
  run = function(args)
    local found, message = luma.data.look(args.data)
    if not found then error(message, 0) end
    local function say(label, words) print(("%-11s %s"):format(label, words)) end
    say("path", ("%s: %s in %s%s"):format(files.show(args.data), text.plural(found.files, "file"),
      text.plural(math.max(found.folders, 1), "folder"), found.whole and "" or ", and more that were not looked at"))
    if found.index then
      say("taken for", ("%s (%s)"):format(found.collection, found.layout))
      about_images(found, say)
    else
      say("taken for", "nothing that luma can open: " .. found.error)
    end
    if found.rest > 0 then
      local first = found.left_out[1]
      say("left out", ("%s: %s, e.g. %s"):format(text.plural(found.rest, "file"), found.listed(found.left_out),
        files.show(found.left_out.examples[first])))
    end
    if found.index and #found.index.classes > 1 then
      say("next", ("luma audit %s"):format(files.show(args.data)))
    end
    return found.index and 0 or 1
  end,
}
