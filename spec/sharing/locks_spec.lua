--- Locks, semaphores, events, conditions, barriers: in threads, in processes, mixed.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local PATIENCE = 30 -- seconds; reached only by what is broken

--- Runs test(submit, kind) with n workers: threads, processes, and half of each.
-- submit(i, fn, ...) gives a future.
local function everywhere(n, name, test)
  for kind, Executor in pools.concurrent() do
    it(name .. " in " .. kind .. " workers", function()
      local ex <close> = Executor(n)
      test(function(_, ...) return ex:submit(...) end)
    end)
  end
  it(name .. " in threads and processes at once", function()
    local processes <close> = ccpool.ProcessPoolExecutor((n + 1) // 2)
    local threads <close> = ccpool.ThreadPoolExecutor((n + 1) // 2)
    test(function(i, ...) return (i % 2 == 0 and threads or processes):submit(...) end)
  end)
end

local function all(futures)
  for _, f in ipairs(futures) do f:result(PATIENCE) end
end

describe("Lock", function()
  everywhere(4, "excludes", function(submit)
    local lock, value = ccpool.Lock(), ccpool.Value("i64")
    local futures = {}
    for i = 1, 4 do
      futures[i] = submit(i, function(l, v)
        for _ = 1, 300 do l:with(function() v:set(v:get() + 1) end) end
      end, lock, value)
    end
    all(futures)
    assert.equal(1200, value:get())
    assert.is_false(lock:locked())
  end)

  it("acquire gives false when the time is up, and polls with 0", function()
    local lock = ccpool.Lock()
    assert.is_true(lock:acquire())
    assert.is_false(lock:acquire(0))
    assert.is_false(lock:acquire(-1))
    assert.is_false(lock:acquire(0.01))
    lock:release()
    assert.is_true(lock:acquire(0))
  end)

  everywhere(1, "may be released by another one", function(submit)
    local lock = ccpool.Lock()
    lock:acquire()
    submit(1, function(l) l:release() end, lock):result(PATIENCE)
    assert.is_true(lock:acquire(PATIENCE))
  end)

  it("guard releases when it is closed, also by an error", function()
    local lock = ccpool.Lock()
    do
      local _ <close> = lock:guard()
      assert.is_true(lock:locked())
    end
    assert.is_false(lock:locked())
    local ok, err = pcall(lock.with, lock, function() error("inside", 0) end)
    assert.is_false(ok)
    assert.equal("inside", err)
    assert.is_false(lock:locked())
    assert.same({ 1, nil, 3 }, { lock:with(function(...) return ... end, 1, nil, 3) })
  end)

  it("misuse is an error", function()
    local lock = ccpool.Lock()
    assert.has_error(function() lock:release() end, "release of a Lock that is not held")
    pools.misuse(function() lock:acquire("soon") end, "timeout")
    pools.misuse(function() lock:acquire(0 / 0) end, "NaN")
    assert.is_false(lock:locked())
  end)

  it("of a killed process is given to a waiter, who is told", function()
    local lock = ccpool.Lock()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local held <close> = ccpool.Queue()
    local f = ex:submit(function(l, q)
      l:acquire()
      q:put(true)
      q:join()
    end, lock, held)
    held:get(PATIENCE)
    assert.is_false(lock:acquire(0))
    ex:kill()
    local ok, note = lock:acquire(PATIENCE)
    assert.is_true(ok)
    assert.equal("owner died", note)
    lock:release()
    assert.same({ true }, { lock:acquire() })
    assert.is_false((f:presult(PATIENCE)))
  end)

  it("of a killed worker is free once its task has failed", function()
    local lock = ccpool.Lock()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local err = ex:submit(function(l)
      l:acquire()
      os.execute("kill -KILL $PPID")
    end, lock):exception(PATIENCE)
    assert.equal("WorkerCrashedError", err.kind)
    assert.same({ true, "owner died" }, { lock:acquire(0) })
  end)

  it("of a killed process is free once it has been joined", function()
    local lock = ccpool.Lock()
    local process <close> = ccpool.Process{ target = function()
      lock:acquire()
      os.execute("kill -KILL $PPID")
    end }
    process:start()
    assert.is_true(process:join(PATIENCE))
    assert.equal(-9, process.exitcode)
    assert.same({ true, "owner died" }, { lock:acquire(0) })
  end)

  it("of a thread worker that ended is given to a waiter, who is told", function()
    local lock = ccpool.Lock()
    do
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      ex:submit(function(l) l:acquire() end, lock):result(PATIENCE)
      assert.is_false(lock:acquire(0))
    end
    local ok, note = lock:acquire(PATIENCE)
    assert.is_true(ok)
    assert.equal("owner died", note)
  end)
end)

describe("RLock", function()
  it("is acquired again by its owner", function()
    local lock = ccpool.RLock()
    assert.is_true(lock:acquire())
    assert.is_true(lock:acquire(0))
    lock:release()
    assert.is_true(lock:locked())
    lock:release()
    assert.is_false(lock:locked())
  end)

  everywhere(1, "is neither acquired nor released by others", function(submit)
    local lock = ccpool.RLock()
    lock:acquire()
    local got, released = submit(1, function(l)
      return l:acquire(0), (pcall(l.release, l))
    end, lock):result(PATIENCE)
    assert.is_false(got)
    assert.is_false(released)
    lock:release()
    assert.has_error(function() lock:release() end, "release of an RLock that is not one's own")
  end)
end)

describe("Semaphore", function()
  everywhere(4, "lets as many in as it has permits", function(submit)
    local semaphore, inside, most = ccpool.Semaphore(2), ccpool.Value("i32"), ccpool.Value("i32")
    local futures = {}
    for i = 1, 4 do
      futures[i] = submit(i, function(s, n, m)
        for _ = 1, 100 do
          local _ <close> = s:guard()
          local now = n:add(1)
          local seen = m:get()
          while seen < now do
            local _, is = m:cas(seen, now)
            seen = is
            if is >= now then break end
          end
          n:add(-1)
        end
      end, semaphore, inside, most)
    end
    all(futures)
    assert.equal(0, inside:get())
    assert.is_true(most:get() <= 2)
    assert.equal(2, semaphore:value())
  end)

  it("times out, takes several releases, and has a bound if asked for", function()
    local semaphore, bounded = ccpool.Semaphore(0), ccpool.BoundedSemaphore(1)
    assert.is_false(semaphore:acquire(0))
    assert.is_false(semaphore:acquire(0.01))
    semaphore:release(2)
    assert.is_true(semaphore:acquire() and semaphore:acquire())
    assert.has_error(function() bounded:release() end, "BoundedSemaphore released too many times")
    bounded:acquire()
    bounded:release()
    assert.equal(1, bounded:value())
    pools.misuse(function() ccpool.Semaphore(-1) end, "#1")
    pools.misuse(function() ccpool.BoundedSemaphore("x") end, "#1")
  end)

  everywhere(1, "counts as a signal from one to the other", function(submit)
    local semaphore = ccpool.Semaphore(0)
    local f = submit(1, function(s) for _ = 1, 10 do s:release() end end, semaphore)
    for _ = 1, 10 do assert.is_true(semaphore:acquire(PATIENCE)) end
    f:result(PATIENCE)
    assert.equal(0, semaphore:value())
  end)

  it("gets the permits of a killed process back", function()
    local semaphore = ccpool.Semaphore(2)
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local held <close> = ccpool.Queue()
    ex:submit(function(s, q)
      s:acquire()
      s:acquire()
      q:put(true)
      q:join()
    end, semaphore, held)
    held:get(PATIENCE)
    assert.is_false(semaphore:acquire(0))
    ex:kill()
    assert.is_true(semaphore:acquire(PATIENCE))
    assert.is_true(semaphore:acquire(PATIENCE))
  end)
end)

describe("Event", function()
  everywhere(3, "wakes all who wait", function(submit)
    local event, ready = ccpool.Event(), ccpool.Semaphore(0)
    local futures = {}
    for i = 1, 3 do
      futures[i] = submit(i, function(e, r, patience)
        r:release()
        return e:wait(patience)
      end, event, ready, PATIENCE)
    end
    for _ = 1, 3 do ready:acquire(PATIENCE) end
    event:set()
    for _, f in ipairs(futures) do assert.is_true(f:result(PATIENCE)) end
    assert.is_true(event:is_set())
    event:clear()
    assert.is_false(event:is_set())
    assert.is_false(event:wait(0))
    assert.is_false(event:wait(0.005))
  end)
end)

describe("Condition", function()
  everywhere(3, "notifies one, or all, and they hold the lock again", function(submit)
    local condition, waiting = ccpool.Condition(), ccpool.Value("i32")
    local woken = ccpool.Queue()
    local futures = {}
    for i = 1, 3 do
      futures[i] = submit(i, function(c, w, q, patience)
        local _ <close> = c:guard()
        w:add(1)
        local ok = c:wait(patience)
        q:put(ok)
      end, condition, waiting, woken, PATIENCE)
    end
    local all_wait
    repeat
      all_wait = condition:with(function() return waiting:get() == 3 end)
    until all_wait
    condition:with(function() condition:notify() end)
    assert.is_true(woken:get(PATIENCE))
    assert.is_nil((woken:get(0)))
    condition:with(function() condition:notify_all() end)
    assert.is_true(woken:get(PATIENCE))
    assert.is_true(woken:get(PATIENCE))
    all(futures)
  end)

  it("wants its lock held, times out, and keeps the depth of an RLock", function()
    local lock = ccpool.RLock()
    local condition = ccpool.Condition(lock)
    assert.is_false((pcall(condition.wait, condition, 0)))
    assert.is_false((pcall(condition.notify, condition)))
    lock:acquire()
    lock:acquire()
    assert.is_false(condition:wait(0))
    assert.is_false(condition:wait(0.005))
    lock:release()
    assert.is_true(lock:locked())
    lock:release()
    assert.is_false(lock:locked())
    pools.misuse(function() ccpool.Condition(ccpool.Event()) end, "Lock")
  end)

  everywhere(1, "wait_for waits until it is so", function(submit)
    local condition, value = ccpool.Condition(ccpool.Lock()), ccpool.Value("i32")
    local f = submit(1, function(c, v)
      for i = 1, 5 do
        c:with(function()
          v:set(i)
          c:notify_all()
        end)
      end
    end, condition, value)
    condition:with(function()
      assert.is_true(condition:wait_for(function() return value:get() == 5 end, PATIENCE))
      assert.is_false(condition:wait_for(function() return false end, 0.005))
    end)
    f:result(PATIENCE)
  end)
end)

describe("Barrier", function()
  everywhere(3, "lets all parties go on together, again and again", function(submit)
    local barrier, acts = ccpool.Barrier(3), ccpool.Queue()
    local futures = {}
    for i = 1, 3 do
      futures[i] = submit(i, function(b, q, patience)
        for round = 1, 20 do q:put({ round, assert(b:wait(patience)) }) end
      end, barrier, acts, PATIENCE)
    end
    all(futures)
    local seen = {}
    for k = 1, 60 do
      local item = acts:get(0)
      local round, index = item[1], item[2]
      assert.is_true(round >= (k - 1) // 3 and round <= (k + 2) // 3 + 1)
      seen[round] = (seen[round] or 0) + 10 ^ index
    end
    for round = 1, 20 do assert.equal(1110, seen[round]) end
  end)

  everywhere(2, "runs its action once for each time", function(submit)
    local count = ccpool.Value("i32")
    local barrier = ccpool.Barrier(2, function() count:add(1) end)
    local futures = {}
    for i = 1, 2 do
      futures[i] = submit(i, function(b, patience)
        for _ = 1, 5 do assert(b:wait(patience)) end
      end, barrier, PATIENCE)
    end
    all(futures)
    assert.equal(5, count:get())
  end)

  it("is broken by a timeout and by abort, and whole after reset", function()
    local barrier = ccpool.Barrier(2)
    local index, err = barrier:wait(0.005)
    assert.is_nil(index)
    assert.is_true(ccpool.is_error(err, "TimeoutError"))
    assert.is_true(barrier.broken)
    index, err = barrier:wait(1)
    assert.is_nil(index)
    assert.is_true(ccpool.is_error(err, "ClosedError"))
    barrier:reset()
    assert.is_false(barrier.broken)
    barrier:abort()
    assert.is_true(barrier.broken)
    assert.equal(2, barrier.parties)
    assert.equal(0, barrier.n_waiting)
    pools.misuse(function() ccpool.Barrier(0) end, "#1")
    pools.misuse(function() ccpool.Barrier(1, 5) end, "#2")
  end)

  it("is broken by an action that fails", function()
    local barrier = ccpool.Barrier(1, function() error("no", 0) end)
    local ok, err = pcall(barrier.wait, barrier)
    assert.is_false(ok)
    assert.equal("no", err)
    assert.is_true(barrier.broken)
  end)

  it("is broken by the death of a process that waits", function()
    local barrier = ccpool.Barrier(3)
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    ex:submit(function(b) b:wait() end, barrier)
    repeat local n = barrier.n_waiting until n == 1
    ex:kill()
    local index, err = barrier:wait(PATIENCE)
    assert.is_nil(index)
    assert.is_true(ccpool.is_error(err, "ClosedError"))
  end)
end)
