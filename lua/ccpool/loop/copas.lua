--- How futures are awaited in copas (2.0.2 and later: it says whether it runs).
-- @module ccpool.loop.copas

local copas = require "copas"
local core = require "ccpool.core"

local M = {}

if copas.running == nil or not (copas.pause or copas.sleep) then
  M.lacks = "copas 2.0.2 or later is needed"
end

-- A negative sleep was for ever until that had a function of its own.
local pause = copas.pause or copas.sleep
local pause_forever = copas.pauseforever or function() copas.sleep(-1) end

--- Before copas 4, threads that are added before the loop runs begin at once; forced,
-- these are believed to be copas' own, too.
function M.running(forced) return (forced or copas.running) and not M.lacks and copas or nil end

--- What copas takes for a socket. It tries to receive before it waits, and again
-- when the descriptor is readable.
local function socket_of(fd)
  local tried = false
  return {
    getfd = function() return fd end,
    receive = function()
      tried = not tried
      if tried then return nil, "timeout" end
      return true
    end,
    close = function() end, -- copas closes what a thread has used last
  }
end

function M.start(_, _, fd, turn)
  local socket = socket_of(fd)
  copas.addthread(function()
    while turn() do copas.receive(socket) end
  end)
end

--- Only the descriptor can wake a thread that waits for one.
function M.stop() core.loop_ring() end

function M.waiter() return { co = coroutine.running() } end

function M.wait(_, seconds)
  if seconds then pause(seconds) else pause_forever() end
end

function M.wake(waiter) copas.wakeup(waiter.co) end

return M
