-- The twins of a run: what is taken away, and that every sentence agrees with the
-- numbers it stands beside.
describe("counterfactual twins", function()
  local luma = require "luma"
  local counterfactual = require "luma.study.covid.counterfactual"

  local function twin(name)
    for _, t in ipairs(counterfactual.list) do if t.name == name then return t end end
  end

  it("blank the middle and leave the margin untouched", function()
    local x = luma.rand(2, 28, 28, 3)
    local y = twin("blanked").apply(x)
    assert.is_true(x[{ {}, { 1, 4 } }]:equal(y[{ {}, { 1, 4 } }]))
    assert.is_true(x[{ {}, {}, { 25, 28 } }]:equal(y[{ {}, {}, { 25, 28 } }]))
    for n = 1, 2 do
      local inner = y[{ n, { 5, 24 }, { 5, 24 }, 2 }]
      local mean = x[{ n, {}, {}, 2 }]:mean():item()
      assert.truthy((inner - mean):abs():max():item() < 1e-5)
    end
    local border = twin("border").apply(x)
    assert.is_true(x[{ {}, { 1, 2 } }]:equal(border[{ {}, { 1, 2 } }]))
    assert.truthy(border[{ 1, { 3, 26 }, { 3, 26 }, 1 }]:std():item() < 1e-5)
  end)

  it("low-pass keeps the shape and the mean, not the detail", function()
    local x = luma.rand(1, 128, 128, 1)
    local y = twin("low_pass").apply(x)
    assert.same({ 1, 128, 128, 1 }, { y:shape() })
    assert.truthy(math.abs(x:mean():item() - y:mean():item()) < 0.01)
    assert.truthy(y:std():item() < 0.5 * x:std():item())
  end)

  local function said(value, lo, hi)
    return counterfactual.sentence { { name = "blanked", costs = { value = value, lo = lo, hi = hi } } }
  end

  it("say what the interval says, and nothing more", function()
    assert.matches("costs 0.010 of AUC %(%-0.008 to 0.028%): this result does not show that lungs are read%.",
      said(0.010, -0.008, 0.028))
    assert.matches("that much of the answer comes from there", said(0.203, 0.051, 0.415))
    assert.not_matches("does not show", said(0.203, 0.051, 0.415))
    assert.matches("most of it needs no lung", said(0.02, 0.01, 0.03))
    assert.matches("does better without the lungs", said(-0.1, -0.2, -0.05))
    assert.is_nil(said(0 / 0, 0 / 0, 0 / 0))
    assert.is_nil(counterfactual.sentence {})
  end)

  it("name the strongest baseline, whichever table it stands in", function()
    local function row(title, v) return { title = title, auc = { value = v, lo = v - 0.05, hi = v + 0.04 } } end
    local best = counterfactual.strongest({ row("twin", 0.7) }, { row("border", 0.57), row("thumbnail", 0.992) })
    assert.equal("thumbnail", best.title)
    assert.equal("the same pipeline with twin", counterfactual.strongest({ row("twin", 0.99) },
      { row("border", 0.57) }).title)
    assert.matches("not below the model's", counterfactual.beside(best, { value = 0.95 }))
    assert.matches("its interval reaches the model's", counterfactual.beside(row("x", 0.90), { value = 0.93 }))
    assert.matches("the model is above its interval", counterfactual.beside(row("x", 0.60), { value = 0.93 }))
    assert.is_nil(counterfactual.beside(nil, { value = 1 }))
    local seeing = row("low", 0.9)
    seeing.sees_lungs = true
    assert.is_true(counterfactual.strongest({ seeing }, {}).sees_lungs)
    assert.is_true(twin("low_pass").sees_lungs)
    assert.is_nil(twin("blanked").sees_lungs)
  end)

  it("stand in metrics.json, report and terminal with the same sentence #slow", function()
    local folders = require "support.folder"
    local dir = folders.new()
    finally(function() folders.remove(dir) end)
    local command = "scripts/luma covid --phantoms 120 --folds 3 --out '%s/run' 2>&1 </dev/null"
    local pipe = assert(io.popen(command:format(dir)))
    local out = pipe:read "a"
    pipe:close()
    local m = luma.json.decode(assert(luma.files.read(dir .. "/run/metrics.json")))
    assert.equal(3, #m.twins)
    assert.truthy(m.headline and out:find(m.headline, 1, true), out)
    for _, name in ipairs { "report.txt", "report.html" } do
      local text = assert(luma.files.read(dir .. "/run/" .. name)):gsub("%s+", " ")
      local escaped = m.headline:gsub("'", "&#39;")
      assert.truthy(text:find(m.headline, 1, true) or text:find(escaped, 1, true), name)
    end
    -- On the phantoms the lungs do matter, and the tool says so.
    local blanked = m.twins[1]
    assert.equal("blanked", blanked.name)
    assert.truthy(blanked.costs.value > 0.2, blanked.costs.value)
    assert.matches("that much of the answer comes from there", m.headline)
  end)

  it("are left out, with the reason, where they would cost a run each", function()
    assert.matches("part of the base is trained", counterfactual.why_not { unfreeze = "block5" })
    assert.matches("fresh views", counterfactual.why_not { fresh = true })
    assert.is_nil(counterfactual.why_not {})
  end)
end)
