-- The op table is the one source of names, help, manual, tests and gradients:
-- every row must be complete.
describe("the op table", function()
  local luma = require "luma"
  local function read_all(command)
    local text = {}
    for file in io.popen(command):lines() do
      if not file:find("ops_spec", 1, true) and not file:find("fuzz_spec", 1, true) then
        local f = assert(io.open(file))
        text[#text + 1] = f:read "a"
        f:close()
      end
    end
    return table.concat(text, "\n")
  end

  it("documents every op: a signature, and a sentence", function()
    for _, op in ipairs(luma.core.oplist) do
      assert.truthy(op.signature:match "^%(.*%)", op.name)
      assert.truthy(op.doc:match "^%u.*%.$", op.name)
      assert.equal("function", type(op.fn))
    end
  end)

  it("names every op once", function()
    local seen = {}
    for _, op in ipairs(luma.core.oplist) do
      assert.is_nil(seen[op.name], op.name)
      seen[op.name] = true
    end
  end)

  -- Ops that only luma's own Lua calls (dotted names, and the second halves of
  -- differentiable ops) are tested through their callers: those must exist.
  it("has a spec that mentions every op, or a caller for inner ones", function()
    local specs, callers = read_all "ls tests/*_spec.lua", read_all "find lua -name '*.lua'"
    local missing = {}
    for _, op in ipairs(luma.core.oplist) do
      local leaf = op.name:match "[^.]+$"
      local word = "%f[%w_]" .. leaf .. "%f[^%w_]"
      local inner = op.name:find(".", 1, true) or leaf:match "_grad$" or leaf:match "_grad_%w+$"
      if not specs:find(word) and not (inner and callers:find(word)) then missing[#missing + 1] = op.name end
    end
    assert.equal("", table.concat(missing, " "))
  end)
end)
