-- luma prepare: collections from folder to folder: counts, tables, resuming,
-- kills, locks, hostile names.  The radiographs are drawn here.
describe("prepare", function()
  local luma = require "luma"
  local csv = require "luma.base.csv"
  local files = require "luma.base.files"
  local uv = require "luv"
  local image, system = luma.core.image, luma.core.system

  local root
  local function write(path, bytes)
    assert(files.mkdir_p(files.dirname(path)))
    local f = assert(io.open(path, "wb"))
    f:write(bytes)
    f:close()
  end

  -- A "radiograph" with bars of given widths on top and left.
  local function drawing(size, top, left, seed)
    local x = luma.randint(60, 250, size, size, "u8", { rng = luma.rng(seed) })
    if top > 0 then x:narrow(1, 1, top):fill_(0) end
    if left > 0 then x:narrow(2, 1, left):fill_(0) end
    return image.encode(x, "jpeg")
  end

  -- An rsna folder: n images, one truncated, one that is text, two absent.
  local function make_rsna(dir, n, size)
    local lines = { "patientId,class" }
    for i = 1, n do
      local id = ("p%03d"):format(i)
      lines[#lines + 1] = id .. ",Normal"
      if i == 3 or i == 7 then goto continue end -- absent
      local bytes = drawing(size, i % 5, i % 4, i)
      if i == 4 then bytes = bytes:sub(1, #bytes // 2) end
      if i == 5 then bytes = "not an image\n" end
      write(files.join(dir, "stage_2_train_images_jpg", id .. ".jpg"), bytes)
      ::continue::
    end
    write(files.join(dir, "stage_2_detailed_class_info.csv"), table.concat(lines, "\n") .. "\n")
  end

  local function shell(command)
    local log = files.join(root, "log")
    local _, how, code = os.execute(("%s >%s 2>&1"):format(command, log))
    return how == "exit" and code or 128 + code, files.read(log)
  end
  local function luma_prepare(dir, out, more)
    return shell(("LUMA_BUILD=%s scripts/luma prepare --source rsna --in %s --out %s %s"):format(
      os.getenv "LUMA_BUILD" or "build", dir, out, more or ""))
  end
  local function same_tree(a, b)
    local code, text = shell(("diff -r %s %s"):format(a, b))
    assert.equal(0, code, text)
  end

  setup(function()
    root = os.tmpname()
    os.remove(root)
    assert(files.mkdir_p(root))
    make_rsna(root .. "/raw", 40, 64)
  end)
  teardown(function() os.execute("rm -rf " .. root) end)

  it("counts, lists, and writes the article's table", function()
    local out = root .. "/counts"
    local code, text = luma_prepare(root .. "/raw", out)
    assert.equal(0, code, text)
    assert.matches("40 images selected %(every image%), 2 absent", text)
    assert.matches("36 written to .*, 2 missing, 2 unreadable", text)
    local table_text = files.read(out .. "/normal_xray_dataset.csv")
    assert.matches("^,filename,finding\n0,p001.jpg,Normal\n0,p002.jpg,Normal\n0,p006.jpg", table_text)
    local skipped = csv.read(out .. "/skipped-rsna.csv")
    assert.equal(4, #skipped)
    local reasons = {}
    for _, row in ipairs(skipped) do reasons[row.filename] = row.status .. ": " .. row.reason end
    assert.equal("missing: no such file", reasons["p003.jpg"])
    assert.matches("unreadable: damaged JPEG: premature end", reasons["p004.jpg"])
    assert.equal("unreadable: neither PNG nor JPEG", reasons["p005.jpg"])
    local x = assert(image.load(out .. "/normal_dataset/p001.jpg"))
    assert.same({ 224, 224, 1 }, { x:shape() })
  end)

  it("goes on where it was killed, to the same bytes", function()
    make_rsna(root .. "/many", 160, 96)
    local whole = root .. "/whole"
    assert.equal(0, (luma_prepare(root .. "/many", whole)))
    for i, wait in ipairs { 30, 60, 90, 130 } do
      local out = ("%s/killed%d"):format(root, i)
      shell(("LUMA_BUILD=%s timeout -s KILL 0.%03d scripts/luma prepare --source rsna --in %s/many --out %s "
        .. "--threads 1"):format(os.getenv "LUMA_BUILD" or "build", wait, root, out))
      for _, name in ipairs(files.list(out .. "/normal_dataset") or {}) do -- whatever is there is whole
        assert(image.load(files.join(out, "normal_dataset", name)))
      end
      local code, text = luma_prepare(root .. "/many", out)
      assert.equal(0, code, text)
      same_tree(whole, out)
    end
  end)

  it("does not redo what is done", function()
    local out = root .. "/again"
    luma_prepare(root .. "/raw", out)
    local before = uv.fs_stat(out .. "/normal_dataset/p001.jpg").mtime
    local code, text = luma_prepare(root .. "/raw", out)
    assert.equal(0, code, text)
    assert.matches("40 were done before", text)
    assert.same(before, uv.fs_stat(out .. "/normal_dataset/p001.jpg").mtime)
    os.remove(out .. "/normal_dataset/p001.jpg") -- a lost result comes back
    luma_prepare(root .. "/raw", out)
    assert.is_true(files.is_file(out .. "/normal_dataset/p001.jpg"))
  end)

  it("takes in images that were absent before", function()
    local raw, out = root .. "/late", root .. "/late-out"
    make_rsna(raw, 9, 48)
    assert.matches("2 missing", select(2, luma_prepare(raw, out)))
    write(raw .. "/stage_2_train_images_jpg/p003.jpg", drawing(48, 1, 1, 3))
    local code, text = luma_prepare(raw, out)
    assert.equal(0, code, text)
    assert.matches("1 missing", text)
    local fresh = root .. "/late-fresh"
    luma_prepare(raw, fresh)
    same_tree(fresh, out)
  end)

  it("refuses other settings, changed images and another list in one folder", function()
    local raw, out = root .. "/strict", root .. "/strict-out"
    make_rsna(raw, 6, 48)
    luma_prepare(raw, out)
    local code, text = luma_prepare(raw, out, "--size 96")
    assert.equal(1, code)
    assert.matches("earlier run had size = 224, this one has 96", text)
    code, text = luma_prepare(raw, out, "--limit 2")
    assert.equal(1, code)
    assert.matches("not among the images now", text)
    write(raw .. "/stage_2_train_images_jpg/p001.jpg", drawing(48, 9, 9, 99))
    code, text = luma_prepare(raw, out)
    assert.equal(1, code)
    assert.matches("changed since it was prepared", text)
    code = luma_prepare(raw, out, "--fresh --size 96")
    assert.equal(0, code)
  end)

  it("keeps a second run out of the folder", function()
    local out = root .. "/locked"
    assert(files.mkdir_p(out))
    local lock = assert(system.lock(out .. "/.luma.lock"))
    local code, text = luma_prepare(root .. "/raw", out)
    system.unlock(lock)
    assert.equal(1, code)
    assert.matches(("in use by process %d"):format(uv.os_getpid()), text)
  end)

  it("stops on Ctrl-C with 130 and a hint, and goes on", function()
    local out, said, code = root .. "/stopped", {}, nil
    local err = uv.new_pipe(false)
    local child, pid = uv.spawn("scripts/luma", {
      args = { "prepare", "--source", "rsna", "--in", root .. "/many", "--out", out, "--threads", "1" },
      stdio = { nil, nil, err },
    }, function(status) code = status end)
    assert(child, pid)
    uv.read_start(err, function(_, chunk) said[#said + 1] = chunk end)
    local timer = uv.new_timer() -- Ctrl-C as soon as there is work to interrupt
    timer:start(0, 1, function()
      if files.exists(out .. "/prepare-rsna.csv") then
        uv.process_kill(child, "sigint")
        timer:close()
      end
    end)
    uv.run()
    child:close()
    err:close()
    uv.run()
    if code ~= 0 then -- else it was quicker than the signal
      assert.equal(130, code)
      assert.matches("interrupted; what is done is kept", table.concat(said))
    end
    assert.equal(0, (luma_prepare(root .. "/many", out)))
    same_tree(root .. "/whole", out)
  end)

  it("writes no header when faithful and image 0 is dropped (D6), the header otherwise", function()
    local raw = root .. "/header"
    for i, top in ipairs { 1, 0, 0 } do -- image 1: one row removed, no column: P8 leaves nothing
      write(("%s/stage_2_train_images_jpg/h%d.jpg"):format(raw, i), drawing(64, top, 0, i))
    end
    write(raw .. "/stage_2_detailed_class_info.csv", "patientId,class\nh1,Normal\nh2,Normal\nh3,Normal\n")
    local code, text = luma_prepare(raw, raw .. "-f", "--faithful")
    assert.equal(0, code, text)
    assert.equal("0,h2.jpg,Normal\n0,h3.jpg,Normal\n", files.read(raw .. "-f/normal_xray_dataset.csv"))
    assert.matches("empty", files.read(raw .. "-f/skipped-rsna.csv"))
    assert.same({ 224, 224, 3 }, { image.load(raw .. "-f/normal_dataset/h2.jpg"):shape() })
    luma_prepare(raw, raw .. "-m")
    assert.equal(",filename,finding\n0,h1.jpg,Normal\n0,h2.jpg,Normal\n0,h3.jpg,Normal\n",
      files.read(raw .. "-m/normal_xray_dataset.csv"))
  end)

  it("faithful lists images that are not square; --log prints the article's line", function()
    local raw = root .. "/wide"
    local wide = image.encode(luma.full({ 20, 30, 3 }, 99, "u8"), "png")
    write(raw .. "/stage_2_train_images_jpg/a.jpg", wide)
    write(raw .. "/stage_2_train_images_jpg/b.jpg", image.encode(luma.full({ 30, 30, 3 }, 99, "u8"), "png"))
    write(raw .. "/stage_2_detailed_class_info.csv", "patientId,class\na,Normal\nb,Normal\n")
    local code, text = luma_prepare(raw, raw .. "-f", "--faithful --log")
    assert.equal(0, code, text)
    assert.matches("1 written to .*, 1 not square", text)
    assert.matches("a.jpg: not square: 20 x 30 %(the published scan raises IndexError%)", text)
    assert.matches("image number 1, time spent %d+%.%d%d%d%d%d%ds", text)
    code, text = luma_prepare(raw, raw .. "-s", "--faithful --squash")
    assert.equal(0, code, text)
    assert.matches("2 written", text)
  end)

  it("is clear about bad input", function()
    local cases = {
      { root .. "/nowhere", "", "no such folder" },
      { root .. "/raw", "--where kind=Normal", "no column 'kind'" },
      { root .. "/raw", "--where class=normal", "no image with class = normal" },
      { root .. "/raw", "--where class", "COLUMN=VALUE" },
      { root .. "/raw", "--size 0", "1..8192" },
      { root .. "/raw", "--threads x", "1..64" },
    }
    for _, case in ipairs(cases) do
      local code, text = luma_prepare(case[1], root .. "/never", case[2])
      assert.equal(1, code, text)
      assert.is_truthy(text:find(case[3], 1, true), text)
      assert.equal(1, select(2, text:gsub("\n", "")), text)
      assert.is_nil(text:find("traceback", 1, true))
    end
    assert.is_false(files.exists(root .. "/never"))
  end)

  it("refuses names that lead out of the folder, before anything is opened", function()
    local raw = root .. "/hostile"
    write(raw .. "/stage_2_train_images_jpg/a.jpg", drawing(16, 0, 0, 1))
    write(raw .. "/stage_2_detailed_class_info.csv", "patientId,class\n../../a,Normal\n")
    local code, text = luma_prepare(raw, raw .. "-o")
    assert.equal(1, code)
    assert.matches("unsafe file name", text)
    local rows = { { path = raw .. "/stage_2_train_images_jpg/a.jpg", name = "a", class = "x", to = "../../b.jpg",
      table = "t", listed = "b" } }
    local result = luma.prepare.run(rows, raw .. "-o", {})
    assert.equal(0, result.written)
    assert.equal(1, result.counts["unsafe name"])
  end)

  it("never writes over its own input", function()
    local raw = root .. "/self"
    local bytes = image.encode(luma.full({ 30, 30, 3 }, 80, "u8"), "jpeg")
    write(raw .. "/covid_adjusted/a.jpg", bytes)
    write(raw .. "/normal_dataset/b.jpg", bytes)
    write(raw .. "/covid_dataset.csv", ",filename,finding\n0,a.jpg,COVID-19\n")
    write(raw .. "/normal_xray_dataset.csv", ",filename,finding\n0,b.jpg,Normal\n")
    local rows = assert(luma.prepare.rows("article", raw))
    assert.error_matches(function() luma.prepare.run(rows, raw, {}) end, "holds the originals")
    assert.equal(bytes, files.read(raw .. "/covid_adjusted/a.jpg"))
    assert.equal(2, luma.prepare.run(rows, raw .. "-out", {}).written)
  end)

  it("prepares class folders, each name below its class", function()
    local raw = root .. "/classes"
    for _, class in ipairs { "A b", "C" } do
      write(("%s/%s/x.png"):format(raw, class), image.encode(luma.full({ 30, 40 }, 80, "u8"), "png"))
    end
    local code, text = shell(("LUMA_BUILD=%s scripts/luma prepare --source folder --in %s --out %s-o"):format(
      os.getenv "LUMA_BUILD" or "build", raw, raw))
    assert.equal(0, code, text)
    assert.equal(",filename,finding\n0,A b/x.png.jpg,A b\n0,C/x.png.jpg,C\n", files.read(raw .. "-o/dataset.csv"))
    assert.is_true(files.is_file(raw .. "-o/A b/x.png.jpg"))
  end)

  it("leaves no memory behind and needs none per image", function()
    local items = {}
    for i = 1, 60 do
      items[i] = { root .. "/raw/stage_2_train_images_jpg/p001.jpg", ("%s/m%d.jpg"):format(root, i) }
    end
    luma.core.prepare.batch(items)
    collectgarbage()
    luma.memory { reset_peak = true }
    local start = luma.memory().live
    luma.core.prepare.batch({ items[1] })
    local one = luma.memory().peak - start
    luma.memory { reset_peak = true }
    luma.core.prepare.batch(items)
    local sixty = luma.memory().peak - start
    collectgarbage()
    assert.equal(start, luma.memory().live)
    assert.is_true(sixty - one < 2 * one + 60 * 16384, ("%d for one, %d for sixty"):format(one, sixty))
  end)
end)
