describe("stats", function()
  local stats = require "luma.base.distributions"
  local cjson = require "cjson"

  it("agrees with SciPy", function()
    local f <close> = assert(io.open("tests/reference/stats.json"))
    for _, row in ipairs(cjson.decode(f:read "a")) do
      local got, second = stats[row.name](table.unpack(row.args))
      local where = row.name .. "(" .. table.concat(row.args, ", ") .. ")"
      local function near(want, value)
        local scale = math.max(math.abs(want), 1e-12)
        assert.is_true(math.abs(value - want) <= 1e-9 * scale + 1e-13,
          ("%s = %.17g, SciPy has %.17g"):format(where, value, want))
      end
      near(row.value, got)
      if row.second then near(row.second, second) end
    end
  end)

  it("interpolates quantiles as NumPy does", function()
    assert.near(1.75, stats.quantile_sorted({ 1, 2, 3, 4 }, 0.25), 1e-15)
    assert.equal(4, stats.quantile_sorted({ 1, 2, 3, 4 }, 1))
  end)

  it("names the argument that is out of range", function()
    assert.has_error(function() stats.beta_cdf(1.5, 1, 1) end,
      "bad argument #1 to 'stats.beta_cdf' (number in 0..1 expected, got 1.5)")
  end)
end)
