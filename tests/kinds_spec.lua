-- Files that are neither PNG nor JPEG are refused with what they are.
describe("a file that luma does not read", function()
  local luma = require "luma"
  local folders = require "support.folder"

  local function said(bytes)
    local x, message, code = luma.image.decode(bytes)
    assert.is_nil(x)
    assert.equal("unsupported", code)
    return message
  end

  it("is named by its first bytes, as the programs that write it write them", function()
    local dir = folders.new()
    local script = dir .. "/write.py"
    assert(luma.files.write_atomic(script, ([[
import sys, gzip
from PIL import Image
import numpy as np
a = Image.fromarray((np.arange(64 * 64).reshape(64, 64) %% 251).astype('u1'))
for e in ('webp', 'gif', 'tif', 'bmp'): a.save(f'{sys.argv[1]}/a.{e}')
gzip.open(f'{sys.argv[1]}/a.gz', 'wb').write(b'volume')
np.save(f'{sys.argv[1]}/a.npy', np.zeros(3))
]]):gsub("%%%%", "%%")))
    assert(os.execute(("/usr/bin/python3 '%s' '%s'"):format(script, dir)))
    local got = {}
    for ending, words in pairs { webp = "a WebP image", gif = "a GIF image", tif = "a TIFF image", bmp = "a BMP image",
      gz = "gzip data", npy = "a NumPy array" } do
      local message = said(assert(luma.files.read(dir .. "/a." .. ending)))
      got[#got + 1] = message:find("neither PNG nor JPEG, but " .. words, 1, true) and ending or message
    end
    folders.remove(dir)
    table.sort(got)
    assert.same({ "bmp", "gif", "gz", "npy", "tif", "webp" }, got)
  end)

  it("is named too when it is no image at all, or a DICOM file with and without its preamble", function()
    for bytes, words in pairs {
      ["version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n"] = "a Git LFS pointer",
      ["\n <!DOCTYPE html><html>404</html>"] = "a web page", ["%PDF-1.4 and so on"] = "a PDF document",
      [("\0"):rep(128) .. "DICM\2\0\0\0UL"] = "a DICOM file: convert it",
      ["\8\0\5\0CS\10\0ISO_IR 100"] = "a DICOM file without preamble",
      ["\8\0\5\0\10\0\0\0ISO_IR 100"] = "a DICOM file without preamble",
      ["PK\3\4" .. ("x"):rep(40)] = "a ZIP archive",
      [("\0"):rep(344) .. "n+1\0"] = "a NIfTI volume",
    } do
      assert.is_truthy(said(bytes):find("but " .. words, 1, true), words .. ": " .. said(bytes))
    end
    for _, bytes in ipairs { "plain words", "BM is not always a bitmap, as this sentence shows", "\8", "x", "<p>",
      "\8\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "DICM" } do
      assert.equal("neither PNG nor JPEG", said(bytes))
    end
  end)
end)
