-- Every example runs alone and within a minute.
local luma = require "luma"
local uv = require "luv"

local names = {}
for _, name in ipairs(assert(luma.files.list "examples")) do
  if name:match "%.lua$" then names[#names + 1] = name end
end

describe("examples #slow", function()
  for _, name in ipairs(names) do
    if name:match "^%d.*%.lua$" then
      it(name, function()
        local started = uv.hrtime()
        local out = os.tmpname()
        local ok = os.execute(("scripts/luma examples/%s >%s 2>&1 </dev/null"):format(name, out))
        local text = assert(luma.files.read(out))
        os.remove(out)
        assert.is_true(ok, text)
        assert.is_true(#text > 200, "an example shows something")
        assert.is_true((uv.hrtime() - started) / 1e9 < 60, "under a minute")
      end)
    end
  end

  it("begin with what they teach", function()
    assert.is_true(#names >= 5)
    for i, name in ipairs(names) do
      local head = assert(luma.files.read(luma.files.join("examples", name))):match "^%-%- ([^\n]*)"
      assert.truthy(head and head:match("^%d%d "), name)
      assert.equal(("%02d"):format(i), head:sub(1, 2))
    end
  end)
end)
