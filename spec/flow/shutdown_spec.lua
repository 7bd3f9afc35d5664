local ccpool = require "ccpool"
local errno = require "posix.errno"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"
local signal = require "posix.signal"

local misuse, task = pools.misuse, pools.task

local function is_alive(pid)
  local ok, _, code = signal.kill(pid, 0)
  return ok ~= nil or code ~= errno.ESRCH
end

local function worker_pids(ex)
  local pids = {}
  for i, worker in ipairs(ex:stats().workers) do pids[i] = worker.pid end
  return pids
end

describe("shutdown", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("returns true when all is done", function()
        local ex = make(2)
        local futures = {}
        for i = 1, 50 do futures[i] = ex:submit(math.abs, -i) end
        assert.is_true(ex:shutdown())
        for i = 1, 50 do assert.equal("finished", futures[i]:state()) end
        for i = 1, 50 do assert.equal(i, futures[i]:result()) end
      end)

      it("of an executor that ran nothing returns true", function()
        assert.is_true(make(2):shutdown())
        assert.is_true(make(2):shutdown{ cancel_futures = true })
      end)

      it("may be called again, also with other options", function()
        local ex = make(1)
        ex:submit(math.sqrt, 1)
        assert.is_true(ex:shutdown{ wait = false })
        assert.is_true(ex:shutdown())
        assert.is_true(ex:shutdown{ cancel_futures = true })
        assert.is_true(ex:shutdown{ timeout = 0 })
        assert.is_true(ex:shutdown{ wait = false })
      end)

      it("takes all of the times", function()
        for _, timeout in ipairs{ 60, math.huge, 1e300 } do
          local ex = make(1)
          ex:submit(math.sqrt, 1)
          assert.is_true(ex:shutdown{ timeout = timeout })
        end
      end)

      it("makes submit and map raise ShutdownError", function()
        local ex = make(1)
        ex:shutdown{ wait = false }
        pools.fails_with("ShutdownError", ex.submit, ex, math.sqrt, 1)
        pools.fails_with("ShutdownError", ex.map, ex, math.sqrt, { 1 })
        ex:shutdown()
        pools.fails_with("ShutdownError", ex.submit, ex, math.sqrt, 1)
        pools.fails_with("ShutdownError", ex.warmup, ex)
      end)

      it("leaves kind, name, max_workers and stats to be asked for", function()
        local ex = make(1)
        ex:submit(math.sqrt, 1)
        ex:shutdown()
        assert.equal(kind, ex.kind)
        assert.equal(1, ex.max_workers)
        assert.equal(1, ex:stats().done)
        assert.is_string(tostring(ex))
      end)

      it("refuses misuse, by name, at the caller's level", function()
        local ex <close> = make(1)
        misuse(function() ex:shutdown(7) end, "shutdown")
        misuse(function() ex:shutdown(true) end, "shutdown")
        misuse(function() ex:shutdown{ now = true } end, "'now'", "unknown")
        misuse(function() ex:shutdown{ wait = 1 } end, "'wait'", "boolean")
        misuse(function() ex:shutdown{ cancel_futures = "yes" } end, "'cancel_futures'")
        misuse(function() ex:shutdown{ timeout = 0 / 0 } end, "'timeout'")
        misuse(function() ex:shutdown{ timeout = "1" } end, "'timeout'")
        assert.equal(2.0, ex:submit(math.sqrt, 4):result()) -- and changes nothing
      end)

      it("by <close> waits for all", function()
        local futures = {}
        do
          local ex <close> = make(2)
          for i = 1, 30 do futures[i] = ex:submit(math.abs, -i) end
        end
        for i = 1, 30 do assert.equal("finished", futures[i]:state()) end
      end)

      it("by <close> lets an error through", function()
        local ok, err = pcall(function()
          local ex <close> = make(1)
          ex:submit(math.sqrt, 1)
          error("through", 0)
        end)
        assert.is_false(ok)
        assert.equal("through", err)
      end)

      it("by <close> after shutdown is nothing", function()
        local ex <close> = make(1)
        ex:shutdown()
      end)

      it("closes a hundred executors right after their last submit", function()
        for _ = 1, 100 do
          local ex = make(2)
          local f = ex:submit(math.sqrt, 16)
          assert.is_true(ex:shutdown())
          assert.equal(4.0, f:result())
        end
      end)
    end)
  end

  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("with wait = false returns at once; what is pending still runs", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        for i = 2, 20 do futures[i] = ex:submit(math.abs, -i) end
        assert.is_true(ex:shutdown{ wait = false })
        assert.equal("running", futures[1]:state())
        assert.equal("pending", futures[20]:state())
        pools.fails_with("ShutdownError", ex.submit, ex, math.sqrt, 1)
        gate:open()
        for i = 1, 20 do assert.equal(i, futures[i]:result()) end
      end)

      it("with wait = false still starts the workers that it needs", function()
        local ex <close> = make(2)
        local there <close> = fifo.new()
        local here <close> = fifo.new()
        local meet = task(function(mine, theirs)
          local support = require "spec.support.fifo"
          support.tell(theirs)
          support.pass(mine)
          return true
        end)
        local a = ex:submit(meet, here.path, there.path)
        local b = ex:submit(meet, there.path, here.path)
        ex:shutdown{ wait = false }
        assert.is_true(a:result())
        assert.is_true(b:result())
      end)

      for _, timeout in ipairs{ 0, -1, 0.001 } do
        it("with timeout " .. timeout .. " returns false if that came first", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          local f = ex:submit(math.sqrt, 16)
          assert.is_false(ex:shutdown{ timeout = timeout })
          assert.equal("running", futures[1]:state())
          gate:open()
          assert.is_true(ex:shutdown())
          assert.equal(4.0, f:result())
        end)
      end

      it("with cancel_futures cancels what has not started, and waits for the rest", function()
        local ex <close> = make(2)
        local gate <close>, futures = pools.occupy(ex)
        local waiting = {}
        for i = 1, 10 do waiting[i] = ex:submit(math.sqrt, i) end
        assert.is_false(ex:shutdown{ cancel_futures = true, timeout = 0 })
        for i = 1, 10 do assert.equal("cancelled", waiting[i]:state()) end
        for i = 1, 2 do assert.equal("running", futures[i]:state()) end
        assert.equal(10, ex:stats().cancelled)
        gate:open()
        assert.is_true(ex:shutdown())
        for i = 1, 2 do assert.equal(i, futures[i]:result()) end
      end)

      it("may cancel later what it let run at first", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local f = ex:submit(math.sqrt, 16)
        ex:shutdown{ wait = false }
        assert.equal("pending", f:state())
        ex:shutdown{ wait = false, cancel_futures = true }
        assert.equal("cancelled", f:state())
        gate:open()
        assert.equal(1, futures[1]:result())
      end)

      it("leaves no worker", function()
        local ex = make(2)
        ex:warmup()
        local pids = worker_pids(ex)
        assert.equal(2, #pids)
        assert.is_true(ex:shutdown())
        assert.same({}, ex:stats().workers)
        if kind == "process" then
          for _, pid in ipairs(pids) do assert.is_false(is_alive(pid)) end
        end
      end)

      it("by <close> after an error cancels what has not started", function()
        local gate, running, waiting
        local ok, err = pcall(function()
          local ex <close> = make(1)
          local futures
          gate, futures = pools.occupy(ex)
          running, waiting = futures[1], {}
          for i = 1, 20 do waiting[i] = ex:submit(math.sqrt, i) end
          waiting[20]:add_done_callback(function() gate:open() end)
          error("by error", 0)
        end)
        gate:close()
        assert.is_false(ok)
        assert.equal("by error", err)
        assert.equal("finished", running:state())
        assert.equal(1, running:result())
        for i = 1, 20 do assert.equal("cancelled", waiting[i]:state()) end
      end)

      it("by <close> of a break or a return waits for all", function()
        local f
        for _ = 1, 1 do -- luacheck: ignore 512
          local ex <close> = make(1)
          f = ex:submit(math.sqrt, 16)
          break
        end
        assert.equal("finished", f:state())
        local function leave()
          local ex <close> = make(1)
          f = ex:submit(math.sqrt, 16)
          return f
        end
        assert.equal("finished", leave():state())
      end)
    end)
  end
end)

-- The thread sanitizer holds a signal back until the thread calls the C library.
local late_signals = (os.getenv("CCPOOL_BUILD") or ""):find("tsan", 1, true)

for _, how in ipairs{ "terminate", "kill" } do
  describe(how, function()
    for kind, make in pools.all() do
      describe("(" .. kind .. ")", function()
        it("keeps what is finished, and takes no more", function()
          local ex = make(1)
          local f = ex:submit(math.sqrt, 16)
          f:result()
          ex[how](ex)
          ex[how](ex)
          assert.equal(4.0, f:result())
          assert.equal("finished", f:state())
          pools.fails_with("ShutdownError", ex.submit, ex, math.sqrt, 1)
          assert.is_true(ex:shutdown())
        end)

        it("after shutdown is nothing", function()
          local ex = make(1)
          ex:shutdown()
          ex[how](ex)
          assert.is_true(ex:shutdown())
        end)
      end)
    end

    for kind, make in pools.concurrent() do
      describe("(" .. kind .. ")", function()
        it("ends every unfinished future with CancelledError, at once", function()
          local ex <close> = make(2)
          local gate <close>, futures = pools.occupy(ex)
          assert(gate)
          for i = 3, 30 do futures[i] = ex:submit(math.sqrt, i) end
          ex[how](ex)
          for i = 1, 30 do
            assert.is_true(futures[i]:done())
            assert.equal("cancelled", futures[i]:state())
            pools.fails_with("CancelledError", futures[i].result, futures[i])
          end
          assert.equal(30, ex:stats().cancelled)
          assert.equal(0, ex:stats().running)
          assert.equal(0, ex:stats().queued)
        end)

        local it_at_once = late_signals and kind == "thread" and pending or it

        it_at_once("ends tasks that never would", function()
          local ex <close> = make(2)
          local told <close> = fifo.new()
          local told_path = told.path
          local spin = task(function()
            require("spec.support.fifo").tell(told_path)
            while true do end
          end)
          local f, g = ex:submit(spin), ex:submit(spin)
          told:await(2)
          ex[how](ex)
          pools.fails_with("CancelledError", f.result, f)
          pools.fails_with("CancelledError", g.result, g)
          assert.is_true(ex:shutdown{ timeout = 30 })
          assert.same({}, ex:stats().workers)
        end)

        it("ends tasks that catch every error, and those inside coroutines", function()
          local ex <close> = make(2)
          local told <close> = fifo.new()
          local told_path = told.path
          local stubborn = task(function()
            require("spec.support.fifo").tell(told_path)
            local function spin() while true do end end
            for _ = 1, 10 do pcall(spin) end
          end)
          local inside = task(function()
            require("spec.support.fifo").tell(told_path)
            coroutine.wrap(function() while true do end end)()
          end)
          local f, g = ex:submit(stubborn), ex:submit(inside)
          told:await(2)
          ex[how](ex)
          pools.fails_with("CancelledError", f.result, f)
          pools.fails_with("CancelledError", g.result, g)
          assert.is_true(ex:shutdown{ timeout = 30 })
        end)

        it("starts no replacement", function()
          local ex <close> = make(2)
          ex:warmup()
          local pids = worker_pids(ex)
          ex[how](ex)
          assert.is_true(ex:shutdown{ timeout = 30 })
          assert.same({}, ex:stats().workers)
          if kind == "process" then
            for _, pid in ipairs(pids) do assert.is_false(is_alive(pid)) end
          end
          pools.fails_with("ShutdownError", ex.warmup, ex)
        end)

        it("before any worker was there is fine", function()
          local ex <close> = make(2)
          ex[how](ex)
          assert.is_true(ex:shutdown{ timeout = 30 })
        end)

        it("while workers start is fine", function()
          for _ = 1, 20 do
            local ex <close> = make(2)
            local f, g = ex:submit(math.sqrt, 1), ex:submit(math.sqrt, 4)
            ex[how](ex)
            assert.is_true(f:done() and g:done())
            assert.is_true(ex:shutdown{ timeout = 30 })
          end
        end)

        it("raises CancelledError at the steps of a map", function()
          local ex <close> = make(1)
          local gate <close> = pools.occupy(ex)
          assert(gate)
          local it = ex:map(math.sqrt, { 1, 2, 3 }, { chunksize = 2, on_error = "return" })
          ex[how](ex)
          for i = 1, 3 do
            local k, ok, err = it()
            assert.equal(i, k)
            assert.is_false(ok)
            assert.is_true(ccpool.is_error(err, "CancelledError"))
          end
          assert.is_nil((it()))
        end)

        it("during shutdown{ wait = false } ends what that let run", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          assert(gate)
          ex:shutdown{ wait = false }
          ex[how](ex)
          pools.fails_with("CancelledError", futures[1].result, futures[1])
        end)

        it("calls back those that watch", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          assert(gate)
          local state
          futures[1]:add_done_callback(function(f) state = f:state() end)
          ex[how](ex)
          ccpool.poll(0)
          assert.equal("cancelled", state)
        end)
      end)
    end
  end)
end

describe("terminate", function()
  it("kills process workers that ignore SIGTERM, when the grace is over #slow", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local told <close> = fifo.new()
    local told_path = told.path
    ex:submit(task(function()
      local sig = require "posix.signal"
      sig.signal(sig.SIGTERM, sig.SIG_IGN)
      require("spec.support.fifo").tell(told_path, "s")
      while true do end
    end))
    told:await()
    local pids = worker_pids(ex)
    ex:terminate()
    assert.is_true(is_alive(pids[1]))
    assert.is_true(ex:shutdown{ timeout = 30 })
    assert.is_false(is_alive(pids[1]))
  end)

  it("kills a process worker with all that it has started", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local told <close> = fifo.new()
    local told_path = told.path
    ex:submit(task(function()
      local file = assert(io.popen("echo $$; exec sleep 600"))
      local pid = file:read("l")
      for digit in (pid .. "\n"):gmatch(".") do
        require("spec.support.fifo").tell(told_path, digit)
      end
      file:read("a")
    end))
    local digits = ""
    repeat
      local c = told:await()
      digits = digits .. c
    until c == "\n"
    local pid = tonumber(digits)
    ex:kill()
    assert.is_true(ex:shutdown{ timeout = 30 })
    for _ = 1, 1000 do -- it dies with the group; its reaper may take a moment
      if not is_alive(pid) then break end
      local stat = io.open("/proc/" .. pid .. "/stat")
      local text = stat and stat:read("a") or ""
      if stat then stat:close() end
      if text:find(") Z", 1, true) or text == "" then break end
      require("posix.poll").rpoll(told.fd, 10)
    end
    local stat = io.open("/proc/" .. pid .. "/stat")
    if stat then
      assert.matches("%) Z", stat:read("a"))
      stat:close()
    end
  end)
end)

describe("shutdown of an executor that another thread uses", function()
  it("ends when a waiting thread runs the last task itself", function()
    local ex = ccpool.ThreadPoolExecutor(1)
    local others <close> = ccpool.ThreadPoolExecutor(2)
    local busy, begun, go = ccpool.Event(), ccpool.Event(), ccpool.Event()
    local first = ex:submit(task(function(event) event:wait() end), busy)
    local helper = others:submit(task(function(pool, ...) -- its only worker is busy
      return pool:submit(function(started, event)
        started:set()
        return event:wait()
      end, ...):result()
    end), ex, begun, go)
    assert.is_true(begun:wait(60))
    busy:set()
    first:result(60)
    ex:shutdown{ wait = false }
    local last = others:submit(math.sqrt, 4)
    last:add_done_callback(function() go:set() end)
    repeat until last:done() -- what was added is called in the next wait
    assert.is_true(ex:shutdown{ timeout = 60 })
    assert.is_true(helper:result(60))
  end)
end)
