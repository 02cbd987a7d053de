--- luma manual: the reference in Markdown, made from the op table, the comments
-- of the Lua sources, the commands' own help and the examples.

local luma = require "luma"
local argparse = require "argparse"
local files = require "luma.files"
local help = require "luma.help"

local function section_of(name)
  return name:match "^(.*)%.[%w_]+$" or ""
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
        op.method and " *method*" or "", op.doc)
    end
    out[#out + 1] = ""
  end
end

local function write_modules(out)
  out[#out + 1] = "## Modules\n"
  for _, source in ipairs(help.sources()) do
    if source.module ~= "" and not source.module:match "^cli" then
      out[#out + 1] = ("### luma.%s\n\n%s\n"):format(source.module, source.head:gsub("\n\n  ", "\n\n    "))
      for _, entry in ipairs(source.entries) do
        out[#out + 1] = ("- **`%s%s`**  \n  %s"):format(entry.name, entry.signature, entry.doc:gsub("\n", "  \n  "))
      end
      out[#out + 1] = ""
    end
  end
end

local function write_commands(out, commands)
  out[#out + 1] = "## Commands\n"
  for _, command in ipairs(commands) do
    local parser = argparse("luma " .. command.name, command.summary)
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
    local out = { "# luma\n\n" .. luma._VERSION .. ". Made by `luma manual` from the code it describes.\n" }
    write_commands(out, require("luma.cli.commands").list())
    write_ops(out)
    write_modules(out)
    write_examples(out)
    print(table.concat(out, "\n"))
    return 0
  end,
}
