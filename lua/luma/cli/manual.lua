--- luma manual: the reference in Markdown, made from the op table, the comments
-- of the Lua sources, the commands' own help and the examples.

local luma = require "luma"
local argparse = require "argparse"
local files = require "luma.base.files"
local help = require "luma.cli.help"

local function section_of(name)
  return name:match "^(.*)%.[%w_]+$" or ""
end

-- A comment as Markdown: what is set in by two spaces or more is code or a table,
-- kept as it stands; the rest flows, indented by `lead`.
local function markdown(comment, lead)
  local out, code = {}, false
  for line in (comment .. "\n"):gmatch "(.-)\n" do
    local is_code = line:match "^  " ~= nil or (code and line == "")
    if is_code ~= code then
      if code and out[#out] == lead then out[#out] = nil end
      out[#out + 1] = lead .. "```"
      code = is_code
    end
    out[#out + 1] = lead .. (code and line:gsub("^  ", "") or line)
  end
  if code then out[#out + 1] = lead .. "```" end
  return (table.concat(out, "\n"):gsub("\n%s+\n", "\n\n"):gsub("%.  (%u)", ". %1"))
end

-- A function's comment: the sentences, then a list of its @param and @return.
local function described(doc)
  local sentences, tags = {}, nil
  for line in (doc .. "\n"):gmatch "(.-)\n" do
    local tag, rest = line:match "^@(%l+) ?(.*)$"
    if tag then
      tags = tags or {}
      local name, about = rest:match "^([%w_.]+) (.*)$"
      tags[#tags + 1] = tag == "param" and ("  - `%s` %s"):format(name or rest, about or "") or "  - returns " .. rest
    elseif tags then
      tags[#tags] = tags[#tags] .. " " .. line:match "^%s*(.-)$"
    else
      sentences[#sentences + 1] = line
    end
  end
  return markdown(table.concat(sentences, "\n"), "  ") .. (tags and "\n" .. table.concat(tags, "\n") or "")
end

local function write_ops(out)
  out[#out + 1] = "## Ops\n\nFunctions in C. Those marked *method* may also be called as `x:name(...)`.\n"
  local sections, order = {}, {}
  for _, op in ipairs(luma.core.oplist) do
    local section = section_of(op.name)
    if not sections[section] then sections[section], order[#order + 1] = {}, section end
    table.insert(sections[section], op)
  end
  for _, section in ipairs(order) do
    if section ~= "" then out[#out + 1] = ("### luma.%s\n"):format(section == "system" and "core.system"
      or section == "hook" and "core.hook" or section) end
    for _, op in ipairs(sections[section]) do
      out[#out + 1] = ("- **`%s`** `%s`%s  \n  %s"):format(op.name, op.signature,
        op.method and " *method*" or "", (op.doc:gsub("%.  (%u)", ". %1")))
    end
    out[#out + 1] = ""
  end
end

local function write_modules(out)
  out[#out + 1] = "## Modules\n"
  for _, source in ipairs(help.sources()) do
    if source.module ~= "" and not source.module:match "^cli" then
      out[#out + 1] = ("### luma.%s\n\n%s\n"):format(source.module, markdown(source.head, ""))
      for _, entry in ipairs(source.entries) do
        out[#out + 1] = ("- **`%s%s`**  \n%s"):format(entry.name, entry.signature, described(entry.doc))
      end
      out[#out + 1] = ""
    end
  end
end

local function write_commands(out, commands)
  out[#out + 1] = "## Commands\n"
  for _, command in ipairs(commands) do
    local parser = argparse("luma " .. command.name, command.summary)
    parser:help_max_width(100)
    command.parser(parser)
    out[#out + 1] = ("### luma %s\n\n```\n%s\n```\n"):format(command.name, parser:get_help())
  end
end

local function write_examples(out)
  local names = files.list "examples"
  if not names then return end
  out[#out + 1] = "## Examples\n"
  for _, name in ipairs(names) do
    local source = name:match "%.lua$" and files.read(files.join("examples", name))
    if source then out[#out + 1] = ("- `examples/%s`: %s"):format(name, source:match "^%-+%s*([^\n]*)" or "") end
  end
  out[#out + 1] = ""
end

return {
  name = "manual",
  summary = "print the manual (Markdown), made from the code",
  parser = function() end,
  run = function()
    local out = { "# luma\n\n" .. luma._VERSION .. ". Made by `luma manual` from the code it describes: [commands]"
      .. "(#commands), [ops](#ops), [modules](#modules), [examples](#examples). README.md is the place to start.\n" }
    write_commands(out, require("luma.cli.commands").list())
    write_ops(out)
    write_modules(out)
    write_examples(out)
    print(table.concat(out, "\n"))
    return 0
  end,
}
