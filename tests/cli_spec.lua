-- The command line, run as a user runs it.
local function run(command, env)
  local out = os.tmpname()
  local _, _, code = os.execute(("%s %s >%s 2>&1 </dev/null"):format(env or "", command, out))
  local f = assert(io.open(out))
  local text = f:read "a"
  f:close()
  os.remove(out)
  return code, text
end

local function script(code)
  local path = os.tmpname() .. ".lua"
  local f = assert(io.open(path, "w"))
  f:write(code)
  f:close()
  return path
end

describe("luma", function()
  it("names its commands and its version", function()
    local code, text = run "scripts/luma --help"
    assert.equal(0, code)
    assert.truthy(text:find("\n  info ", 1, true))
    code, text = run "scripts/luma --version"
    assert.equal(0, code)
    assert.truthy(text:match "^luma %d+%.%d+\n$")
  end)

  it("answers a mistyped option in one line", function()
    for given, want in pairs {
      ["covid --epoch 3"] = "luma covid: unknown option '--epoch'; did you mean '--epochs'? (luma covid --help)\n",
      ["covid -x"] = "luma covid: unknown option '-x' (luma covid --help)\n",
      ["covid --seed -1"] = "luma covid: unknown option '-1'; a value that begins with - is written --option=-1 "
        .. "(luma covid --help)\n",
      ["covid --seed=-1"] = "luma covid: --seed must be a whole number from 0 on, got '-1'\n",
      ["covid --data ''"] = "luma covid: --data: '': no such folder\n",
      ["phantom --out none --class nosuch"] = "luma phantom: --class must be one of Normal, opacity, effusion, "
        .. "cardiomegaly, nodule, got 'nosuch'\n",
      ["-e 'luma.nosuch()'"] = "luma: -e:1: attempt to call a nil value (field 'nosuch')\n",
    } do
      local code, text = run("scripts/luma " .. given)
      assert.equal(1, code)
      assert.equal(want, text)
    end
  end)

  it("suggests the nearest command", function()
    local code, text = run "scripts/luma inof"
    assert.equal(1, code)
    assert.equal("luma: unknown command 'inof', did you mean 'info'? (luma --help lists them)\n", text)
  end)

  it("answers an unknown option in one line", function()
    local code, text = run "scripts/luma info --fast"
    assert.equal(1, code)
    assert.equal("luma info: unknown option '--fast' (luma info --help)\n", text)
  end)

  it("runs a script with its arguments, and exits with its errors", function()
    local path = script "print(arg[1], #arg, ...)"
    local code, text = run(("scripts/luma %s a b"):format(path))
    assert.equal(0, code)
    assert.equal("a\t2\ta\tb\n", text)
    os.remove(path)
    path = script "local function f() error 'boo' end\nf()"
    code, text = run("scripts/luma " .. path)
    assert.equal(1, code)
    assert.truthy(text:find("%.lua:1: boo\nstack traceback:"))
    os.remove(path)
    code, text = run "scripts/luma absent.lua"
    assert.equal(1, code)
    assert.equal("luma: cannot open absent.lua: No such file or directory\n", text)
  end)

  it("shows the user's mistakes plainly, and its own with their place", function()
    local code, text = run [[scripts/luma -e 'require "luma" error("no such file", 0)']]
    assert.same({ 1, "luma: no such file\n" }, { code, text })
    local command = script 'return { name = "info", parser = function() end, run = function() local x; x.y = 1 end }'
    local lua = script(([[#!/bin/sh
exec lua5.4 -e 'package.preload["luma.cli.info"] = function() return dofile "%s" end' "$@"
]]):format(command))
    os.execute("chmod +x " .. lua)
    code, text = run("scripts/luma info", "LUMA_LUA=" .. lua)
    os.remove(lua)
    os.remove(command)
    assert.equal(1, code)
    assert.truthy(text:find("^luma info: internal error: .*%.lua:1: attempt to index"), text)
    code, text = run([[scripts/luma -e 'error "x"']], "LUMA_TRACE=1")
    assert.equal(1, code)
    assert.truthy(text:find("stack traceback", 1, true))
  end)

  it("ends with 130 when interrupted", function()
    local path = script 'require("luma").core.system.interrupt_set() while true do end'
    local code, text = run("scripts/luma " .. path)
    os.remove(path)
    assert.same({ 130, "luma: interrupted\n" }, { code, text })
  end)

  it("reports output that cannot be written", function()
    local code, text = run("sh -c 'scripts/luma --help >/dev/full'")
    assert.equal(1, code)
    assert.truthy(text:find("No space left", 1, true))
  end)
end)
