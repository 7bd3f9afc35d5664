-- Options of tasks: timeout, deadline, priority, retries, name; forced cancel.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local function spin() while true do end end
local function spin_in_a_coroutine()
  pcall(function() coroutine.wrap(function() while true do pcall(spin) end end)() end)
end
local function spin_at_three(i)
  if i == 3 then spin() end
  return i
end

local function crash(path)
  local file <close> = assert(io.open(path, "a"))
  file:write("x"):flush()
  require "posix.signal".raise(9)
end

--- Crashes until the file has so many marks.
local function crash_until(path, n)
  local file = io.open(path)
  local marks = file and #file:read("a") or 0
  if file then file:close() end
  if marks < n then
    file = assert(io.open(path, "a"))
    file:write("x"):close()
    require "posix.signal".raise(9)
  end
  return marks
end

local function marks_of(path)
  local file = io.open(path)
  if not file then return 0 end
  local n = #file:read("a")
  file:close()
  return n
end

for kind, make in pools.concurrent() do
  describe("ex:with (" .. kind .. ")", function()
    it("gives a view that submits and maps as the executor does", function()
      local ex <close> = make(2)
      local view = ex:with{ timeout = 60, name = "square" }
      assert.equal(9, view:submit(math.floor, 9.5):result())
      assert.same({ 1, 4, 9, n = 3 }, view:map(function(x) return x * x end, { 1, 2, 3 }):collect())
      assert.same({ 3, n = 1 }, view:starmap(math.max, { { 1, 3 } }):collect())
      assert.truthy(tostring(view):find("^ccpool.View: "))
    end)

    it("refuses unknown and wrong options by name", function()
      local ex <close> = make(1)
      pools.misuse(function() ex:with{ tiemout = 1 } end, "tiemout", "with")
      pools.misuse(function() ex:with{ timeout = 0 / 0 } end, "timeout")
      pools.misuse(function() ex:with{ deadline = "soon" } end, "deadline")
      pools.misuse(function() ex:with{ priority = 1.5 } end, "priority")
      pools.misuse(function() ex:with{ retries = -1 } end, "retries")
      pools.misuse(function() ex:with{ name = 5 } end, "name")
    end)

    it("keeps the options of the view it is called on", function()
      local ex <close> = make{ max_workers = 1, grace = 0.1 }
      local f = ex:with{ timeout = 0.05 }:with{ name = "named" }:submit(spin)
      local err = f:exception()
      assert.is_true(ccpool.is_error(err, "TimeoutError"))
      assert.truthy(tostring(err):find("named", 1, true))
    end)

    it("ends a task that runs too long, and only that one", function()
      local ex <close> = make{ max_workers = 2, grace = 0.2 }
      local slow = ex:with{ timeout = 0.1 }:submit(spin)
      local quick = ex:submit(math.sqrt, 16)
      assert.is_true(ccpool.is_error(slow:exception(), "TimeoutError"))
      assert.equal(4, quick:result())
      assert.equal("finished", slow:state())
      for i = 1, 20 do assert.equal(i, ex:submit(math.abs, -i):result()) end
      local stats = ex:stats()
      assert.equal(1, stats.timeouts)
      assert.equal(0, stats.crashes)
    end)

    it("ends a loop inside a coroutine inside pcall", function()
      local ex <close> = make{ max_workers = 1, grace = 0.1 }
      local f = ex:with{ timeout = 0.05 }:submit(spin_in_a_coroutine)
      assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
      assert.equal(4, ex:submit(math.sqrt, 16):result())
    end)

    it("counts the time from the start, not from submit", function()
      local ex <close> = make(1)
      local gate <close> = pools.occupy(ex)
      local f = ex:with{ timeout = 20 }:submit(math.sqrt, 4)
      ccpool.wait({ f }, { timeout = 0.02 })
      gate:open()
      assert.equal(2, f:result())
    end)

    it("never starts a task whose deadline has passed", function()
      local ex <close> = make(1)
      local gate <close> = pools.occupy(ex)
      local mark = os.tmpname()
      local f = ex:with{ deadline = 0.01 }:submit(function(path)
        assert(io.open(path, "a")):write("x"):close()
      end, mark)
      assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
      assert.is_true(ccpool.is_error(ex:with{ deadline = 0 }:submit(math.abs, 1):exception(),
        "TimeoutError"))
      gate:open()
      assert.equal(4, ex:submit(math.sqrt, 16):result())
      assert.equal(0, marks_of(mark))
      os.remove(mark)
      assert.equal(2, ex:stats().timeouts)
    end)

    it("ends a running task at its deadline, without another attempt", function()
      local ex <close> = make{ max_workers = 1, grace = 0.1 }
      local f = ex:with{ deadline = 0.1, retries = 5 }:submit(spin)
      assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
      assert.equal(0, ex:stats().retries)
      assert.equal(1, #f:attempts())
    end)

    it("starts no item of a chunk after its deadline", function()
      local ex <close> = make{ max_workers = 1, grace = 0.1 }
      local seen = {}
      local opts = { chunksize = 6, on_error = "return" }
      local view = ex:with{ deadline = 0.1 }
      for i, ok, value in view:map(spin_at_three, { 1, 2, 3, 4, 5, 6 }, opts) do
        seen[i] = ok and value or value.kind
      end
      assert.same({ 1, 2, "TimeoutError", "TimeoutError", "TimeoutError", "TimeoutError" }, seen)
      assert.equal(4, ex:stats().timeouts)
    end)

    it("fails one item of a chunk and runs the others once", function()
      local ex <close> = make{ max_workers = 2, grace = 0.1 }
      local seen = {}
      local opts = { chunksize = 6, on_error = "return", timeout = 60 }
      for i, ok, value in ex:with{ timeout = 0.1 }:map(spin_at_three, { 1, 2, 3, 4, 5, 6 }, opts) do
        seen[i] = ok and value or value.kind
      end
      assert.same({ 1, 2, "TimeoutError", 4, 5, 6 }, seen)
      assert.equal(5, ex:stats().done)
    end)

    it("starts the highest priority first, in order within a level", function()
      local ex <close> = make(1)
      local gate <close> = pools.occupy(ex)
      local order = {}
      for i, priority in ipairs{ 0, 5, -1, 5, 0, 9, -1 } do
        ex:with{ priority = priority }:submit(math.abs, i):add_done_callback(function(f)
          order[#order + 1] = f:result()
        end)
      end
      gate:open()
      ex:shutdown()
      assert.same({ 6, 2, 4, 1, 5, 3, 7 }, order)
    end)

    it("lets a later, higher priority pass a thousand tasks", function()
      local ex <close> = make(1)
      local gate <close> = pools.occupy(ex)
      local low = {}
      for i = 1, 2000 do low[i] = ex:submit(math.abs, i) end
      local high = ex:with{ priority = 1 }:submit(math.abs, -1)
      local order = ccpool.as_completed({ low[1], high })
      gate:open()
      assert.equal(high, order())
      ex:shutdown()
      for i = 1, 2000 do assert.equal(i, low[i]:result()) end
    end)

    it("tries again after a timeout as often as it may", function()
      local ex <close> = make{ max_workers = 1, grace = 0.1 }
      local f = ex:with{ timeout = 0.03, retries = 2 }:submit(spin)
      assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
      local attempts = f:attempts()
      assert.equal(3, #attempts)
      for _, attempt in ipairs(attempts) do
        assert.equal("integer", math.type(attempt.worker))
        assert.equal("integer", math.type(attempt.pid))
        assert.is_true(ccpool.is_error(attempt.error, "TimeoutError"))
      end
      assert.equal(2, ex:stats().retries)
      assert.equal(3, ex:stats().timeouts)
    end)

    it("does not try again after a Lua error", function()
      local ex <close> = make(1)
      local f = ex:with{ retries = 3 }:submit(error, "no", 0)
      assert.equal("no", (f:exception()))
      assert.equal(1, #f:attempts())
    end)

    it("has no time at all for a timeout that is not positive, and no limit for a huge one",
      function()
        local ex <close> = make{ max_workers = 1, grace = 0.1 }
        for _, timeout in ipairs{ 0, -1 } do
          local f = ex:with{ timeout = timeout }:submit(spin)
          assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
        end
        assert.equal(1, ex:with{ timeout = math.huge }:submit(math.abs, -1):result())
      end)

    it("never starts a task whose deadline has passed when it is submitted", function()
      local ex <close> = make{ max_workers = 1 }
      ex:warmup()
      for i = 1, 200 do
        local f = ex:with{ deadline = -(i % 2), retries = 1 }:submit(math.abs, -1)
        assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
        assert.same({}, f:attempts())
      end
      local seen = 0
      for _, ok in ex:with{ deadline = 0 }:map(math.abs, { 1, 2, 3 }, { on_error = "return" }) do
        assert.is_false(ok)
        seen = seen + 1
      end
      assert.equal(3, seen)
      assert.equal(203, ex:stats().timeouts)
    end)

    it("tells the one attempt of a task that succeeds", function()
      local ex <close> = make(1)
      local f = ex:submit(math.sqrt, 4)
      f:result()
      local attempts = f:attempts()
      assert.equal(1, #attempts)
      assert.equal(1, attempts[1].worker)
      assert.is_nil(attempts[1].error)
    end)
  end)

  describe("f:cancel (" .. kind .. ")", function()
    it("without force leaves a running task alone", function()
      local ex <close> = make(1)
      local gate <close>, running = pools.occupy(ex)
      assert.is_false(running[1]:cancel())
      assert.is_false(running[1]:cancel{ force = false })
      gate:open()
      assert.is_nil((running[1]:exception()))
    end)

    it("with force stops it, with the reason", function()
      local ex <close> = make{ max_workers = 1, grace = 0.1 }
      local started <close> = fifo.new()
      local f = ex:submit(pools.task(function(path)
        require("spec.support.fifo").tell(path, 1)
        while true do end
      end), started.path)
      started:await(1)
      assert.is_true(f:cancel{ force = true, reason = "changed my mind" })
      assert.equal("cancelled", f:state())
      local err = f:exception()
      assert.is_true(ccpool.is_error(err, "CancelledError"))
      assert.equal("changed my mind", err.reason)
      assert.equal(4, ex:submit(math.sqrt, 16):result())
      assert.is_true(f:cancel{ force = true })
    end)

    it("with force cancels what has not started too", function()
      local ex <close> = make(1)
      local gate <close> = pools.occupy(ex)
      local f = ex:submit(math.sqrt, 1)
      assert.is_true(f:cancel{ force = true, reason = "late" })
      assert.equal("late", f:exception().reason)
      gate:open()
    end)

    it("does nothing to a finished one", function()
      local ex <close> = make(1)
      local f = ex:submit(math.sqrt, 16)
      f:result()
      assert.is_false(f:cancel{ force = true })
      assert.equal(4, f:result())
    end)

    it("refuses wrong options by name", function()
      local ex <close> = make(1)
      local f = ex:submit(math.sqrt, 16)
      pools.misuse(function() f:cancel{ froce = true } end, "froce")
      pools.misuse(function() f:cancel{ force = 1 } end, "force")
      pools.misuse(function() f:cancel{ reason = {} } end, "reason")
      pools.misuse(function() f:cancel(true) end, "table of options")
    end)
  end)
end

describe("ex:with (process) #crash", function()
  it("tries again after a crash", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local path = os.tmpname()
    local f = ex:with{ retries = 2, name = "wobbly" }:submit(pools.task(function(crashing, where)
      local marks = crashing(where, 2)
      return marks, require("ccpool").current().attempt
    end), crash_until, path)
    assert.same({ 2, 3 }, { f:result() })
    local attempts = f:attempts()
    assert.equal(3, #attempts)
    assert.is_true(ccpool.is_error(attempts[1].error, "WorkerCrashedError"))
    assert.not_equal(attempts[1].pid, attempts[3].pid)
    assert.is_nil(attempts[3].error)
    os.remove(path)
  end)

  it("does not try again a task that crashed three workers", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local path = os.tmpname()
    local f = ex:with{ retries = 9, name = "deadly" }:submit(crash, path)
    local err = f:exception()
    assert.is_true(ccpool.is_error(err, "WorkerCrashedError"))
    assert.equal("deadly", err.task)
    assert.truthy(tostring(err):find("deadly", 1, true))
    assert.equal(3, marks_of(path))
    assert.equal(3, #f:attempts())
    os.remove(path)
  end)

  it("tries an item of a chunk again, and the others once", function()
    local ex <close> = ccpool.ProcessPoolExecutor(2)
    local path, others = os.tmpname(), os.tmpname()
    local function item(i)
      if i == 3 then return crash_until(path, 2) end
      local file <close> = assert(io.open(others, "a"))
      file:write("x")
      return i
    end
    local list = ex:with{ retries = 2 }:map(item, { 1, 2, 3, 4, 5 }, { chunksize = 5 }):collect()
    assert.same({ 1, 2, 2, 4, 5, n = 5 }, list)
    assert.equal(4, marks_of(others))
    os.remove(path)
    os.remove(others)
  end)

  it("stops a task that ignores SIGTERM, and its children", function()
    local ex <close> = ccpool.ProcessPoolExecutor{ max_workers = 1, grace = 0.05 }
    local f = ex:with{ timeout = 0.05 }:submit(function()
      local signal = require "posix.signal"
      signal.signal(signal.SIGTERM, signal.SIG_IGN)
      while true do end
    end)
    assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
    assert.equal(4, ex:submit(math.sqrt, 16):result())
  end)

  it("stops a task that is stopped itself", function()
    local ex <close> = ccpool.ProcessPoolExecutor{ max_workers = 1, grace = 0.05 }
    local f = ex:with{ timeout = 0.05 }:submit(function()
      local signal = require "posix.signal"
      signal.raise(signal.SIGSTOP)
      while true do end
    end)
    assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
    assert.equal(4, ex:submit(math.sqrt, 16):result())
  end)
end)

describe("ex:with (thread)", function()
  it("runs the <close> handlers of an interrupted task", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, grace = 1 }
    local closed <close> = fifo.new()
    local f = ex:with{ timeout = 0.05 }:submit(pools.task(function(path)
      local _ <close> = setmetatable({}, { __close = function()
        require("spec.support.fifo").tell(path, 7)
      end })
      while true do end
    end), closed.path)
    assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
    closed:await(1)
  end)

  it("gives up a thread that is stuck in C, and counts it", function()
    local ex = ccpool.ThreadPoolExecutor{ max_workers = 1, grace = 0.05 }
    local gate <close> = fifo.new()
    local started <close> = fifo.new()
    local f = ex:with{ timeout = 0.05 }:submit(pools.task(function(started_path, gate_path)
      require("spec.support.fifo").tell(started_path, 1)
      -- reading a pipe that nobody writes to, again after every signal
      local file = assert(io.open(gate_path, "r"))
      file:read(1)
    end), started.path, gate.path)
    started:await(1)
    assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
    assert.equal(4, ex:submit(math.sqrt, 16):result())
    ex:shutdown{ timeout = 30 }
  end)
end)

describe("ex:with (serial)", function()
  it("heeds timeout, deadline and retries", function()
    local ex <close> = ccpool.SerialExecutor{}
    local f = ex:with{ timeout = 0.02, retries = 1 }:submit(spin)
    assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
    assert.equal(2, ex:stats().timeouts)
    assert.equal(1, ex:stats().retries)
    assert.is_true(ccpool.is_error(ex:with{ deadline = 0 }:submit(math.abs, 1):exception(),
      "TimeoutError"))
    assert.equal(1, ex:with{ timeout = 60 }:submit(math.abs, -1):result())
    local attempts = f:attempts()
    assert.equal(2, #attempts)
    for _, attempt in ipairs(attempts) do
      assert.is_nil(attempt.worker)
      assert.equal(require "posix.unistd".getpid(), attempt.pid)
      assert.is_true(ccpool.is_error(attempt.error, "TimeoutError"))
    end
    assert.equal(1, #ex:submit(math.abs, -1):attempts())
    assert.same({}, ex:with{ deadline = 0 }:submit(math.abs, -1):attempts())
  end)
end)
