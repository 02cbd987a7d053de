-- luma fetch: nothing is downloaded unasked; what comes is checked. A stand-in
-- for curl plays the network.
local luma = require "luma"
local files = require "luma.base.files"
local fetch = require "luma.cli.fetch"
local official = require "luma.models.official"
local uv = require "luv"

local dir = os.tmpname() .. ".d"
local path = os.getenv "PATH"

-- A curl that runs this shell text; $out is the file it was told to write.
local function curl(body)
  assert(files.write_atomic(dir .. "/bin/curl",
    '#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\nout=$2\n' .. body .. "\n"))
  assert(uv.fs_chmod(dir .. "/bin/curl", 493))
end

describe("luma fetch", function()
  local row = { name = "test", file = "test.bin", folder = "https://example.org/",
    md5 = luma.core.system.md5 "weights" }
  local print_ = print
  setup(function()
    assert(files.mkdir_p(dir .. "/bin"))
    uv.os_setenv("PATH", dir .. "/bin:/usr/bin:/bin")
    official[#official + 1] = row
    rawset(_G, "print", function() end)
  end)
  teardown(function()
    rawset(_G, "print", print_)
    official[#official] = nil
    uv.os_setenv("PATH", path)
    os.execute(("rm -rf '%s'"):format(dir))
  end)
  local function run(...) return fetch.run { name = { ... }, out = dir .. "/cache" } end

  it("keeps a file whose MD5 is right, and fetches it once", function()
    curl 'printf weights > "$out"'
    run "test"
    curl "exit 6" -- not asked again
    run "test"
    assert.equal("weights", files.read(dir .. "/cache/test.bin"))
    assert.is_false(files.exists(dir .. "/cache/test.bin.part"))
    os.remove(dir .. "/cache/test.bin")
  end)

  it("removes what has another MD5", function()
    curl "printf '<html>login</html>' > \"$out\""
    assert.error_matches(function() run "test" end, "test: the download has MD5 %x+, the published file %x+; removed")
    assert.is_false(files.exists(dir .. "/cache/test.bin.part"))
    assert.is_false(files.exists(dir .. "/cache/test.bin"))
  end)

  it("keeps the part of a broken download for the next time", function()
    curl "printf weig >> \"$out\"; exit 6"
    assert.error_matches(function() run "test" end, "the host cannot be found: is there a network%?")
    assert.equal("weig", files.read(dir .. "/cache/test.bin.part"))
    curl "printf hts >> \"$out\""
    run "test"
    assert.equal("weights", files.read(dir .. "/cache/test.bin"))
  end)

  it("says what it does not know or may not download", function()
    assert.error_matches(function() run "vgg20" end, "nothing is named 'vgg20'")
    assert.error_matches(function() run "rsna" end, "rsna cannot be fetched by luma: kaggle.com")
    run()
  end)
end)
