--- help: what a function does, from the op table and the comments in the source.
--
--   help()                    what there is
--   help "conv2d"             an op, a library function or a module, by name
--   help(luma.conv2d)         the same, by value
--   help "rotate"             no such name: everything that mentions it
--
-- Ops are documented in their table row, Lua functions in the "---" comment
-- above them; the manual is made of the same two sources.

local luma = require "luma"
local files = require "luma.base.files"
local text = require "luma.base.text"

local _, here = ... -- the path this file was loaded from
local root = files.join(files.dirname(here), "..")

local help = {}

-- ---- the comments of the Lua sources ----

local function comment_text(lines)
  local out = {}
  for i, line in ipairs(lines) do out[i] = line:gsub("^%-%-%-? ?", "") end
  return table.concat(out, "\n")
end

-- The documented functions of one file: { name=, signature=, doc=, leaf= },
-- and the file's own comment.
local function scan(path)
  local source = files.read(path)
  if not source then return nil end
  local entries, block, head = {}, {}, nil
  for line in (source .. "\n"):gmatch "(.-)\n" do
    if line:match "^%-%-%-" or (#block > 0 and line:match "^%-%-") then
      if line:match "^%-%-%-" and #block > 0 and block[#block]:match "^%-%-[^-]" then block = {} end
      block[#block + 1] = line
    else
      local name, signature = line:match "^function ([%w_.:]+)(%b())"
      if not name then
        name, signature = line:match "^([%w_]+[.:][%w_.]+) = function(%b())"
      end
      if #block > 0 and not head and not name then
        head = comment_text(block)
      elseif #block > 0 and name then
        entries[#entries + 1] =
          { name = name, leaf = name:match "[%w_]+$", signature = signature, doc = comment_text(block) }
      end
      block = {}
    end
  end
  return entries, head or ""
end

-- The name under which users reach the module of a file: "study.audit.bars" -> "audit.bars".
local function public_name(module)
  local name = module:gsub("^base%.", ""):gsub("^study%.", "")
  local renamed = { distributions = "stats", ["cli.help"] = "help", ["cli.prompt"] = "prompt", csv = "data.csv" }
  return renamed[name] or name
end

local function walk(dir, prefix, out)
  local names, kinds = files.list(dir)
  for _, name in ipairs(names or {}) do
    local path = files.join(dir, name)
    if kinds[name] == "directory" then
      walk(path, prefix .. name .. ".", out)
    elseif name:match "%.lua$" then
      local entries, head = scan(path)
      local module = public_name((prefix .. name:gsub("%.lua$", "")):gsub("%.?init$", ""))
      if entries then out[#out + 1] = { module = module, head = head, entries = entries } end
    end
  end
  return out
end

local sources

--- The documented Lua sources: a list of {module=, head=, entries=}.
function help.sources()
  sources = sources or walk(root, "", {})
  return sources
end

-- ---- finding ----

-- Rows of the op table whose name is `name` or ends in ".name".
local function ops_named(name)
  local found = {}
  for _, op in ipairs(luma.core.oplist) do
    if op.name == name or op.name:sub(-#name - 1) == "." .. name then found[#found + 1] = op end
  end
  return found
end

local function op_of(fn)
  for _, op in ipairs(luma.core.oplist) do
    if op.fn == fn then return op end
  end
end

local function entries_named(name)
  local found, leaf = {}, name:match "[%w_]+$"
  local where = name:match "^(.*)[.:][%w_]+$"
  for _, source in ipairs(help.sources()) do
    for _, entry in ipairs(source.entries) do
      if entry.leaf == leaf and (not where or source.module == where or entry.name == name
        or source.module:find(where .. ".", 1, true) == 1) then
        found[#found + 1] = { source = source, entry = entry }
      end
    end
  end
  return found
end

-- Where a function sits in luma: "metrics.accuracy".
local function name_of(value)
  for _, name in ipairs(luma.modules) do
    local ok, module = pcall(function() return luma[name] end)
    if ok and module == value then return name end
    if ok and type(module) == "table" then
      for key, item in pairs(module) do
        if item == value then return name .. "." .. tostring(key) end
      end
    end
  end
end

-- Text in lines of at most 98 characters, each after two spaces.
local function folded(doc)
  local out, line = {}, " "
  for word in doc:gmatch "%S+" do
    if #line + #word > 98 then
      out[#out + 1], line = line, " "
    end
    line = line .. " " .. word
  end
  out[#out + 1] = line
  return table.concat(out, "\n")
end

local function show_op(op)
  return ("luma.%s %s%s\n%s"):format(op.name, op.signature,
    op.method and ("   also x:%s(...)"):format(op.name:match "[%w_]+$") or "", folded(op.doc))
end

local function show_entry(found)
  local entry = found.entry
  return ("%s: %s%s\n  %s"):format(found.source.module, entry.name, entry.signature, entry.doc:gsub("\n", "\n  "))
end

local function mentions(word)
  local out, lower = {}, word:lower()
  for _, op in ipairs(luma.core.oplist) do
    if (op.name .. " " .. op.doc):lower():find(lower, 1, true) then out[#out + 1] = "luma." .. op.name end
  end
  for _, source in ipairs(help.sources()) do
    for _, entry in ipairs(source.entries) do
      if (entry.name .. " " .. entry.doc):lower():find(lower, 1, true) then
        out[#out + 1] = ("%s: %s"):format(source.module, entry.name)
      end
    end
  end
  return out
end

-- Ops that luma's own Lua side is made of, and gradients: left out of the overview.
local INNER = { hook = true, system = true, plan = true, loader = true, step = true, io = true, learn = true,
  prepare = true }

-- What a module is for: its first sentence, without its name.
local function first_sentence(head)
  local flat = head:match("^(.-)\n\n") or head
  flat = flat:gsub("%s+", " "):gsub("^luma%.[%w_.()]+: ", ""):gsub("^[%w_.]+: ", "")
  return folded(flat:match "^(.-)%.%f[%s]" or flat:gsub("[:.]$", "")):sub(3)
end

local function overview()
  local out = { "luma's ops and modules; help \"NAME\" explains one, help \"word\" finds what mentions it.", "" }
  local names = {}
  for _, op in ipairs(luma.core.oplist) do
    if not INNER[op.name:match "^(%a+)%." or ""] and not op.name:match "_grad" then names[#names + 1] = op.name end
  end
  table.sort(names)
  local line = "ops:"
  for _, name in ipairs(names) do
    if #line + #name > 98 then
      out[#out + 1], line = line, "    "
    end
    line = line .. " " .. name
  end
  out[#out + 1] = line
  out[#out + 1] = ""
  for _, source in ipairs(help.sources()) do
    if not source.module:find(".", 1, true) and source.module ~= "" then
      out[#out + 1] = ("luma.%-11s %s"):format(source.module, first_sentence(source.head):gsub("\n%s*",
        "\n" .. (" "):rep(17)))
    end
  end
  return table.concat(out, "\n")
end

--- The help text for a name, a function or a module; nil, message when there is none.
function help.text(what)
  if what == nil then return overview() end
  if type(what) == "function" then
    local op = op_of(what)
    if op then return show_op(op) end
    local name = name_of(what)
    if not name then return nil, "this function is not one of luma's" end
    what = name
  elseif type(what) == "table" then
    local name = name_of(what)
    if not name then return nil, "this table is not one of luma's modules" end
    what = name
  elseif type(what) ~= "string" then
    if type(what) == "userdata" then return tostring(what) end
    return nil, "help wants a name, a function or a module, got " .. type(what)
  end
  what = what:gsub("^luma%.", "")
  local out = {}
  for _, op in ipairs(ops_named(what)) do out[#out + 1] = show_op(op) end
  for _, found in ipairs(entries_named(what)) do out[#out + 1] = show_entry(found) end
  for _, source in ipairs(help.sources()) do
    if source.module == what then
      local names = {}
      for _, part in ipairs(help.sources()) do
        if part.module == what or part.module:find(what .. ".", 1, true) == 1 then
          for _, entry in ipairs(part.entries) do names[#names + 1] = entry.name .. entry.signature end
        end
      end
      out[#out + 1] = ("luma.%s\n  %s\n%s"):format(source.module, source.head:gsub("\n", "\n  "),
        #names > 0 and "\n  " .. table.concat(names, "\n  ") or "")
    end
  end
  if #out > 0 then return table.concat(out, "\n\n") end
  local related = mentions(what)
  if #related > 0 then
    local shown = table.concat(related, "\n  ", 1, math.min(#related, 30))
    return ("nothing is called '%s'; these mention it:\n  %s"):format(what, shown)
  end
  local names = {}
  for _, op in ipairs(luma.core.oplist) do names[#names + 1] = op.name end
  local near = text.nearest(what, names)
  return nil, ("nothing is called '%s'%s"):format(text.printable(what, 60),
    near and (", did you mean '%s'?"):format(near) or "")
end

return setmetatable(help, {
  --- help(what): prints the help text.
  __call = function(_, what)
    local found, message = help.text(what)
    print(found or message)
  end,
  __tostring = function() return 'help() lists what there is, help "conv2d" or help(luma.conv2d) explains it' end,
})
