--- Keeps the connects of a worker below a rate.
-- @module ccpool.cli.scan.pace

local time = require("posix.time")

-- A worker that comes late catches up on so many seconds at most.
local BURST_SECONDS = 0.01

-- When the next connect may start. There is one clock for a worker, whatever it scans: the
-- state of a module lasts from task to task.
local next_start = 0

local function now()
  local clock = time.clock_gettime(time.CLOCK_MONOTONIC)
  return clock.tv_sec + clock.tv_nsec * 1e-9
end

--- Asks for leave to start a connect. Leave that is given counts as used.
-- @tparam ?number rate connects a second; nil gives leave at once
-- @treturn[1] nil if the connect may start now
-- @treturn[2] number the seconds to wait before asking again
-- @usage local seconds = pace.ask(100)
local function ask(rate)
  if not rate then
    return nil
  end
  local instant = now()
  if next_start > instant then
    -- A clock that is far ahead comes from a slower rate before.
    next_start = math.min(next_start, instant + 1 / rate)
    return next_start - instant
  end
  next_start = math.max(next_start, instant - BURST_SECONDS) + 1 / rate
  return nil
end

return { ask = ask, now = now }
