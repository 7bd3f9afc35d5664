local ccpool = require "ccpool"
local program = require "spec.support.program"
local signal = require "posix.signal"

-- What tasks know as globals, those are: busted gives specs an _ENV of their own.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local BOUND = program.BOUND

--- Ways for a task to end its worker, and what the error says.
local DEATHS = {
  { name = "SIGKILL", exitcode = -9, signal = 9, signame = "SIGKILL", die = function()
    require "posix.signal".kill(require "posix.unistd".getpid(), 9)
  end },
  { name = "SIGSEGV", exitcode = -11, signal = 11, signame = "SIGSEGV", die = function()
    require "posix.signal".kill(require "posix.unistd".getpid(), 11)
  end },
  { name = "SIGABRT", exitcode = -6, signal = 6, signame = "SIGABRT", die = function()
    require "posix.signal".kill(require "posix.unistd".getpid(), 6)
  end },
  { name = "SIGTERM", exitcode = -15, signal = 15, signame = "SIGTERM", die = function()
    require "posix.signal".raise(15)
  end },
  { name = "os.exit(3)", exitcode = 3, die = function() os.exit(3) end },
  { name = "os.exit(0)", exitcode = 0, die = function() os.exit(0) end },
  { name = "os.exit()", exitcode = 0, die = function() os.exit() end },
  { name = "os.exit(false)", exitcode = 1, die = function() os.exit(false) end },
  { name = "os.exit(true, true)", exitcode = 0, die = function() os.exit(true, true) end },
  { name = "_exit(7)", exitcode = 7, die = function() require "posix.unistd"._exit(7) end },
}

local function pid() return require "posix.unistd".getpid() end

local function sum(a, b) return a + b end

local function pool(n, opts)
  opts = opts or {}
  opts.max_workers = n
  return ccpool.ProcessPoolExecutor(opts)
end

local function crashed(ok, err, death)
  assert.is_false(ok)
  assert.is_true(ccpool.is_error(err, "WorkerCrashedError"), tostring(err))
  assert.equal(death.exitcode, err.exitcode)
  assert.equal(death.signal, err.signal)
  assert.equal(death.signame, err.signame)
  assert.is_true(math.type(err.pid) == "integer" and err.pid > 1)
  assert.is_true(math.type(err.worker) == "integer")
end

describe("a process worker that dies of its task #crash", function()
  for _, death in ipairs(DEATHS) do
    it("fails that future alone: " .. death.name, function()
      local ex <close> = pool(1)
      local first = ex:submit(pid):result(BOUND)
      local before = ex:submit(sum, 1, 2)
      local doomed = ex:submit(death.die)
      local behind = ex:submit(sum, 3, 4)
      local ok, err = doomed:presult(BOUND)
      crashed(ok, err, death)
      assert.equal(first, err.pid)
      assert.equal(1, err.worker)
      assert.equal("finished", doomed:state())
      assert.equal(3, before:result(BOUND))
      assert.equal(7, behind:result(BOUND))
      local second = ex:submit(pid):result(BOUND)
      assert.not_equal(first, second)
      assert.is_false(program.alive(first))
    end)
  end

  it("is counted, and its place is taken", function()
    local ex <close> = pool(2)
    ex:warmup()
    for i = 1, 5 do
      assert.is_false((ex:submit(DEATHS[1].die):presult(BOUND)))
      assert.equal(i, ex:submit(sum, i, 0):result(BOUND))
    end
    ex:warmup()
    local stats = ex:stats()
    assert.equal(5, stats.crashes)
    assert.equal(5, stats.failed)
    assert.equal(5, stats.done)
    assert.equal(2, #stats.workers)
  end)

  it("says in the message what happened", function()
    local ex <close> = pool(1)
    local _, err = ex:submit(DEATHS[1].die):presult(BOUND)
    assert.matches("^WorkerCrashedError: .*SIGKILL", tostring(err))
    _, err = ex:submit(function() os.exit(3) end):presult(BOUND)
    assert.matches("^WorkerCrashedError: .*3", tostring(err))
  end)

  it("runs the initializer in its replacement", function()
    local ex <close> = pool(1, { initializer = function(n) _G.given = n end, initargs = { 42 } })
    assert.is_false((ex:submit(DEATHS[1].die):presult(BOUND)))
    assert.equal(42, ex:submit(function() return _G.given end):result(BOUND))
  end)

  it("calls done callbacks and ends waits", function()
    local ex <close> = pool(1)
    local calls = 0
    local doomed = ex:submit(DEATHS[1].die)
    local behind = ex:submit(sum, 1, 1)
    doomed:add_done_callback(function(f)
      calls = calls + 1
      assert(f:exception().kind == "WorkerCrashedError")
    end)
    local done, open = ccpool.wait({ doomed, behind },
      { return_when = "FIRST_EXCEPTION", timeout = BOUND })
    assert.is_true(#done >= 1 and #done + #open == 2)
    assert.is_true(doomed:done())
    done, open = ccpool.wait({ doomed, behind }, { timeout = BOUND })
    assert.equal(2, #done)
    assert.equal(0, #open)
    assert.equal(1, calls)
  end)

  it("leaves the other workers' running tasks alone", function()
    local ex <close> = pool(2)
    ex:warmup()
    local fifo = os.tmpname()
    os.remove(fifo)
    assert(require "posix.sys.stat".mkfifo(fifo, 384))
    local running = ex:submit(function(path)
      local file = io.open(path, "r") -- opens when somebody writes
      return require "posix.unistd".getpid(), file:read("a")
    end, fifo)
    for _ = 1, 5 do
      assert.is_false((ex:submit(DEATHS[1].die):presult(BOUND)))
    end
    assert.is_false(running:done())
    local file = assert(io.open(fifo, "w"))
    file:write("go")
    file:close()
    local _, word = running:result(BOUND)
    assert.equal("go", word)
    os.remove(fifo)
  end)

  it("keeps the results that were written before", function()
    local ex <close> = pool(1)
    local log <close> = program.new_log()
    local futures = {}
    for i = 1, 200 do
      futures[i] = ex:submit(function(path, n)
        local file = io.open(path, "a")
        file:write(n, "\n")
        file:close()
        if n % 50 == 0 then require "posix.signal".raise(9) end
        return n
      end, log.path, i)
    end
    for i, f in ipairs(futures) do
      local ok, value = f:presult(BOUND)
      if i % 50 == 0 then
        crashed(ok, value, DEATHS[1])
      else
        assert.is_true(ok, tostring(value))
        assert.equal(i, value)
      end
    end
    local counts = log:counts()
    for i = 1, 200 do assert.equal(1, counts[tostring(i)]) end
  end)

  it("does not lose results that nobody had read", function()
    local ex <close> = pool(1)
    local log <close> = program.new_log()
    local f = ex:submit(function() return "kept" end)
    local doomed = ex:submit(function(path)
      local file = io.open(path, "a")
      file:write("here\n")
      file:close()
      require "posix.signal".raise(9)
    end, log.path)
    assert.is_true(program.within(BOUND, function() return log:counts().here == 1 end))
    crashed(false, doomed:exception(BOUND), DEATHS[1])
    assert.equal("kept", f:result(0))
  end)

  it("may have been killed while idle", function()
    local ex <close> = pool(2)
    for round = 1, 10 do
      ex:warmup()
      for _, worker in ipairs(ex:stats().workers) do
        signal.kill(worker.pid, signal.SIGKILL)
      end
      local a, b = ex:submit(sum, round, 1), ex:submit(sum, round, 2)
      -- a call may reach a worker on which the signal is already on its way
      for i, f in ipairs { a, b } do
        local ok, value = f:presult(BOUND)
        if ok then
          assert.equal(round + i, value)
        else
          crashed(ok, value, DEATHS[1])
        end
      end
      assert.equal(round, ex:submit(sum, round, 0):result(BOUND))
    end
  end)

  it("costs nothing if it was idle and is known to be dead", function()
    local ex <close> = pool(2)
    for round = 1, 10 do
      ex:warmup()
      local pids = {}
      for _, worker in ipairs(ex:stats().workers) do
        pids[#pids + 1] = worker.pid
        signal.kill(worker.pid, signal.SIGKILL)
      end
      for _, dead in ipairs(pids) do
        assert.is_true(program.within(BOUND, function() return not program.alive(dead) end))
      end
      for i = 1, 20 do assert.equal(round + i, ex:submit(sum, round, i):result(BOUND)) end
    end
  end)

  it("may be stopped and then killed", function()
    local ex <close> = pool(1)
    local victim = ex:submit(pid):result(BOUND)
    signal.kill(victim, signal.SIGSTOP)
    local f = ex:submit(sum, 1, 2)
    signal.kill(victim, signal.SIGKILL)
    local ok, value = f:presult(BOUND)
    if ok then assert.equal(3, value) else crashed(ok, value, DEATHS[1]) end
    assert.equal(7, ex:submit(sum, 3, 4):result(BOUND))
  end)

  it("takes its own children along", function()
    local ex <close> = pool(1)
    local log <close> = program.new_log()
    local doomed = ex:submit(function(path)
      local pipe = io.popen("echo $$; exec sleep 1000")
      local file = io.open(path, "a")
      file:write(pipe:read("l"), "\n")
      file:close()
      require "posix.signal".raise(9)
    end, log.path)
    crashed(false, doomed:exception(BOUND), DEATHS[1])
    local sleeper = next(log:counts())
    assert.is_true(program.within(1, function() return not program.alive(sleeper) end))
  end)

  it("does not fail a shutdown that waits", function()
    local ex = pool(2)
    local futures = {}
    for i = 1, 40 do
      futures[i] = ex:submit(function(n)
        if n % 10 == 0 then require "posix.signal".raise(9) end
        return n
      end, i)
    end
    assert.is_true(ex:shutdown { timeout = BOUND })
    for i, f in ipairs(futures) do
      assert.is_true(f:done())
      assert.equal(i % 10 ~= 0, (f:presult(0)))
    end
  end)
end)

describe("os.exit in a thread worker #crash", function()
  it("is an error of the task", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local ok, err = ex:submit(function() os.exit(3) end):presult(BOUND)
    assert.is_false(ok)
    assert.matches("os.exit", tostring(err))
    assert.equal(3, ex:submit(sum, 1, 2):result(BOUND))
  end)
end)
