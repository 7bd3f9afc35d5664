--- Queues: in threads, in processes, mixed.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local PATIENCE = 30 -- seconds; reached only by what is broken

local function fails(kind, value, err)
  assert.is_nil(value)
  assert.is_true(ccpool.is_error(err, kind), tostring(err))
end

describe("Queue", function()
  it("keeps order and values, also false", function()
    local q = ccpool.Queue()
    local t = { 1, x = { y = 2 } }
    for _, v in ipairs{ 1, "two", 3.5, false, true, t } do assert.is_true(q:put(v)) end
    assert.equal(6, q:qsize())
    assert.same({ 1, "two", 3.5, false, true, t },
      { q:get(), q:get(), q:get(), q:get(), q:get(), q:get() })
    assert.is_true(q:empty())
  end)

  it("times out and polls", function()
    local q = ccpool.Queue(1)
    fails("TimeoutError", q:get(0))
    fails("TimeoutError", q:get(0.005))
    fails("TimeoutError", q:try_get())
    assert.is_true(q:put(1, 0))
    assert.is_true(q:full())
    fails("TimeoutError", q:put(2, 0))
    fails("TimeoutError", q:put(2, 0.005))
    fails("QueueFullError", q:try_put(2))
    assert.equal(1, q:try_get())
    assert.is_false(q:full())
  end)

  it("takes items of every size", function()
    local q = ccpool.Queue()
    local sizes = { 0, 1, 100, 4000, 4060, 4070, 4080, 4096, 5000, 32768, 65536, 1000000, 20000000 }
    for _, n in ipairs(sizes) do q:put(("x"):rep(n)) end
    for _, n in ipairs(sizes) do assert.equal(n, #q:get(0)) end
    assert.is_true(q:empty())
  end)

  it("refuses nil and what cannot travel, and is as before", function()
    local q = ccpool.Queue()
    pools.misuse(function() q:put(nil) end, "nil")
    pools.misuse(function() q:put() end, "nil")
    local err = pools.fails_with("NotSendableError", q.put, q, { co = coroutine.create(print) })
    assert.truthy(err.path:find("item.co", 1, true))
    pools.misuse(function() q:get("soon") end, "timeout")
    pools.misuse(function() ccpool.Queue("many") end, "#1")
    assert.equal(0, q:qsize())
  end)

  it("once closed is drained, then ends", function()
    local q = ccpool.Queue()
    q:put(1)
    q:put(2)
    q:close()
    q:close()
    fails("ClosedError", q:put(3))
    fails("ClosedError", q:try_put(3))
    assert.equal(1, q:get())
    local seen = {}
    for v in q:iter() do seen[#seen + 1] = v end
    assert.same({ 2 }, seen)
    fails("ClosedError", q:get())
    fails("ClosedError", q:try_get())
  end)

  it("counts what is done", function()
    local q = ccpool.Queue()
    assert.is_true(q:join(0))
    q:put(1)
    assert.is_false(q:join(0))
    q:get()
    assert.is_false(q:join(0.005))
    q:task_done()
    assert.is_true(q:join())
    assert.has_error(function() q:task_done() end,
      "task_done called more often than items were put")
  end)

  it("carries handles, which stay the same objects, and itself", function()
    local q, lock = ccpool.Queue(), ccpool.Lock()
    q:put({ q, lock })
    local t = q:get()
    assert.equal(q, t[1])
    assert.equal(lock, t[2])
    lock:acquire()
    assert.is_true(t[2]:locked())
  end)

  it("keeps what nobody else holds", function()
    local q = ccpool.Queue()
    for i = 1, 50 do
      local inner = ccpool.Queue()
      inner:put(i)
      q:put(inner)
    end
    collectgarbage()
    collectgarbage()
    for i = 1, 50 do assert.equal(i, q:get():get(0)) end
  end)

  for kind, Executor in pools.concurrent() do
    it("closed wakes everybody in " .. kind .. " workers", function()
      local ex <close> = Executor(4)
      local empty, full, ready = ccpool.Queue(), ccpool.Queue(1), ccpool.Semaphore(0)
      full:put(0)
      local futures = {}
      for i = 1, 4 do
        futures[i] = ex:submit(function(n, e, f, r)
          r:release()
          local ok, err
          if n % 2 == 0 then ok, err = e:get() else ok, err = f:put(1) end
          return ok, err.kind
        end, i, empty, full, ready)
      end
      for _ = 1, 4 do ready:acquire(PATIENCE) end
      empty:close()
      full:close()
      for _, f in ipairs(futures) do
        local ok, err = f:result(PATIENCE)
        assert.is_nil(ok)
        assert.equal("ClosedError", err)
      end
    end)

    it("made by " .. kind .. " workers is a result, and sent through another", function()
      local ex <close> = Executor(2)
      local through = ccpool.Queue()
      local made = ex:submit(function(q)
        local c = require "ccpool"
        local mine = c.Queue()
        mine:put("made")
        local other = c.Queue()
        other:put("sent")
        q:put(other)
        return mine
      end, through):result(PATIENCE)
      assert.equal("made", made:get(PATIENCE))
      assert.equal("sent", through:get(PATIENCE):get(PATIENCE))
    end)

    it("is interrupted in " .. kind .. " workers when the pool is killed", function()
      local ex <close> = Executor(1)
      local q, ready = ccpool.Queue(), ccpool.Semaphore(0)
      local f = ex:submit(function(a, r)
        r:release()
        return a:get()
      end, q, ready)
      ready:acquire(PATIENCE)
      ex:kill()
      assert.is_false((f:presult(PATIENCE)))
      assert.is_true(q:put(1))
    end)
  end

  it("an upvalue of a process that was forked is the same queue", function()
    local q = ccpool.Queue()
    _G.queue_of_spec = q
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    _G.queue_of_spec = nil
    ex:submit(function() _G.queue_of_spec:put("inherited") end):result(PATIENCE)
    assert.equal("inherited", q:get(0))
  end)

  it("put to by a forked process leaves its parent's messages alone", function()
    local q, other = ccpool.Queue(), ccpool.Queue()
    local message = { ("x"):rep(3000), ("y"):rep(800) }
    local function fill_buffers(n) -- they have grown into shared memory then, and stay there
      for _ = 1, n do
        other:put(message)
        assert.same(message, other:get(0))
      end
    end
    fill_buffers(4)
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    ex:submit(function(queue)
      for _ = 1, 4 do queue:put(("a"):rep(100000)) end
      for _ = 1, 20 do queue:put(("b"):rep(5000)) end
    end, q):result(PATIENCE)
    fill_buffers(4)
    for _ = 1, 4 do assert.is_true(q:get(0) == ("a"):rep(100000)) end
    for _ = 1, 20 do assert.is_true(q:get(0) == ("b"):rep(5000)) end
  end)

  it("loses and doubles nothing: four producers, four consumers, mixed", function()
    local EACH = 3000
    local q, out = ccpool.Queue(100), ccpool.Queue()
    local threads <close> = ccpool.ThreadPoolExecutor(4)
    local processes <close> = ccpool.ProcessPoolExecutor(4)
    local producers, consumers = {}, {}
    local function produce(p, n, queue)
      for i = 1, n do queue:put((p - 1) * n + i) end
    end
    local function consume(queue, results)
      local seen, n, last = {}, 0, {}
      for v in queue:iter() do
        n = n + 1
        seen[n] = v
        local p = (v - 1) // 3000
        if last[p] and v <= last[p] then error("out of order") end
        last[p] = v
      end
      results:put(seen)
    end
    for i = 1, 4 do
      local ex = i % 2 == 0 and threads or processes
      consumers[i] = ex:submit(consume, q, out)
      producers[i] = ex:submit(produce, i, EACH, q)
    end
    for _, f in ipairs(producers) do f:result(PATIENCE) end
    q:close()
    for _, f in ipairs(consumers) do f:result(PATIENCE) end
    local seen, n = {}, 0
    for _ = 1, 4 do
      for _, v in ipairs(out:get(PATIENCE)) do
        assert.is_nil(seen[v])
        seen[v] = true
        n = n + 1
      end
    end
    assert.equal(4 * EACH, n)
  end)

  it("gives its memory back after a peak", function()
    local q = ccpool.Queue()
    local core = require "ccpool.core"
    local text = ("x"):rep(1000)
    for i = 1, 20000 do q:put({ i, text }) end
    local _, _, used = core.shared_stats()
    for _ = 1, 5 do
      for i = 1, 20000 do assert.equal(i, q:get()[1]) end
      for i = 1, 20000 do q:put({ i, text }) end
    end
    local _, _, later = core.shared_stats()
    assert.is_true(later <= used + (1 << 20))
  end)
end)
