-- What users get wrong: each mistake is one clear line on stderr, exit code 1, no
-- traceback, and no run folder left behind.  Every case is a process of its own.
local luma = require "luma"
local files, image, store = luma.files, luma.image, luma.store

local folder = require "support.folder"

local top -- made when the specs run: they may all be left out
local function at(...) return files.join(top, ...) end
local function put(bytes, ...)
  assert(files.mkdir_p(files.dirname(at(...))))
  assert(files.write_atomic(at(...), bytes))
  return at(...)
end

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

-- A folder as the article's: n images of each class.  `change` gets its files
-- (relative path -> bytes) before they are written.
local function article(name, change)
  local rng = luma.rng(3)
  local contents, covid, normal = {}, { ",filename,finding" }, { ",Unnamed: 0,filename,finding" }
  for i = 1, 4 do
    for _, path in ipairs { "covid_adjusted/c%d.jpg", "normal_dataset/n%d.jpg" } do
      local x <close> = luma.rand({ 24, 24, 3 }, { rng = rng }):mul(255):to "u8" -- no two alike
      contents[path:format(i)] = image.encode(x, "jpeg")
    end
    covid[i + 1] = ("%d,c%d.jpg,COVID-19"):format(i - 1, i)
    normal[i + 1] = ("%d,%d,n%d.jpg,Normal"):format(i - 1, i - 1, i)
  end
  contents["covid_dataset.csv"] = table.concat(covid, "\n") .. "\n"
  contents["normal_xray_dataset.csv"] = table.concat(normal, "\n") .. "\n"
  if change then change(contents) end
  for path, bytes in pairs(contents) do put(bytes, name, path) end
  return at(name)
end

local function run(...)
  local words = { "scripts/luma" }
  for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  local _, _, code = os.execute(("%s >%s 2>%s </dev/null"):format(table.concat(words, " "), quote(at "stdout"),
    quote(at "stderr")))
  return code, assert(files.read(at "stderr")), assert(files.read(at "stdout"))
end

-- `luma ...` must end with 1 and exactly this on stderr: one line that begins with
-- the command's name and holds each of `words`.
local function refused(words, ...)
  local code, complaint, said = run(...)
  assert.equal(1, code, complaint)
  assert.truthy(complaint:match "^[^\n]+\n$", "one line expected, got: " .. complaint)
  assert.equal(1, (complaint:find("luma " .. (...) .. ": ", 1, true)), complaint)
  for _, word in ipairs(words) do
    assert.truthy(complaint:find(word, 1, true), ("'%s' expected in: %s"):format(word, complaint))
  end
  for _, text in ipairs { complaint, said } do
    assert.falsy(text:find("traceback", 1, true), text)
    assert.falsy(text:find("internal error", 1, true), text)
    assert.falsy(text:find("%.lua:%d"), text)
  end
end

local function covid(words, ...)
  refused(words, "covid", "--epochs", "1", "--out", at "run", ...)
  assert.is_false(files.exists(at "run"), "no run folder is left behind")
end

describe("mistakes", function()
  local good
  lazy_setup(function()
    top = folder.new()
    good = article "good"
  end)
  lazy_teardown(function() folder.remove(top) end)

  it("none: the data of this spec runs", function()
    local code, complaint = run("covid", "--data", good, "--epochs", "1", "--out", at "fine")
    assert.equal(0, code, complaint)
    assert.is_true(files.is_file(at("fine", "metrics.json")))
  end)

  it("a folder that is not there, or is a file", function()
    covid({ "/nowhere", "no such folder" }, "--data", "/nowhere")
    covid({ "README.md", "is not a folder" }, "--data", "README.md")
    refused({ "/nowhere", "no such folder" }, "prepare", "--source", "rsna", "--in", "/nowhere", "--out", at "p")
    refused({ "/nowhere", "no such folder" }, "resume", "/nowhere")
    refused({ "/nowhere" }, "predict", "--model", "/nowhere", "x.jpg")
  end)

  it("a table without its column, its rows, or itself", function()
    local dir = article("column", function(c)
      c["covid_dataset.csv"] = c["covid_dataset.csv"]:gsub("finding", "found", 1)
    end)
    covid({ "covid_dataset.csv", "no column 'finding'", "found" }, "--data", dir)
    covid({ "no rows" }, "--data", article("rows", function(c) c["covid_dataset.csv"] = ",filename,finding\n" end))
    covid({ "normal_xray_dataset.csv" }, "--data", article("table", function(c)
      c["normal_xray_dataset.csv"] = nil
    end))
  end)

  it("an image that is text, cut short, or empty", function()
    local whole
    local function with(bytes) return function(c) c["covid_adjusted/c2.jpg"] = bytes end end
    covid({ "covid_adjusted/c2.jpg", "neither PNG nor JPEG" }, "--data", article("text", with "this is text\n"))
    article("whole", function(c) whole = c["covid_adjusted/c2.jpg"] end)
    covid({ "covid_adjusted/c2.jpg", "premature end" }, "--data",
      article("cut", with(whole:sub(1, #whole - 60))))
    covid({ "covid_adjusted/c2.jpg", "empty" }, "--data", article("empty", with ""))
  end)

  it("weights that are something else, of another network, or cut short", function()
    local function weights(words, path) covid(words, "--data", good, "--base", "tiny", "--weights", path) end
    weights({ "notes.h5", "neither Keras HDF5 nor safetensors", "text" }, put(("words, words\n"):rep(20), "notes.h5"))
    weights({ "x.h5", "neither Keras HDF5 nor safetensors" }, put("text", "x.h5"))
    weights({ "c1.jpg", "JPEG" }, at("good", "covid_adjusted", "c1.jpg"))
    weights({ "cut.h5", "damaged HDF5" }, put("\137HDF\r\n\26\n" .. ("\0"):rep(400), "cut.h5"))
    local x <close> = luma.zeros(3, 3, 3, 5)
    assert(store.save(at "other.safetensors", { ["block1_conv1.weight"] = x }))
    weights({ "tiny: ", "other.safetensors", "block1_conv1.weight is [3x3x3x5]" }, at "other.safetensors")
    local bytes = assert(files.read(at "other.safetensors"))
    weights({ "half.safetensors" }, put(bytes:sub(1, #bytes // 2), "half.safetensors"))
    weights({ "/absent.h5", "no such file" }, "/absent.h5")
  end)

  it("settings that make no sense", function()
    covid({ "--normals", "from 1 on", "'0'" }, "--data", good, "--normals", "0")
    covid({ "--normals" }, "--data", good, "--normals=-3")
    covid({ "unknown option '-3'" }, "--data", good, "--normals", "-3")
    covid({ "--folds", "'1'" }, "--data", good, "--folds", "1")
    covid({ "--scale", "'loud'", "caffe" }, "--scale", "loud")
    covid({ "--base", "'vgg'", "vgg19" }, "--base", "vgg")
    covid({ "--threads" }, "--threads", "0")
  end)

  it("one class only", function()
    covid({ "2 classes needed, found 1", "Normal" }, "--data", article("one", function(c)
      c["covid_dataset.csv"] = c["covid_dataset.csv"]:gsub("COVID%-19", "Normal")
    end))
  end)
end)
