local luma = require "luma"
local repl = require "luma.cli.prompt"
local help = require "luma.cli.help"

describe("the prompt", function()
  local env, lines
  local function out(s) lines[#lines + 1] = s end
  before_each(function()
    env, lines = repl.environment(), {}
  end)

  it("prints the value of an expression, several of a call, nil as Lua's own prompt", function()
    assert.is_true(repl.run_source("1 + 2", env, out))
    assert.is_true(repl.run_source("'a\\n', nil, {1, x = 2}", env, out))
    assert.is_true(repl.run_source("nil", env, out))
    assert.is_true(repl.run_source("x = 5", env, out))
    assert.same({ "3", '"a\\n"\tnil\t{ 1, x = 2 }', "nil" }, lines)
    assert.equal(5, env.x)
    assert.is_nil(rawget(_G, "x"))
  end)

  it("remembers the last value, and knows luma's modules by name", function()
    repl.run_source("metrics.wilson(1, 2).value", env, out)
    repl.run_source("_ * 2", env, out)
    assert.same({ "0.5", "1.0" }, lines)
  end)

  it("keeps locals, so that pasted blocks work line by line", function()
    for _, line in ipairs { "local a, b = 1, 2", "local function double(v) return 2 * v end", "local c <const> = 5",
      "local d", "local t = { a == 1 }", "double(a + b + c)" } do
      assert.is_true(repl.run_source(line, env, out), line)
    end
    assert.same({ "16" }, lines)
    assert.same({ true }, env.t)
    assert.is_true(repl.run_source("local x = 3; x = x + 1", env, out))
    assert.equal(4, env.x)
  end)

  it("runs the README's Lua blocks pasted as they stand", function()
    local text = assert(luma.files.read "README.md")
    local blocks = 0
    for block in text:gmatch "```lua run\n(.-)```" do
      blocks = blocks + 1
      env = repl.environment()
      rawset(env, "print", function() end)
      local source
      for line in block:gmatch "[^\n]+" do
        source = source and source .. "\n" .. line or line
        local whole, why = load(source, "=block")
        if whole or not why:find "<eof>$" then
          assert.is_true(repl.run_source(source, env, out), source .. "\n" .. tostring(lines[#lines]))
          source = nil
        end
      end
      if rawget(env, "tape") then env.tape:close() end
    end
    assert.equal(3, blocks)
    os.remove "film.png"
  end)

  it("silences with a semicolon, lists variables, times calls", function()
    repl.run_source("1 + 1;", env, out)
    assert.same({}, lines)
    assert.equal(2, env._)
    repl.run_source("x = luma.zeros(2, 3)", env, out)
    repl.run_source("who()", env, out)
    assert.matches("x%s+tensor f32 %[2x3%], 24 bytes", lines[1])
    rawset(env, "print", out)
    assert.is_true(repl.run_source("time(string.rep, 'a', 3)", env, out))
    assert.equal('"aaa"', lines[#lines])
  end)

  it("says what went wrong in one line", function()
    assert.is_false(repl.run_source("luma.zeros(-1)", env, out))
    assert.is_false(repl.run_source("print)", env, out))
    assert.is_false(repl.run_source("error { 1 }", env, out))
    assert.truthy(lines[1]:find("^error: bad argument #1 to 'zeros'"))
    assert.truthy(lines[2]:find("^error: syntax error"))
    assert.equal("error: { 1 }", lines[3])
  end)

  it("returns from an interrupted computation with the flag cleared", function()
    luma.core.system.watch_interrupts(true)
    repl.run_source("luma.core.system.interrupt_set() while true do end", env, out)
    luma.core.system.watch_interrupts(false)
    assert.same({ "interrupted" }, lines)
    assert.is_false(luma.core.system.interrupted())
  end)

  it("shortens what is long", function()
    local many = {}
    for i = 1, 100 do many[i] = i end
    assert.truthy(repl.show(many):find("... 80 more", 1, true))
    local loop = {}
    loop.loop = loop
    assert.equal("{ loop = { loop = {...} } }", repl.show(loop))
  end)

  it("completes names", function()
    assert.same({ "luma.zero_", "luma.zeros" }, repl.complete("luma.zer", env))
    local found = table.concat(repl.complete("luma.metrics.", env), " ")
    assert.truthy(found:find("luma.metrics.wilson", 1, true))
    assert.same({ "metrics" }, repl.complete("metri", env))
    assert.same({}, repl.complete("nothing.there", env))
    env.t = luma.zeros(1)
    assert.same({ "t:shape" }, repl.complete("t:shap", env))
    env.t:close()
  end)

  it("reads pieces over several lines from a pipe", function()
    local f = assert(io.popen("printf 'for i = 1, 2 do\nprint(i)\nend\n6 *\n7\n' | scripts/luma 2>&1"))
    assert.equal("1\n2\n42\n", f:read "a")
    f:close()
  end)
end)

describe("help", function()
  it("explains an op by name and by value", function()
    local by_name, by_value = help.text "zeros", help.text(luma.zeros)
    assert.truthy(by_name:find("luma.zeros (", 1, true))
    assert.equal(by_name, by_value)
  end)

  it("explains Lua functions from their comments", function()
    assert.truthy(help.text(luma.metrics.wilson):find("Wilson's score interval", 1, true))
    assert.truthy(help.text "luma.metrics.wilson":find("Wilson's score interval", 1, true))
    assert.truthy(help.text "metrics":find("interval.wilson(successes, n, level)", 1, true))
  end)

  it("finds what mentions a word, and admits what it does not know", function()
    assert.truthy(help.text "scikit":find "these mention it")
    local found, message = help.text "zzzqqq"
    assert.is_nil(found)
    assert.equal("nothing is called 'zzzqqq'", message)
    assert.is_nil((help.text(function() end)))
  end)

  it("has a sentence for every op", function()
    for _, op in ipairs(luma.core.oplist) do
      assert.truthy(op.signature:match "^%(", op.name)
      assert.truthy(op.doc:match "^%u.*%.$", op.name .. ": " .. op.doc)
    end
  end)
end)
