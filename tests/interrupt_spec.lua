-- Ctrl-C: inside a long kernel, a busy coroutine, and loops that swallow errors.
describe("interrupt", function()
  local luma = require "luma"
  local uv = require "luv"

  -- Runs a script in a child, sends SIGINT once it says "ready", and returns how
  -- long it then took to end (seconds), its exit code and what it printed.
  local function interrupted(script, signal)
    local out, ready, exit, code = uv.new_pipe(false), nil, nil, nil
    local text = {}
    local env = {}
    for k, v in pairs(uv.os_environ()) do env[#env + 1] = k .. "=" .. v end
    local child
    child = assert(uv.spawn("lua5.4", {
      args = { "-e", "local luma = require 'luma' luma.core.system.watch_interrupts(true) " .. script },
      stdio = { nil, out, 2 }, env = env,
    }, function(c)
      exit, code = uv.hrtime(), c
    end))
    local deadline = uv.new_timer()
    deadline:start(60000, 0, function() child:kill "sigkill" end)
    out:read_start(function(_, chunk)
      if not chunk then return end
      text[#text + 1] = chunk
      if not ready and table.concat(text):find("ready", 1, true) then
        local pause = uv.new_timer()
        pause:start(150, 0, function()
          pause:close()
          ready = uv.hrtime()
          child:kill(signal or "sigint")
        end)
      end
    end)
    while not exit do uv.run "once" end
    deadline:close()
    out:close()
    child:close()
    uv.run "nowait"
    assert(ready, "the child never said ready")
    return (exit - ready) / 1e9, code, table.concat(text)
  end

  -- One second on a machine that is free; the share of a processor we get of it
  -- otherwise; four times as long under a sanitizer.
  local function patience()
    local slower = (os.getenv "LD_PRELOAD" or ""):find("asan", 1, true) and 4 or 1
    return slower * math.max(1, 2 * (uv.loadavg()) / #uv.cpu_info()) -- the mean of a minute; bursts are twice that
  end

  local head = "io.stdout:setvbuf 'no' "
  local tail = [[
    local ok, err = pcall(work)
    if err == luma.core.interrupt then luma.core.system.interrupt_clear() print 'stopped' os.exit(130, true) end
    print(ok, err)]]

  local function stops(name, work)
    it("stops " .. name .. " within a second", function()
      local seconds, code, text = interrupted(head .. work .. tail)
      assert.truthy(text:find("stopped", 1, true), text)
      assert.equal(130, code)
      assert.truthy(seconds < patience(), seconds .. " s")
    end)
  end

  stops("a long product", [[
    local a = luma.ones(4000, 4000)
    local function work() print 'ready' for i = 1, 100 do luma.matmul(a, a):close() end end]])
  stops("one long reduction after another", [[
    local a = luma.ones(10000000)
    local function work() print 'ready' while true do a:std() end end]])
  stops("plain Lua code", [[
    local function work() print 'ready' while true do end end]])
  stops("a busy coroutine", [[
    local function work() print 'ready' coroutine.wrap(function() while true do end end)() end]])
  stops("a loop that swallows errors of its items", [[
    local function work()
      print 'ready'
      while true do pcall(function() for i = 1, 1e9 do end end) end
    end]])
  stops("a loop in a loop, both swallowing", [[
    local function item() for i = 1, 1e9 do end end
    local function work()
      print 'ready'
      while true do pcall(function() while true do pcall(item) end end) end
    end]])
  stops("a loop that swallows errors of ops", [[
    local a = luma.ones(500, 500)
    local function work() print 'ready' while true do pcall(luma.matmul, a, a) end end]])

  it("works for SIGTERM as well", function()
    local busy = "local function work() print 'ready' while true do end end "
    local seconds, code = interrupted(head .. busy .. tail, "sigterm")
    assert.equal(130, code)
    assert.truthy(seconds < patience())
  end)

  it("ends the command with 130, 143 or 129, as the signal says", function()
    for signal, code in pairs { INT = 130, TERM = 143, HUP = 129 } do
      local script = "scripts/luma -e 'print(1) while true do end' >/dev/null 2>&1 & p=$!; sleep 0.7; "
        .. "kill -%s $p; wait $p; echo $?"
      local pipe = assert(io.popen(("bash -c \"set -m; %s\""):format(script:format(signal):gsub("%$", "\\$"))))
      assert.equal(code, tonumber(pipe:read "a":match "(%d+)%s*$"), signal)
      pipe:close()
    end
  end)

  it("raises one sentinel, known by identity, until it is cleared", function()
    local system, a = luma.core.system, luma.ones(4, 4)
    system.interrupt_set()
    local ok, err = pcall(luma.matmul, a, a)
    assert.is_false(ok)
    assert.is_true(rawequal(err, luma.core.interrupt))
    assert.equal("interrupted", tostring(err))
    assert.is_true(system.interrupted())
    assert.is_true(system.interrupt_clear())
    assert.is_false(system.interrupt_clear())
    assert.equal(4, luma.matmul(a, a)[1][1])
  end)
end)
