--- A thread by hand, with a Lua state of its own.
--
-- Fields: `name`, `daemon`, and `ident`, the number that the system gave the
-- thread, nil before its start.
-- @classmod ccpool.Thread

local core = require "ccpool.core"
local errors = require "ccpool.errors"
local executor = require "ccpool.executor"
local hand = require "ccpool.hand"

local Thread = {}

--- Starts the thread. Target and arguments travel by value, as they are now.
-- @raise NotSendableError; SystemError; an error if it was started before
-- @usage
-- local t = ccpool.Thread{ target = print, args = {} }
-- t:start()
-- t:join()
function Thread:start()
  local u, args = hand.handle(self, "start", hand.UNSTARTED), self._args
  return core.thread_start(u, executor.setup(), self._target,
    table.unpack(args, 1, args.n or #args))
end

--- What the target returned, once the thread has ended.
-- @tparam[opt] number timeout seconds to wait for that
-- @return all values that the target returned
-- @raise the error that ended the thread; TimeoutError; NotSendableError if a
--   result cannot travel
-- @usage
-- local t = ccpool.Thread{ target = math.max, args = { 3, 7 } }
-- t:start()
-- assert(t:result() == 7)
function Thread:result(timeout)
  hand.check_timeout("result", timeout)
  local u = hand.handle(self, "result", hand.STARTED)
  if not core.hand_join(u, timeout) then
    error(errors.new("TimeoutError", "the thread has not ended yet"))
  end
  return core.thread_result(u)
end

local FIELDS = {
  ident = function(u)
    local _, ident = core.hand_look(u)
    return ident
  end,
}

return { Thread = hand.class("Thread", Thread, FIELDS) }
