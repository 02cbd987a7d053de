-- The hostile image corpus (faults I1-I24 and finding 1-3): each file decodes to
-- exactly the promised pixels or is refused with the promised words, quickly and
-- in little memory; nothing else may happen.
describe("hostile images", function()
  local luma = require "luma"
  local files = require "luma.base.files"
  local json = require "luma.base.json"
  local uv = require "luv"
  local image = luma.core.image
  local TIME = 2 -- processor seconds a file may take, whatever it is

  local dir = os.tmpname()
  os.remove(dir)
  local python = os.execute "python3 -c 'import PIL, numpy' >/dev/null 2>&1" and "python3" or "/usr/bin/python3"
  local made = os.execute(("%s tests/hostile/make.py %s >/dev/null 2>&1"):format(python, dir))
  teardown(function() os.execute("rm -rf " .. dir) end)
  if not made then
    it("needs python3 with PIL and numpy", function() pending "python3 with PIL and numpy absent" end)
    return
  end

  local cases = {}
  for line in io.lines(dir .. "/manifest.jsonl") do cases[#cases + 1] = assert(json.decode(line)) end

  -- Peak resident memory since it was last reset, in MiB; nil where /proc cannot tell.
  local function reset_peak()
    local f = io.open("/proc/self/clear_refs", "w")
    if not f then return end
    f:write "5"
    f:close()
    return tonumber(files.read("/proc/self/status"):match "VmRSS:%s*(%d+)") / 1024
  end
  local function peak() return tonumber(files.read("/proc/self/status"):match "VmHWM:%s*(%d+)") / 1024 end

  local function check(case)
    local path = files.join(dir, case.file)
    local rss, start = reset_peak(), os.clock()
    local x, info, code = image.load(path, "rgb")
    local seconds = os.clock() - start
    assert.is_true(seconds < TIME, ("%s took %.1f s"):format(case.file, seconds))
    if rss and not os.getenv "LD_PRELOAD" then -- a sanitizer's own memory is not ours
      local limit = case.memory_mib or (case.height and 256 + 12 * case.height * case.width / 2 ^ 20) or 256
      local growth = peak() - rss - uv.fs_stat(path).size / 2 ^ 20
      assert.is_true(growth < limit + 2, ("%s grew by %.0f MiB"):format(case.file, growth))
    end
    if case.expect == "ok" then
      assert(x, case.file .. ": " .. tostring(info))
      local want = files.read(files.join(dir, case.rgb))
      assert.same({ case.height, case.width, 3 }, { x:shape() }, case.file)
      assert.is_true(x:bytes() == want, case.file .. ": pixels differ")
      if case.orientation then assert.equal(case.orientation, info.orientation, case.file) end
    elseif case.expect == "error" then
      assert.is_nil(x, case.file .. " was accepted")
      assert.is_truthy(info:find(path .. ": ", 1, true), info)
      if case.code then assert.equal(case.code, code, info) end
      if case.says then assert.is_truthy(info:find(case.says, 1, true), info) end
    end
    if case.lenient then
      local y, more = image.load(path, { mode = "rgb", strict = false })
      assert(y, case.file .. ": not even when lenient")
      assert.is_true(more.warnings >= case.lenient)
      assert.equal("string", type(more.warning))
    end
    return x and luma.core.system.md5(x:bytes()) or info
  end

  -- One test a kind of file, so that a failure says what it is about.
  local groups, order = {}, {}
  for _, case in ipairs(cases) do
    local key = ("%s, expected %s"):format(case.file:match "^[^_]+_?[^_.0-9]*", case.expect)
    if not groups[key] then
      groups[key] = {}
      order[#order + 1] = key
    end
    table.insert(groups[key], case)
  end
  for _, key in ipairs(order) do
    it(("%s (%d)"):format(key, #groups[key]), function()
      for _, case in ipairs(groups[key]) do check(case) end
    end)
  end

  it("gives the same answers again, and keeps no memory (I23)", function()
    local first = {}
    local live, rss = luma.memory().live, nil
    for round = 1, 3 do
      for i, case in ipairs(cases) do
        local x, message = image.load(files.join(dir, case.file), "rgb")
        local answer = x and luma.core.system.md5(x:bytes()) or message
        if x then x:close() end
        if round == 1 then first[i] = answer end
        assert.equal(first[i], answer, case.file)
      end
      collectgarbage()
      local now = tonumber(files.read("/proc/self/status"):match "VmRSS:%s*(%d+)") / 1024
      if round == 2 then rss = now end
      if round == 3 and not os.getenv "LD_PRELOAD" then assert.is_true(now - rss < 16, now - rss .. " MiB more") end
    end
    assert.is_true(luma.memory().live <= live)
  end)

  it("refuses every cut and every damaged byte of a PNG (I1, I2)", function()
    for _, name in ipairs { "png_k2_d8_i0_5x4.png", "png_k3_d2_i1_9x7.png", "png_k6_d16_i0_2x3.png" } do
      local bytes = files.read(files.join(dir, name))
      for n = 0, #bytes - 1 do
        assert.is_nil((image.decode(bytes:sub(1, n))), name .. " cut to " .. n)
      end
      for i = 1, #bytes do
        local bad = bytes:sub(1, i - 1) .. string.char(bytes:byte(i) ~ 0x10) .. bytes:sub(i + 1)
        assert.is_nil((image.decode(bad)), ("%s with byte %d changed"):format(name, i))
      end
    end
  end)

  it("refuses every cut of a JPEG (I11)", function()
    for _, name in ipairs { "jpeg_1x1.jpg", "jpeg_sub420.jpg", "jpeg_gray_progressive.jpg" } do
      local bytes = files.read(files.join(dir, name))
      for n = 0, #bytes - 1 do
        local x, message = image.decode(bytes:sub(1, n))
        assert.is_nil(x, ("%s cut to %d of %d: %s"):format(name, n, #bytes, tostring(message)))
      end
    end
  end)

  it("never says anything but pixels or a code for changed bytes of a JPEG", function()
    local r = luma.rng(5)
    for _, name in ipairs { "jpeg_sub420.jpg", "jpeg_progressive.jpg", "jpeg_cmyk.jpg" } do
      local bytes = files.read(files.join(dir, name))
      for _ = 1, 300 do
        local i = r:int(1, #bytes)
        local bad = bytes:sub(1, i - 1) .. string.char(r:int(0, 255)) .. bytes:sub(i + 1)
        for _, strict in ipairs { true, false } do
          local x, message, code = image.decode(bad, { strict = strict })
          assert.is_true(x ~= nil or (type(message) == "string" and type(code) == "string"))
        end
      end
    end
  end)

  it("applies the EXIF orientation when asked (I18)", function()
    -- where the pixel at row 1, column 1 of the stored picture goes
    local stored = image.load(files.join(dir, "jpeg_exif_le_1.jpg"))
    local h, w = stored:shape()
    local corner = { { 1, 1 }, { 1, w }, { h, w }, { h, 1 }, { 1, 1 }, { 1, h }, { w, h }, { w, 1 } }
    for value = 1, 8 do
      for _, letter in ipairs { "le", "be" } do
        local x = image.load(files.join(dir, ("jpeg_exif_%s_%d.jpg"):format(letter, value)), { orient = true })
        local turned = value >= 5
        assert.same({ turned and w or h, turned and h or w, 3 }, { x:shape() })
        local at = corner[value]
        assert.same(stored:totable()[1][1], x:totable()[at[1]][at[2]], "orientation " .. value)
        assert.same(stored:totable()[2][1], (function() -- its neighbour below: tells 1 from 5, 2 from 6
          local t = x:totable()
          local dy = ({ 1, 1, -1, -1, 0, 0, 0, 0 })[value]
          local dx = ({ 0, 0, 0, 0, 1, -1, -1, 1 })[value]
          return t[at[1] + dy][at[2] + dx]
        end)(), "orientation " .. value)
      end
    end
    for _, name in ipairs { "le_0", "be_9", "le_65535", "loop", "offset", "cut", "type" } do
      local x = image.load(files.join(dir, "jpeg_exif_" .. name .. ".jpg"), { orient = true })
      assert.same({ h, w, 3 }, { x:shape() })
    end
  end)

  it("opens regular files only, at once, and shows names safely (I21)", function()
    os.execute(("mkfifo %s/fifo; ln -s loop %s/loop; truncate -s 8G %s/sparse"):format(dir, dir, dir))
    local cases2 = {
      { dir, "is a folder" }, { dir .. "/fifo", "not a regular file" }, { "/dev/zero", "not a regular file" },
      { dir .. "/loop", "symbolic links" }, { dir .. "/sparse", "limit" },
      { dir .. "/" .. ("n"):rep(5000), "name too long" },
      { dir .. "/%s%n%d", "No such file" }, { dir .. "/new\nline\7", "No such file" },
    }
    for _, case in ipairs(cases2) do
      local clock, start = os.clock(), uv.hrtime()
      local x, message, code = image.load(case[1])
      assert.is_nil(x)
      assert.is_true(os.clock() - clock < 0.1, case[1] .. ": reads, instead of refusing")
      assert.is_true((uv.hrtime() - start) / 1e9 < 5, case[1] .. ": waits") -- a busy machine may pause us
      assert.is_truthy(message:lower():find(case[2]:lower(), 1, true), message)
      assert.is_true(#message < 400)
      assert.is_nil(message:find "%c")
      assert.is_true(code == "io" or code == "limit")
    end
  end)

  it("has limits that a call can set (I4)", function()
    local path = files.join(dir, "png_k2_d8_i0_33x17.png")
    local x, message, code = image.load(path, { max_side = 32 })
    assert.is_nil(x)
    assert.equal("limit", code)
    assert.matches("33 x 17 pixels, the limit is 32 a side", message)
    assert.is_nil((image.load(path, { max_pixels = 33 * 17 - 1 })))
    assert(image.load(path, { max_pixels = 33 * 17, max_side = 33 }))
  end)

  it("leaves nothing behind when an allocation fails (M1, M2)", function()
    local names = { "png_k2_d8_i1_33x17.png", "png_k3_d4_i0_9x7.png", "jpeg_sub420.jpg", "jpeg_gray.jpg" }
    for _, name in ipairs(names) do
      local bytes = files.read(files.join(dir, name))
      collectgarbage()
      local live, succeeded = luma.memory().live, false
      for n = 1, 60 do
        luma.core.hook.fail_nth(n, true)
        local ok, x, message, code = pcall(image.decode, bytes, { mode = "rgba", orient = true })
        luma.core.hook.fail_nth(0)
        if ok and x then
          succeeded = true
          x:close()
          break
        end
        assert.is_truthy(tostring(ok and message or x):find("not enough memory", 1, true), tostring(message or x))
        if ok then assert.equal("memory", code) end
        collectgarbage()
        assert.equal(live, luma.memory().live, name)
      end
      assert.is_true(succeeded, name)
    end
  end)
end)
