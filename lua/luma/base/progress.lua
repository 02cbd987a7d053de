--- Progress of a long loop: done, rate, time left.
--
--   local p = progress("features", 960, { unit = "images" })
--   p:add(32)        -- as often as you like: it draws five times a second at most
--   p:done()
--
-- On a terminal one line is rewritten; elsewhere a line comes every ten
-- seconds; nothing is written for work that ends within a second there, with
-- {quiet=true}, or with LUMA_QUIET=1 in the environment.  It writes to stderr,
-- so stdout stays clean for results.

local uv = require "luv"
local text = require "luma.base.text"

local Progress = {}
Progress.__index = Progress

local function now()
  return uv.hrtime() / 1e9
end

local function is_terminal()
  return uv.guess_handle(2) == "tty"
end

local function line(self, seconds)
  local rate = self.count / math.max(seconds, 1e-9)
  local out = { ("%s: %s"):format(self.label, self.count) }
  if self.total then out[1] = ("%s/%s"):format(out[1], self.total) end
  out[1] = out[1] .. " " .. self.unit
  out[#out + 1] = (rate >= 10 and "%.0f/s" or "%.2f/s"):format(rate)
  if self.total and self.count > 0 and self.count < self.total then
    out[#out + 1] = text.duration((self.total - self.count) / rate) .. " left"
  else
    out[#out + 1] = text.duration(seconds)
  end
  if self.note then out[#out + 1] = self.note end
  return table.concat(out, ", ")
end

local function draw(self, moment, last)
  local message = line(self, moment - self.started)
  if self.terminal then
    io.stderr:write("\r", message, "\27[K", last and "\n" or "")
  else
    io.stderr:write(message, "\n")
  end
  io.stderr:flush()
  self.drawn, self.ever = moment, true
end

--- Counts `n` more (1 by default); `note` is shown behind the rate.
function Progress:add(n, note)
  self.count = self.count + (n or 1)
  self.note = note or self.note
  if self.quiet then return end
  local moment = now()
  if moment - self.drawn >= (self.terminal and 0.2 or 10) then draw(self, moment, false) end
end

--- Ends the loop: draws the last line when there was anything to see.
-- Returns the seconds that passed.
function Progress:done(note)
  local moment = now()
  self.note = note or self.note
  if not self.quiet and not self.ended and (self.ever or (self.terminal and self.count > 0)) then
    draw(self, moment, true)
  end
  self.ended = true
  return moment - self.started
end

--- Ends the line on a terminal without a summary: for an error or Ctrl-C.
function Progress:close()
  if not self.ended and self.ever and self.terminal then io.stderr:write "\n" end
  self.ended = true
end
Progress.__close = Progress.close

--- A progress line.  `total` may be nil; options: unit ("steps"), quiet.
return function(label, total, options)
  options = options or {}
  local moment = now()
  return setmetatable({
    label = label, total = total, unit = options.unit or "steps", count = 0,
    quiet = options.quiet or os.getenv "LUMA_QUIET" == "1",
    terminal = is_terminal(), started = moment, drawn = moment,
  }, Progress)
end
