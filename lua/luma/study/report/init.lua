--- report: one page that explains a run, and the same as plain text.
--
--   local r = report.new { title = "...", subtitle = "..." }
--   r:section { title = "Data", html = html.p "...", text = "..." }
--   assert(r:save(dir))                  -- dir/report.html and dir/report.txt
--
-- The page is a single file: pictures are inlined, nothing is fetched, no script
-- runs, colours follow the reader's scheme.  A section without html shows its
-- text; one without text is left out of report.txt.  Every report carries the
-- disclaimer.

local files = require "luma.base.files"
local html = require "luma.study.report.html"
local options = require "luma.base.options"
local style = require "luma.study.report.style"

local report = { html = html }

report.disclaimer = "Not for clinical use. This is an experiment in machine learning on a small research data set, "
  .. "not a diagnostic tool; its numbers say nothing about a patient."

local Report = {}
Report.__index = Report
Report.__name = "luma.Report"

--- report.new{title=, subtitle=} -> report
function report.new(opts)
  local o = options.check("report.new", opts, { title = "luma report", subtitle = "" })
  return setmetatable({ title = o.title, subtitle = o.subtitle, sections = {} }, Report)
end

--- Adds a section {title=, html=, text=, id=}; returns the report.
function Report:section(section)
  local o = options.check("report:section", section,
    { title = "", html = options.optional, text = options.optional, id = options.optional })
  o.id = o.id or "s" .. (#self.sections + 1)
  self.sections[#self.sections + 1] = o
  return self
end

--- The page.
function Report:to_html()
  local out = { "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
    ("<title>%s</title>\n<style>\n%s</style>\n</head>\n<body>\n<header>\n<h1>%s</h1>\n"):format(
      html.escape(self.title), style, html.escape(self.title)),
    self.subtitle ~= "" and html.p(self.subtitle, "sub") or "", html.note(report.disclaimer), "</header>\n<nav>" }
  for _, section in ipairs(self.sections) do
    out[#out + 1] = ('<a href="#%s">%s</a> '):format(html.escape(section.id), html.escape(section.title))
  end
  out[#out + 1] = "</nav>\n<main>\n"
  for _, section in ipairs(self.sections) do
    out[#out + 1] = ('<section id="%s">\n<h2>%s</h2>\n'):format(html.escape(section.id), html.escape(section.title))
    out[#out + 1] = section.html or html.pre(section.text or "")
    out[#out + 1] = "</section>\n"
  end
  out[#out + 1] = "</main>\n<footer>" .. html.escape(report.disclaimer) .. "</footer>\n</body>\n</html>\n"
  return table.concat(out)
end

--- The same as plain text.
function Report:to_text()
  local out = { self.title, ("="):rep(utf8.len(self.title) or #self.title) }
  if self.subtitle ~= "" then out[#out + 1] = self.subtitle end
  out[#out + 1] = "\n" .. report.disclaimer
  for _, section in ipairs(self.sections) do
    if section.text then
      out[#out + 1] = ("\n%s\n%s\n%s"):format(section.title, ("-"):rep(utf8.len(section.title) or #section.title),
        (section.text:gsub("%s+$", "")))
    end
  end
  return table.concat(out, "\n") .. "\n"
end

--- Writes dir/report.html and dir/report.txt; true, or nil, message, code.
function Report:save(dir)
  local ok, message, code = files.write_atomic(files.join(dir, "report.txt"), self:to_text())
  if not ok then return nil, message, code end
  return files.write_atomic(files.join(dir, "report.html"), self:to_html())
end

return report
