-- make install under a prefix of its own: the launcher, plain lua5.4, and that
-- uninstall leaves nothing.
local luma = require "luma"
local files = luma.files

local function run(command)
  local pipe = assert(io.popen("env -u LUA_PATH -u LUA_CPATH " .. command .. " 2>&1 </dev/null"))
  local text = pipe:read "a"
  return pipe:close(), text
end

describe("make install #noasan", function()
  local prefix = os.tmpname()
  os.remove(prefix)
  local build = os.getenv "LUMA_BUILD" or "build"
  local make = ("make -s --no-print-directory BUILD=%s PREFIX=%s "):format(build, prefix)

  teardown(function() os.execute("rm -rf " .. prefix) end)

  it("gives a launcher that runs from anywhere, with the embedded base", function()
    local ok, text = run(make .. "install")
    assert.truthy(ok, text)
    ok, text = run(("sh -c 'cd / && %s/bin/luma --version && %s/bin/luma model tiny'"):format(prefix, prefix))
    assert.truthy(ok, text)
    assert.truthy(text:match "^luma %d" and text:find "parameters", text)
  end)

  it("gives modules that plain lua5.4 finds, and the reader of Keras files", function()
    local script = os.tmpname()
    assert(files.write_atomic(script, [[
      local l = require "luma"
      print(l.ones(2):sum():item(), assert(l.models.tiny()).type, l.core.io.tool "luma-h5")]]))
    local ok, text = run((([[env LUA_PATH="P/share/lua/5.4/?.lua;P/share/lua/5.4/?/init.lua;;" ]]
      .. [[LUA_CPATH="P/lib/lua/5.4/?.so;;" sh -c 'cd / && lua5.4 SCRIPT']])
      :gsub("P/", prefix .. "/"):gsub("SCRIPT", script)))
    os.remove(script)
    assert.truthy(ok, text)
    assert.truthy(text:find("^2.0\tSequential\t" .. prefix:gsub("%p", "%%%0") .. "/lib/lua/5.4/luma/luma%-h5"), text)
  end)

  it("is taken back by make uninstall", function()
    local ok, text = run(make .. "uninstall")
    assert.truthy(ok, text)
    ok, text = run(("find %s -type f"):format(prefix))
    assert.truthy(ok)
    assert.equal("", text)
    assert.is_false(files.exists(prefix .. "/bin/luma"))
  end)
end)
