-- Pixels and bytes are those of OpenCV and Pillow: on drawings of every kind, and
-- on the real radiographs beside the checkout when they are there (I1, I4).
describe("codecs against OpenCV and Pillow", function()
  local luma = require "luma"
  local files = require "luma.base.files"
  local json = require "luma.base.json"
  local image, md5 = luma.core.image, luma.core.system.md5

  local python = os.execute "python3 -c 'import cv2, PIL' >/dev/null 2>&1" and "python3" or "/usr/bin/python3"
  local present = os.execute(python .. " -c 'import cv2, PIL' >/dev/null 2>&1")

  local function peers(paths)
    local list, answers = os.tmpname(), os.tmpname()
    local f = assert(io.open(list, "w"))
    f:write(table.concat(paths, "\n"), "\n")
    f:close()
    assert(os.execute(("%s tests/reference/imread.py <%s >%s"):format(python, list, answers)))
    local out = {}
    for line in io.lines(answers) do out[#out + 1] = assert(json.decode(line)) end
    os.remove(list)
    os.remove(answers)
    assert.equal(#paths, #out)
    return out
  end

  local function compare(paths)
    for i, want in ipairs(peers(paths)) do
      local x = assert(image.load(paths[i], "rgb"))
      assert.same({ want.height, want.width, 3 }, { x:shape() }, paths[i])
      assert.equal(want.rgb, md5(x:bytes()), paths[i])
      assert.equal(want.jpeg, md5(image.encode(x, "jpeg")), paths[i] .. " written as JPEG")
      x:close()
      x = assert(image.load(paths[i], "gray"))
      assert.equal(want.gray, md5(x:bytes()), paths[i] .. " in gray")
      x:close()
    end
  end

  it("on drawings of odd sizes, in PNG and JPEG, gray and colour", function()
    if not present then return pending "python3 with cv2 and PIL absent" end
    local dir, paths = os.tmpname(), {}
    os.remove(dir)
    assert(files.mkdir_p(dir))
    local r = luma.rng(4)
    for _, size in ipairs { { 1, 1 }, { 7, 5 }, { 16, 16 }, { 33, 100 }, { 224, 224 } } do
      for _, channels in ipairs { 1, 3 } do
        local x = luma.randint(0, 255, size[1], size[2], channels, "u8", { rng = r })
        for _, options in ipairs { { "a.png" }, { "b.jpg" }, { "c.jpg", subsampling = "444", quality = 70 },
          { "d.jpg", subsampling = "422" } } do
          local path = ("%s/%dx%dx%d%s"):format(dir, size[1], size[2], channels, options[1])
          assert(image.save(path, x, { quality = options.quality, subsampling = options.subsampling }))
          paths[#paths + 1] = path
        end
      end
    end
    compare(paths)
    os.execute("rm -rf " .. dir)
  end)

  it("on the real radiographs #slow", function()
    if not present then return pending "python3 with cv2 and PIL absent" end
    local paths = {}
    for _, dir in ipairs { "covid-chestxray/images", "rsna/stage_2_train_images_jpg" } do
      local folder = "../shared/data/" .. dir
      for _, name in ipairs(files.list(folder) or {}) do paths[#paths + 1] = files.join(folder, name) end
    end
    if #paths == 0 then return pending "../shared/data absent" end
    compare(paths)
  end)
end)
