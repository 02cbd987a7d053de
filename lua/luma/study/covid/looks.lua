--- How often a test set has been looked at.
--
-- Every finished run keeps looks.json: the digest of its test images (their
-- bytes and classes) and how many runs, itself included, have by now tested on
-- just these.  A new run asks the runs beside it.  Choosing between settings by
-- looking at the test part again and again is training on it.

local luma = require "luma"
local files, json, system = luma.files, luma.json, luma.core.system

local looks = {}

--- The digest of a set of images: rows of an index, in any order.
function looks.digest(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    local md5, message = system.md5_file(row.path)
    if not md5 then error(message, 0) end
    lines[i] = md5 .. "\t" .. row.class
  end
  table.sort(lines)
  return system.sha256(table.concat(lines, "\n"))
end

local function read(path)
  local source = files.is_file(path) and files.read(path)
  local kept = source and json.decode(source)
  return type(kept) == "table" and kept or nil
end

--- Notes in the run's folder that this run looks at the test set; a run counts
-- itself once.  Returns { digest, count }.
function looks.note(state, digest)
  local own = files.join(state.dir, "looks.json")
  local kept = read(own)
  if kept and kept.digest == digest then return kept end
  local top, most = files.dirname(state.dir), 0
  for _, name in ipairs(files.list(top) or {}) do
    local other = read(files.join(top, name, "looks.json"))
    if other and other.digest == digest then most = math.max(most, math.tointeger(other.count) or 0) end
  end
  local now = { digest = digest, count = most + 1 }
  state:write("looks.json", json.encode(now))
  return now
end

--- The count in a sentence.
function looks.words(kept)
  if kept.count == 1 then return "The first look at this test set among the runs beside this one." end
  return ("Look number %d at this same test set: settings chosen after seeing earlier results fit the test set, and "
    .. "its numbers flatter."):format(kept.count)
end

return looks
