--- A line on standard error that tells how far the work is: at most ten times a second
-- on a terminal, once a second elsewhere, and one final line in the end.
-- On a terminal the line is never wrapped, whatever the width is or becomes.
-- @module ccpool.cli.progress

local posix_time = require("posix.time")
local unistd = require("posix.unistd")

local output = require("ccpool.cli.output")

local TERMINAL_SECONDS = 0.1
local FILE_SECONDS = 1
local HOUR, MINUTE = 3600, 60
local PREFIXES = { "", "k", "M", "G", "T", "P", "E" }

-- Back to the first column, wrapping off; and the rest of the line cleared, wrapping on.
local BEGIN, END = "\r\27[?7l", "\27[K\27[?7h"
local CLEAR = "\r\27[K"

local function clock()
  local time = posix_time.clock_gettime(posix_time.CLOCK_MONOTONIC)
  return time.tv_sec + time.tv_nsec * 1e-9
end

-- 1234567 -> "1.23M"
local function short(value)
  local i = 1
  while value >= 999.5 and i < #PREFIXES do
    value, i = value / 1000, i + 1
  end
  if i == 1 and value == math.floor(value) then
    return ("%d"):format(value)
  end
  local digits = value >= 99.95 and 0 or value >= 9.995 and 1 or 2
  return ("%.*f%s"):gsub("%*", tostring(digits)):format(value, PREFIXES[i])
end

local function span(seconds)
  seconds = math.ceil(seconds)
  if seconds >= 100 * HOUR then
    return "days"
  elseif seconds >= HOUR then
    return ("%d:%02d:%02d"):format(seconds // HOUR, seconds % HOUR // MINUTE, seconds % MINUTE)
  end
  return ("%d:%02d"):format(seconds // MINUTE, seconds % MINUTE)
end

local Progress = {}
Progress.__index = Progress

--- The text of the line.
-- @tparam number now seconds on the clock
-- @tparam boolean is_final
-- @treturn string
function Progress:text(now, is_final)
  local seconds = now - self.started
  local rate = seconds > 0 and self.done / seconds or 0
  local parts = { self.label .. ":" }
  local function add(format, ...)
    parts[#parts + 1] = format:format(...)
  end
  if self.total and self.total > 0 and not is_final then
    add("%d%%", math.min(100, math.floor(100 * self.done / self.total)))
    add("(%s of %s %s)", short(self.done), short(self.total), self.unit)
  else
    add("%s %s", short(self.done), self.unit)
  end
  if is_final then
    add("in %.1f s,", seconds)
  end
  add("%s/s", short(rate))
  if self.total and rate > 0 and not is_final then
    add("ETA %s", span(math.max(0, self.total - self.done) / rate))
  end
  return table.concat(parts, " ")
end

function Progress:draw(now)
  self.last = now
  if self.is_fancy then
    io.stderr:write(BEGIN, self:text(now), END)
    self.is_shown = true
  else
    io.stderr:write(self:text(now), "\n")
  end
end

function Progress:clear()
  if self.is_shown then
    io.stderr:write(CLEAR)
    self.is_shown = false
  end
end

--- Says how far the work is; draws the line if it is time to.
-- @tparam number done units of work done
-- @tparam ?number total units in all, if that is news
function Progress:set(done, total)
  self.done, self.total = done, total or self.total
  if not self.is_on then
    return
  end
  local now = clock()
  if now - self.last >= self.interval then
    self:draw(now)
  end
end

--- Ends the line: the last one says what was done in all.
function Progress:finish()
  if not self.is_on then
    return
  end
  self.is_on = false
  self:clear()
  output.set_hook(nil)
  io.stderr:write(self:text(clock(), true), "\n")
end

--- Begins a progress line.
-- @tparam table options `mode` (the value of `--progress`), `label`, `unit`, and `total`
--   if it is known
-- @treturn table with `set(done [, total])` and `finish()`
-- @usage
-- local line = progress.new({ mode = arguments.progress, label = "scan", unit = "ports" })
local function new(options)
  local is_terminal = unistd.isatty(unistd.STDERR_FILENO) == 1
  local now = clock()
  local self = setmetatable({
    label = options.label,
    unit = options.unit,
    total = options.total,
    done = 0,
    started = now,
    last = now,
    is_on = options.mode == "always" or (options.mode ~= "never" and is_terminal),
    is_fancy = is_terminal and os.getenv("TERM") ~= "dumb",
    is_shown = false,
  }, Progress)
  self.interval = is_terminal and TERMINAL_SECONDS or FILE_SECONDS
  if self.is_on then
    output.set_hook(function()
      self:clear()
    end)
  end
  return self
end

return { clock = clock, new = new, short = short, span = span }
