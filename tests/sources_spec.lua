local luma = require "luma"
local folder = require "support.folder"
local files = require "luma.base.files"
local csv = require "luma.base.csv"
local data = luma.data

-- A tree of files for one test: {["a/b"] = "content"}, removed afterwards.
local function in_tree(tree, body)
  local dir = folder.new()
  local ok, err = pcall(function()
    for path, content in pairs(tree) do
      assert(files.mkdir_p(files.dirname(files.join(dir, path))))
      assert(files.write_atomic(files.join(dir, path), content))
    end
    body(dir)
  end)
  folder.remove(dir)
  if not ok then error(err, 0) end
end

local function names(index)
  local out = {}
  for i, row in ipairs(index) do out[i] = row.name end
  return out
end

local METADATA = [[
Patientid,offset,sex,age,finding,survival,view,modality,filename, url,
2,0,M,65,COVID-19,Y,PA,X-ray,a.jpeg,http://x,
2,3,M,65,COVID-19,Y,PA,X-ray,b.jpeg,http://x,
3,,F,,"COVID-19, ARDS",,PA,X-ray,c.png,,
4,9,F,40,SARS,N,AP,X-ray,d.png,,
5,1,M,50,COVID-19,Y,Axial,CT,e.png,,
]]

describe("covid-chestxray", function()
  local tree = { ["metadata.csv"] = METADATA, ["images/a.jpeg"] = "", ["images/c.png"] = "", ["images/d.png"] = "",
    ["images/e.png"] = "" }
  it("matches exactly, and names what is absent", function()
    in_tree(tree, function(dir)
      local index = assert(data.covid_chestxray(dir))
      assert.same({ "a.jpeg" }, names(index))
      assert.equal(1, #index.missing)
      assert.equal("b.jpeg", index.missing[1].name)
      assert.equal(3, index.missing[1].line)
      local row = index[1]
      assert.same({ "2", "PA", "M", 65, 0 }, { row.patient, row.view, row.sex, row.age, row.offset })
      assert.matches("absent images: 1 %(b.jpeg%)", index:report())
      assert.matches("5 rows, 2 with finding = COVID%-19, modality = X%-ray, view = PA", index:report())
    end)
  end)

  it("takes other findings as classes, CT by modality, and any condition", function()
    in_tree(tree, function(dir)
      local index = assert(data.covid_chestxray(dir, { view = "any",
        classes = { "COVID-19", "SARS", "COVID-19, ARDS" } }))
      assert.same({ "COVID-19", "COVID-19, ARDS", "SARS" }, index.classes)
      assert.same({ "a.jpeg", "c.png", "d.png" }, names(index))
      assert.same({ "e.png" }, names(data.covid_chestxray(dir, { modality = "CT", view = "any" })))
      assert.same({ "d.png" }, names(data.covid_chestxray(dir, { finding = "any", view = { "AP", "L" },
        where = { sex = "F" } })))
      assert.same({ "d.png" }, names(data.covid_chestxray(dir, { finding = "any", view = "any",
        where = { offset = function(v) return (csv.number(v) or 0) > 4 end } })))
    end)
  end)

  it("says what the columns hold when nothing matches", function()
    in_tree(tree, function(dir)
      local index, message, code = data.covid_chestxray(dir, { finding = "Covid" })
      assert.is_nil(index)
      assert.equal("data", code)
      assert.matches("no row with finding = Covid, modality = X%-ray, view = PA", message, 1)
      assert.matches("finding holds COVID%-19 %(3%), ", message)
      message = select(2, data.covid_chestxray(dir, { where = { hair = "red" } }))
      assert.matches("no column 'hair' to select by", message)
    end)
  end)

  it("refuses unsafe names and one image with two classes", function()
    local head = "Patientid,finding,view,modality,filename\n"
    for name, words in pairs {
      ["../x.png"] = "line 2: unsafe file name '../x.png'", ["/etc/passwd"] = "it is absolute", [""] = "it is empty",
    } do
      in_tree({ ["metadata.csv"] = head .. "1,COVID-19,PA,X-ray," .. name .. "\n", ["images/a"] = "" }, function(dir)
        local index, message, code = data.covid_chestxray(dir)
        assert.is_nil(index)
        assert.equal("unsafe", code)
        assert.is_truthy(message:find(words, 1, true), message)
      end)
    end
    local double = head .. "1,COVID-19,PA,X-ray,a.png\n1,COVID-19,PA,X-ray,a.png\n"
    in_tree({ ["metadata.csv"] = double, ["images/a.png"] = "" }, function(dir)
      local index = assert(data.covid_chestxray(dir))
      assert.equal(1, #index)
      assert.matches("1 rows name an image a second time", index:report())
    end)
    in_tree({ ["metadata.csv"] = double .. "1,SARS,PA,X-ray,a.png\n", ["images/a.png"] = "" }, function(dir)
      local _, message = data.covid_chestxray(dir, { finding = "any" })
      assert.matches("lines 2 and 4 give 'a.png' two classes, COVID%-19 and SARS", message)
    end)
  end)

  it("gives one clear line for what is missing", function()
    local function message_of(tree_, f)
      local message
      in_tree(tree_, function(dir)
        local index
        index, message = (f or data.covid_chestxray)(dir)
        assert.is_nil(index)
        message = message:gsub(dir:gsub("%p", "%%%0"), "DIR")
      end)
      return message
    end
    assert.equal("/no/such: no such folder", (select(2, data.covid_chestxray "/no/such")))
    assert.equal("DIR/metadata.csv: no such file or folder", message_of { x = "" })
    assert.equal("DIR/images: no such folder (the images belong there)", message_of { ["metadata.csv"] = METADATA })
    assert.equal("DIR/images: none of the 2 images is there (the first: a.jpeg)",
      message_of { ["metadata.csv"] = METADATA, ["images/z"] = "" })
    assert.matches("^DIR/metadata.csv: line 1: no column 'finding' %(columns: a, filename%)",
      message_of { ["metadata.csv"] = "a,filename\n1,x\n" })
    assert.matches("^DIR/stage_2_train_images_jpg: no such folder; .* DICOM files, which luma does not read",
      message_of({ ["stage_2_detailed_class_info.csv"] = "patientId,class\n1,Normal\n",
        ["stage_2_train_images/1.dcm"] = "" }, data.rsna))
    assert.error_matches(function() data.covid_chestxray("x", { vew = "PA" }) end, "unknown option 'vew'")
  end)
end)

describe("rsna", function()
  it("takes a class, each patient once, the first n in file order", function()
    local tree = { ["stage_2_detailed_class_info.csv"] =
      "patientId,class\np3,Normal\np1,Lung Opacity\np1,Lung Opacity\np2,Normal\np4,normal\n" }
    for i = 1, 4 do tree[("stage_2_train_images_jpg/p%d.jpg"):format(i)] = "" end
    in_tree(tree, function(dir)
      assert.same({ "p3.jpg", "p2.jpg" }, names(assert(data.rsna(dir))))
      assert.same({ "p3.jpg" }, names(data.rsna(dir, { head = 1 })))
      assert.same({ "p1.jpg" }, names(data.rsna(dir, { class = "Lung Opacity" })))
      assert.equal(4, #data.rsna(dir, { class = "any" }))
      assert.equal("p3", data.rsna(dir)[1].patient)
    end)
  end)
end)

describe("the article's folder", function()
  local tree = {
    ["covid_dataset.csv"] = ",filename,finding\n0,a.jpeg.jpg,COVID-19\n0,b.jpeg.jpg,COVID-19\n0,u.jpg.jpg,COVID-19\n",
    ["normal_xray_dataset.csv"] = "0,n1.jpg,Normal\n0,n2.jpg,Normal\n0,n3.jpg,Normal\n",
    ["covid_adjusted/a.jpeg.jpg"] = "", ["covid_adjusted/b.jpeg.jpg"] = "", ["covid_adjusted/u.jpg.jpg"] = "",
    ["normal_dataset/n1.jpg"] = "", ["normal_dataset/n3.jpg"] = "", ["metadata.csv"] = METADATA,
  }
  it("reads tables with and without header, normals first, patients through the metadata", function()
    in_tree(tree, function(dir)
      local index = assert(data.article(dir))
      assert.same({ "n1.jpg", "n3.jpg", "a.jpeg.jpg", "b.jpeg.jpg", "u.jpg.jpg" }, names(index))
      assert.same({ "COVID-19", "Normal" }, index.classes)
      assert.same({ "2", "2" }, { index[3].patient, index[4].patient })
      assert.is_nil(index[5].patient)
      assert.is_nil(index[1].patient)
      assert.equal("a.jpeg", index[3].original)
      assert.equal("n2.jpg", index.missing[1].name)
      local text = index:report()
      assert.matches("normal_xray_dataset.csv has no header line", text)
      assert.matches("patients: metadata.csv knows 2 of 6 images", text)
    end)
  end)
  it("takes one table with several classes, as luma prepare writes it", function()
    in_tree({ ["covid_dataset.csv"] = ",filename,finding\n0,a.jpeg.jpg,Normal\n0,b.jpeg.jpg,opacity\n",
      ["covid_adjusted/a.jpeg.jpg"] = "", ["covid_adjusted/b.jpeg.jpg"] = "" }, function(dir)
      assert.same({ "Normal", "opacity" }, assert(data.article(dir)).classes)
    end)
    in_tree({ ["covid_dataset.csv"] = ",filename,finding\n0,a.jpeg.jpg,COVID-19\n",
      ["covid_adjusted/a.jpeg.jpg"] = "" }, function(dir)
      local _, message = data.article(dir)
      assert.equal(dir .. "/normal_xray_dataset.csv: no such file or folder", message)
    end)
  end)
  it("takes the first normals in file order, never none", function()
    in_tree(tree, function(dir)
      assert.same({ "n1.jpg" }, { names(data.article(dir, { normals = 1 }))[1] })
      assert.equal(4, #data.article(dir, { normals = 2 })) -- n2 counts, and is absent
      assert.equal(5, #data.article(dir, { normals = "all" }))
      for _, bad in ipairs { 0, -1, 1.5, "many" } do
        local index, message, code = data.article(dir, { normals = bad })
        assert.is_nil(index)
        assert.equal("argument", code)
        assert.matches("^normals must be a whole number", message)
      end
      local _, message = data.article(dir, { metadata = dir .. "/no.csv" })
      assert.equal(dir .. "/no.csv: no such file or folder", message)
    end)
  end)
  it("is what lies in the shared data", function()
    local dir = "../shared/data/article"
    if not files.is_dir(dir) then pending(dir .. " absent") return end
    local index = assert(data.article(dir, { metadata = "../shared/data/covid-chestxray/metadata.csv" }))
    assert.same({ ["COVID-19"] = 46, Normal = 50 }, index:counts())
    assert.equal(0, #index.missing)
    assert.equal("COVID-19, Normal", table.concat(index.classes, ", "))
    local raw = assert(data.covid_chestxray "../shared/data/covid-chestxray")
    assert.equal(76, #raw + #raw.missing)
    local all = assert(data.covid_chestxray("../shared/data/covid-chestxray", { finding = "any", view = "any",
      modality = "any" }))
    assert.same({ 39, 119 }, { #all, #all.missing })
  end)
end)

describe("class folders", function()
  it("makes a class of each folder", function()
    in_tree({ ["b/2.PNG"] = "", ["b/1.jpeg"] = "", ["a/x.jpg"] = "", ["a/notes.txt"] = "", ["top.png"] = "",
      ["a/y.dcm"] = "" }, function(dir)
      local index = assert(data.folder(dir))
      assert.same({ "a", "b" }, index.classes)
      assert.same({ "x.jpg", "1.jpeg", "2.PNG" }, names(index))
      assert.matches("1 DICOM files left out", index:report())
      assert.matches("1 files left out", index:report())
      assert.same({ "b" }, assert(data.folder(dir, { classes = { "b" } })).classes)
    end)
  end)
  it("reads part folders, with patients from the names", function()
    in_tree({ ["train/NORMAL/IM-0115-0001.jpeg"] = "", ["train/PNEUMONIA/person1_virus_2.jpeg"] = "",
      ["val/PNEUMONIA/person1_bacteria_3.jpeg"] = "", ["test/NORMAL/NORMAL2-IM-0372-0001.jpeg"] = "" }, function(dir)
      local index = assert(data.folder(dir))
      assert.same({ "NORMAL", "PNEUMONIA" }, index.classes)
      assert.equal(2, #index:where { part = "train" })
      local patients = {}
      for _, row in ipairs(index) do patients[#patients + 1] = row.patient end
      table.sort(patients)
      assert.same({ "IM-0115", "NORMAL2-IM-0372", "person1", "person1" }, patients)
      assert.is_nil(data.folder(dir, { patient = false })[1].patient)
      assert.equal("0115", data.folder(dir, { patient = "IM%-(%d+)" }):where({ part = "train" })[1].patient)
    end)
  end)
  it("says when there is nothing", function()
    in_tree({ ["x.png"] = "" }, function(dir)
      local _, message = data.folder(dir)
      assert.matches("it has no folders", message)
    end)
    in_tree({ ["a/x.dcm"] = "" }, function(dir)
      local _, message = data.folder(dir)
      assert.matches("1 DICOM files, which luma does not read", message)
    end)
  end)
end)

describe("an index", function()
  local function index(list)
    local rows = {}
    for i, class in ipairs(list) do rows[i] = { path = "/p" .. i, name = i .. ".png", class = class, age = i } end
    return data.Index(rows)
  end
  it("counts, filters, heads, relabels", function()
    local i = index { "b", "a", "b", "c" }
    assert.same({ "a", "b", "c" }, i.classes)
    assert.same({ a = 1, b = 2, c = 1 }, i:counts())
    assert.same({ "b" }, i:where({ class = "b" }).classes)
    assert.equal(2, #i:filter(function(row) return row.age > 2 end))
    assert.equal(2, #i:head(2))
    assert.equal(4, #i:head(9))
    local r = i:relabel { a = "sick", b = "well" }
    assert.same({ sick = 1, well = 2 }, r:counts())
    assert.equal("b", r[1].was)
    assert.equal("b", i[1].class)
    assert.matches("index: 4 images, 3 classes", tostring(i))
    assert.error_matches(function() data.Index { { path = "x" } } end, "row 1 has no class")
  end)
  it("says when a class is missing", function()
    assert.is_true(index({ "a", "b" }):require_classes(2))
    local ok, message = index({ "a", "a" }):require_classes(2)
    assert.is_nil(ok)
    assert.equal("index: 2 classes needed, found 1 (only a)", message)
  end)
  it("merges without doubles, and refuses one image with two classes", function()
    local a = data.Index { { path = "/x/1", name = "1", original = "o1", class = "A" } }
    local b = data.Index { { path = "/x/1", name = "1", class = "A" }, { path = "/y/1", original = "o1", class = "A" } }
    assert.equal(2, #assert(a:concat(b)))
    assert.matches("1 images stood twice", a:concat(b):report())
    assert.equal(3, #assert(data.merge({ a, b }, { dedup = false })))
    assert.equal(2, #assert(data.merge({ a, b }, { dedup = "name" })))
    local c = data.Index { { path = "/x/1", class = "B" } }
    local none, message = a:concat(c)
    assert.is_nil(none)
    assert.matches("one image, two classes: /x/1 is A, /x/1 is B", message)
    in_tree({ one = "same", two = "same", three = "other" }, function(dir)
      local list = {}
      for i, name in ipairs { "one", "two", "three" } do list[i] = { path = dir .. "/" .. name, class = "A" } end
      assert.equal(2, #assert(data.merge({ data.Index(list) }, { dedup = "content" })))
    end)
  end)
  it("stages by the day of illness", function()
    local rows = {}
    for i, day in ipairs { 0, 3, 4, 12 } do rows[i] = { path = "/" .. i, class = "COVID-19", offset = day } end
    rows[5] = { path = "/5", class = "COVID-19" }
    local staged = data.Index(rows):relabel(data.stages(4, 10))
    assert.same({ "stage 1: before day 4", "stage 2: day 4 to 9", "stage 3: from day 10" }, staged.classes)
    assert.equal(4, #staged)
    assert.error_matches(function() data.stages(5, 5) end, "limits must be numbers that increase")
  end)
  it("sorts classes by bytes, as LabelBinarizer does", function()
    assert.same({ "COVID-19", "Normal", "abc", "\xc3\xa9" }, index({ "abc", "Normal", "\xc3\xa9", "COVID-19" }).classes)
  end)
end)

describe("a labelled table", function()
  local function read(lines, opts)
    local index, message, code
    in_tree({ ["t.csv"] = "filename,finding\n" .. lines, ["a.png"] = "", ["b.png"] = "", ["c.png"] = "" }, function(dir)
      index, message, code = data.labelled(dir .. "/t.csv", opts)
      message = message and message:gsub(dir:gsub("%p", "%%%0") .. "/", "")
    end)
    return index, message, code
  end
  it("makes a class of each distinct label, text or whole numbers", function()
    assert.same({ "cat", "dog" }, assert(read "a.png,dog\nb.png,cat\n").classes)
    assert.same({ "0", "7" }, assert(read "a.png,7\nb.png,0\nc.png,007\n").classes)
    assert.equal(2, #assert(read "a.png,x\nb.png,y\nz.png,y\n"))
    assert.equal("z.png", assert(read "a.png,x\nz.png,y\n").missing[1].name)
  end)
  it("refuses labels that are no labels, with the line", function()
    for _, label in ipairs { "1.5", "-1", "nan", "1e9", "100000000000000000000", "0x10", "+1", "1000000000" } do
      local index, message = read(("a.png,1\nb.png,%s\n"):format(label))
      assert.is_nil(index, label)
      assert.equal(("t.csv: line 3: label '%s' is no whole number in 0..1000000, as the others are"):format(label),
        message)
    end
    local _, message = read "a.png,1\nb.png, 1 \n"
    assert.equal("t.csv: line 3: label ' 1 ' has spaces around it", message)
    message = select(2, read "a.png,x\nb.png,\n")
    assert.equal("t.csv: line 3: the label is empty", message)
    assert.same({ "2", "x" }, assert(read "a.png,x\nb.png,2\n").classes) -- names, unless all are numbers
  end)
  it("keeps a double once, and refuses two labels for one image", function()
    local index = assert(read "a.png,x\na.png,x\nb.png,y\n")
    assert.equal(2, #index)
    assert.matches("1 rows name an image a second time", index:report())
    local _, message = read "a.png,x\nb.png,y\na.png,y\n"
    assert.equal("t.csv: line 4: 'a.png' is y here and x in line 2", message)
  end)
  it("refuses unsafe names, wrong columns and absent folders", function()
    local _, message, code = read "../a.png,x\n"
    assert.equal("unsafe", code)
    assert.matches("^t.csv: line 2: unsafe file name", message)
    message = select(2, read("a.png,x\n", { label = "label" }))
    assert.equal("t.csv: line 1: no column 'label' (columns: filename, finding)", message)
    message = select(2, read("a.png,x\n", { images = "/no/such" }))
    assert.equal("/no/such: no such folder", message)
    message = select(2, read "none.png,x\n")
    assert.matches("none of the 1 images is there %(the first: none.png%)", message)
  end)
  it("counts one absent image among thousands by name, quickly", function()
    local lines = {}
    for i = 1, 9000 do lines[i] = ("%s.png,%d"):format(i == 4321 and "gone" or "a", i % 2) end
    local start = os.clock()
    local _, message = read(table.concat(lines, "\n") .. "\n")
    assert.matches("'a.png' is 0 here and 1 in line 2", message)
    for i = 1, 9000 do lines[i] = i == 4321 and "gone.png,1" or "a.png,1" end
    local index = assert(read(table.concat(lines, "\n") .. "\n"))
    assert.same({ 1, 1, "gone.png" }, { #index, #index.missing, index.missing[1].name })
    assert.is_true(os.clock() - start < 5)
  end)
end)
