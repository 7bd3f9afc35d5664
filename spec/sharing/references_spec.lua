--- How long shared objects live: while somebody holds one, or it is on its way.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local core = require "ccpool.core"
local pools = require "spec.support.pools"
local program = dofile "spec/support/program.lua"

local PATIENCE = 60 -- seconds; reached only by what is broken

--- What counts objects is a program of its own: what other specs left may go at any time. Here an
-- executor whose worker waits for a gate.
local COUNTING = [=[
local ccpool = require "ccpool"
local core = require "ccpool.core"
local make = { thread = ccpool.ThreadPoolExecutor, process = ccpool.ProcessPoolExecutor }
local function count()
  collectgarbage()
  collectgarbage()
  core.reap()
  return (core.shared_stats())
end
local Box = {}
local before_save
ccpool.register("spec.box", { metatable = Box,
  save = function(box)
    if before_save then before_save() end
    return box[1]
  end,
  load = function(array) return { array } end })
local ex <close> = make[arg[1]](1)
local gate, started = ccpool.Event(), ccpool.Event()
local first = ex:submit(function()
  started:set()
  gate:wait()
end)
started:wait()
local before = count()
]=]

--- Prints how many objects there are more than at first: with two calls in the queue that name
-- one each, when the first is cancelled, and when the second is through.
local LEND = COUNTING .. [=[
local cancelled = ex:submit(function(a) return #a end, ccpool.Array("u8", 1000))
local v = ccpool.Array("u8", 1000)
local run = ex:submit(function() return #v end)
v = nil
print(count() - before)
assert(cancelled:cancel())
print(count() - before)
gate:set()
print(run:result())
first:result()
for _ = 1, 2 do ex:submit(collectgarbage):result() end -- the worker may hold its last call's
print(count() - before)
]=]

--- The same for messages that are made while others are: each has its own objects.
local NEST = COUNTING .. [=[
local q = ccpool.Queue()
before = before + 1
local function bytes(n) return ccpool.Array("u8", n) end
local inner
before_save = function()
  before_save = nil
  inner = ex:submit(function(a) return #a end, bytes(10))
  q:put{ bytes(20) }
end
local function sum(a, box, b) return #a + #box[1] + #b end
local outer = ex:submit(sum, bytes(1000), setmetatable({ bytes(100) }, Box), bytes(10000))
print(count() - before)
before_save = function()
  before_save = nil
  outer = { outer, ex:submit(sum, bytes(1), setmetatable({ bytes(2) }, Box), bytes(3)) }
end
q:put{ bytes(1), setmetatable({ bytes(1) }, Box), bytes(1) }
print(count() - before)
gate:set()
print(inner:result(), outer[1]:result(), outer[2]:result())
for _ = 1, 2 do ex:submit(collectgarbage):result() end
print(count() - before)
print(#q:get()[1], #q:get()[3])
first:result()
print(count() - before)
]=]

local function collect()
  collectgarbage()
  collectgarbage()
  core.reap()
end

--- Makes objects, sends them, keeps some for a while, and takes others'.
local function trade(queue, n)
  local ccp = require "ccpool"
  local make = {
    ccp.Lock, ccp.Event, ccp.Dict, ccp.Condition, function() return ccp.Queue() end,
    function() return ccp.Array("u8", math.random(10000)) end,
    function() return ccp.Semaphore(1) end, function() return ccp.Barrier(2) end,
  }
  local kept = {}
  for i = 1, n do
    local o = make[math.random(#make)]()
    kept[math.random(20)] = o
    queue:put{ o, i }
    local item = math.random(3) > 1 and queue:get(0)
    if item then
      local other = item[1]
      kept[math.random(20)] = other
      if other.put then other:put(ccp.Lock()) end
    end
    if i % 300 == 0 then collectgarbage() end
  end
  while #kept > 0 or next(kept) do kept[next(kept)] = nil end
  collectgarbage()
end

describe("a shared object", function()
  it("is freed when nobody holds it: threads and processes at once", function()
    collect()
    local before = core.shared_stats()
    do
      local queue = ccpool.Queue()
      local threads <close> = ccpool.ThreadPoolExecutor(2)
      local processes <close> = ccpool.ProcessPoolExecutor(2)
      local futures = {}
      for i = 1, 4 do
        futures[i] = (i % 2 == 0 and threads or processes):submit(trade, queue, 1000)
      end
      for _, f in ipairs(futures) do f:result(PATIENCE) end
      assert.is_true(core.shared_stats() > before)
      repeat local item = queue:try_get() until not item
    end
    collect()
    -- the queue was made just before a fork: it stays for some seconds
    local after = core.shared_stats()
    assert.is_true(after <= before + 1, ("%d objects, %d before"):format(after, before))
  end)

  for kind, Executor in pools.concurrent() do
    it("outlives the " .. kind .. " worker that made it, in its result", function()
      local f
      do
        local ex <close> = Executor(1)
        f = ex:submit(function()
          local c = require "ccpool"
          local q, a = c.Queue(), c.Array("i32", { 1, 2, 3 })
          q:put("kept")
          return q, { a }
        end)
      end
      collect()
      local q, t = f:result(PATIENCE)
      assert.equal("kept", q:get(0))
      assert.same({ 1, 2, 3 }, t[1]:slice())
    end)

    it("outlives its maker's handle on the way to " .. kind .. " workers", function()
      local ex <close> = Executor(1)
      local gate, futures = pools.occupy(ex)
      local f
      do
        local q = ccpool.Queue()
        q:put("kept")
        f = ex:submit(function(queue) return queue:get(0) end, q)
      end
      collect()
      gate:open()
      assert.equal("kept", f:result(PATIENCE))
      futures[1]:result(PATIENCE)
    end)

    it("is let go when a task of " .. kind .. " workers that it was lent to is through", function()
      local result = program.run(LEND, { args = { kind } })
      assert.same({ code = 0, out = "2\n1\n1000\n0\n", err = "" }, result)
    end)

    it("belongs to the message that names it, within another one for " .. kind .. " workers",
      function()
        local result = program.run(NEST, { args = { kind } })
        assert.same({ code = 0, out = "5\n11\n10\t11100\t6\n4\n20\t1\n0\n", err = "" }, result)
      end)

    it("is there for " .. kind .. " workers born after a broadcast", function()
      local ex <close> = Executor{ max_workers = 1, max_tasks_per_worker = 1,
        initializer = function(q) Started = q end, initargs = { ccpool.Queue() } } -- luacheck: ignore
      ex:submit(math.sqrt, 4):result(PATIENCE)
      ex:broadcast(function(q) Heard = q end, ccpool.Queue()) -- luacheck: ignore
      for i = 1, 3 do
        collect()
        local n, m = ex:submit(function()
          Started:put(1) -- luacheck: ignore
          Heard:put(1) -- luacheck: ignore
          return Started:qsize(), Heard:qsize() -- luacheck: ignore
        end):result(PATIENCE)
        assert.same({ i, i }, { n, m })
      end
    end)

    it("is one object in " .. kind .. " workers, by argument and by upvalue", function()
      local ex <close> = Executor(1)
      local v = ccpool.Value("i32")
      local function both(w) return v == w, v:add(1), w:add(1) end
      assert.same({ true, 1, 2 }, { ex:submit(both, v):result(PATIENCE) })
      assert.equal(2, v:get())
    end)
  end

  it("is lent or kept as its message says, whatever a hook sends meanwhile", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local queue, other, gate = ccpool.Queue(), ccpool.Lock(), ccpool.Event()
    local function with_hook(within, f)
      local busy
      debug.sethook(function()
        if busy then return end
        busy = true
        within()
        busy = false
      end, "c")
      local value = f()
      debug.sethook()
      return value
    end
    local function put() queue:put{ other } end
    local function submit() return ex:submit(rawlen, { other }) end

    local first = ex:submit(function(g) return g:wait() end, gate)
    local lock = ccpool.Lock()
    local second = with_hook(put, function()
      return ex:submit(function(l) return l:acquire() end, lock)
    end)
    getmetatable(lock).__close(lock)
    put() -- what only the message before this one holds goes
    gate:set()
    assert.is_true(first:result(PATIENCE))
    assert.is_true(second:result(PATIENCE))

    local kept = ccpool.Queue()
    lock = ccpool.Lock()
    with_hook(submit, function() return kept:put{ lock } end)
    getmetatable(lock).__close(lock)
    assert.equal(1, submit():result(PATIENCE))
    assert.is_true(kept:get()[1]:acquire())
  end)

  it("has a name, and says when it is closed", function()
    for name, make in pairs{ Lock = ccpool.Lock, RLock = ccpool.RLock, Event = ccpool.Event,
      Semaphore = ccpool.Semaphore, BoundedSemaphore = ccpool.BoundedSemaphore,
      Condition = ccpool.Condition, Queue = ccpool.Queue, Dict = ccpool.Dict,
      Barrier = function() return ccpool.Barrier(1) end,
      Value = function() return ccpool.Value("u8") end,
      Array = function() return ccpool.Array("u8", 1) end } do
      local o = make()
      assert.equal("ccpool." .. name, getmetatable(o).__name)
      assert.truthy(tostring(o):find("^ccpool%." .. name .. ": 0x"))
      do local _ <close> = o end
      getmetatable(o).__close(o)
      if name == "Queue" then
        assert.is_true(o:closed())
      else
        assert.equal("ccpool." .. name .. ": closed", tostring(o))
        pools.fails_with("NotSendableError", ccpool.Queue().put, ccpool.Queue(), o)
      end
    end
  end)

  it("handed to another class's method is an argument error", function()
    local q, l = ccpool.Queue(), ccpool.Lock()
    assert.is_false((pcall(q.put, l, 1)))
    assert.is_false((pcall(l.acquire, q)))
    assert.is_false((pcall(ccpool.Array("u8", 1).fill, ccpool.Value("u8"), 1)))
    assert.is_false((pcall(q.put)))
  end)
end)

describe("a small arena", function()
  it("is enough for objects; a full one is an error that changes nothing", function()
    local out, code, err = pools.run_script([[
      require "posix.stdlib".setenv("CCPOOL_ARENA", "4M")
      local ccpool = require "ccpool"
      local q, small = ccpool.Queue(), ccpool.Array("u8", 1000)
      q:put(1)
      for _ = 1, 3 do
        local ok, e = pcall(ccpool.Array, "f64", 10000000)
        assert(not ok and ccpool.is_error(e, "MemoryLimitError"), tostring(e))
        ok, e = pcall(q.put, q, ("x"):rep(20000000))
        assert(not ok and ccpool.is_error(e, "MemoryLimitError"), tostring(e))
      end
      local n = 0
      while pcall(q.put, q, ("x"):rep(10000)) do n = n + 1 end
      assert(q:qsize() == n + 1 and q:get() == 1)
      for _ = 1, n do assert(#q:get() == 10000) end
      assert(q:put(2) and q:get() == 2)
      print "good"
    ]])
    assert.equal("good\n", out, err)
    assert.equal(0, code)
  end)
end)
