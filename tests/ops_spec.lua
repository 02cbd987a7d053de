-- The op table is the one source of names, help, manual, tests and gradients:
-- every row must be complete.
describe("the op table", function()
  local luma = require "luma"
  local grad = luma.grad

  local function read_specs()
    local text = {}
    for file in io.popen "ls tests/*_spec.lua":lines() do
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

  it("has a spec that mentions every op", function()
    local specs, missing = read_specs(), {}
    for _, op in ipairs(luma.core.oplist) do
      local leaf = op.name:match "[^.]+$"
      if not specs:find("%f[%w_]" .. leaf .. "%f[^%w_]") then missing[#missing + 1] = op.name end
    end
    assert.equal("", table.concat(missing, " "))
  end)

  it("has a derivative for every op, or says why not", function()
    local missing = {}
    for _, op in ipairs(luma.core.oplist) do
      if not grad.rows[op.name] and not grad.none[op.name] then missing[#missing + 1] = op.name end
    end
    assert.equal("", table.concat(missing, " "))
  end)

  it("leaves no derivative without an op", function()
    local known = {}
    for _, op in ipairs(luma.core.oplist) do known[op.name] = true end
    for name in pairs(grad.rows) do assert.is_true(known[name], name) end
  end)
end)
