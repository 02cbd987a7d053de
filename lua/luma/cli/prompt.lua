--- The prompt: Lua with luma loaded, one line or several at a time.
--
-- Expressions print their value, tensors and models as they print themselves;
-- `_` is the last value; luma's modules can be named without "luma." (nn,
-- image, ...).  Tab completes names, the history is kept between sessions in
-- LUMA_HISTORY (default ~/.luma_history; empty: not kept).  Ctrl-C gives up the
-- line being typed or the computation under way, also inside kernels, and
-- returns to the prompt; Ctrl-D leaves.

local luma = require "luma"
local uv = require "luv"

local system = luma.core.system
local repl = {}

-- ---- values ----

local function quoted(value)
  if type(value) == "string" then
    local s = #value > 400 and value:sub(1, 400) .. "..." or value
    return '"' .. s:gsub('[%c"\\]', function(c)
      return c == "\n" and "\\n" or c == '"' and '\\"' or c == "\\" and "\\\\" or ("\\%d"):format(c:byte())
    end) .. '"'
  end
  return tostring(value)
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if math.type(a) and math.type(b) then return a < b end
    if type(a) ~= type(b) then return type(a) == "number" end
    return tostring(a) < tostring(b)
  end)
  return keys
end

--- A value as the prompt shows it: tables with their first 20 entries, two deep.
function repl.show(value, depth)
  if type(value) ~= "table" then return quoted(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return tostring(value) end
  if (depth or 0) >= 2 then return next(value) and "{...}" or "{}" end
  local out, keys = {}, sorted_keys(value)
  for i, key in ipairs(keys) do
    if i > 20 then
      out[#out + 1] = ("... %d more"):format(#keys - 20)
      break
    end
    local shown = repl.show(value[key], (depth or 0) + 1)
    if key == i then out[i] = shown
    elseif type(key) == "string" and key:match "^[%a_][%w_]*$" then out[#out + 1] = key .. " = " .. shown
    else out[#out + 1] = ("[%s] = %s"):format(quoted(key), shown) end
  end
  local line = "{ " .. table.concat(out, ", ") .. " }"
  if #out == 0 then return "{}" end
  if #line <= 100 and not line:find("\n", 1, true) then return line end
  return "{\n  " .. table.concat(out, ",\n"):gsub("\n", "\n  ") .. "\n}"
end

-- ---- compiling and running ----

-- A `local` that begins the input lives on: each input is a chunk of its own, and
-- blocks pasted from examples would otherwise forget their variables line by line.
local function kept(source)
  local rest = source:match "^%s*local%s+(function%s+[%a_][%w_]*%s*%(.*)$"
  if rest then return rest end
  local names, value = source:match "^%s*local%s+([%w_%s,<>]-)%s*=([^=].*)$"
  if names then return (names:gsub("%s*<%s*%a+%s*>", "")) .. " =" .. value end
  names = source:match "^%s*local%s+([%a_][%w_%s,]*)$"
  if names and not names:match "^function%f[^%w_]" then return names .. " = nil" end
end

-- The chunk for what was typed: an expression if it can be one.
-- Returns chunk | nil, message, incomplete
local function compile(source, env)
  local lasting = kept(source)
  if lasting then
    local chunk = load(lasting, "=prompt", "t", env)
    if chunk then return chunk end
  end
  local chunk, as_value = load("return " .. source:gsub(";%s*$", ""), "=prompt", "t", env)
  if chunk then return chunk end
  local message
  chunk, message = load(source, "=prompt", "t", env)
  if chunk then return chunk end
  return nil, message, message:sub(-5) == "<eof>" or as_value:sub(-5) == "<eof>"
end

-- What an error says at the prompt: without "prompt:1: " for one-line input.
local function complaint(err)
  if err == luma.core.interrupt then return "interrupted" end
  if type(err) ~= "string" then return "error: " .. repl.show(err) end
  return "error: " .. err:gsub("^prompt:1: ", "")
end

--- Runs one complete piece of source in env and prints its values through `out`.
-- Returns true when it ran; false after printing what went wrong.
function repl.run_source(source, env, out)
  local chunk, message = compile(source, env)
  if not chunk then
    out(complaint(message))
    return false
  end
  local results = table.pack(pcall(chunk))
  system.interrupt_clear()
  if not results[1] then
    out(complaint(results[2]))
    return false
  end
  local shown = {}
  for i = 2, results.n do
    local ok, s = pcall(repl.show, results[i])
    shown[#shown + 1] = ok and s or complaint(s)
  end
  if results.n > 1 then
    env._ = results[2]
    if not source:match ";%s*$" then out(table.concat(shown, "\t")) end -- a ; at the end silences
  end
  return true
end

--- The table that typed code sees as its globals: Lua's own, luma, its modules
-- by their short names, and help.
function repl.environment()
  local extra = { luma = luma, help = function(what) return luma.help(what) end }
  local env
  -- who(): the variables made here, with type, shape and bytes.
  function extra.who()
    local lines = {}
    for _, name in ipairs(sorted_keys(env)) do
      local value = env[name]
      local what = type(value)
      if luma.core.hook.is_tensor(value) and not luma.core.hook.closed(value) then
        local dtype, bytes, shape = luma.core.hook.info(value)
        what = ("tensor %s %s, %d bytes"):format(dtype, shape, bytes)
      end
      if name ~= "_" then lines[#lines + 1] = ("%-16s %s"):format(tostring(name), what) end
    end
    return setmetatable(lines, { __tostring = function() return table.concat(lines, "\n") end })
  end
  -- time(f, ...): what f returns, after a line with the seconds it took.
  function extra.time(f, ...)
    local began = uv.hrtime()
    local results = table.pack(f(...))
    print(("%.6f s"):format((uv.hrtime() - began) / 1e9))
    return table.unpack(results, 1, results.n)
  end
  env = setmetatable({}, {
    __index = function(_, key)
      local value = extra[key]
      if value ~= nil then return value end
      value = _G[key]
      if value ~= nil then return value end
      value = type(key) == "string" and luma[key] or nil
      if type(value) == "table" then return value end
    end,
  })
  return env
end

-- ---- completion ----

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then
  true until while]]):gmatch "%S+" do
  keywords[word] = true
end

local function names_of(value)
  local names = {}
  local function add(t)
    for key in pairs(t) do
      if type(key) == "string" and key:match "^[%a_][%w_]*$" then names[key] = true end
    end
  end
  if type(value) == "table" then add(value) end
  if value == luma then
    for _, name in ipairs(luma.modules or {}) do names[name] = true end
  end
  if type(value) == "userdata" then add(luma.core.methods) end
  local meta = getmetatable(value)
  if type(meta) == "table" and type(meta.__index) == "table" and type(value) == "table" then add(meta.__index) end
  return names
end

--- What `word` (the dotted name before the cursor) may become, sorted.
function repl.complete(word, env)
  local path, separator, last = word:match "^(.-)([.:]?)([%w_]*)$"
  local names
  if separator == "" then
    names = {}
    for _, t in ipairs { names_of(env), names_of(_G), keywords, { luma = true, help = true } } do
      for name in pairs(t) do names[name] = true end
    end
    for _, name in ipairs(luma.modules or {}) do names[name] = true end
  else
    local value = env
    for part in path:gmatch "[^.:]+" do
      local ok, inner = pcall(function() return value[part] end)
      if not ok or inner == nil then return {} end
      value = inner
    end
    names = names_of(value)
  end
  local matches = {}
  for name in pairs(names) do
    if name:sub(1, #last) == last then matches[#matches + 1] = path .. separator .. name end
  end
  table.sort(matches)
  return matches
end

-- ---- reading lines ----

-- Reads with readline, character by character, so that Ctrl-C can give up the
-- line: readline's own loop would keep it.
local function readline_reader(readline, env)
  local history = os.getenv "LUMA_HISTORY" or ((os.getenv "HOME" or "") .. "/.luma_history")
  readline.set_options { histfile = history, keeplines = 2000, auto_add = false }
  readline.set_readline_name "luma"
  readline.set_complete_function(function(line, from, to)
    local head = line:sub(1, to)
    local word = head:match "[%w_.:]*$"
    local skip = #word - (to - from + 1) -- readline's own idea of the word may start later
    local matches = repl.complete(word, env)
    for i, match in ipairs(matches) do matches[i] = match:sub(math.max(skip, 0) + 1) end
    readline.set_completion_append_character ""
    return matches
  end)
  local poll, timer = uv.new_poll(0), uv.new_timer()
  local function read(prompt)
    local line, ended
    readline.handler_install(prompt, function(typed)
      line, ended = typed, true
      readline.handler_remove()
    end)
    poll:start("r", function() if not ended then readline.read_char() end end)
    timer:start(50, 50, function() end)
    while not ended and not system.interrupted() do uv.run "once" end
    poll:stop()
    timer:stop()
    if ended then
      if line and line:match "%S" then readline.add_history(line) end
      return line
    end
    readline.handler_remove()
    system.interrupt_clear()
    io.stdout:write "^C\n"
    return false
  end
  local function close()
    poll:close()
    timer:close()
    uv.run "nowait"
    if history ~= "" then
      pcall(readline.save_history)
      pcall(uv.fs_chmod, history, 384) -- 0600: what one types is nobody else's
    end
  end
  return read, close
end

-- Reads plain lines: no terminal, or no readline.
local function plain_reader(terminal)
  return function(prompt)
    if terminal then io.stdout:write(prompt):flush() end
    local line = io.read "l"
    if not line and system.interrupted() then
      system.interrupt_clear()
      io.stdout:write "\n"
      return false
    end
    return line
  end, function() end
end

-- One whole piece of input, over several lines where Lua needs them.
-- Returns source | false (given up) | nil (end of input)
local function read_source(read, env)
  local source
  while true do
    local line = read(source and "    > " or "luma> ")
    if line == false then return false end
    if line == nil then return source end
    source = source and source .. "\n" .. line or line
    local chunk, _, incomplete = compile(source, env)
    if chunk or not incomplete then return source end
  end
end

--- The prompt, until the end of input.  Returns an exit code.
function repl.run()
  local terminal = uv.guess_handle(0) == "tty"
  local env = repl.environment()
  local has_readline, readline = false, nil
  -- Asked for at a terminal only: without $HOME the library prints a remark as it loads.
  if terminal and uv.guess_handle(1) == "tty" then has_readline, readline = pcall(require, "readline") end
  local read, close
  if has_readline then
    read, close = readline_reader(readline, env)
  else
    read, close = plain_reader(terminal)
  end
  if terminal then
    print(luma._VERSION .. ", " .. _VERSION .. ". help() explains, Tab completes, Ctrl-D or exit leaves.")
  end
  local failed, told = false, false
  while true do
    local source = read_source(read, env)
    if source == nil then break end
    local word = source and source:match "^%s*(%a+)[%s()]*$"
    if (word == "exit" or word == "quit") and env[word] == nil then break end
    if source and source:match "%S" then
      local began = uv.hrtime()
      local ok = repl.run_source(source, env, print)
      local took = (uv.hrtime() - began) / 1e9
      if terminal and took >= 0.01 then print(("(%s)"):format(took < 1 and ("%d ms"):format(took * 1000 // 1)
        or luma.text.duration(took))) end
      failed = failed or not ok
      if ok and terminal and not told and source:match "^%s*local%s+[%a_]" and not source:find(";", 1, true) then
        print "(a local ends with its line here: leave out 'local' to keep the value)"
        told = true
      end
    end
  end
  close()
  if terminal then io.stdout:write "\n" end
  return (failed and not terminal) and 1 or 0
end

return repl
