--- How futures are awaited in luv.
-- @module ccpool.loop.luv

local uv = require "luv"

local M = {}

--- luv resumes callbacks, not coroutines: every coroutine may wait in it.
function M.running() return uv end

--- A handle that is stopped keeps no loop alive; it is used again by the next pump.
function M.start(hub, _, fd, turn)
  hub.poll = hub.poll or assert(uv.new_poll(fd))
  assert(hub.poll:start("r", function()
    if not turn() then hub.poll:stop() end
  end))
end

function M.stop(hub)
  hub.poll:stop()
  hub.pumping = false
end

function M.waiter() return { co = coroutine.running() } end

local function resume(waiter)
  local ok, err = coroutine.resume(waiter.co)
  if not ok then error(debug.traceback(waiter.co, tostring(err)), 0) end
end

local Guard = { __close = function(self) self.timer:close() end }

--- A timer resumes it in any case: each in a callback of its own, so that an error
-- in one coroutine is nothing to the others.
function M.wait(waiter, seconds)
  waiter.timer = assert(uv.new_timer())
  local _ <close> = setmetatable({ timer = waiter.timer }, Guard)
  if seconds then
    waiter.timer:start(math.ceil(seconds * 1000), 0, function() resume(waiter) end)
  end
  coroutine.yield()
end

function M.wake(waiter)
  waiter.timer:start(0, 0, function() resume(waiter) end)
end

return M
