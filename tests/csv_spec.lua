local csv = require "luma.base.csv"

local plain = "name,finding,note\na.png,COVID-19,x\nb.png,Normal,y\n"
local want = { { name = "a.png", finding = "COVID-19", note = "x" },
  { name = "b.png", finding = "Normal", note = "y" } }

local function rows_of(text, opts)
  local rows = assert(csv.parse(text, opts))
  local out = {}
  for i, row in ipairs(rows) do out[i] = row end
  return out, rows
end

describe("csv reading", function()
  it("takes every line ending, a BOM, blank lines and no final newline", function()
    for _, text in ipairs {
      plain, plain:gsub("\n", "\r\n"), plain:gsub("\n", "\r"), "\xef\xbb\xbf" .. plain, plain:sub(1, -2),
      plain:gsub("\n", "\n\n"), plain:gsub("\n", "\r\n \r\n"), "\n\n" .. plain,
      'name,finding,note\n"a.png","COVID-19","x"\n"b.png",Normal,"y" \n',
    } do
      assert.same(want, (rows_of(text)))
    end
  end)

  it("does not mind the order of the columns", function()
    assert.same({ { a = "1", b = "2" } }, (rows_of "b,a\n2,1\n"))
  end)

  it("reads quoted commas, quotes and newlines", function()
    local rows, table_ = rows_of 'a,b\n"January 22, 2020","say ""hi"""\n"two\r\nlines",z\nlast,y\n'
    assert.same({ { a = "January 22, 2020", b = 'say "hi"' }, { a = "two\r\nlines", b = "z" }, { a = "last",
      b = "y" } }, rows)
    assert.same({ 2, 3, 5 }, table_.lines)
  end)

  it("gives nil for empty fields and names the nameless columns", function()
    local rows, table_ = rows_of ',a, url,\n0,,"",\n'
    assert.same({ "unnamed 1", "a", "url", "unnamed 4" }, table_.columns)
    assert.same({ { ["unnamed 1"] = "0" } }, rows)
  end)

  it("names what is not a CSV file", function()
    for text, words in pairs {
      ["\xff\xfea\0,\0b\0"] = "UTF%-16", ["a\0,\0b\0\n\0"] = "UTF%-16",
        ["a,b\n1,\0002\n" .. ("x"):rep(500)] = "binary data",
      ["<!DOCTYPE html><html>"] = "HTML page", [" <html><body>404"] = "HTML page", ["\x89PNG\r\n\x1a\n"] = "an image",
      ["version https://git-lfs.github.com/spec/v1\noid sha256:1\n"] = "Git LFS pointer", ["PK\3\4..."] = "zip",
      [""] = "empty", ["  \n\n"] = "empty", ["a,b\n"] = "a header and no rows %(columns: a, b%)",
    } do
      local rows, message, code = csv.parse(text)
      assert.is_nil(rows)
      assert.equal("damaged", code)
      assert.matches(words, message)
    end
    local _, message = csv.parse("a;b\n1;2\n", { require = { "a" } })
    assert.equal("line 1: no column 'a': the fields look separated by ';', not by ','", message)
    assert.same({ { a = "1", b = "2" } }, (rows_of("a;b\n1;2\n", { separator = ";" })))
    assert.same({ { a = "1", b = "2" } }, (rows_of("a\tb\n1\t2\n", { separator = "\t" })))
    assert.same({}, (rows_of("a,b\n", { empty = true })))
  end)

  it("gives line numbers and the columns found", function()
    local function message_of(text, opts) return (select(2, csv.parse(text, opts))) end
    assert.equal("line 1: no column 'finding' (columns: a, b)", message_of("a,b\n1,2\n", { require = { "a",
      "finding" } }))
    assert.equal("line 1: column 'a' stands twice, at 1 and 3 (columns: a, b, a)", message_of "a,b,a\n1,2,3\n")
    assert.equal("line 4: 1 fields where the header has 2 (columns: a, b)", message_of 'a,b\n"x\ny",2\n1\n')
    assert.equal("line 2: 3 fields where the header has 2 (columns: a, b)", message_of "a,b\n1,2,3\n")
    assert.equal("line 3: a quote is opened and never closed", message_of 'a,b\n1,2\n"x,2\n3,4\n')
    assert.equal("line 2: text after the closing quote of field 1", message_of 'a,b\n"x"y,2\n')
  end)

  it("tells a missing header from a present one", function()
    local names = { "unnamed 1", "filename", "finding" }
    local opts = { fallback = names, require = { "filename", "finding" } }
    local rows, table_ = rows_of("0,a.jpg,Normal\n0,b.jpg,Normal\n", opts)
    assert.is_true(table_.headerless)
    assert.equal("a.jpg", rows[1].filename)
    assert.equal(2, #rows)
    rows, table_ = rows_of(",filename,finding\n0,a.jpg,Normal\n", opts)
    assert.is_nil(table_.headerless)
    assert.equal(1, #rows)
  end)

  it("stays linear on long lines and many columns", function()
    local start = os.clock()
    assert.equal(1 << 20, #rows_of("a,b\n" .. ("x"):rep(1 << 20) .. ",1\n")[1].a)
    assert.equal(1 << 20, #rows_of('a\n"' .. ('""'):rep(1 << 20) .. '"\n')[1].a)
    local header, row = {}, {}
    for i = 1, 100000 do header[i], row[i] = "c" .. i, "v" .. i end
    local rows = rows_of(table.concat(header, ",") .. "\n" .. table.concat(row, ",") .. "\n")
    assert.equal("v100000", rows[1].c100000)
    assert.is_true(os.clock() - start < 5)
  end)

  it("keeps names that look like code as plain data", function()
    for _, name in ipairs { "=1+1", "$(reboot)", "%s%n", "a%b", "<script>.png", "'; drop", "`x`" } do
      local rows = rows_of(csv.format({ "name" }, { { name = name } }))
      assert.equal(name, rows[1].name)
    end
    assert.equal("name\n=1+1\n", csv.format({ "name" }, { { name = "=1+1" } }))
  end)

  it("parses numbers strictly", function()
    for text, value in pairs { ["1.5"] = 1.5, ["-3"] = -3, ["+2e3"] = 2000.0, [".5"] = 0.5, ["7."] = 7.0 } do
      assert.equal(value, csv.number(text))
    end
    for _, text in ipairs { "nan", "inf", "0x10", " 1 ", "", "1,5", "1e999", "1.2.3", "--1", "e5" } do
      assert.is_nil(csv.number(text))
    end
    assert.equal(-12, csv.integer "-12")
    for _, text in ipairs { "1.0", "100000000000000000000", "0x10", " 1 ", "nan",
      "" } do assert.is_nil(csv.integer(text)) end
  end)

  it("reports a missing file as nil, message, code", function()
    local rows, message, code = csv.read "/no/such.csv"
    assert.is_nil(rows)
    assert.equal("/no/such.csv: no such file or folder", message)
    assert.equal("io", code)
  end)
end)

describe("csv writing", function()
  it("reads back what it wrote", function()
    local rows = {
      { a = "x,y", b = 'q"q', c = "two\nlines" }, { a = " lead", b = "trail ", c = "\r" }, { a = 1, b = 0.1, c = true },
      { b = 0 / 0 }, { a = 1e300, b = -1 / 3, c = "=SUM(A1)" },
    }
    local back = rows_of(csv.format({ "a", "b", "c" }, rows))
    assert.same({ a = "x,y", b = 'q"q', c = "two\nlines" }, back[1])
    assert.same({ a = " lead", b = "trail ", c = "\r" }, back[2])
    assert.same({ a = "1", b = "0.1", c = "true" }, back[3])
    assert.same({}, back[4])
    assert.equal(-1 / 3, csv.number(back[5].b))
  end)

  it("writes the article's nameless first column", function()
    assert.equal(",filename,finding\n0,x.jpeg.jpg,COVID-19\n",
      csv.format({ "unnamed 1", "filename", "finding" }, { { ["unnamed 1"] = 0, filename = "x.jpeg.jpg",
        finding = "COVID-19" } }))
  end)

  it("is atomic and reports failure", function()
    local ok, message, code = csv.write("/no/such/x.csv", { "a" }, { { a = 1 } })
    assert.is_nil(ok)
    assert.matches("^/no/such/x.csv: ", message)
    assert.equal("io", code)
  end)
end)

describe("the published metadata", function()
  local path = "../shared/data/covid-chestxray/metadata.csv"
  it("has 158 rows, 76 of them the article's", function()
    if not require("luma.base.files").exists(path) then pending(path .. " absent") return end
    local rows = assert(csv.read(path, { require = { "finding", "modality", "filename", "view" } }))
    assert.equal(158, #rows)
    local n, patients, distinct = 0, {}, 0
    for _, row in ipairs(rows) do
      if row.finding == "COVID-19" and row.modality == "X-ray" and row.view == "PA" then
        n = n + 1
        if not patients[row.Patientid] then distinct = distinct + 1 end
        patients[row.Patientid] = true
      end
    end
    assert.equal(76, n)
    assert.equal(53, distinct)
    assert.equal("January 22, 2020", rows[1].date)
    assert.equal("https://www.nejm.org/doi/full/10.1056/NEJMc2001272", rows[1].url)
  end)
end)
