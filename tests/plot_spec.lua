local luma = require "luma"
local child = require "luma.base.child"
local plot = luma.plot

describe("plot", function()
  local history = {}
  for e = 1, 5 do history[e] = { epoch = e, loss = 1 / e, accuracy = 1 - 1 / (e + 1), val_loss = 1 / e } end

  local function png_size(bytes)
    return string.unpack(">I4I4", bytes, 17)
  end

  it("draws the notebook's curves at their size and the article's together", function()
    local w, h = png_size(assert(plot.training(history, "accuracy", "Testing"):png()))
    assert.same({ 720, 720 }, { w, h })
    local svg = assert(plot.training(history, "article"):svg())
    for _, word in ipairs { "Model Accuracy &amp; Loss", ">Accuracy<", ">Loss<" } do
      assert.truthy(svg:find(word, 1, true), word)
    end
    assert.error_matches(function() plot.training(history, "bars") end, "style must be article, accuracy or loss")
  end)

  it("makes an SVG that can stand in a page: own ids, page's colour, no prolog, no script", function()
    local p = plot.lines { title = "T", series = { { name = "a", y = { 1, 2, 3 } } } }
    local one, two = assert(p:svg()), assert(p:svg())
    assert.equal(1, (one:find("<svg", 1, true)))
    assert.truthy(one:find("currentColor", 1, true))
    assert.falsy(one:find("<script", 1, true))
    local id = one:match "id=[\"'](p%d+%-gnuplot_canvas)"
    assert.truthy(id)
    assert.falsy(two:find(id, 1, true))
  end)

  it("takes any text as text", function()
    local names = { "a'b", "`touch /tmp/luma-pwned`", "<script>\n%s" }
    local svg = assert(plot.confusion({ { 1, 0, 0 }, { 0, 2, 1 }, { 0, 0, 0 } }, names):svg())
    assert.truthy(svg:find("a'b", 1, true) or svg:find("a&#39;b", 1, true))
    assert.falsy(svg:find("<script", 1, true))
    assert.falsy(luma.files.exists "/tmp/luma-pwned")
  end)

  it("draws what is empty, single or not a number", function()
    assert(plot.lines({ series = { { name = "none", y = {} }, { name = "one", y = { 0 / 0 } } } }):png())
    assert(plot.lines({ series = { { name = "one", y = { 5 } } } }):png())
  end)

  it("says so when the program is absent or fails", function()
    local out, message, code = child.run("luma-no-such-program", {}, "")
    assert.same({ nil, "luma-no-such-program is not installed", "absent" }, { out, message, code })
    out, message, code = child.run("gnuplot", { "-" }, "this is no command\n")
    assert.is_nil(out)
    assert.equal("failed", code)
    assert.truthy(message:find("gnuplot failed", 1, true))
  end)

  it("feeds and reads more than a pipe holds", function()
    local big = ("x"):rep(1000000)
    assert.equal(big, child.run("cat", {}, big))
  end)
end)
