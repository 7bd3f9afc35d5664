--- Objects that threads and processes share: queues, locks, numbers, dicts.
--
-- They are made anywhere, also inside a worker, and sent as an argument, an upvalue, a
-- result, or through another queue: all handles are the same object. A process that dies
-- while it uses one blocks nobody and leaves it whole. Each `timeout` is in seconds; nil
-- waits for ever, 0 and less only looks. Every handle can be a `<close>` variable.
-- @module ccpool.sharing

local core = require "ccpool.core"

-- ---------------------------------------------------------------- guards

local Guard = { __name = "ccpool.Guard" }
Guard.__index = Guard

--- Releases; that it is not held any more is blamed on the caller's caller.
local function release(lock)
  local ok, err = pcall(lock.release, lock)
  if not ok then error(err, 3) end
end

function Guard:release()
  if getmetatable(self) ~= Guard then error("bad self of 'release' (call it with a colon)", 2) end
  local held = self._held
  self._held = nil
  if held then release(held) end -- fails if somebody has released it already
end

--- A scope that a forked process inherited is its parent's to leave.
function Guard:__close()
  if self._process == core.epoch() then self:release() end
end

--- An error of the method's caller, if it was not called with a colon.
local function check_self(self, who)
  local meta = type(self) == "userdata" and getmetatable(self)
  local ours = type(meta) == "table" and tostring(meta.__name):find("^ccpool%.")
  if not (ours and self[who]) then
    error(("bad self of '%s' (call it with a colon)"):format(who), 3)
  end
end

--- Is it a function, or can it be called like one? If not, the caller erred.
local function check_callable(fn, who)
  local meta = type(fn) ~= "function" and getmetatable(fn)
  if type(fn) ~= "function" and not (type(meta) == "table" and meta.__call) then
    error(("bad argument #1 to '%s' (function expected, got %s)"):format(who, type(fn)), 3)
  end
end

local function hold(lock)
  local _, note = lock:acquire()
  return setmetatable({ _held = lock, _process = core.epoch(), owner_died = note == "owner died" },
    Guard)
end

--- Acquires what has `acquire` and `release`; gives what releases it when closed.
local function guard(lock)
  check_self(lock, "guard")
  return hold(lock)
end

local function with(lock, fn, ...)
  check_self(lock, "with")
  check_callable(fn, "with")
  local _ <close> = hold(lock)
  return fn(...)
end

for _, name in ipairs{ "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition" } do
  core[name].guard = guard
  core[name].with = with
end

local function lock(numbers)
  check_self(numbers, "lock")
  return hold(numbers)
end

core.Array.lock = lock
core.Value.lock = lock

-- ---------------------------------------------------------------- Condition

local Condition = core.Condition
local UNHELD = "wait on a Condition whose lock is not held" -- as csrc/bind/lcondition.c says it

local function check_timeout(arg, who, timeout)
  if timeout ~= nil and not (type(timeout) == "number" and timeout == timeout) then
    error(("bad argument #%d to '%s' (timeout in seconds expected, got %s)")
      :format(arg, who, tostring(timeout)), 3)
  end
end

function Condition:acquire(timeout)
  check_self(self, "acquire")
  check_timeout(1, "acquire", timeout)
  return self:get_lock():acquire(timeout)
end

function Condition:release()
  check_self(self, "release")
  release(self:get_lock())
end

function Condition:wait_for(predicate, timeout)
  check_self(self, "wait_for")
  check_callable(predicate, "wait_for")
  check_timeout(2, "wait_for", timeout)
  local deadline = timeout and core.now() + timeout
  local value = predicate()
  while not value do
    local ok, told = pcall(self.wait, self, deadline and deadline - core.now())
    if not ok then -- not held: blamed on the caller; what interrupts it passes as it is
      error(told, told == UNHELD and 2 or 0)
    elseif not told then
      return predicate()
    end
    value = predicate()
  end
  return value
end

-- ---------------------------------------------------------------- Queue, Dict

function core.Queue:iter()
  check_self(self, "iter")
  return function() return (self:get()) end
end

function core.Dict:incr(key, n)
  check_self(self, "incr")
  local of = type(key)
  if of ~= "string" and of ~= "boolean" and not (of == "number" and key == key) then
    error(("bad argument #1 to 'incr' (string, number or boolean expected, got %s)")
      :format(of == "number" and "NaN" or of), 2)
  end
  if n == nil then n = 1 end
  if type(n) ~= "number" then
    error(("bad argument #2 to 'incr' (number expected, got %s)"):format(type(n)), 2)
  end
  return self:update(key, function(old)
    if old ~= nil and type(old) ~= "number" then -- the caller of incr is meant
      error(("cannot 'incr' what is no number: a %s"):format(type(old)), 5)
    end
    return (old or 0) + n
  end)
end

-- ---------------------------------------------------------------- constructors

--- A queue of values, first in, first out. Methods: `put(v [, timeout])` -> true,
-- `get([timeout])` -> value, `try_put(v)`, `try_get()`; each gives nil and an error object
-- instead (`TimeoutError`, `QueueFullError` of `try_put`, `ClosedError`). `close()` wakes
-- everybody: getters drain what is left, then get `ClosedError`. `iter()` gets until then.
-- `qsize()`, `empty()`, `full()`, `closed()` look; `task_done()` and `join([timeout])`
-- count what is done. As a `<close>` variable it is closed. Items are any value that can
-- be sent but nil.
-- @function ccpool.Queue
-- @tparam[opt=0] integer maxsize how many items it holds; 0 and less: no bound
-- @treturn ccpool.Queue
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local q <close> = ccpool.Queue()
-- ex:submit(function(queue) for i = 1, 3 do queue:put(i) end queue:close() end, q)
-- local sum = 0
-- for i in q:iter() do sum = sum + i end
-- assert(sum == 6)

--- A lock that is held by one at a time. `acquire([timeout])` -> true, or false when the
-- time is up; true and "owner died" when the holder's process, or the worker's state,
-- ended without releasing it: what it guards may be half changed. `release()`, by anybody;
-- an error if it is not held. `locked()`, `guard()` for `<close>`, `with(fn, ...)`.
-- @function ccpool.Lock
-- @treturn ccpool.Lock
-- @usage
-- local lock = ccpool.Lock()
-- local inside = lock:with(function() return lock:locked() end)
-- assert(inside and not lock:locked())

--- A lock that its owner may acquire again, and must release as often. The owner is the
-- Lua state; only it may release. Methods as of `Lock`.
-- @function ccpool.RLock
-- @treturn ccpool.RLock
-- @usage
-- local lock = ccpool.RLock()
-- lock:with(function() assert(lock:acquire(0)) lock:release() end)

--- A number of permits. `acquire([timeout])` -> true, or false; `release([n])`; `value()`,
-- `guard()`, `with(fn, ...)`. Permits that a process had when it died come back.
-- @function ccpool.Semaphore
-- @tparam[opt=1] integer n permits at first
-- @treturn ccpool.Semaphore
-- @usage
-- local two = ccpool.Semaphore(2)
-- assert(two:acquire() and two:acquire() and not two:acquire(0))

--- The same, but releasing more than was acquired is an error.
-- @function ccpool.BoundedSemaphore
-- @tparam[opt=1] integer n permits
-- @treturn ccpool.BoundedSemaphore
-- @usage
-- local one = ccpool.BoundedSemaphore(1)
-- assert(not pcall(one.release, one))

--- A flag to wait for: `set()`, `clear()`, `is_set()`, `wait([timeout])` -> true, or false
-- when the time is up.
-- @function ccpool.Event
-- @treturn ccpool.Event
-- @usage
-- local ex <close> = ccpool.ProcessPoolExecutor(1)
-- local ready = ccpool.Event()
-- ex:submit(function(e) e:set() end, ready)
-- assert(ready:wait())

--- Waiting for a change of what a lock guards. With the lock held: `wait([timeout])` ->
-- true, or false when the time is up, which gives the lock up meanwhile;
-- `wait_for(predicate [, timeout])` -> what the predicate gave last; `notify([n])`,
-- `notify_all()`. `acquire`, `release`, `guard`, `with` and `get_lock` are those of the
-- lock.
-- @function ccpool.Condition
-- @tparam[opt] ccpool.Lock|ccpool.RLock lock a new RLock if none is given
-- @treturn ccpool.Condition
-- @usage
-- local changed, n = ccpool.Condition(), ccpool.Value("i32", 0)
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- ex:submit(function(c, v) c:with(function() v:set(1) c:notify_all() end) end, changed, n)
-- changed:with(function() changed:wait_for(function() return n:get() == 1 end) end)

--- A meeting of n parties. `wait([timeout])` -> as which of them it came, from 1, once all
-- are there; nil and an error object when the time is up (`TimeoutError`) or the barrier
-- is broken (`ClosedError`). It breaks when somebody stops waiting or dies, by `abort()`,
-- and by an error in the action; `reset()` makes it whole. Fields: `parties`, `n_waiting`,
-- `broken`.
-- @function ccpool.Barrier
-- @tparam integer n parties
-- @tparam[opt] function action run by the last to come, before the others go on
-- @treturn ccpool.Barrier
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local both = ccpool.Barrier(2)
-- local f = ex:submit(function(b) return b:wait() end, both)
-- assert(both:wait() + f:result() == 3)

--- One number in shared memory: `get()`, `set(x)`, `add(d)` -> the sum, `cas(old, new)` ->
-- whether it was `old` and is `new` now, and what it was; all atomic. `lock()` gives a
-- guard of its own lock for more than one step. What does not fit the type is an error.
-- @function ccpool.Value
-- @tparam string type i8 u8 i16 u16 i32 u32 i64 f32 f64
-- @tparam[opt=0] number init
-- @treturn ccpool.Value
-- @usage
-- local ex <close> = ccpool.ProcessPoolExecutor(2)
-- local n = ccpool.Value("i64")
-- ex:map(function(i) return n:add(i) end, { 1, 2, 3 }):collect()
-- assert(n:get() == 6)

--- Numbers in shared memory, which is not copied when the array is sent. `a[i]` from 1,
-- `#a`, `a:add(i, d)`, `a:cas(i, old, new)`, atomic as of `Value`; `a:fill(x [, i [, j]])`;
-- `a:slice([i [, j]])` -> table; `a:tostring([i [, j]])` -> the elements' bytes;
-- `a:lock()` -> a guard. Sums of i64 wrap around; else what does not fit is an error.
-- @function ccpool.Array
-- @tparam string type as of `Value`
-- @tparam integer|table|string from a length, numbers, or elements' bytes
-- @treturn ccpool.Array
-- @usage
-- local ex <close> = ccpool.ProcessPoolExecutor(2)
-- local a = ccpool.Array("f64", 1000)
-- local function half(array, first) array:fill(first, first, first + 499) end
-- ex:submit(half, a, 1):result()
-- ex:submit(half, a, 501):result()
-- assert(a[500] == 1 and a[501] == 501)

--- Values by keys: strings, numbers and booleans. `get(k)`, `set(k, v)`, nil deletes,
-- `delete(k)` -> whether there was one, `keys()` -> array, `size()`, `incr(k [, n])` -> the
-- sum. `update(k, fn)` sets what `fn(old)` returns, and gives it: nobody else changes the
-- dict meanwhile, and an error in `fn` leaves the old value.
-- @function ccpool.Dict
-- @treturn ccpool.Dict
-- @usage
-- local ex <close> = ccpool.ProcessPoolExecutor(2)
-- local counts = ccpool.Dict()
-- ex:map(function(word) counts:incr(word) end, { "a", "b", "a" }):collect()
-- assert(counts:get("a") == 2 and counts:size() == 2)

return core.shared
