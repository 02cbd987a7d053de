--- audit.words: the audit as text for a terminal: one table, then what it means.

local space = require "luma.study.audit.space"
local text = require "luma.base.text"

local words = {}

local WIDTH = 110

-- Wraps a sentence to the terminal, further lines indented.
local function wrapped(out, lead, sentence)
  local line, blank = lead, (" "):rep(text.len(lead))
  for word in text.printable(sentence, 4000):gmatch "%S+" do -- names come from files: no control bytes
    if text.len(line) + text.len(word) + 1 > WIDTH and line ~= lead and line ~= blank then
      out[#out + 1] = line
      line = blank
    end
    line = (line == lead or line == blank) and line .. word or line .. " " .. word
  end
  out[#out + 1] = line
end

local function range(v) return ("%.2f to %.2f"):format(v.lo, v.hi) end
words.range = range

--- "96 images: 46 COVID-19, 50 Normal; patients: 46 known, 8 with several images".
function words.counts(result)
  local classes = {}
  for i, class in ipairs(result.classes) do
    classes[i] = ("%d %s"):format(result.counts[class], text.printable(class, 40))
  end
  local p = result.patients
  local people = p.known == 0 and "patients unknown"
    or ("%s known (%d of %d images), %d with several images"):format(text.plural(p.known, "patient"), p.images,
      result.images, p.multi_image)
  return ("%s: %s; %s"):format(text.plural(result.images, "image"), table.concat(classes, ", "), people)
end

--- The rows of the one table: {name, model, auc, interval, accuracy, interval, mark}.
function words.rows(result)
  local rows = {}
  for i, s in ipairs(result.shortcuts) do
    rows[i] = { (s.title:gsub("^the ", "")), ("%.2f"):format(s.auc.value), range(s.auc),
      ("%.2f"):format(s.accuracy.value), range(s.accuracy), s.model,
      s.above_chance and (s.lungs and "yes, lungs in view" or "yes") or "no" }
  end
  return rows
end

words.columns = { "what is looked at", "AUC", "95 % interval", "accuracy", "95 % interval", "model", "above chance" }

-- "exact: a.jpg = b.jpg (class differs)"
function words.pair(pair)
  local marks = {}
  if not pair.same_class then marks[#marks + 1] = "different classes" end
  if pair.patients_known then marks[#marks + 1] = pair.same_patient and "one patient" or "two patients" end
  return ("%s: %s and %s%s%s%s"):format(pair.kind, text.printable(pair.a, 48), text.printable(pair.b, 48),
    pair.how and ", " .. pair.how or "",
    pair.kind ~= "exact" and (", correlation %.3f"):format(pair.correlation) or "",
    #marks > 0 and " (" .. table.concat(marks, ", ") .. ")" or "")
end

--- How many duplicates of which kind, in a sentence.
function words.duplicates(result)
  local exact, near, changed, across, suspect = 0, 0, 0, 0, 0
  for _, pair in ipairs(result.duplicates) do
    if pair.kind == "suspect" then
      suspect = suspect + 1
    else
      if pair.kind == "exact" then exact = exact + 1 elseif pair.how then changed = changed + 1 else near = near + 1 end
      if not pair.same_class then across = across + 1 end
    end
  end
  local n = exact + near + changed
  local doubt = suspect == 0 and "" or (" %s may be of one image: look at them."):format(text.plural(suspect,
    n == 0 and "pair" or "more pair"))
  if n == 0 then
    return suspect == 0 and "No two images are the same or nearly so."
      or "No two images are certainly the same." .. doubt
  end
  local also = changed == 0 and "" or (", %d changed (mirrored, turned, inverted, cropped, tilted)"):format(changed)
  return ("%s of the same image: %d exact, %d near%s; %s.%s"):format(text.plural(n, "pair"), exact, near, also,
    across == 0 and "none across classes" or ("%d with different classes"):format(across), doubt)
end

--- What a reader should take away, the weightiest first: a list of sentences.
function words.findings(result)
  local out, shown, lungs = {}, 0, 0
  for _, s in ipairs(result.shortcuts) do
    if s.above_chance and shown < 6 and not (s.lungs and lungs > 0) then -- one with the lungs in view says it all
      out[#out + 1], shown = s.sentence, shown + 1
      if s.lungs then lungs = lungs + 1 end
    end
  end
  if #result.shortcuts > 0 and shown == 0 then
    out[#out + 1] = "Nothing that was looked at tells the classes apart better than chance."
  end
  out[#out + 1] = result.bars.sentence
  out[#out + 1] = words.duplicates(result)
  out[#out + 1] = result.leakage.sentence
  for _, sentence in ipairs(space.sentences(result)) do out[#out + 1] = sentence end
  if #result.classes > 1 then out[#out + 1] = result.imbalance.sentence end
  return out
end

-- Shortcuts that tell how the files were made: none may be above chance where the
-- classes are called alike.
local made_of = { size = true, file = true, sharpness = true, colour = true }

--- Whether the classes were treated alike, in sentences that agree with the table
-- of shortcuts above them; none for one class.
function words.treatment(result)
  if #result.classes < 2 then return {} end
  local out = {}
  for _, p in ipairs(result.pipeline) do
    if p.differs then out[#out + 1] = p.sentence end
  end
  local above = {}
  for _, s in ipairs(result.shortcuts) do
    if made_of[s.name] and s.above_chance then
      above[#above + 1] = ("%s (AUC %.2f)"):format(s.title, s.auc.value)
    end
  end
  if #out == 0 and #above > 0 then
    out[1] = ("No single property of the files differs for certain, yet together they do: %s %s the classes apart.")
      :format(table.concat(above, ", "), #above == 1 and "tells" or "tell")
  elseif #out == 0 then
    out[1] = "Format, compression, size, colour and detail of the files are not shown to differ between the classes."
  end
  return out
end

--- The audit for a terminal.
function words.text(result)
  local out = { ("audit of %s"):format(text.printable(result.name, 80)) }
  wrapped(out, "  ", words.counts(result))
  if result.missing > 0 then
    wrapped(out, "  ", ("%s named in the table, but absent"):format(text.plural(result.missing, "image")))
  end
  for _, note in ipairs(result.notes) do wrapped(out, "  ", note) end
  for i, bad in ipairs(result.unread) do
    if i > 5 then
      out[#out + 1] = ("  and %d more could not be read"):format(#result.unread - 5)
      break
    end
    wrapped(out, "  not read: ", text.printable(bad.reason, 200))
  end
  if #result.shortcuts > 0 then
    out[#out + 1] = ""
    wrapped(out, "", ("How well each of these alone tells the classes apart (%d folds, patients and copies kept "
      .. "together; 0.50 is chance):"):format(result.folds))
    local rows, widths = words.rows(result), {}
    table.insert(rows, 1, words.columns)
    for _, row in ipairs(rows) do
      for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, text.len(cell)) end
    end
    for _, row in ipairs(rows) do
      local cells = {}
      for i, cell in ipairs(row) do
        cells[i] = (i == 2 or i == 4) and text.left_pad(cell, widths[i]) or text.right_pad(cell, widths[i])
      end
      out[#out + 1] = "  " .. (table.concat(cells, "  "):gsub("%s+$", ""))
    end
  end
  out[#out + 1] = ""
  for _, sentence in ipairs(words.findings(result)) do wrapped(out, "- ", sentence) end
  for i, pair in ipairs(result.duplicates) do
    if i > 5 then
      out[#out + 1] = ("    and %d more in audit.json"):format(#result.duplicates - 5)
      break
    end
    wrapped(out, "    ", words.pair(pair))
  end
  for _, sentence in ipairs(words.treatment(result)) do wrapped(out, "- ", sentence) end
  return table.concat(out, "\n")
end

return words
