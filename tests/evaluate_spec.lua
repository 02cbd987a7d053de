-- luma evaluate: a run on images from elsewhere.  A stand-in for the predictor
-- gives known answers, so every sentence can be held against its numbers.
describe("evaluate", function()
  local luma = require "luma"
  local external = require "luma.study.covid.external"
  local folders = require "support.folder"

  -- A predictor whose probability of the first class is what the path says.
  local function predictor(classes)
    return { classes = classes, predict = function(_, path)
      local p = tonumber(path:match "p([%d.]+)$")
      if not p then return nil, path .. ": unreadable" end
      return { p = { p, 1 - p } }
    end }
  end

  local function set(rows)
    local list = {}
    for i, row in ipairs(rows) do
      list[i] = { path = ("i%d/p%s"):format(i, row[2]), name = "i" .. i, class = row[1], meta = { view = row[3] } }
    end
    return luma.data.Index(list)
  end

  local internal = { accuracy = { value = 0.95, lo = 0.9, hi = 0.98 }, auc = { value = 0.97, lo = 0.95, hi = 0.99 } }

  it("matches classes by what they are called, and names both lists otherwise", function()
    local map = external.match({ "COVID-19", "Normal" }, { "covid", "NORMAL" })
    assert.same({ covid = 1, NORMAL = 2 }, map)
    local ok, message = pcall(external.match, { "COVID-19", "Normal" }, { "Pneumonia", "Normal" })
    assert.is_false(ok)
    assert.matches("class 'Pneumonia' of the images is none of the run's", message)
  end)

  it("says that a threshold does not travel when it does not, and not otherwise", function()
    local rows = {}
    for i = 1, 20 do rows[#rows + 1] = { "COVID-19", "0.99", i % 2 == 0 and "AP" or "PA" } end
    for i = 1, 20 do rows[#rows + 1] = { "Normal", i <= 12 and "0.90" or "0.1", "PA" } end
    local result = external.evaluate(predictor { "COVID-19", "Normal" }, set(rows),
      { internal = internal, by = "view" })
    local said = table.concat(result.sentences, " ")
    assert.matches("12 of 20 images of Normal are called COVID%-19: the threshold does not travel", said)
    assert.matches("a drop that the intervals show", said)
    assert.equal(0.7, result.accuracy.value)
    assert.equal(1, result.auc.value)
    assert.equal("AP", result.by[1].value)
    assert.equal(10, result.by[1].n)
    assert.equal(30, result.by[2].n)
    for i = 21, 40 do rows[i][2] = "0.1" end
    result = external.evaluate(predictor { "COVID-19", "Normal" }, set(rows), { internal = internal })
    said = table.concat(result.sentences, " ")
    assert.not_matches("does not travel", said)
    assert.matches(": no drop%.", said)
  end)

  it("recalibrates on images that it then does not test", function()
    local rows = {}
    for i = 1, 12 do rows[#rows + 1] = { "COVID-19", ("0.9%d"):format(80 + i), "PA" } end
    for i = 1, 12 do rows[#rows + 1] = { "Normal", ("0.8%d"):format(10 + i), "PA" } end
    local result = external.evaluate(predictor { "COVID-19", "Normal" }, set(rows),
      { internal = internal, recalibrate = 4 })
    assert.equal(0.5, result.accuracy.value)
    assert.equal(16, result.recalibrated.n)
    assert.equal(1, result.recalibrated.accuracy.value)
    assert.has_error(function()
      external.evaluate(predictor { "COVID-19", "Normal" }, set(rows), { internal = internal, recalibrate = 12 })
    end)
  end)

  it("opens what every command opens, and names what it cannot", function()
    local dir = folders.new()
    finally(function() folders.remove(dir) end)
    for _, part in ipairs { "train", "test" } do
      for _, class in ipairs { "COVID", "Normal" } do
        assert(luma.files.mkdir_p(("%s/set/%s/%s"):format(dir, part, class)))
        assert(luma.image.save(("%s/set/%s/%s/a.png"):format(dir, part, class), luma.full({ 9, 9, 1 }, 9, "u8")))
      end
    end
    assert.equal(4, #external.open(dir .. "/set", { "COVID-19", "Normal" }))
    local raw = dir .. "/collection"
    assert(luma.files.mkdir_p(raw .. "/images"))
    local lines = { "patientid,finding,view,modality,filename" }
    for i, finding in ipairs { "COVID-19", "SARS", "ARDS" } do
      assert(luma.image.save(("%s/images/%d.png"):format(raw, i), luma.full({ 9, 9, 1 }, 9, "u8")))
      lines[#lines + 1] = ("%d,%s,PA,X-ray,%d.png"):format(i, finding, i)
    end
    assert(luma.files.write_atomic(raw .. "/metadata.csv", table.concat(lines, "\n") .. "\n"))
    assert.same({ "COVID-19", "SARS" }, external.open(raw, { "COVID-19", "SARS" }).classes)
    assert.has_error(function() external.open(dir .. "/none", { "a", "b" }) end)
  end)

  it("counts what cannot be read", function()
    local index = set { { "COVID-19", "0.9", "PA" }, { "Normal", "0.1", "PA" }, { "Normal", "x", "PA" } }
    local result = external.evaluate(predictor { "COVID-19", "Normal" }, index, { internal = internal })
    assert.equal(1, #result.failed)
    assert.equal(2, result.n)
  end)

  it("runs from the command line #slow", function()
    local dir = folders.new()
    finally(function() folders.remove(dir) end)
    local function run(arguments)
      local pipe = assert(io.popen(("scripts/luma %s 2>&1 </dev/null"):format(arguments:gsub("DIR", dir))))
      local out = pipe:read "a"
      return out, pipe:close()
    end
    run "covid --phantoms 40 --epochs 20 --no-twins --out DIR/run"
    run "phantom --out DIR/raw --count 16 --seed 99"
    run "prepare --source covid-chestxray --in DIR/raw --out DIR/prepared"
    local rows = assert(luma.data.csv.read(dir .. "/prepared/covid_dataset.csv"))
    local lines = { "filename,finding" }
    for _, row in ipairs(rows) do lines[#lines + 1] = ("covid_adjusted/%s,%s"):format(row.filename, row.finding) end
    assert(luma.files.write_atomic(dir .. "/prepared/set.csv", table.concat(lines, "\n") .. "\n"))
    local out = run "evaluate DIR/run DIR/prepared/set.csv"
    assert.matches("On %d+ images from elsewhere the run's accuracy is", out)
    assert.matches("Not for clinical use", out)
    assert.matches("no finished run here", (run "evaluate DIR/raw DIR/prepared/set.csv"))
  end)
end)
