-- The helper's promise, kept: a test that leaves something behind fails, whatever
-- it asserted.  Each kind is left by a spec of its own, run in a child process.
describe("a test that leaves something behind", function()
  local folders = require "support.folder"
  local dir
  setup(function() dir = folders.new() end)
  teardown(function() folders.remove(dir) end)

  -- Runs a spec with this body; returns passed, failed and what was printed.
  local function run(body)
    local path = dir .. "/bad_spec.lua"
    local file = assert(io.open(path, "w"))
    file:write(('describe("bad", function() local luma = require "luma" ' .. 'it("leaves", function() '
      .. "%s end) end)\n"):format(body))
    file:close()
    local pipe = assert(io.popen(("TMPDIR='%s' lua5.4 tests/run.lua '%s' 2>&1 </dev/null"):format(dir, path)))
    local text = pipe:read "a"
    pipe:close()
    local passed, failed = text:match "specs: (%d+) passed, (%d+) failed"
    return tonumber(passed), tonumber(failed), text
  end

  it("passes when it leaves nothing", function()
    local passed, failed, text = run "assert.equal(2, luma.ones(2):sum():item())"
    assert.equal(1, passed, text)
    assert.equal(0, failed, text)
  end)

  for kind, case in pairs {
    tensor = { "package.loaded.kept = luma.ones(1000)", "bytes of tensors are still alive" },
    threads = { "luma.threads(luma.threads() == 1 and 2 or 1)", "the thread count is" },
    ["working directory"] = { 'require "luv".chdir "/"', "the working directory is /" },
    global = { "rawset(package.loaded._G, 'oops', 1)", "global 'oops' was made" },
    environment = { 'require "luv".os_setenv("LUMA_OOPS", "1")', "environment variable LUMA_OOPS is '1'" },
    ["temporary file"] = { 'io.open(os.getenv "TMPDIR" .. "/luma-oops", "w"):close()', "luma%-oops was left" },
  } do
    it("fails: " .. kind, function()
      local _, failed, text = run(case[1])
      assert.truthy(failed >= 1, text)
      assert.matches("leftover: ", text)
      assert.matches(case[2], text)
    end)
  end

  it("fails when it fails", function()
    local passed, failed, text = run "assert.equal(1, 2)"
    assert.equal(0, passed, text)
    assert.equal(1, failed, text)
  end)
end)
