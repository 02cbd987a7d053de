local luma = require "luma"
local folder = require "support.folder"
local files = require "luma.base.files"
local data, image, system = luma.data, luma.core.image, luma.core.system

local function in_folder(body)
  local dir = folder.new()
  local ok, err = pcall(body, dir)
  folder.remove(dir)
  if not ok then error(err, 0) end
end

local function digests(dir)
  local out = {}
  for _, name in ipairs(files.list(dir .. "/images")) do
    out[#out + 1] = name .. " " .. assert(system.md5_file(dir .. "/images/" .. name))
  end
  out[#out + 1] = assert(system.md5_file(dir .. "/metadata.csv"))
  return out
end

describe("a phantom", function()
  it("is a gray square with dark lungs, bright spine and black bars", function()
    local x = image.phantom { seed = 3, patient = 5, image = 9, size = 256, left = 30, top = 20 }
    assert.same({ 256, 256, 1 }, { x:shape() })
    assert.equal("u8", x:dtype())
    local v = x:totable()
    local function mean(top, left, height, width)
      local sum = 0
      for r = top, top + height - 1 do
        for c = left, left + width - 1 do sum = sum + v[r][c][1] end
      end
      return sum / (height * width)
    end
    assert.is_true(mean(1, 1, 256, 30) < 8)
    assert.is_true(mean(1, 1, 20, 256) < 8)
    local spine, lung = mean(200, 138, 20, 8), mean(110, 85, 20, 20)
    assert.is_true(spine > lung + 40, ("spine %g lung %g"):format(spine, lung))
  end)

  it("is a pure function of its parameters", function()
    local function digest(o) return system.md5(table.concat(image.phantom(o):reshape(-1):totable(), " ")) end
    local base = { seed = 1, patient = 2, image = 3, size = 64 }
    assert.equal(digest(base), digest(base))
    for key, value in pairs { seed = 9, patient = 9, image = 9, opacity = 0.8, left = 10, female = true, ap = true,
      effusion = 0.9, cardiomegaly = 1, nodule = 1 } do
      local other = { [key] = value }
      for k, v in pairs(base) do if other[k] == nil then other[k] = v end end
      assert.not_equal(digest(base), digest(other), key)
    end
  end)

  it("shows an opacity in the lungs only", function()
    local clear = image.phantom({ seed = 1, patient = 2, image = 3, size = 128 }):totable()
    local ill = image.phantom({ seed = 1, patient = 2, image = 3, size = 128, opacity = 1 }):totable()
    local changed, outside = 0, 0
    for r = 1, 128 do
      for c = 1, 128 do
        if math.abs(clear[r][c][1] - ill[r][c][1]) > 8 then
          changed = changed + 1
          if r < 20 or r > 115 or (c > 61 and c < 67) then outside = outside + 1 end
        end
      end
    end
    assert.is_true(changed > 100)
    assert.equal(0, outside)
  end)

  it("refuses what it cannot draw", function()
    assert.error_matches(function() image.phantom { opacity = 2 } end, "option opacity must be in 0..1, got 2")
    assert.error_matches(function() image.phantom { size = 100, left = 50 } end,
      "a bar must be in 0..25 pixels, got 50")
    assert.error_matches(function() image.phantom { sice = 100 } end, "unknown option 'sice'")
  end)
end)

describe("a set of phantoms", function()
  it("has the same bytes on any number of threads, and is not drawn twice", function()
    in_folder(function(dir)
      local threads = luma.threads()
      luma.threads(1)
      assert(data.phantom { dir = dir .. "/one", count = 10, size = 64, seed = 5 })
      luma.threads(2)
      local index = assert(data.phantom { dir = dir .. "/two", count = 10, size = 64, seed = 5 })
      luma.threads(threads)
      assert.same(digests(dir .. "/one"), digests(dir .. "/two"))
      local stat = require("luv").fs_stat(index[1].path)
      assert(data.phantom { dir = dir .. "/two", count = 10, size = 64, seed = 5 })
      assert.same(stat.mtime, require("luv").fs_stat(index[1].path).mtime)
      files.remove(index[1].path) -- a hole is mended
      assert(data.phantom { dir = dir .. "/two", count = 10, size = 64, seed = 5 })
      assert.same(digests(dir .. "/one"), digests(dir .. "/two"))
    end)
  end)

  it("walks the road of real data: classes, patients, planted bars", function()
    in_folder(function(dir)
      local index = assert(data.phantom { dir = dir, count = 100, size = 64, seed = 1 })
      assert.same({ Normal = 50, opacity = 50 }, index:counts())
      assert.equal(70, (index:patients()))
      local bars = { Normal = 0, opacity = 0 }
      for _, row in ipairs(index) do
        if row.meta.bars ~= "0 0 0 0" then bars[row.class] = bars[row.class] + 1 end
      end
      assert.is_true(bars.Normal >= 42 and bars.Normal <= 50)
      assert.is_true(bars.opacity >= 1 and bars.opacity <= 16)
      local s = index:stratify { test = 0.2, seed = 1 }
      assert.equal("patient", s.group)
      assert.equal(0, s.shared_patients)
      local again = assert(data.covid_chestxray(dir, { finding = "opacity", view = "any" }))
      assert.equal(50, #again)
      assert.matches("drawn, not photographed", index:report(), 1, true)
      local info = assert(image.info(index[1].path))
      assert.same({ "jpeg", 64, 64, 1 }, { info.format, info.height, info.width, info.channels })
    end)
  end)

  it("draws other classes, and follows the bars asked for", function()
    in_folder(function(dir)
      local index = assert(data.phantom { dir = dir, count = 9, size = 64, seed = 1, patients = 9,
        classes = { "Normal", "effusion", "nodule" }, bars = { normal = 0, effusion = 1 } })
      assert.same({ Normal = 3, effusion = 3, nodule = 3 }, index:counts())
      for _, row in ipairs(index) do
        if row.class == "Normal" then assert.equal("0 0 0 0", row.meta.bars) end
        if row.class == "effusion" then assert.not_equal("0 0 0 0", row.meta.bars) end
      end
    end)
  end)

  it("reports a folder that cannot be written, and wrong options", function()
    local index, message, code = data.phantom { dir = "/proc/none", count = 2, size = 64 }
    assert.is_nil(index)
    assert.equal("io", code)
    assert.matches("^/proc/none", message)
    assert.error_matches(function() data.phantom { count = 3 } end, "option dir must be a folder's path")
    assert.error_matches(function() data.phantom { dir = "x", count = 0 } end, "option count must be a whole number")
    assert.error_matches(function() data.phantom { dir = "x", bars = { normal = 2 } } end,
      "the share of 'normal' must be in 0..1, got 2")
  end)
end)
