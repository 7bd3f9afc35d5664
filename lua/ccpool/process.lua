--- A process by hand: a fork of the program as it stands when it is started.
--
-- Fields: `name`, `daemon`; `pid` (also as `ident`), nil before the start; and
-- `exitcode`: nil before the end, n for exit n, 1 after an uncaught error, -N
-- for signal N. It stays nil when a killed process was reaped by other code of
-- the program.
-- @classmod ccpool.Process

local core = require "ccpool.core"
local hand = require "ccpool.hand"

local Process = {}

local SIGKILL, SIGTERM = 9, 15

--- Forks. The target is not copied: whatever it refers to is there in the child.
-- @raise SystemError; an error if it was started before
-- @usage
-- local file = io.tmpfile()
-- local p = ccpool.Process{ target = function() file:write("from the child") end }
-- p:start()
-- p:join()
-- file:seek("set")
-- assert(p.exitcode == 0 and file:read("a") == "from the child")
function Process:start()
  local u, args = hand.handle(self, "start", hand.UNSTARTED), self._args
  return core.process_start(u, self._target, table.unpack(args, 1, args.n or #args))
end

--- Sends SIGTERM. One that has ended is left alone.
-- @raise if it was not started, or is closed
-- @usage
-- local p = ccpool.Process{ target = function() while true do end end }
-- p:start()
-- p:terminate()
-- p:join()
-- assert(p.exitcode == -15)
function Process:terminate()
  return core.hand_stop(hand.handle(self, "terminate", hand.STARTED), SIGTERM)
end

--- Sends SIGKILL, also to what it has started in its process group.
-- @raise if it was not started, or is closed
-- @usage
-- local p = ccpool.Process{ target = function() while true do end end }
-- p:start()
-- p:kill()
-- p:join()
-- assert(p.exitcode == -9)
function Process:kill() return core.hand_stop(hand.handle(self, "kill", hand.STARTED), SIGKILL) end

local function pid(u)
  local _, id = core.hand_look(u)
  return id
end

local FIELDS = {
  pid = pid,
  ident = pid,
  exitcode = function(u)
    local _, _, exitcode = core.hand_look(u)
    return exitcode
  end,
}

return { Process = hand.class("Process", Process, FIELDS) }
