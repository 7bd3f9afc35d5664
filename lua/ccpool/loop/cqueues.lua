--- How futures are awaited in cqueues.
-- @module ccpool.loop.cqueues

local condition = require "cqueues.condition"
local cqueues = require "cqueues"

local M = {}

--- A controller, if it resumed this very coroutine: what a coroutine inside of that
-- yields goes to whoever resumed it. Forced: cqueues' own coroutines may be nested.
function M.running(forced)
  local controller, direct = cqueues.running()
  return (direct or forced) and controller or nil
end

function M.start(hub, controller, fd, turn)
  hub.stopped = condition.new()
  local ready = { pollfd = fd, events = "r" }
  controller:wrap(function()
    while turn() do cqueues.poll(ready, hub.stopped) end
  end)
end

function M.stop(hub) hub.stopped:signal() end

function M.waiter() return { woken_up = condition.new() } end

function M.wait(waiter, seconds) waiter.woken_up:wait(seconds) end

function M.wake(waiter) waiter.woken_up:signal() end

return M
