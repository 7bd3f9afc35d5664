--- Workers that are killed at random moments inside the operations of shared objects:
-- nothing blocks afterwards, nothing is corrupt, and nothing of theirs stays.
-- CCPOOL_KILLS in the environment sets how many are killed in each test.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local core = require "ccpool.core"
local signal = require "posix.signal"

local KILLS = tonumber(os.getenv("CCPOOL_KILLS")) or 40
local PATIENCE = 20 -- seconds; what blocks that long is blocked for good

--- Runs task(...) in a worker process over and over; each time it is killed after a
-- short while, and check(i) is called.
local function kill_often(task, args, check)
  local ex <close> = ccpool.ProcessPoolExecutor(1)
  local began <close> = ccpool.Queue()
  for i = 1, KILLS do
    local f = ex:submit(task, began, table.unpack(args))
    local pid = assert(began:get(PATIENCE))
    local until_ = core.now() + math.random() * 0.003
    while core.now() < until_ do end -- luacheck: ignore
    signal.kill(pid, signal.SIGKILL)
    local ok, err = f:presult(PATIENCE)
    assert(not ok and ccpool.is_error(err, "WorkerCrashedError"), tostring(err))
    ex:submit(math.sqrt, 4):result(PATIENCE) -- deaths without any reply break a pool
    check(i)
  end
end

local function objects()
  collectgarbage()
  collectgarbage()
  core.reap()
  return (core.shared_stats())
end

--- Nothing is left of what dead workers had.
local function assert_gone(before)
  local after = objects()
  -- the queue of kill_often was made just before a fork: it stays for some seconds
  assert.is_true(after <= before + 1, ("%d objects, %d before"):format(after, before))
end

describe("after its user was killed #crash #slow,", function()
  it("a lock is taken by the next, who may be told", function()
    local lock, told = ccpool.Lock(), 0
    kill_often(function(began, l)
      began:put(require "ccpool".current().pid)
      while true do l:acquire() l:release() end
    end, { lock }, function()
      local ok, note = lock:acquire(PATIENCE)
      assert.is_true(ok)
      if note then
        assert.equal("owner died", note)
        told = told + 1
      end
      lock:release()
    end)
    assert.is_true(told <= KILLS)
  end)

  it("an RLock inside a condition works on", function()
    local condition = ccpool.Condition()
    kill_often(function(began, c)
      began:put(require "ccpool".current().pid)
      while true do c:with(function() c:notify_all() c:wait(0.0001) end) end
    end, { condition }, function()
      assert.is_true(condition:acquire(PATIENCE))
      assert.is_false(condition:wait(0))
      condition:notify()
      condition:release()
    end)
  end)

  it("the permits of a semaphore come back", function()
    local semaphore = ccpool.BoundedSemaphore(2)
    kill_often(function(began, s)
      began:put(require "ccpool".current().pid)
      while true do s:acquire() s:release() end
    end, { semaphore }, function()
      assert.is_true(semaphore:acquire(PATIENCE))
      assert.is_true(semaphore:acquire(PATIENCE))
      semaphore:release()
      semaphore:release()
      assert.equal(2, semaphore:value())
    end)
  end)

  it("an event and a barrier work on", function()
    local event, barrier = ccpool.Event(), ccpool.Barrier(2)
    kill_often(function(began, e, b)
      began:put(require "ccpool".current().pid)
      while true do e:set() e:clear() e:wait(0) b:wait(0.0001) b:reset() end
    end, { event, barrier }, function()
      event:set()
      assert.is_true(event:wait(PATIENCE))
      barrier:reset()
      local index, err = barrier:wait(0.001)
      assert.is_true(index ~= nil or ccpool.is_error(err))
    end)
  end)

  it("a queue loses nothing but what was in the dead one's hands", function()
    local queue = ccpool.Queue(50)
    local large = ("x"):rep(10000)
    local puts, gets = 0, 0
    kill_often(function(began, q, text)
      began:put(require "ccpool".current().pid)
      local i = 0
      while true do
        i = i + 1
        q:put(i % 3 == 0 and { i, text } or i, 0.001)
        if i % 2 == 0 then q:get(0) end
      end
    end, { queue, large }, function()
      local n = queue:qsize()
      assert.is_true(n <= 50)
      for _ = 1, n do
        local item = queue:get(0)
        assert.is_true(type(item) == "number" or type(item) == "table" and item[2] == large)
        gets = gets + 1
      end
      assert.is_nil((queue:get(0)))
      for i = 1, 50 do
        assert.is_true(queue:put(i, PATIENCE))
        puts = puts + 1
      end
      assert.is_true(queue:full())
      for i = 1, 50 do assert.equal(i, queue:get(0)) end
    end)
    assert.equal(50 * KILLS, puts)
  end)

  it("a producer's items arrive in order and once", function()
    local queue = ccpool.Queue()
    local sent = ccpool.Value("i64", 0)
    local last = 0
    kill_often(function(began, q, n)
      began:put(require "ccpool".current().pid)
      while true do q:put(n:add(1)) end
    end, { queue, sent }, function()
      for _ = 1, queue:qsize() do
        local i = queue:get(0)
        -- one number may be missing for each death: it was counted but not put
        assert.is_true(i > last and i <= last + 2, ("%d after %d"):format(i, last))
        last = i
      end
      last = sent:get()
    end)
  end)

  it("a dict is whole, and an update is done or is not", function()
    local dict = ccpool.Dict()
    dict:set("pair", { 0, 0 })
    kill_often(function(began, d)
      began:put(require "ccpool".current().pid)
      while true do
        d:update("pair", function(p) return { p[1] + 1, p[2] + 1 } end)
        for i = 1, 20 do d:set(i, ("v"):rep(i * 10)) end
        for i = 1, 20 do d:delete(i) end
      end
    end, { dict }, function()
      local pair = dict:get("pair")
      assert.equal(pair[1], pair[2])
      dict:update("pair", function(p) return { p[1] + 1, p[2] + 1 } end)
      local keys = dict:keys()
      assert.equal(#keys, dict:size())
      for _, k in ipairs(keys) do
        local v = dict:get(k)
        assert.is_true(k == "pair" or v == ("v"):rep(k * 10))
      end
    end)
  end)

  it("an array's lock is free, and what dead workers had made is gone", function()
    local array = ccpool.Array("i64", 1000)
    local results <close> = ccpool.Queue()
    local before = objects()
    kill_often(function(began, a, q)
      local ccp = require "ccpool"
      local kept = {}
      began:put(ccp.current().pid)
      while true do
        local _ <close> = a:lock()
        a:fill(#kept)
        kept[#kept % 20 + 1] = ccp.Array("u8", 10000)
        local inner = ccp.Queue()
        inner:put(ccp.Event())
        kept[#kept % 20 + 1] = inner
        q:try_get()
      end
    end, { array, results }, function()
      local l <close> = array:lock()
      local x = array[1]
      for _, y in ipairs(array:slice()) do assert.is_true(x == y or l.owner_died) end
    end)
    assert_gone(before)
  end)

  it("objects on their way through queues and dicts are gone, and no others", function()
    local queue, dict, event = ccpool.Queue(), ccpool.Dict(), ccpool.Event()
    local large = ("x"):rep(10000)
    local before = objects()
    event:set()
    kill_often(function(began, q, d, e, text)
      local ccp = require "ccpool"
      began:put(ccp.current().pid)
      for i = 1, math.huge do
        q:put{ e, ccp.Lock(), i % 3 == 0 and text }
        d:set(i % 4, { e, ccp.Event() })
        d:update(i % 3, function(v) return { v and v[1] or e, ccp.Lock() } end)
        q:get(0)
        d:get(i % 5)
        local inner = ccp.Queue()
        inner:put{ e, ccp.Event() }
      end
    end, { queue, dict, event, large }, function()
      for _ = 1, queue:qsize() do
        local item = queue:get(0)
        assert.is_true(item[1]:is_set())
        assert.is_true(item[2]:acquire(0))
        assert.is_true(not item[3] or item[3] == large)
      end
      for _, k in ipairs(dict:keys()) do
        assert.is_true(dict:get(k)[1]:is_set())
        dict:delete(k)
      end
    end)
    assert_gone(before)
  end)
end)
