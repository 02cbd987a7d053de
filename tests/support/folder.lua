-- Folders that a spec makes and takes away again.
local files = require "luma.base.files"
local uv = require "luv"

local folder = {}

--- A new empty folder.
function folder.new()
  return assert(uv.fs_mkdtemp(files.join(uv.os_tmpdir(), "luma-spec-XXXXXX")))
end

--- Removes a folder and what is in it.
function folder.remove(dir)
  for _, name in ipairs(files.list(dir, true) or {}) do
    local path = files.join(dir, name)
    if files.is_dir(path) then folder.remove(path) else files.remove(path) end
  end
  uv.fs_rmdir(dir)
end

return folder
