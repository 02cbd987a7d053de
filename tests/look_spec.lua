-- luma look: what it says of a folder agrees with what lies there.
describe("look", function()
  local luma = require "luma"
  local folders = require "support.folder"
  local dir
  setup(function()
    dir = folders.new()
    for _, class in ipairs { "COVID", "Normal" } do
      for _, kind in ipairs { "images", "masks" } do
        assert(luma.files.mkdir_p(("%s/set/%s/%s"):format(dir, class, kind)))
        for i = 1, 3 do
          local path = ("%s/set/%s/%s/%d.png"):format(dir, class, kind, i)
          assert(luma.image.save(path, luma.full({ 20, 30, 1 }, 90, "u8")))
        end
      end
    end
    assert(luma.files.write_atomic(dir .. "/set/notes.txt", "hello"))
    assert(luma.files.write_atomic(dir .. "/set/COVID/images/broken.png", "\x89PNG\r\n\26\n"))
  end)
  teardown(function() folders.remove(dir) end)

  it("counts images, masks and what is left out", function()
    local found = assert(luma.data.look(dir .. "/set"))
    assert.equal("folder", found.collection)
    assert.equal(7, #found.index)
    assert.equal(6, found.masks)
    assert.equal(7, found.rest)
    assert.equal(6, found.left_out["masks, which are never images of a class"])
    assert.equal(1, found.left_out["tables and texts"])
    assert.equal(1, #found.headers.faults)
    assert.equal("20x30", found.headers.smallest)
  end)

  it("says it in lines", function()
    local pipe = assert(io.popen(("scripts/luma look '%s/set' 2>&1 </dev/null"):format(dir)))
    local out = pipe:read "a"
    pipe:close()
    assert.matches("taken for   folder %(one folder per class%)", out)
    assert.matches("images      7 in 2 classes: COVID 4, Normal 3", out)
    assert.matches("PNG of 8 bits, gray 6, from 20x30 to 20x30", out)
    assert.matches("patients    unknown", out)
    assert.matches("unreadable", out)
    assert.matches("next        luma audit", out)
  end)

  it("names a path that is not there", function()
    local found, message, code = luma.data.look(dir .. "/nothing")
    assert.is_nil(found)
    assert.matches("no such file or folder", message)
    assert.equal("io", code)
  end)
end)
