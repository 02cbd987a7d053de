-- What people really have: archives as they unpack, labels as tables write them,
-- turned and 12-bit films, odd names.  Each case stands for its kind.
describe("data as it comes:", function()
  local luma = require "luma"
  local folders = require "support.folder"
  local files = luma.files
  local dir
  setup(function() dir = folders.new() end)
  teardown(function() folders.remove(dir) end)

  local function film(seed, h, w, bar)
    local x = (luma.rand(h or 60, w or 52, { rng = luma.rng(seed) }) * 90 + 80):to "u8"
    if bar then x[{ { 1, bar } }] = 0 end
    return x:reshape(h or 60, w or 52, 1)
  end

  local function put(path, image)
    assert(files.mkdir_p(files.dirname(dir .. "/" .. path)))
    assert(luma.image.save(dir .. "/" .. path, image or film(1, 16, 16)))
  end

  local function text(path, content)
    assert(files.mkdir_p(files.dirname(dir .. "/" .. path)))
    assert(files.write_atomic(dir .. "/" .. path, content))
  end

  local function run(arguments)
    local pipe = assert(io.popen(("scripts/luma %s 2>&1 </dev/null"):format(arguments)))
    local out = pipe:read "a"
    return out, pipe:close()
  end

  it("class folders in every layout that the archives have", function()
    for _, base in ipairs { "kermany/chest_xray/", "kermany/chest_xray/chest_xray/" } do
      for _, part in ipairs { "train", "val", "test" } do
        for _, class in ipairs { "NORMAL", "PNEUMONIA" } do put(base .. part .. "/" .. class .. "/i.png") end
      end
    end
    assert(files.mkdir_p(dir .. "/kermany/chest_xray/__MACOSX"))
    for _, part in ipairs { "Train", "Val", "Test" } do
      for _, class in ipairs { "COVID-19", "Non-COVID", "Normal" } do
        for _, kind in ipairs { "images", "lung masks" } do
          put(("quex/%s/%s/%s/%s_1.png"):format(part, class, kind, class))
        end
      end
    end
    for _, class in ipairs { "COVID", "Normal" } do
      for _, kind in ipairs { "images", "masks" } do put(("radio/%s/%s/%s-1.png"):format(class, kind, class)) end
      put("nested/" .. class .. "/a.png")
      put("nested/" .. class .. "/2021/a.png")
    end
    for name, want in pairs { kermany = 6, quex = 9, radio = 2, nested = 4 } do
      local index = assert(luma.data.folder(dir .. "/" .. name))
      assert.equal(want, #index, name)
    end
    local radio = luma.data.folder(dir .. "/radio")
    assert.matches("masks/COVID%-1%.png$", radio[1].mask)
    local names = {}
    for _, row in ipairs(luma.data.folder(dir .. "/nested")) do names[#names + 1] = row.class .. "/" .. row.name end
    table.sort(names)
    assert.same({ "COVID/2021_a.png", "COVID/a.png", "Normal/2021_a.png", "Normal/a.png" }, names)
  end)

  it("labels are names unless all of them are numbers", function()
    for i = 0, 3 do put(("labels/%d.png"):format(i)) end
    local long = ("Atelectasis|"):rep(10)
    for name, case in pairs {
      ncov = { { "2019-nCoV", "Normal", "2019-nCoV", "Normal" }, { "2019-nCoV", "Normal" } },
      digit = { { "3D", "Normal", "1st degree", "Normal" }, { "1st degree", "3D", "Normal" } },
      float = { { "1.0", "0.0", "1.0", "0.0" }, { "0", "1" } },
      nan = { { "COVID-19", "Normal", "nan", "Normal" }, { "COVID-19", "Normal", "nan" } },
      inf = { { "infiltration", "Normal", "inf", "Normal" }, { "Normal", "inf", "infiltration" } },
      long = { { long, "No Finding", long, "No Finding" }, { long, "No Finding" } },
    } do
      local lines = { "filename,finding" }
      for i, label in ipairs(case[1]) do lines[#lines + 1] = ("%d.png,%s"):format(i - 1, label) end
      text("labels/" .. name .. ".csv", table.concat(lines, "\n") .. "\n")
      local index = assert(luma.data.labelled(dir .. "/labels/" .. name .. ".csv"))
      assert.same(case[2], index.classes, name)
      assert.matches("4 images", tostring(index))
      assert.matches("patients in two parts", tostring(index:stratify { train = 0.5, test = 0.5, group = false }))
    end
    text("labels/half.csv", "filename,finding\n0.png,1.5\n1.png,0\n")
    local index, message = luma.data.labelled(dir .. "/labels/half.csv")
    assert.is_nil(index)
    assert.matches("line 2: label '1.5'", message)
  end)

  it("tables with absolute paths, ./ and a line that names the separator", function()
    for i = 0, 1 do put(("tables/%d.png"):format(i)) end
    text("tables/abs.csv", ("filename,finding\n%s/tables/0.png,A\n1.png,B\n"):format(dir))
    text("tables/dot.csv", "filename,finding\n./0.png,A\n1.png,B\n")
    text("tables/sep.csv", "sep=;\r\nfilename;finding\r\n0.png;A\r\n1.png;B\r\n")
    for _, name in ipairs { "abs", "dot", "sep" } do
      assert.equal(2, #assert(luma.data.labelled(dir .. "/tables/" .. name .. ".csv")), name)
    end
    text("tables/out.csv", "filename,finding\n/etc/hostname,A\n1.png,B\n")
    assert.is_nil(luma.data.labelled(dir .. "/tables/out.csv"))
  end)

  it("12 bits in a 16-bit PNG keep their contrast", function()
    local path = dir .. "/twelve.png"
    local script = ("import numpy as np, cv2; a = (np.arange(4096).reshape(64, 64)); "
      .. "cv2.imwrite('%s', a.astype('u2')); cv2.imwrite('%s', (a * 16).astype('u2'))"):format(path, dir .. "/full.png")
    assert(os.execute(("/usr/bin/python3 -c \"%s\""):format(script)))
    local want = luma.arange(0, 4095):to "i32":idiv(16):to "u8"
    assert.is_true(luma.image.load(path):reshape(4096):equal(want))
    assert.is_true(luma.image.load(dir .. "/full.png"):reshape(4096):equal(want))
  end)

  it("an image is turned as its EXIF says, in preparation and on the way to the network", function()
    local script = dir .. "/exif.py"
    text("exif.py", ([[
import sys, numpy as np, cv2
from PIL import Image
r = np.random.default_rng(3); a = cv2.GaussianBlur(r.integers(0, 255, (60, 52)).astype('u1'), (0, 0), 6)
for o in (1, 3, 6, 8):
    e = Image.Exif(); e[0x112] = o
    Image.fromarray(a).save(f'{sys.argv[1]}/o{o}.jpg', quality=95, exif=e)
    cv2.imwrite(f'{sys.argv[1]}/want{o}.png', cv2.imread(f'{sys.argv[1]}/o{o}.jpg', cv2.IMREAD_GRAYSCALE))
]]))
    assert(os.execute(("/usr/bin/python3 '%s' '%s'"):format(script, dir)))
    for _, o in ipairs { 1, 3, 6, 8 } do
      local turned = assert(luma.image.load(dir .. "/want" .. o .. ".png"))
      local h, w = turned:shape()
      local made = luma.core.prepare.batch({ { dir .. "/o" .. o .. ".jpg", dir .. "/a.jpg" },
        { dir .. "/want" .. o .. ".png", dir .. "/b.jpg" } }, { size = 64 })
      assert.same({ "written", "written" }, { made[1].status, made[2].status })
      local a = assert(luma.image.load(dir .. "/a.jpg")):to "f32"
      local b = assert(luma.image.load(dir .. "/b.jpg")):to "f32"
      assert.is_true((a - b):abs():max():item() <= 6, "prepared, EXIF " .. o)
      local index = luma.data.Index({ { path = dir .. "/o" .. o .. ".jpg", name = "o", class = "a" } })
      for x in index:batches { size = 1, height = h, width = w, channels = 1, scale = "unit" } do
        assert.is_true((x:reshape(h, w) * 255 - turned:reshape(h, w):to "f32"):abs():max():item() <= 3, "EXIF " .. o)
      end
    end
  end)

  it("pad and squash lose nothing, crop says how much it cut", function()
    local path = dir .. "/wide/A/film.png"
    put("wide/A/film.png", film(5, 60, 120))
    for fit, want in pairs { crop = 60, pad = 0, squash = 0 } do
      local results = luma.core.prepare.batch({ { path, dir .. "/" .. fit .. ".jpg" } }, { size = 64, fit = fit })
      assert.equal("written", results[1].status)
      assert.equal(want, results[1].cut, fit)
      assert.equal(fit == "pad" and 32 or 0, results[1].pad_rows)
    end
    local padded = luma.image.load(dir .. "/pad.jpg"):reshape(64, 64):to "f32"
    assert.truthy(padded[{ { 1, 14 } }]:std():item() < 2, "the filled rows have one colour")
    assert.truthy(padded[{ { 52, 64 } }]:std():item() < 2, "on both sides alike")
    assert.truthy(padded[{ { 24, 40 } }]:std():item() > 5)
  end)

  it("results inside or on top of the originals are refused", function()
    for _, class in ipairs { "A", "B" } do put("place/" .. class .. "/x.png", film(3)) end
    for _, out in ipairs { "place", "place/new" } do
      local said = run(("prepare --source folder --in '%s/place' --out '%s/%s'"):format(dir, dir, out))
      assert.matches("read as images next time", said)
    end
    assert.is_false(files.exists(dir .. "/place/dataset.csv"))
  end)

  it("today's labels of the collection, unknown findings by name #slow", function()
    local lines = { "patientid,offset,finding,view,modality,folder,filename," }
    for i = 0, 7 do
      put(("today/images/c%d.png"):format(i), film(i))
      lines[#lines + 1] = ("%d,0,Pneumonia/Viral/%s,PA,X-ray,images,c%d.png,"):format(i,
        i % 2 == 0 and "COVID-19" or "SARS", i)
    end
    text("today/metadata.csv", table.concat(lines, "\n") .. "\n")
    assert.equal(4, #assert(luma.data.covid_chestxray(dir .. "/today")))
    local rows = assert(luma.prepare.rows("covid-chestxray", dir .. "/today", "article"))
    assert.equal(4, #rows)
    assert.matches("no frontal radiograph has the finding 'Typo' %(there are: COVID%-19, SARS%)",
      (run(("covid --data '%s/today' --classes COVID-19,Typo --out '%s/typo'"):format(dir, dir))))
  end)

  it("predict does to new images what the run did to its own #slow", function()
    for c, class in ipairs { "100%", "caf\xe9" } do
      for i = 1, 14 do
        put(("skew/%s/%d.png"):format(class, i), film(100 * c + i, 60, 52, (c == 1) == (i % 4 ~= 0) and 10 or nil))
      end
    end
    local out = run(("covid --data '%s/skew' --epochs 10 --out '%s/skewed'"):format(dir, dir))
    assert.matches("in all; not for clinical use", out)
    local rows = assert(luma.data.csv.read(dir .. "/skewed/predictions.csv"))
    local predictor = require("luma.study.covid.predictor").open(dir .. "/skewed")
    assert.same({ "100%", "caf\\xe9" }, predictor.classes)
    for _, row in ipairs(rows) do
      local answer = assert(predictor:predict(row.path, "auto"))
      assert.truthy(math.abs(answer.p[1] - tonumber(row["p_100%"])) < 1e-5, row.file)
    end
    local said = run(("covid --data '%s/skew' --normals 5 --out '%s/no'"):format(dir, dir))
    assert.matches("%-%-normals does not fit", said)
  end)
end)
