local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"
local unistd = require "posix.unistd"

local task = pools.task
local quiet, loud = pools.unheard()

setup(quiet)
teardown(loud)

local who = task(function() return require("ccpool").current() end)

--- Both workers of a pool at once: what f gives in the first and in the second.
local function in_each(ex, f, ...)
  local gate <close> = fifo.new()
  local started <close> = fifo.new()
  local gate_path, started_path = gate.path, started.path
  local function wrapped(...)
    local support = require "spec.support.fifo"
    support.tell_and_pass(started_path, gate_path)
    return f(...)
  end
  local futures = {}
  for i = 1, ex.max_workers do futures[i] = ex:submit(task(wrapped), ...) end
  started:await(ex.max_workers)
  gate:open()
  return ccpool.all(futures)
end

describe("workers", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("start on demand", function()
        local ex <close> = make(3)
        assert.same({}, ex:stats().workers)
        ex:submit(math.sqrt, 1):result()
        assert.equal(1, #ex:stats().workers)
      end)

      it("start only when none is idle", function()
        local ex <close> = make(3)
        for i = 1, 30 do
          ex:submit(math.abs, i):result()
          assert.equal(1, #ex:stats().workers)
        end
      end)

      it("start one for each task that would have to wait, up to max_workers", function()
        local ex <close> = make(3)
        local gate <close> = fifo.new()
        local started <close> = fifo.new()
        for i = 1, 5 do
          ex:submit("spec.support.fifo.tell_and_pass", started.path, gate.path)
          if i <= 3 then started:await() end
          assert.equal(math.min(i, 3), #ex:stats().workers)
        end
        assert.is_false(started:any())
        gate:open()
      end)

      it("run at the same time", function()
        local ex <close> = make(2)
        local here <close> = fifo.new()
        local there <close> = fifo.new()
        local meet = task(function(mine, theirs)
          local support = require "spec.support.fifo"
          support.tell(theirs)
          support.pass(mine)
          return true
        end)
        local a = ex:submit(meet, here.path, there.path)
        local b = ex:submit(meet, there.path, here.path)
        assert.is_true(a:result())
        assert.is_true(b:result())
      end)

      it("run at the same time for map", function()
        local ex <close> = make(2)
        local here <close> = fifo.new()
        local there <close> = fifo.new()
        local meet = task(function(mine, theirs)
          local support = require "spec.support.fifo"
          support.tell(theirs)
          support.pass(mine)
          return true
        end)
        local list = ex:starmap(meet,
          { { here.path, there.path }, { there.path, here.path } }, { chunksize = 2 }):collect()
        assert.same({ n = 2, true, true }, list)
      end)

      it("are more than 64 if asked for", function()
        local ex <close> = make(70)
        ex:warmup()
        assert.equal(70, #ex:stats().workers)
        local gate <close>, futures = pools.occupy(ex)
        gate:open()
        for i = 1, 70 do assert.equal(i, futures[i]:result()) end
      end)

      it("keep their globals from task to task", function()
        local ex <close> = make(1)
        local count = task(function()
          spec_count = (spec_count or 0) + 1 -- luacheck: ignore
          return spec_count -- luacheck: ignore
        end)
        for i = 1, 3 do assert.equal(i, ex:submit(count):result()) end
        assert.is_nil(rawget(_G, "spec_count"))
      end)

      it("have globals of their own", function()
        local ex <close> = make(2)
        rawset(_G, "spec_marks", nil)
        local names = in_each(ex, task(function()
          local name = require("ccpool").current().name
          spec_marks = (spec_marks or "") .. name -- luacheck: ignore
          return spec_marks -- luacheck: ignore
        end))
        table.sort(names)
        assert.same({ ex.name .. "_1", ex.name .. "_2" }, names)
        assert.is_nil(rawget(_G, "spec_marks"))
      end)

      it("draw different random numbers", function()
        local ex <close> = make(2)
        local numbers = in_each(ex, task(function() return math.random(0) end))
        assert.not_equal(numbers[1], numbers[2])
        local again <close> = make(1)
        local other = again:submit(task(function() return math.random(0) end)):result()
        assert.not_equal(numbers[1], other)
        assert.not_equal(math.random(0), other)
      end)

      it("see package.path and package.cpath as they were at construction", function()
        local path, cpath = package.path, package.cpath
        package.path, package.cpath = "./spec/marker/?.lua;" .. path, "./marker/?.so;" .. cpath
        local ex <close> = make(1)
        package.path, package.cpath = path, cpath
        local got_path, got_cpath = ex:submit(task(function()
          return package.path, package.cpath
        end)):result()
        assert.equal("./spec/marker/?.lua;" .. path, got_path)
        assert.equal("./marker/?.so;" .. cpath, got_cpath)
      end)

      it("have the Lua preloads", function()
        local answer = 42
        package.preload.spec_preloaded = function() return { answer = answer } end
        local ex <close> = make(1)
        package.preload.spec_preloaded = nil
        assert.equal(42, ex:submit(task(function()
          return require("spec_preloaded").answer
        end)):result())
      end)
    end)
  end

  it("of a process pool are processes; of a thread pool, they are not", function()
    local getpid = task(function() return require("posix.unistd").getpid() end)
    local threads <close>, ours = ccpool.ThreadPoolExecutor(2), unistd.getpid()
    local processes <close> = ccpool.ProcessPoolExecutor(2)
    assert.same({ ours, ours }, in_each(threads, getpid))
    local pids = in_each(processes, getpid)
    assert.not_equal(ours, pids[1])
    assert.not_equal(ours, pids[2])
    assert.not_equal(pids[1], pids[2])
  end)

  it("of a process pool see the globals as of construction, whenever they start", function()
    rawset(_G, "spec_seen", "before")
    local ex <close> = ccpool.ProcessPoolExecutor(2)
    rawset(_G, "spec_seen", "after")
    assert.same({ "before", "before" }, in_each(ex, task(function()
      return spec_seen -- luacheck: ignore
    end)))
    rawset(_G, "spec_seen", nil)
  end)

  it("of a thread pool do not see the program's globals", function()
    rawset(_G, "spec_seen", "before")
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    assert.is_nil((ex:submit(task(function() return spec_seen end)):result())) -- luacheck: ignore
    rawset(_G, "spec_seen", nil)
  end)
end)

describe("current", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("tells a worker who it is", function()
        local ex <close> = make{ max_workers = 2, name = "oven" }
        local all = in_each(ex, who)
        table.sort(all, function(a, b) return a.id < b.id end)
        for i = 1, 2 do
          assert.equal(kind, all[i].kind)
          assert.equal(i, all[i].id)
          assert.equal("oven_" .. i, all[i].name)
          assert.equal("integer", math.type(all[i].pid))
          assert.equal("integer", math.type(all[i].task))
        end
      end)

      it("numbers tasks apart", function()
        local ex <close> = make(1)
        local a, b = ex:submit(who):result(), ex:submit(who):result()
        assert.not_equal(a.task, b.task)
        assert.equal(a.id, b.id)
      end)

      it("agrees with stats", function()
        local ex <close> = make{ max_workers = 1, name = "oven" }
        local me = ex:submit(who):result()
        local worker = ex:stats().workers[1]
        assert.equal(me.id, worker.id)
        assert.equal(me.name, worker.name)
        assert.equal(me.pid, worker.pid)
      end)

      it("is what the system calls the thread or process", function()
        local ex <close> = make{ max_workers = 1, name = "oven" }
        assert.equal("oven_1", ex:submit(task(function()
          local file <close> = assert(io.open("/proc/thread-self/comm"))
          return file:read("l")
        end)):result())
      end)

      it("bears long names", function()
        local long = ("very_long_name_"):rep(10)
        local ex <close> = make{ max_workers = 1, name = long }
        assert.equal(long, ex.name)
        assert.equal(long .. "_1", ex:submit(who):result().name)
        assert.equal(long .. "_1", ex:stats().workers[1].name)
      end)
    end)
  end

  it("is nil outside of workers", function() assert.is_nil(ccpool.current()) end)
end)

describe("warmup", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("starts all workers and waits until they are ready", function()
        local ex <close> = make(3)
        ex:warmup()
        local workers = ex:stats().workers
        assert.equal(3, #workers)
        for _, worker in ipairs(workers) do assert.equal("idle", worker.state) end
      end)

      it("may be called again, and when some have started", function()
        local ex <close> = make(2)
        ex:submit(math.sqrt, 1):result()
        ex:warmup()
        ex:warmup()
        assert.equal(2, #ex:stats().workers)
      end)

      it("does not wait for tasks", function()
        local ex <close> = make(2)
        local gate <close> = pools.occupy(ex)
        ex:warmup()
        gate:open()
      end)
    end)
  end

  for kind, make in pools.all() do
    it("after shutdown raises ShutdownError (" .. kind .. ")", function()
      local ex = make(1)
      ex:warmup()
      ex:shutdown()
      pools.fails_with("ShutdownError", ex.warmup, ex)
    end)
  end
end)

describe("stats", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("counts what was done, failed and cancelled", function()
        local ex <close> = make(1)
        for i = 1, 5 do ex:submit(math.abs, i) end
        for _ = 1, 3 do ex:submit(error, "no") end
        ex:submit(task(function() return coroutine.create(print) end)):exception()
        local stats = ex:stats()
        assert.equal(9, stats.submitted)
        assert.equal(5, stats.done)
        assert.equal(4, stats.failed)
        assert.equal(0, stats.cancelled)
        assert.equal(0, stats.queued)
        assert.equal(0, stats.running)
        assert.equal(0, stats.crashes)
      end)

      it("has every count", function()
        local ex <close> = make(1)
        local stats = ex:stats()
        for _, name in ipairs{ "submitted", "queued", "running", "done", "failed", "cancelled",
          "timeouts", "retries", "crashes", "recycled", "abandoned" } do
          assert.equal(0, stats[name], name)
        end
        assert.is_table(stats.workers)
      end)
    end)
  end

  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("describes the workers", function()
        local ex <close> = make{ max_workers = 2, name = "oven" }
        local gate <close>, futures = pools.occupy(ex)
        local queued = ex:submit(math.sqrt, 4)
        local stats = ex:stats()
        assert.equal(2, stats.running)
        assert.equal(1, stats.queued)
        assert.equal(2, #stats.workers)
        for i, worker in ipairs(stats.workers) do
          assert.equal(i, worker.id)
          assert.equal("oven_" .. i, worker.name)
          assert.equal("busy", worker.state)
          assert.equal("integer", math.type(worker.pid))
          assert.equal("integer", math.type(worker.task))
          assert.is_true(worker.age >= 0)
          assert.is_true(worker.rss > 0)
        end
        gate:open()
        ccpool.wait{ futures[1], futures[2], queued }
        local tasks = 0
        for _, worker in ipairs(ex:stats().workers) do
          assert.equal("idle", worker.state)
          assert.is_nil(worker.task)
          tasks = tasks + worker.tasks
        end
        assert.equal(3, tasks)
      end)
    end)
  end
end)

describe("the initializer", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("runs before the first task, with initargs", function()
        local ex <close> = make{
          max_workers = 1,
          initializer = task(function(...) spec_init = table.pack(...) end), -- luacheck: ignore
          initargs = table.pack(1, nil, "x", nil),
        }
        local got = ex:submit(task(function() return spec_init end)):result() -- luacheck: ignore
        rawset(_G, "spec_init", nil)
        assert.same({ n = 4, 1, nil, "x", nil }, got)
      end)

      it("may be a name", function()
        local told <close> = fifo.new()
        local ex <close> = make{
          max_workers = 1,
          initializer = "spec.support.fifo.tell",
          initargs = { told.path, "i" },
        }
        ex:submit(math.sqrt, 1):result()
        assert.is_true(told:any())
        assert.equal("i", told:await())
      end)

      it("takes upvalues along", function()
        local told <close> = fifo.new()
        local path = told.path
        local ex <close> = make{
          max_workers = 1,
          initializer = task(function() require("spec.support.fifo").tell(path, "u") end),
        }
        ex:submit(math.sqrt, 1):result()
        assert.is_true(told:any())
        assert.equal("u", told:await())
      end)

      it("that fails breaks the executor, with its error for a cause", function()
        local ex = make{
          max_workers = 1,
          initializer = task(function() error({ code = 7 }) end),
        }
        local ok, f = pcall(ex.submit, ex, math.sqrt, 1)
        local err = f
        if ok then err = f:exception() end
        assert.is_true(ccpool.is_error(err, "BrokenExecutorError"), tostring(err))
        assert.same({ code = 7 }, err.cause)
        local later = pools.fails_with("BrokenExecutorError", ex.submit, ex, math.sqrt, 1)
        assert.same({ code = 7 }, later.cause)
        pools.fails_with("BrokenExecutorError", ex.map, ex, math.sqrt, { 1 })
        assert.is_true(ex:shutdown{ timeout = 30 })
      end)
    end)
  end

  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("runs once in every worker", function()
        local told <close> = fifo.new()
        local ex <close> = make{
          max_workers = 3,
          initializer = "spec.support.fifo.tell",
          initargs = { told.path },
        }
        ex:warmup()
        told:await(3)
        for i = 1, 30 do ex:submit(math.abs, i) end
        ex:shutdown()
        assert.is_false(told:any())
      end)

      it("does not run before a worker is needed", function()
        local told <close> = fifo.new()
        local ex <close> = make{
          max_workers = 1,
          initializer = "spec.support.fifo.tell",
          initargs = { told.path },
        }
        ex:shutdown()
        assert.is_false(told:any())
      end)

      it("that fails fails all that are queued, and map's items", function()
        local gate <close> = fifo.new()
        local ex = make{
          max_workers = 1,
          initializer = task(function(path)
            require("spec.support.fifo").pass(path)
            error("no flour", 0)
          end),
          initargs = { gate.path },
        }
        local futures = {}
        for i = 1, 20 do futures[i] = ex:submit(math.abs, i) end
        local it = ex:map(math.abs, { 1, 2, 3 }, { on_error = "return", chunksize = 2 })
        gate:open()
        for i = 1, 20 do
          local err = pools.fails_with("BrokenExecutorError", futures[i].result, futures[i])
          assert.equal("no flour", err.cause)
          assert.matches("no flour", tostring(err), 1, true)
        end
        for i = 1, 3 do
          local k, ok, err = it()
          assert.equal(i, k)
          assert.is_false(ok)
          assert.is_true(ccpool.is_error(err, "BrokenExecutorError"))
        end
        assert.is_nil((it()))
        pools.fails_with("BrokenExecutorError", ex.submit, ex, math.sqrt, 1)
        assert.is_true(ex:shutdown{ timeout = 30 })
      end)

      it("that fails makes warmup raise BrokenExecutorError", function()
        local ex = make{ max_workers = 2, initializer = task(function() error("no") end) }
        local err = pools.fails_with("BrokenExecutorError", ex.warmup, ex)
        assert.matches("no", err.cause)
        assert.is_true(ex:shutdown{ timeout = 30 })
      end)

      it("that does not exist breaks the executor", function()
        local ex = make{ max_workers = 1, initializer = "no.such.module.init" }
        local err = pools.fails_with("BrokenExecutorError", ex.warmup, ex)
        assert.matches("no.such.module", tostring(err.cause), 1, true)
        ex:shutdown()
      end)
    end)
  end
end)
