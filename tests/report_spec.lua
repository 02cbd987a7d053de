local luma = require "luma"
local report, html = luma.report, luma.report.html

describe("report", function()
  it("carries the disclaimer, needs nothing from outside, and runs no script", function()
    local page = report.new({ title = "T" }):section({ title = "A", html = html.p "x" }):to_html()
    assert.truthy(page:find("Not for clinical use", 1, true))
    assert.falsy(page:find("<script", 1, true))
    assert.falsy(page:find "https?://")
    assert.truthy(page:find("prefers-color-scheme: dark", 1, true))
    assert.truthy(report.new({}):to_text():find("Not for clinical use", 1, true))
  end)

  it("escapes hostile names wherever they stand", function()
    local bad = [["><script>alert('x')</script>&]]
    local r = report.new { title = bad, subtitle = bad }
    r:section { title = bad, id = bad, html = html.table({ { bad } }, { { bad } }) .. html.p(bad) .. html.note(bad)
      .. html.matrix({ { 1 } }, { bad }) .. html.tiles { { bad, bad, bad } }
      .. html.figure(html.image("\x89PNG", bad), bad, bad) .. html.pre(bad) }
    r:section { title = "plain", text = bad }
    local page = r:to_html()
    assert.falsy(page:find("<script", 1, true))
    assert.falsy(page:find('"><', 1, true) and page:find('""><s', 1, true))
  end)

  it("survives NaN and nothing at all", function()
    local r = report.new { title = "T" }
    r:section { title = "Empty", html = html.matrix({ { 0, 0 }, { 0, 0 } }, { "a", "b" }) }
    r:section { title = "Nothing" }
    assert.truthy(r:to_html():find("rgba(var(--shade),0.00)", 1, true))
    assert.falsy(r:to_html():find("nan", 1, true))
  end)

  it("encodes base64", function()
    for plain, coded in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", ["\0\xff\x10"] = "AP8Q" } do
      assert.equal(coded, html.base64(plain))
    end
  end)

  it("puts sections without text into the page only", function()
    local r = report.new { title = "T" }
    r:section({ title = "Seen", text = "words\n\n" }):section { title = "Pictures", html = "<p>x</p>" }
    local text = r:to_text()
    assert.truthy(text:find("Seen\n----\nwords\n", 1, true))
    assert.falsy(text:find("Pictures", 1, true))
  end)
end)
