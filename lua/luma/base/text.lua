--- Small text helpers: padding by characters, nearest names, durations, HTML.

local text = {}

--- Length in characters; bytes when the string is not valid UTF-8.
function text.len(s)
  return utf8.len(s) or #s
end

--- `s` padded with spaces on the left to `width` characters.
function text.left_pad(s, width)
  return (" "):rep(width - text.len(s)) .. s
end

--- `s` padded with spaces on the right to `width` characters.
function text.right_pad(s, width)
  return s .. (" "):rep(width - text.len(s))
end

--- Number of single-character edits between two short strings.
function text.distance(a, b)
  local previous = {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + cost)
    end
    previous = row
  end
  return previous[#b]
end

--- The name in `names` (a list) that `word` probably meant, or nil.
function text.nearest(word, names)
  local best, best_distance
  for _, name in ipairs(names) do
    local d = text.distance(word:lower(), name:lower())
    if name:lower():find(word:lower(), 1, true) == 1 then d = math.min(d, 1) end
    if not best or d < best_distance then best, best_distance = name, d end
  end
  if best and best_distance <= math.max(#word >= 4 and 2 or 1, #word // 3) then return best end
  return nil
end

--- Seconds in words: "0.21 s", "48 s", "3 min 05 s", "2 h 10 min".
function text.duration(seconds)
  if seconds ~= seconds or seconds == math.huge then return "?" end
  if seconds < 10 then return ("%.2f s"):format(seconds) end
  local whole = math.floor(seconds + 0.5)
  if whole < 100 then return ("%d s"):format(whole) end
  if whole < 3600 then return ("%d min %02d s"):format(whole // 60, whole % 60) end
  return ("%d h %02d min"):format(whole // 3600, whole % 3600 // 60)
end

--- "1 image", "2 images"; `many` when the plural is not word .. "s".
function text.plural(n, word, many)
  return ("%s %s"):format(n, n == 1 and word or many or word .. "s")
end

--- Makes a name safe to show on one line: control characters and broken UTF-8
-- become escapes, long names lose their middle.
function text.printable(s, limit)
  s = tostring(s)
  if not utf8.len(s) then
    s = s:gsub("[\x80-\xff]", function(c) return ("\\x%02x"):format(c:byte()) end)
  end
  s = s:gsub("[%c\x7f]", function(c) return ("\\x%02x"):format(c:byte()) end)
  limit = limit or 200
  if text.len(s) <= limit then return s end
  local half = (limit - 3) // 2
  local head, tail = utf8.offset(s, half + 1), utf8.offset(s, -half)
  return s:sub(1, head - 1) .. "..." .. s:sub(tail)
end

--- A figure with its interval, "0.820 (0.670 to 0.910)": {value, lo, hi}; the value
-- alone where there is no interval, n/a where it is not defined.
function text.interval(v)
  if not v or not v.value or v.value ~= v.value then return "n/a" end
  if not v.lo or v.lo ~= v.lo then return ("%.3f"):format(v.value) end
  local lo, hi = ("%.3f"):format(v.lo), ("%.3f"):format(v.hi)
  if lo == hi and v.lo < v.hi then lo, hi = ("%.5f"):format(v.lo), ("%.5f"):format(v.hi) end -- narrow, not certain
  return ("%.3f (%s to %s)"):format(v.value, lo, hi)
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Escapes text for HTML bodies and attribute values.
function text.html(s)
  return (text.printable(s, 2000):gsub("[&<>\"']", entities))
end

return text
