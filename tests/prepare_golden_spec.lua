-- The published COVID-19 images, rebuilt byte for byte (rows P1-P9, I1-I4).
-- Needs the real radiographs beside the checkout; says so when they are absent.
local SHARED = "../shared"

describe("prepare, against the published images", function()
  local luma = require "luma"
  local csv = require "luma.base.csv"
  local files = require "luma.base.files"
  local system, prepare = luma.core.system, luma.core.prepare

  local function rows()
    local golden = csv.read(SHARED .. "/golden/covid_adjusted.csv")
    if not golden then return end
    local out = {}
    for _, row in ipairs(golden) do
      row.path = files.join(SHARED .. "/data/covid-chestxray/images", row.orig)
      if files.is_file(row.path) then out[#out + 1] = row end
    end
    return out
  end

  for _, threads in ipairs { 1, 2 } do
    it(("gives every published JPEG's MD5 with %d thread(s)"):format(threads), function()
      local golden = rows()
      if not golden then return pending(SHARED .. "/golden absent") end
      local before, dir = luma.threads(), os.tmpname()
      os.remove(dir)
      assert(files.mkdir_p(dir))
      luma.threads(threads)
      local items = {}
      for i, row in ipairs(golden) do items[i] = { row.path, files.join(dir, row.orig .. ".jpg") } end
      local results = prepare.batch(items, { faithful = true, squash = true })
      luma.threads(before)
      for i, row in ipairs(golden) do
        assert.equal("written", results[i].status)
        assert.equal(tonumber(row.rows_removed), results[i].rows_removed)
        assert.equal(tonumber(row.cols_removed), results[i].cols_removed)
        assert.equal(row.jpeg_md5, (system.md5_file(items[i][2])), row.orig)
        os.remove(items[i][2])
      end
      assert.is_true(#golden > 0)
      os.remove(dir)
    end)
  end
end)
