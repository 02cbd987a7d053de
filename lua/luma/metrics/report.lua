--- classification_report: scikit-learn's table, to the character.

local count = require "luma.metrics.count"
local options = require "luma.base.options"
local text = require "luma.base.text"

local report = {}

-- `support` is the format of the last column: scikit-learn prints the counts as
-- decimals (2.0) when not one prediction is right, and so does this.
local function row(width, digits, support, name, s)
  local cell = " %9." .. digits .. "f"
  return ("%s " .. cell .. cell .. cell .. " " .. support .. "\n"):format(
    text.left_pad(name, width), s.precision, s.recall, s.f1, s.support)
end

-- Whether the labels are exactly those that occur; if so, the micro average is
-- the accuracy and is called so.
local function covers(labels, y_true, y_pred)
  local known = {}
  for _, label in ipairs(labels) do known[label] = true end
  local occurring = count.distinct_labels(y_true, y_pred)
  for _, label in ipairs(occurring) do
    if not known[label] then return false end
  end
  return #occurring == #labels
end

--- classification_report(y_true, y_pred [, {labels=, names=, digits=2}]) -> text, scores
-- labels picks and orders the classes, names is how they are printed.
function report.classification_report(y_true, y_pred, opts)
  local o = options.check("classification_report", opts, { labels = false, names = false, digits = 2 })
  if math.type(o.digits) ~= "integer" or o.digits < 0 or o.digits > 20 then
    error("classification_report: digits must be a whole number in 0..20, got " .. tostring(o.digits), 2)
  end
  local t = count.labels_of("classification_report: y_true", y_true)
  local p = count.labels_of("classification_report: y_pred", y_pred)
  local labels = o.labels or count.distinct_labels(t, p)
  if o.names and #o.names ~= #labels then
    error(("classification_report: %d names for %d labels"):format(#o.names, #labels), 2)
  end
  local s = count.scores(t, p, { labels = labels })
  local names, width = {}, math.max(text.len "weighted avg", o.digits)
  for i, label in ipairs(labels) do
    names[i] = tostring(o.names and o.names[i] or label)
    width = math.max(width, text.len(names[i]))
  end
  local out = { (" "):rep(width) .. " " }
  for _, heading in ipairs { "precision", "recall", "f1-score", "support" } do
    out[#out + 1] = (" %9s"):format(heading)
  end
  out[#out + 1] = "\n\n"
  local support = s.accuracy == 0 and "%9.1f" or "%9d"
  for i, class in ipairs(s.classes) do out[#out + 1] = row(width, o.digits, support, names[i], class) end
  out[#out + 1] = "\n"
  if covers(labels, t, p) then
    out[#out + 1] = ("%s  %9s %9s %9." .. o.digits .. "f " .. support .. "\n"):format(
      text.left_pad("accuracy", width), "", "", s.micro.f1, s.micro.support)
  else
    out[#out + 1] = row(width, o.digits, support, "micro avg", s.micro)
  end
  out[#out + 1] = row(width, o.digits, support, "macro avg", s.macro)
  out[#out + 1] = row(width, o.digits, support, "weighted avg", s.weighted)
  return table.concat(out), s
end

return report
