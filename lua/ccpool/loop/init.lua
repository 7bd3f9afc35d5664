--- Waiting for futures inside of event loops.
--
-- Each loop that futures are awaited in has a hub. While somebody waits there, the
-- hub's pump watches the one descriptor that this Lua state has for all loops: it is
-- rung when a future that is awaited is done. A turn of the pump takes in what has
-- finished and wakes who waits for it, in whichever hub.
--
-- The file of a loop gives:
--
--   running(forced) -> key of the loop that runs this coroutine, or nil
--   start(hub, key, fd, turn)  calls turn() now or soon, and again each time that the
--                              descriptor is readable, until it gives false
--   stop(hub)                  lets a pump look again: nobody waits there any more
--   waiter() -> a table for the coroutine that runs
--   wait(waiter, seconds)      returns when it was woken, or at any other time
--   wake(waiter)               never yields
--   lacks                      nil, or why it cannot be used
-- @module ccpool.loop

local core = require "ccpool.core"

-- Once per state, even if package.loaded forgets it: the method belongs to one class
-- of futures, and who waits to one module.
if core.loops then return core.loops end

local M = {}
core.loops = M

local FOUND = { "cqueues", "copas" } -- these say themselves whether they run
local KNOWN = { cqueues = true, copas = true, luv = true }
local LONG = 1e9 -- seconds; longer is for ever

local hubs = setmetatable({}, { __mode = "k" }) -- by the loops' keys
local arrived = {} -- futures that are done; the core appends to it
-- Future -> set of its waiters. While a future has an entry, the core will tell.
local waiting = setmetatable({}, { __mode = "k" })
local used, used_name -- the loop that `use` named

-- ------------------------------------------------------------ hubs

local Waiter = {}

--- Nobody waits here any more.
local function leave(w)
  local hub = w.hub
  hub.waiters[w] = nil
  if hub.pumping and not hub.in_turn and next(hub.waiters) == nil then hub.loop.stop(hub) end
end

--- It was woken, or its time is up, or its coroutine was closed.
function Waiter:__close()
  local set = waiting[self.future]
  if set then set[self] = nil end
  if not self.woken then leave(self) end
end

local function wake(w)
  w.woken = true
  leave(w)
  w.hub.loop.wake(w)
end

--- Wakes who waits for what has arrived.
local function wake_arrived()
  local list = table.move(arrived, 1, #arrived, 1, {})
  for i = #arrived, 1, -1 do arrived[i] = nil end
  for _, f in ipairs(list) do
    local set = waiting[f]
    waiting[f] = nil
    for w in pairs(set or {}) do wake(w) end
  end
end

local function take_in()
  core.loop_quiet()
  core.step(0)
  wake_arrived()
end

--- One turn of a hub's pump; false: the pump shall end. What an interruption raises
-- is raised again where somebody waits: a pump never dies under those who rely on it.
local function turn(hub)
  hub.in_turn = true
  local ok, err = pcall(take_in)
  local w = next(hub.waiters)
  if not ok and w then
    w.raised, w.err = true, err
    wake(w)
  end
  hub.in_turn = false
  hub.pumping = next(hub.waiters) ~= nil
  if not ok and not w then error(err, 0) end
  return hub.pumping
end

--- The hub of a loop. In a forked child the loop may be the parent's copy; the
-- descriptor tells.
local function hub_of(loop, key)
  local hub, fd = hubs[key], core.loop_fd()
  if not hub or hub.fd ~= fd or hub.loop ~= loop then
    hub = { loop = loop, fd = fd, waiters = {}, pumping = false, in_turn = false }
    hubs[key] = hub
  end
  return hub
end

local function is_armed(f)
  if not waiting[f] then
    if not core.loop_await(f, arrived) then return false end
    waiting[f] = {}
  end
  return true
end

--- Yields until the future is done or the time is up.
local function wait(loop, key, f, timeout)
  local hub = hub_of(loop, key)
  local deadline = timeout and core.now() + timeout
  local w <close> = setmetatable(loop.waiter(), Waiter)
  w.hub, w.future = hub, f
  hub.waiters[w], waiting[f][w] = true, true
  if not hub.pumping then
    hub.pumping = true
    loop.start(hub, key, hub.fd, function() return turn(hub) end)
  end
  local left = timeout
  while not w.woken and (not left or left > 0) do
    loop.wait(w, left)
    left = deadline and deadline - core.now()
  end
  if w.raised then error(w.err, 0) end
end

-- ------------------------------------------------------------ which loop

local function load_loop(name) return require("ccpool.loop." .. name) end

--- The loop that runs this coroutine, and its key. A callback inside of a C function
-- cannot yield.
local function current()
  if not coroutine.isyieldable() then return nil end
  if used then
    local key = used.running(true)
    return key and used, key
  end
  for _, name in ipairs(FOUND) do
    if type(package.loaded[name]) == "table" then
      local loop = load_loop(name)
      local key = loop.running(false)
      if key then return loop, key end
    end
  end
end

--- Says which event loop `f:await` yields to, instead of what it finds by itself.
-- It holds for this Lua state: a worker says it for itself.
-- @tparam ?string name "cqueues", "copas" or "luv": `await` yields to that loop in
--   every coroutine (with cqueues: while it runs); nil: to cqueues or copas, if one of
--   them runs the coroutine
-- @treturn ?string what was said before
-- @raise an argument error if it is none of these or cannot be loaded
-- @function ccpool.use
-- @usage
-- assert(ccpool.use(nil) == nil)
-- assert(not pcall(ccpool.use, "merry-go-round"))
function M.use(name)
  local loop
  if name ~= nil then
    if not KNOWN[name] then
      error(("bad argument #1 to 'use' ('cqueues', 'copas', 'luv' or nil expected, got %s)")
        :format(type(name) == "string" and ("'%s'"):format(name) or type(name)), 2)
    end
    local ok, result = pcall(load_loop, name)
    local problem = not ok and result or result.lacks
    if problem then
      error(("bad argument #1 to 'use' (event loop '%s': %s)"):format(name, problem), 2)
    end
    loop = result
  end
  local before = used_name
  used, used_name = loop, name
  return before
end

-- ------------------------------------------------------------ await

local function check(f, timeout)
  if not core.is_future(f) then
    error(("bad argument #1 to 'await' (ccpool.Future expected, got %s)"):format(type(f)), 3)
  elseif timeout ~= nil and not (type(timeout) == "number" and timeout == timeout) then
    error(("bad argument #1 to 'await' (timeout in seconds expected, got %s)")
      :format(type(timeout) == "number" and "NaN" or type(timeout)), 3)
  end
end

--- As `result`, but in a coroutine of an event loop it yields to that loop until the
-- future is done. cqueues and copas are found; for luv see `ccpool.use`. It blocks, as
-- `result` does, outside of a loop, and in a worker that waits for a task of an executor
-- it was sent: to run that task may be its own duty.
-- @function Future:await
-- @tparam[opt] number timeout seconds; nil waits for ever, 0 only looks
-- @return every value the task returned, nils included
-- @raise what the task raised, CancelledError, or TimeoutError, which does not touch
--   the task
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- assert(ex:submit(math.sqrt, 16):await() == 4)
function core.Future:await(timeout)
  check(self, timeout)
  if not (timeout and timeout <= 0) and not self:done() then
    local loop, key = current()
    if loop and is_armed(self) then
      wait(loop, key, self, timeout and timeout < LONG and timeout or nil)
      timeout = 0
    end
  end
  return self:result(timeout)
end

return M
