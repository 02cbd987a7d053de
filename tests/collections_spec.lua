-- The one door for data: every kind of collection is recognised, opened, prepared and
-- refused the options that do not fit it, by every command alike.
describe("a collection", function()
  local luma = require "luma"
  local folders = require "support.folder"
  local collections = luma.data.collections
  local files, image = luma.files, luma.image
  local dir
  setup(function()
    dir = folders.new()
    local png = image.encode(luma.full({ 12, 12, 3 }, 99, "u8"), "png")
    local function put(path, content)
      assert(files.mkdir_p(files.dirname(dir .. "/" .. path)))
      assert(files.write_atomic(dir .. "/" .. path, content or png))
    end
    for _, path in ipairs {
      "article/covid_adjusted/a.jpg", "article/normal_dataset/b.jpg", "rsna/stage_2_train_images_jpg/p1.jpg",
      "rsna/stage_2_train_images_jpg/p2.jpg", "covid/images/c.png", "covid/images/d.png", "folder/A/1.png",
      "folder/B/1.png", "table/pictures/1.png", "table/pictures/2.png", "flat/1.png", "flat/2.png",
      "nih/images_001/images/00000001_000.png", "nih/images_012/images/00030805_000.png",
      "nih/images_003/00000002_000.png",
      "CheXpert-v1.0-small/train/p1/v.jpg", "CheXpert-v1.0-small/train/p2/v.jpg", "CheXpert-v1.0-small/train/p3/v.jpg",
      "CheXpert-v1.0-small/train/p4/v.jpg",
    } do put(path) end
    put("article/covid_dataset.csv", ",filename,finding\n0,a.jpg,COVID-19\n")
    put("article/normal_xray_dataset.csv", ",filename,finding\n0,b.jpg,Normal\n")
    put("rsna/stage_2_detailed_class_info.csv", "patientId,class\np1,Normal\np2,Lung Opacity\n")
    put("covid/metadata.csv", "patientid,finding,view,modality,filename\n1,COVID-19,PA,X-ray,c.png\n"
      .. "2,SARS,PA,X-ray,d.png\n")
    put("table/t.csv", "Image,Diagnosis,subject\npictures/1.png,ill,7\npictures/2.png,well,8\n")
    put("nih/Data_Entry_2017_v2020.csv", "Image Index,Finding Labels,Patient ID,Patient Age,View Position\n"
      .. "00000001_000.png,No Finding,1,50,PA\n00000002_000.png,Mass|Nodule,2,60,AP\n"
      .. "00030805_000.png,Mass,3,,PA\n")
    put("CheXpert-v1.0-small/train.csv", "Path,Sex,Age,Frontal/Lateral,AP/PA,Pneumonia\n"
      .. "CheXpert-v1.0-small/train/p1/v.jpg,F,1,Frontal,AP,1.0\n"
      .. "CheXpert-v1.0-small/train/p2/v.jpg,F,2,Frontal,AP,0.0\n"
      .. "CheXpert-v1.0-small/train/p3/v.jpg,F,3,Frontal,AP,-1.0\nCheXpert-v1.0-small/train/p4/v.jpg,F,4,Frontal,AP,\n")
    put("map.txt", "# CheXpert: uncertain ones are left out, blanks are negative\n1 = pneumonia\n0 = none\n-1 = -\n"
      .. "(blank) = none\n")
    put("short.txt", "1 = pneumonia\n")
    put("broken.txt", "1 = pneumonia\njust words\n")
    put("note.pdf", "%PDF-1.4")
  end)
  teardown(function() folders.remove(dir) end)

  local function at(name) return dir .. "/" .. name end

  local KINDS = { article = { "article", 2 }, rsna = { "rsna", 2 }, covid = { "covid-chestxray", 2 },
    folder = { "folder", 2 }, table = { "table", 2 }, ["table/t.csv"] = { "table", 2 }, nih = { "nih", 3 },
    flat = { "files", 2 }, ["flat/1.png"] = { "files", 1 } }

  it("is recognised and opened whatever its kind", function()
    for name, want in pairs(KINDS) do
      assert.equal(want[1], assert(collections.recognise(at(name))).name, name)
      for _, scope in ipairs { "audit", "all" } do
        local index = assert(luma.data.open(at(name), { scope = scope }))
        assert.equal(want[2], #index, name)
        assert.equal(want[1], index.collection.name)
        for _, row in ipairs(index) do assert.is_true(files.is_file(row.path)) end
      end
      assert.equal(want[2], #assert(luma.audit.open(at(name))))
    end
  end)

  it("has a place for prepared results that another command opens again", function()
    for name, want in pairs(KINDS) do
      local rows = assert(luma.prepare.rows(nil, at(name)))
      local out = at("out-" .. name:gsub("%W", "_"))
      assert.equal(want[2], luma.prepare.run(rows, out, { size = 32 }).written, name)
      local again = luma.data.open(out, { scope = "audit" })
      if want[1] ~= "rsna" and want[1] ~= "covid-chestxray" then -- halves of the article's folder
        assert.equal(want[2], #assert(again, name), name)
      end
    end
  end)

  it("takes the options that fit it and refuses the others by name", function()
    local fits = { article = { "metadata", "normals" }, table = { "images", "label", "label_map" },
      nih = { "label", "label_map" } }
    local values = { metadata = at "covid/metadata.csv", normals = 1, images = at "table", label = "Diagnosis",
      label_map = at "map.txt" }
    for name, want in pairs(KINDS) do
      for option, value in pairs(values) do
        local takes = false
        for _, one in ipairs(fits[want[1]] or {}) do takes = takes or one == option end
        assert.equal(takes, collections.takes(collections.find(want[1]), option))
        if not takes then
          local index, message, code = luma.data.open(at(name), { scope = "audit", [option] = value })
          assert.is_nil(index)
          assert.equal("argument", code)
          assert.is_truthy(message:find(("--%s does not fit %s"):format((option:gsub("_", "-")), at(name)), 1, true),
            message)
        end
      end
    end
  end)

  it("keeps the classes asked for and names those there are when one is unknown", function()
    for name, classes in pairs { article = { "Normal" }, rsna = { "Lung Opacity" }, covid = { "SARS" },
      folder = { "B" }, table = { "ill" }, nih = { "Mass|Nodule", "Mass" } } do
      assert.equal(#classes, #assert(luma.data.open(at(name), { classes = classes })), name)
      local index, message = luma.data.open(at(name), { classes = { classes[1], "Typo" } })
      assert.is_nil(index)
      assert.matches("%-%-classes: no .* has the finding 'Typo' %(there are: ", message)
    end
    local index, message = luma.data.open(at "covid")
    assert.is_nil(index)
    assert.matches("name the findings to tell apart", message)
  end)

  it("that is none says what was expected", function()
    for path, words in pairs { ["note.pdf"] = "is not a folder, nor a table", nowhere = "no such file or folder",
      ["out-nothing"] = "no such file or folder" } do
      local index, message = luma.data.open(at(path))
      assert.is_nil(index)
      assert.is_truthy(message:find(words, 1, true), message)
    end
    assert.matches("source must be one of article, covid%-chestxray, files, folder, nih, rsna, table, got 'x'",
      (select(2, collections.find "x")))
  end)

  it("NIH's images lie in images_001 to images_012, CheXpert's labels go through a map", function()
    local nih = assert(luma.data.open(at "nih"))
    assert.same({ "Mass", "Mass|Nodule", "No Finding" }, nih.classes)
    assert.same({ "1", 50, "PA" }, { nih[1].patient, nih[1].age, nih[1].view })
    local path = at "CheXpert-v1.0-small/train.csv"
    local index = assert(luma.data.open(path, { label = "Pneumonia", label_map = at "map.txt" }))
    assert.same({ "none", "pneumonia" }, index.classes)
    assert.equal(3, #index)
    assert.matches("1 rows are left out by the label map", index:report())
    assert.equal(3, #assert(luma.data.open(at "CheXpert-v1.0-small", { source = "table", label = "Pneumonia",
      label_map = at "map.txt" })))
    local none, message = luma.data.open(path, { label = "Pneumonia", label_map = at "short.txt" })
    assert.is_nil(none)
    assert.matches("line 3: the label map has no line for '0.0'", message)
    message = select(2, luma.data.open(path, { label = "Pneumonia", label_map = at "broken.txt" }))
    assert.matches("broken.txt: line 2: expected VALUE = CLASS, got 'just words'", message)
    message = select(2, luma.data.open(path, { label = "Pneumonia" }))
    assert.matches("line 4: label '%-1.0' is no whole number", message)
    assert.is_nil(luma.data.open(path, { label = "Nothing" }))
  end)
end)
