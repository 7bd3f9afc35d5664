--- Objects that threads and processes share: what of them is written in Lua.
-- The rest is in the C module. Every handle can be sent as an argument, an upvalue, a
-- result, or through a queue, and stays the same object.
-- @module ccpool.sharing

local core = require "ccpool.core"

-- ---------------------------------------------------------------- guards

local Guard = { __name = "ccpool.Guard" }
Guard.__index = Guard

function Guard:release()
  local held = self._held
  self._held = nil
  if held then held:release() end
end

Guard.__close = Guard.release

--- Acquires what has `acquire` and `release`; gives what releases it when closed.
local function guard(lock)
  local _, note = lock:acquire()
  return setmetatable({ _held = lock, owner_died = note == "owner died" }, Guard)
end

local function with(lock, fn, ...)
  local _ <close> = guard(lock)
  return fn(...)
end

for _, name in ipairs{ "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition" } do
  core[name].guard = guard
  core[name].with = with
end

core.Array.lock = guard
core.Value.lock = guard

-- ---------------------------------------------------------------- Condition

local Condition = core.Condition

function Condition:acquire(timeout) return self:get_lock():acquire(timeout) end

function Condition:release() return self:get_lock():release() end

function Condition:wait_for(predicate, timeout)
  local deadline = timeout and core.now() + timeout
  local value = predicate()
  while not value do
    if not self:wait(deadline and deadline - core.now()) then return predicate() end
    value = predicate()
  end
  return value
end

-- ---------------------------------------------------------------- Queue, Dict

function core.Queue:iter()
  return function() return (self:get()) end
end

function core.Dict:incr(key, n)
  if n == nil then n = 1 end
  if type(n) ~= "number" then
    error(("bad argument #2 to 'incr' (number expected, got %s)"):format(type(n)), 2)
  end
  return self:update(key, function(old) return (old or 0) + n end)
end

return core.shared
