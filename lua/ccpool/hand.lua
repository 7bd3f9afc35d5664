--- Threads and processes by hand: what both have in common.
--
-- The object is a table; its first element is the userdata that the C module
-- works on. It stays in the state that made it and cannot be sent.
-- @module ccpool.hand

local core = require "ccpool.core"
local options = require "ccpool.options"

local M = {}

local SIGKILL, SIGTERM = 9, 15
local GRACE = 1 -- seconds between asking to stop and giving up
local AGAIN = 0.05 -- seconds between two interruptions of a thread

local OPTIONS = {
  target = "function or \"module.function\"",
  args = "array",
  name = "string",
  daemon = "boolean",
}

local Hand = {}
M.Hand = Hand

local WRONG = {
  initial = "%s was not started",
  running = "%s was started already",
  ended = "%s was started already",
  closed = "%s is closed",
  foreign = "%s belongs to the process that made it",
}

--- The userdata of an object that is fit for that method; anything else is an
-- error of the method's caller.
-- @param self
-- @tparam string who the method
-- @tparam table allowed set of the states in which it may be called
local function handle(self, who, allowed)
  local meta = type(self) == "table" and type(self[1]) == "userdata" and getmetatable(self[1])
  if type(meta) ~= "table" or meta.__name ~= "ccpool.hand" then
    error(("bad self of '%s' (call it with a colon)"):format(who), 3)
  end
  local state = core.hand_look(self[1])
  if not allowed[state] then
    error(("cannot call '%s': %s"):format(who, WRONG[state]:format(tostring(self.name))), 3)
  end
  return self[1]
end
M.handle = handle

M.UNSTARTED = { initial = true }
M.STARTED = { running = true, ended = true }
local STARTED = M.STARTED
local OURS = { initial = true, running = true, ended = true, closed = true }

local function check_timeout(who, timeout)
  if timeout ~= nil and not (type(timeout) == "number" and timeout == timeout) then
    error(("bad argument #1 to '%s' (timeout in seconds expected, got %s)")
      :format(who, tostring(timeout)), 3)
  end
end
M.check_timeout = check_timeout

--- Waits until it has ended, running done callbacks meanwhile.
-- @tparam[opt] number timeout seconds
-- @treturn boolean true, or false if the timeout came first
-- @raise if it was not started, or is closed
-- @usage
-- local t = ccpool.Thread{ target = string.rep, args = { "x", 3 } }
-- t:start()
-- assert(t:join(60))
function Hand:join(timeout)
  check_timeout("join", timeout)
  return core.hand_join(handle(self, "join", STARTED), timeout)
end

--- Was it started and has not ended?
-- @treturn boolean
-- @usage
-- local t = ccpool.Thread{ target = string.rep, args = { "x", 3 } }
-- assert(not t:is_alive())
function Hand:is_alive() return core.hand_alive(handle(self, "is_alive", OURS)) end

--- A descriptor that is readable once it has ended, for event loops. Do not
-- read from it and do not close it.
-- @treturn integer
-- @raise if it was not started, or is closed; SystemError
-- @usage
-- local p = ccpool.Process{ target = string.rep, args = { "x", 3 } }
-- p:start()
-- assert(require "posix.poll".rpoll(p:getfd(), 60000) == 1 and not p:is_alive())
function Hand:getfd() return core.hand_getfd(handle(self, "getfd", STARTED)) end

--- Gives up what it holds, its descriptor for example. Idempotent. It can be
-- neither started nor joined any more.
-- @raise if it is running
-- @usage
-- local t = ccpool.Thread{ target = string.rep, args = { "x", 3 } }
-- t:start()
-- t:join()
-- t:close()
function Hand:close()
  local u = handle(self, "close", OURS)
  if core.hand_alive(u) then
    error(("cannot call 'close': %s is running; join it first"):format(self.name), 2)
  end
  core.hand_close(u)
end

--- Asks it to stop, and no more asks but insists when the grace period is over.
local function stop(u)
  local give_up = core.now() + GRACE
  core.hand_stop(u, SIGTERM)
  while not core.hand_join(u, AGAIN) do
    local late = core.now() - give_up
    if late > GRACE then return end -- a thread that is stuck in C code
    core.hand_stop(u, late > 0 and SIGKILL or 0)
  end
end

--- The end of a `<close>` scope: joined, or ended if it is a daemon or the scope
-- is left by an error.
local function close(self, err)
  local u = self[1]
  if core.hand_look(u) == "foreign" then return end
  if core.hand_alive(u) then
    if err ~= nil or self.daemon then stop(u) else core.hand_join(u) end
  end
  if not core.hand_alive(u) then core.hand_close(u) end
end

--- Makes a class.
-- @tparam string name "Thread" or "Process"
-- @tparam table methods besides those of Hand
-- @tparam table fields name = function(userdata), what is looked up when asked for
-- @treturn function the constructor
function M.class(name, methods, fields)
  local made = 0
  for key, method in pairs(Hand) do methods[key] = method end
  local class = {
    __name = "ccpool." .. name,
    __close = close,
    __index = function(self, key)
      local field = fields[key]
      if field then return field(self[1]) end
      return methods[key]
    end,
    __tostring = function(self)
      return ("ccpool.%s: %p (%s, %s)"):format(name, self, self.name,
        (core.hand_look(self[1])))
    end,
  }
  return function(given)
    local opts = options.check(name, given, OPTIONS, 2)
    if opts.target == nil then
      error(("bad option 'target' to '%s' (%s expected, got nil)"):format(name, OPTIONS.target), 2)
    end
    made = made + 1
    local own_name, daemon = opts.name or name .. "-" .. made, opts.daemon or false
    local u = core.hand(name == "Process", own_name, daemon)
    return setmetatable({ u, name = own_name, daemon = daemon, _target = opts.target,
      _args = opts.args or {} }, class)
  end
end

return M
