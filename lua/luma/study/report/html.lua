--- Building blocks of a report page.  Everything that is data is escaped here;
-- callers pass names, numbers and file contents as they are.

local text = require "luma.base.text"

local html = {}
local escape = text.html
html.escape = escape

local alphabet = {}
for c in ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):gmatch "." do
  alphabet[#alphabet + 1] = c
end

--- Base64 of a byte string.
function html.base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local v = a << 16 | (b or 0) << 8 | (c or 0)
    out[#out + 1] = alphabet[(v >> 18) + 1] .. alphabet[(v >> 12 & 63) + 1]
      .. (b and alphabet[(v >> 6 & 63) + 1] or "=") .. (c and alphabet[(v & 63) + 1] or "=")
  end
  return table.concat(out)
end

--- A paragraph of text.
function html.p(words, class)
  return ("<p%s>%s</p>\n"):format(class and (' class="%s"'):format(class) or "", escape(words))
end

--- A highlighted remark.
function html.note(words)
  return ('<p class="note">%s</p>\n'):format(escape(words))
end

--- A table.  columns: list of {title, numeric=false}; rows: lists of text, or of
-- {html=} for cells that are markup already.
function html.table(columns, rows)
  local out = { '<div class="scroll"><table>\n<thead><tr>' }
  for _, c in ipairs(columns) do
    out[#out + 1] = ('<th scope="col"%s>%s</th>'):format(c.numeric and ' class="n"' or "", escape(c[1]))
  end
  out[#out + 1] = "</tr></thead>\n<tbody>\n"
  for _, row in ipairs(rows) do
    out[#out + 1] = "<tr>"
    for i, c in ipairs(columns) do
      local cell = row[i]
      if type(cell) ~= "table" then cell = { html = escape(cell == nil and "" or cell) } end
      out[#out + 1] = ("<td%s>%s</td>"):format(c.numeric and ' class="n"' or "", cell.html)
    end
    out[#out + 1] = "</tr>\n"
  end
  out[#out + 1] = "</tbody></table></div>\n"
  return table.concat(out)
end

--- A confusion matrix, shaded by the share of its row.
function html.matrix(rows, names)
  local out = { '<div class="scroll"><table class="matrix">\n<thead><tr><th scope="col">true \\ predicted</th>' }
  for _, name in ipairs(names) do out[#out + 1] = ('<th scope="col">%s</th>'):format(escape(name)) end
  out[#out + 1] = "</tr></thead>\n<tbody>\n"
  for i, row in ipairs(rows) do
    local sum = 0
    for _, v in ipairs(row) do sum = sum + v end
    out[#out + 1] = ('<tr><th scope="row">%s</th>'):format(escape(names[i]))
    for _, v in ipairs(row) do
      out[#out + 1] = ('<td style="background:rgba(var(--shade),%.2f)">%d</td>'):format(
        sum > 0 and 0.55 * v / sum or 0, v)
    end
    out[#out + 1] = "</tr>\n"
  end
  out[#out + 1] = "</tbody></table></div>\n"
  return table.concat(out)
end

--- Key figures side by side: a list of {value, label, detail}.
function html.tiles(list)
  local out = { '<div class="tiles">\n' }
  for _, tile in ipairs(list) do
    out[#out + 1] = ('<div class="tile"><span>%s</span><b>%s</b><span>%s</span></div>\n'):format(
      escape(tile[2]), escape(tile[1]), escape(tile[3] or ""))
  end
  out[#out + 1] = "</div>\n"
  return table.concat(out)
end

--- A picture inside the page: bytes of a PNG or JPEG.
function html.image(bytes, alt)
  local kind = bytes:sub(1, 4) == "\x89PNG" and "png" or "jpeg"
  return ('<img alt="%s" loading="lazy" src="data:image/%s;base64,%s">'):format(escape(alt or ""), kind,
    html.base64(bytes))
end

--- A figure around markup (an image or an SVG element), with a caption in text
-- and, where given, a first word of it in bold.
function html.figure(inner, caption, bold)
  return ("<figure>%s%s</figure>\n"):format(inner, caption and ("<figcaption>%s%s</figcaption>"):format(
    bold and ("<b>%s</b> "):format(escape(bold)) or "", escape(caption)) or "")
end

--- Figures side by side ("figures": wide ones; "gallery": thumbnails).
function html.group(class, list)
  return ('<div class="%s">\n%s</div>\n'):format(class, table.concat(list))
end

--- Preformatted text.
function html.pre(words)
  local safe = words:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })
  return "<pre>" .. safe .. "</pre>\n"
end

return html
