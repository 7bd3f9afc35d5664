-- Options of executors that bound workers and queue; resize, broadcast, trace, stats.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local task = pools.task

local function pid_of() return require("ccpool").current().pid end
local function id_of() return require("ccpool").current().id end

for kind, make in pools.concurrent() do
  describe("limits (" .. kind .. ")", function()
    it("refuses wrong options by name", function()
      for name, value in pairs{ min_workers = -1, idle_timeout = 0, max_tasks_per_worker = 0,
        memory_limit = 1.5, max_queue = 0, overflow = "explode", on_crash = "sulk",
        grace = -1, finalizer = 5 } do
        pools.misuse(function() make{ max_workers = 1, [name] = value } end, name)
      end
      pools.misuse(function() make{ max_workers = 1, min_workers = 2 } end, "min_workers")
    end)

    it("replaces a worker after so many tasks and loses none", function()
      local ex <close> = make{ max_workers = 1, max_tasks_per_worker = 3 }
      local list = ex:map(function(i) return i end, function() end):collect()
      assert.equal(0, list.n)
      local futures = {}
      for i = 1, 20 do futures[i] = ex:submit(math.abs, -i) end
      for i = 1, 20 do assert.equal(i, futures[i]:result()) end
      ex:shutdown()
      assert.is_true(ex:stats().recycled >= 6)
      assert.equal(20, ex:stats().done)
    end)

    it("replaces it in the middle of a chunk", function()
      local ex <close> = make{ max_workers = 2, max_tasks_per_worker = 2 }
      local items = {}
      for i = 1, 50 do items[i] = i end
      local list = ex:map(function(i) return i * 2 end, items, { chunksize = 25 }):collect()
      for i = 1, 50 do assert.equal(2 * i, list[i]) end
      assert.equal(50, ex:stats().done)
    end)

    it("replaces it with a backlog, after shutdown{wait = false}", function()
      local ex = make{ max_workers = 1, max_tasks_per_worker = 2 }
      local futures = {}
      for i = 1, 30 do futures[i] = ex:submit(math.abs, -i) end
      ex:shutdown{ wait = false }
      for i = 1, 30 do assert.equal(i, futures[i]:result()) end
      assert.is_true(ex:shutdown{ timeout = 60 })
    end)

    it("starts min_workers at once and keeps them", function()
      local ex <close> = make{ max_workers = 4, min_workers = 2, idle_timeout = 0.01 }
      ex:warmup()
      while #ex:stats().workers > 2 do ccpool.wait({}, {}); ccpool.poll(0.01) end
      assert.equal(2, #ex:stats().workers)
      assert.equal(4, ex:submit(math.sqrt, 16):result())
    end)

    it("lets idle workers end, and starts others when they are needed", function()
      local ex <close> = make{ max_workers = 2, idle_timeout = 0.01 }
      ex:warmup()
      while #ex:stats().workers > 0 do ccpool.poll(0.01) end
      for i = 1, 10 do assert.equal(i, ex:submit(math.abs, -i):result()) end
      assert.is_true(ex:stats().recycled >= 2)
    end)

    it("blocks submit while the queue is full", function()
      local ex <close> = make{ max_workers = 1, max_queue = 2 }
      local futures = {}
      for i = 1, 200 do
        futures[i] = ex:submit(math.abs, -i)
        assert.is_true(ex:stats().queued + ex:stats().running <= 3)
      end
      for i = 1, 200 do assert.equal(i, futures[i]:result()) end
    end)

    it("raises QueueFullError, and queues nothing, with overflow = \"error\"", function()
      local ex <close> = make{ max_workers = 1, max_queue = 1, overflow = "error" }
      local gate <close> = pools.occupy(ex)
      local f = ex:submit(math.abs, -1)
      pools.fails_with("QueueFullError", ex.submit, ex, math.abs, -2)
      assert.equal(2, ex:stats().submitted)
      gate:open()
      assert.equal(1, f:result())
    end)

    it("runs the task in the caller with overflow = \"caller_runs\"", function()
      local ex <close> = make{ max_workers = 1, max_queue = 1, overflow = "caller_runs" }
      local gate <close> = pools.occupy(ex)
      local queued = ex:submit(math.abs, -1)
      local here = ex:submit(task(function() return require("ccpool").current() == nil end))
      assert.is_true(here:done())
      assert.is_true(here:result())
      gate:open()
      assert.equal(1, queued:result())
    end)

    it("keeps a map within max_queue", function()
      local ex <close> = make{ max_workers = 1, max_queue = 3, overflow = "error" }
      local items = {}
      for i = 1, 100 do items[i] = i end
      local n = 0
      for i, v in ex:map(math.abs, items) do
        n = n + 1
        assert.equal(i, v)
        assert.is_true(ex:stats().queued <= 4)
      end
      assert.equal(100, n)
    end)

    it("resizes up and down", function()
      local ex <close> = make(1)
      ex:warmup()
      ex:resize(3)
      assert.equal(3, ex.max_workers)
      ex:warmup()
      assert.equal(3, #ex:stats().workers)
      local gate <close> = pools.occupy(ex) -- three at once
      ex:resize(1)
      gate:open()
      while #ex:stats().workers > 1 do ccpool.poll(0.01) end
      for i = 1, 10 do assert.equal(i, ex:submit(math.abs, -i):result()) end
      pools.misuse(function() ex:resize(0) end, "resize")
      pools.misuse(function() ex:resize(1.5) end, "resize")
    end)

    it("broadcasts to live workers and to later ones", function()
      local ex <close> = make(2)
      ex:submit(math.abs, 1):result() -- one is live
      ex:broadcast(function(n) package.loaded.answer = n end, 42)
      local gate <close> = fifo.new()
      local started <close> = fifo.new()
      local futures = {}
      for i = 1, 2 do
        futures[i] = ex:submit(task(function(started_path, gate_path)
          require("spec.support.fifo").tell_and_pass(started_path, gate_path)
          return package.loaded.answer
        end), started.path, gate.path)
      end
      started:await(2)
      gate:open()
      assert.same({ 42, 42 }, ccpool.all(futures))
      assert.equal(3, ex:stats().submitted) -- a broadcast is no task
    end)

    it("raises what a broadcast raised in a live worker, and goes on", function()
      local ex <close> = make(1)
      ex:warmup()
      local ok, err = pcall(ex.broadcast, ex, error, "not today", 0)
      assert.is_false(ok)
      assert.equal("not today", err)
      assert.equal(1, ex:submit(math.abs, -1):result())
    end)

    it("breaks when a broadcast fails in a later worker", function()
      local ex <close> = make(1)
      ex:broadcast(error, "never", 0) -- no worker is live
      local err = ex:submit(math.abs, -1):exception()
      assert.is_true(ccpool.is_error(err, "BrokenExecutorError"))
      assert.equal("never", err.cause)
    end)

    it("names the argument of a broadcast that is no function", function()
      local ex <close> = make(1)
      pools.misuse(function() ex:broadcast(5) end, "bad argument #1 to 'broadcast'")
    end)

    it("refuses a broadcast that cannot travel, and after shutdown", function()
      local ex = make(1)
      pools.fails_with("NotSendableError", ex.broadcast, ex, print, coroutine.create(print))
      ex:shutdown()
      pools.fails_with("ShutdownError", ex.broadcast, ex, print)
    end)

    it("writes a trace with a slice for each task", function()
      local path = os.tmpname()
      local ex = make(2)
      ex:trace(path)
      for _ = 1, 20 do ex:with{ name = 'na"me' }:submit(math.abs, 1) end
      for _ in ex:map(math.abs, { 1, 2, 3, 4, 5 }, { chunksize = 5 }) do end -- luacheck: ignore
      ccpool.all{ ex:submit(math.abs, 1) }
      ex:shutdown()
      ex:trace(nil)
      local file <close> = assert(io.open(path))
      local events = require("cjson").decode(file:read("a"))
      local slices, named = 0, 0
      for _, event in ipairs(events) do
        if event.ph == "X" then
          slices = slices + 1
          assert.is_true(event.dur >= 0 and event.ts >= 0)
          if event.name == 'na"me' then named = named + 1 end
        else
          assert.equal("thread_name", event.name)
        end
      end
      assert.equal(26, slices)
      assert.equal(20, named)
      os.remove(path)
    end)

    it("raises SystemError for a trace that cannot be written", function()
      local ex <close> = make(1)
      local err = pools.fails_with("SystemError", ex.trace, ex, "/nowhere/at/all")
      assert.equal(2, err.errno)
      pools.misuse(function() ex:trace(5) end, "trace")
    end)

    it("tells how long tasks waited and ran", function()
      local ex <close> = make(1)
      for _ = 1, 50 do
        ex:submit(task(function() for _ = 1, 20000 do math.abs(1) end end)):result()
      end
      ex:shutdown()
      local stats = ex:stats()
      for _, name in ipairs{ "wait", "run" } do
        local h = stats[name]
        assert.is_true(h.n > 0)
        assert.is_true(h.min <= h.p50 and h.p50 <= h.p90 and h.p90 <= h.p99 and h.p99 <= h.max)
        assert.is_true(h.min <= h.mean and h.mean <= h.max)
      end
      assert.equal(50, stats.run.n)
    end)

    it("counts tiny tasks to the last, also those of workers that were replaced", function()
      local ex <close> = make{ max_workers = 1, max_tasks_per_worker = 7 }
      local futures = {}
      for i = 1, 40 do futures[i] = ex:submit(math.sqrt, i) end
      ccpool.wait(futures)
      ex:shutdown()
      assert.equal(40, ex:stats().run.n)
    end)

    it("shows a running task's name", function()
      local ex <close> = make(1)
      local gate <close> = fifo.new()
      local started <close> = fifo.new()
      ex:with{ name = "busy bee" }:submit("spec.support.fifo.tell_and_pass", started.path,
        gate.path, 1)
      started:await(1)
      assert.equal("busy bee", ex:stats().workers[1].task)
      gate:open()
    end)
  end)
end

describe("limits (process) #crash", function()
  local function die() require("posix.signal").raise(9) end

  it("breaks at the first crash with on_crash = \"break\"", function()
    local ex <close> = ccpool.ProcessPoolExecutor{ max_workers = 2, on_crash = "break" }
    local gate <close> = fifo.new()
    local started <close> = fifo.new()
    local other = ex:submit("spec.support.fifo.tell_and_pass", started.path, gate.path, 1)
    started:await(1)
    local f = ex:submit(die)
    assert.is_true(ccpool.is_error(f:exception(), "WorkerCrashedError"))
    local err = other:exception()
    assert.is_true(ccpool.is_error(err, "BrokenExecutorError"))
    assert.is_true(ccpool.is_error(err.cause, "WorkerCrashedError"))
    pools.fails_with("BrokenExecutorError", ex.submit, ex, math.abs, 1)
  end)

  it("breaks after ten crashes in a row, with the last cause", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    for _ = 1, 10 do
      local err = ex:submit(die):exception()
      assert.is_true(ccpool.is_error(err, "WorkerCrashedError"))
    end
    local err = pools.fails_with("BrokenExecutorError", ex.submit, ex, math.abs, 1)
    assert.is_true(ccpool.is_error(err.cause, "WorkerCrashedError"))
  end)

  it("does not break while successes come between", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    for i = 1, 12 do
      assert.is_true(ccpool.is_error(ex:submit(die):exception(), "WorkerCrashedError"))
      assert.equal(i, ex:submit(math.abs, -i):result())
    end
  end)

  it("replaces a worker that grew too much", function()
    local ex <close> = ccpool.ProcessPoolExecutor{ max_workers = 1, max_rss_growth = 20 << 20 }
    local first = ex:submit(pid_of):result()
    assert.equal(first, ex:submit(pid_of):result())
    ex:submit(function() package.loaded.fat = ("x"):rep(64 << 20) end):result()
    assert.not_equal(first, ex:submit(pid_of):result())
    assert.equal(1, ex:stats().recycled)
    pools.misuse(function() ccpool.ThreadPoolExecutor{ max_rss_growth = 1 } end, "max_rss_growth")
  end)

  it("knows its workers by number after replacement", function()
    local ex <close> = ccpool.ProcessPoolExecutor{ max_workers = 1, max_tasks_per_worker = 1 }
    for _ = 1, 5 do assert.equal(1, ex:submit(id_of):result()) end
  end)
end)
