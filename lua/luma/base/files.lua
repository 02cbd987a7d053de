--- luma.files: the file system, with errors as nil, "path: reason", code.
-- Writing is atomic: a reader sees the old file or the new one, never a half
-- one, also after a crash or on a full disk.  All through luv; a path is plain
-- bytes and is never given to a shell.

local uv = require "luv"

local files = {}

local constants = uv.constants
-- Temporary files are ".luma-<process>-<number>.tmp" beside their target.
local TEMPORARY = "^%.luma%-(%d+)%-%d+%.tmp$"
local serial = 0

-- The words for the errors that users meet; the rest keep the system's text.
local words = {
  ENOENT = "no such file or folder", EACCES = "permission denied", EISDIR = "is a folder",
  ENOTDIR = "a part of the path is not a folder", ENOSPC = "no space left on the disk",
  EDQUOT = "disk quota exceeded", EROFS = "read-only file system", EIO = "input/output error",
  EMFILE = "too many open files", ELOOP = "too many symbolic links", ENAMETOOLONG = "name too long",
  EFBIG = "file too large", EEXIST = "exists already", ENOTEMPTY = "folder is not empty",
}

--- A path as it may be printed: control bytes escaped, long ones shortened.
function files.show(path)
  if path == "" then return "''" end
  local s = tostring(path)
  if not utf8.len(s) then s = s:gsub("[\x80-\xff]", function(c) return ("\\x%02x"):format(c:byte()) end) end
  s = s:gsub("[%c]", function(c) return ("\\x%02x"):format(c:byte()) end)
  if #s > 240 then s = s:sub(1, 120) .. "..." .. s:sub(-100) end
  return s
end

local function fail(path, message, name)
  local reason = words[name] or (message or "failed"):gsub("^%u+: ", ""):match "^[^:]*"
  return nil, ("%s: %s"):format(files.show(path), reason), "io"
end

local function checked(path, fname)
  if type(path) ~= "string" then
    error(("%s: path must be a string, got %s"):format(fname, type(path)), 3)
  end
  if path:find("\0", 1, true) then return nil, ("%s: NUL byte in the name"):format(files.show(path)), "io" end
  if path == "" then return nil, "empty path", "io" end
  return path
end

--- Joins parts with "/", not doubling slashes; an absolute later part does not
-- replace the earlier ones.
function files.join(first, ...)
  local out = first
  for _, part in ipairs { ... } do
    out = out == "" and part or (out:gsub("/+$", "") .. "/" .. part:gsub("^/+", ""))
  end
  return out
end

--- The last part of a path: basename "a/b.png" is "b.png".
function files.basename(path) return path:match "([^/]*)/*$" end

--- The folder part of a path ("." when there is none).
function files.dirname(path)
  local dir = path:gsub("/+$", ""):match "^(.*)/[^/]*$"
  if dir == nil then return "." end
  return dir == "" and "/" or dir
end

--- "file", "directory", "link", ... of what the path leads to (links followed),
-- and its size in bytes; nil when there is nothing.
function files.kind(path)
  if not checked(path, "files.kind") then return nil end
  local stat = uv.fs_stat(path)
  if not stat then return nil end
  return stat.type, stat.size
end

function files.exists(path) return files.kind(path) ~= nil end
function files.is_dir(path) return files.kind(path) == "directory" end
function files.is_file(path) return files.kind(path) == "file" end

--- Names in a folder, sorted bytewise; hidden ones (".x") only with all = true.
-- @return names, kinds (name -> "file" | "directory" | ...) | nil, message, code
function files.list(dir, all)
  local ok, message, code = checked(dir, "files.list")
  if not ok then return nil, message, code end
  local scan, text, name = uv.fs_scandir(dir)
  if not scan then return fail(dir, text, name) end
  local names, kinds = {}, {}
  while true do
    local entry, kind = uv.fs_scandir_next(scan)
    if not entry then break end
    if all or entry:sub(1, 1) ~= "." then
      names[#names + 1] = entry
      if kind == nil or kind == "unknown" or kind == "link" then kind = files.kind(files.join(dir, entry)) or "link" end
      kinds[entry] = kind
    end
  end
  table.sort(names)
  return names, kinds
end

--- The whole content of a regular file.  Folders, pipes and devices are
-- refused, and so is a file of more than limit bytes (default 1 GiB).
function files.read(path, limit)
  local ok, message, code = checked(path, "files.read")
  if not ok then return nil, message, code end
  local fd, text, name = uv.fs_open(path, constants.O_RDONLY | constants.O_NONBLOCK, 0)
  if not fd then return fail(path, text, name) end
  local function done(...)
    uv.fs_close(fd)
    return ...
  end
  local stat, stat_text, stat_name = uv.fs_fstat(fd)
  if not stat then return done(fail(path, stat_text, stat_name)) end
  if stat.type ~= "file" then
    return done(nil, ("%s: %s"):format(files.show(path),
      stat.type == "directory" and "is a folder" or "not a regular file"), "io")
  end
  limit = limit or (1 << 30)
  if stat.size > limit then
    return done(nil, ("%s: %d bytes, more than the limit of %d"):format(files.show(path), stat.size, limit), "limit")
  end
  local parts, total = {}, 0
  while true do
    local part, read_text, read_name = uv.fs_read(fd, math.max(65536, stat.size - total), total)
    if not part then return done(fail(path, read_text, read_name)) end
    if part == "" then break end
    parts[#parts + 1] = part
    total = total + #part
    if total > limit then
      return done(nil, ("%s: grew past the limit of %d bytes"):format(files.show(path), limit), "limit")
    end
  end
  return done(table.concat(parts))
end

-- Writes everything; short writes go on.
local function write_all(fd, bytes)
  local at = 0
  while at < #bytes do
    local n, text, name = uv.fs_write(fd, at == 0 and bytes or bytes:sub(at + 1), -1)
    if not n then return nil, text, name end
    at = at + n
  end
  return true
end

local function sync_folder(dir)
  local fd = uv.fs_open(dir, "r", 0)
  if not fd then return true end -- a folder one may write but not read: nothing to be done
  local ok, text, name = uv.fs_fsync(fd)
  uv.fs_close(fd)
  if ok or name == "EINVAL" or name == "ENOTSUP" then return true end
  return nil, text, name
end

--- Replaces the file at path by bytes (a string, or a list of strings), all or
-- nothing: a fresh temporary file beside it, fsync, rename, fsync of the folder.
-- A link at path is replaced, not written through.
-- @return true | nil, "path: reason", "io"; on failure the old file is intact
--   and no temporary file is left
function files.write_atomic(path, bytes)
  local ok, message, code = checked(path, "files.write_atomic")
  if not ok then return nil, message, code end
  if type(bytes) == "table" then bytes = table.concat(bytes) end
  if type(bytes) ~= "string" then
    error(("files.write_atomic: bytes must be a string, got %s"):format(type(bytes)), 2)
  end
  if files.is_dir(path) then return nil, ("%s: is a folder"):format(files.show(path)), "io" end
  local dir = files.dirname(path)
  local temporary, fd, text, name
  repeat
    serial = serial + 1
    temporary = files.join(dir, (".luma-%d-%d.tmp"):format(uv.os_getpid(), serial))
    fd, text, name = uv.fs_open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 420) -- 0644
  until fd or name ~= "EEXIST"
  if not fd then return fail(path, text, name) end
  local good
  good, text, name = write_all(fd, bytes)
  if good then
    good, text, name = uv.fs_fsync(fd)
  end
  local closed, close_text, close_name = uv.fs_close(fd)
  if good and not closed then good, text, name = nil, close_text, close_name end
  if good then
    good, text, name = uv.fs_rename(temporary, path)
  end
  if not good then
    uv.fs_unlink(temporary)
    return fail(path, text, name)
  end
  good, text, name = sync_folder(dir)
  if not good then return fail(path, text, name) end
  return true
end

-- A zombie (killed, its parent has not looked yet) is dead.
local function is_alive(pid)
  local f = io.open(("/proc/%d/stat"):format(pid))
  if not f then return false end
  local state = (f:read "a" or ""):match ".*%) (%a)"
  f:close()
  return state ~= "Z" and state ~= "X"
end

--- Removes temporary files that a killed process left in dir; those of living
-- processes stay.  Returns how many were removed.
function files.sweep(dir)
  local removed = 0
  for _, name in ipairs(files.list(dir, true) or {}) do
    local pid = tonumber(name:match(TEMPORARY))
    if pid and pid ~= uv.os_getpid() and not is_alive(pid) then
      if uv.fs_unlink(files.join(dir, name)) then removed = removed + 1 end
    end
  end
  return removed
end

--- Makes a folder and the missing ones above it; an existing folder is fine.
function files.mkdir_p(dir)
  local ok, message, code = checked(dir, "files.mkdir_p")
  if not ok then return nil, message, code end
  if files.is_dir(dir) then return true end
  local parent = files.dirname(dir)
  if parent ~= dir and parent ~= "." and not files.is_dir(parent) then
    local made, why, what = files.mkdir_p(parent)
    if not made then return nil, why, what end
  end
  local made, text, name = uv.fs_mkdir(dir, 493) -- 0755
  if made or (name == "EEXIST" and files.is_dir(dir)) then return true end
  if name == "EEXIST" then return nil, ("%s: exists and is not a folder"):format(files.show(dir)), "io" end
  if name == "ENOENT" then return nil, ("%s: no folder can be made there"):format(files.show(dir)), "io" end
  return fail(dir, text, name)
end

--- Removes one file; a missing one is fine.
function files.remove(path)
  local ok, message, code = checked(path, "files.remove")
  if not ok then return nil, message, code end
  local gone, text, name = uv.fs_unlink(path)
  if gone or name == "ENOENT" then return true end
  return fail(path, text, name)
end

--- Where a name from a CSV leads inside dir.  The name is data that someone
-- else wrote: absolute paths, "..", ".", empty parts, NUL bytes, over-long parts
-- and links that leave dir are refused before anything is opened.
-- @return path, exists | nil, message, "unsafe"
function files.inside(dir, name)
  local function refuse(why)
    return nil, ("unsafe file name '%s': %s"):format(files.show(name), why), "unsafe"
  end
  if type(name) ~= "string" or name == "" then return refuse "it is empty" end
  if name:find("\0", 1, true) then return refuse "it holds a NUL byte" end
  if name:sub(1, 1) == "/" then return refuse "it is absolute" end
  for part in (name .. "/"):gmatch "([^/]*)/" do
    if part == ".." or part == "." or part == "" then return refuse "it holds '.', '..' or an empty part" end
    if #part > 255 then return refuse "it is longer than 255 bytes" end
  end
  local path = files.join(dir, name)
  local real = uv.fs_realpath(path)
  if not real then
    if uv.fs_lstat(path) then return refuse "it is a link that leads nowhere" end
    return path, false
  end
  local root = uv.fs_realpath(dir)
  if not root or real:sub(1, #root + 1) ~= (root == "/" and "/" or root .. "/") then
    return refuse "it leads out of the folder"
  end
  return path, true
end

return files
