local ccpool = require "ccpool"
local program = require "spec.support.program"
local signal = require "posix.signal"

-- What tasks know as globals, those are: busted gives specs an _ENV of their own.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local BOUND = program.BOUND

local function broken(err)
  assert.is_true(ccpool.is_error(err, "BrokenExecutorError"), tostring(err))
  assert.is_truthy(err.cause)
end

local function identity(...) return ... end

--- The process that all workers descend from.
local function zygote_of(ex)
  ex:warmup()
  local status = program.slurp("/proc/" .. ex:stats().workers[1].pid .. "/status")
  return math.tointeger(tonumber(status:match("PPid:%s*(%d+)")))
end

describe("a process pool whose workers cannot live #crash", function()
  it("breaks after a bounded number of deaths in the initializer", function()
    local log <close> = program.new_log()
    local ex = ccpool.ProcessPoolExecutor {
      max_workers = 2,
      initializer = function(path)
        local file = io.open(path, "a")
        file:write("born\n")
        file:close()
        os.exit(5)
      end,
      initargs = { log.path },
    }
    local futures = {}
    for i = 1, 20 do
      local ok, f = pcall(ex.submit, ex, identity, i)
      if ok then futures[#futures + 1] = f else broken(f) end
    end
    for _, f in ipairs(futures) do
      local err = f:exception(BOUND)
      broken(err)
      assert.is_true(ccpool.is_error(err.cause, "WorkerCrashedError"), tostring(err.cause))
      assert.equal(5, err.cause.exitcode)
    end
    local ok, err = pcall(ex.submit, ex, identity)
    assert.is_false(ok)
    broken(err)
    assert.is_true(ex:shutdown { timeout = BOUND })
    assert.is_true(log:counts().born <= 20)
  end)

  it("breaks at an error of the initializer, which is the cause", function()
    local ex = ccpool.ProcessPoolExecutor {
      max_workers = 2, initializer = function() error("no way", 0) end,
    }
    local err = ex:submit(identity, 1):exception(BOUND)
    broken(err)
    assert.equal("no way", err.cause)
    assert.is_true(ex:shutdown { timeout = BOUND })
  end)

  it("ends a warmup, a map and a wait", function()
    local function new()
      return ccpool.ProcessPoolExecutor { max_workers = 2, initializer = function() os.exit(5) end }
    end
    local ex = new()
    local ok, err = pcall(ex.warmup, ex)
    assert.is_false(ok)
    broken(err)
    ex:shutdown()

    ex = new()
    local opts = { chunksize = 3, on_error = "return", timeout = BOUND }
    local n = 0
    local made, step = pcall(ex.map, ex, identity, { 1, 2, 3, 4, 5, 6, 7 }, opts)
    if made then
      for _, fine, why in step do
        n = n + 1
        assert.is_false(fine)
        broken(why)
      end
      assert.equal(7, n)
    else
      broken(step)
    end
    ex:shutdown()

    ex = new()
    local f = ex:submit(identity)
    local done = ccpool.wait({ f }, { timeout = BOUND })
    assert.equal(1, #done)
    ex:shutdown()
  end)

  it("breaks if tasks kill workers without end and nothing is ever returned", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local futures = {}
    for i = 1, 40 do
      local ok, f = pcall(ex.submit, ex, function() os.exit(9) end)
      if ok then futures[i] = f else broken(f) end
    end
    local kinds = {}
    for _, f in pairs(futures) do
      local kind = f:exception(BOUND).kind
      kinds[kind] = (kinds[kind] or 0) + 1
    end
    assert.is_true((kinds.WorkerCrashedError or 0) >= 3)
    assert.is_nil(kinds.TimeoutError)
  end)
end)

describe("a process pool whose zygote is killed #crash", function()
  it("is broken: pending futures end, nothing hangs", function()
    local ex = ccpool.ProcessPoolExecutor(2)
    local zygote = zygote_of(ex)
    assert.equal(5, ex:submit(identity, 5):result(BOUND))
    local fifo <close> = require "spec.support.fifo".new()
    local futures = {}
    for i = 1, 6 do futures[i] = ex:submit("spec.support.fifo.pass", fifo.path, i) end
    signal.kill(zygote, signal.SIGKILL)
    for _, f in ipairs(futures) do
      local err = f:exception(BOUND)
      assert.is_true(ccpool.is_error(err, "BrokenExecutorError") or
        ccpool.is_error(err, "WorkerCrashedError"), tostring(err))
    end
    broken(futures[6]:exception(0))
    local ok, err = pcall(ex.submit, ex, identity)
    assert.is_false(ok)
    broken(err)
    assert.is_true(ex:shutdown { timeout = BOUND })
    assert.is_false(program.alive(zygote))
  end)

  it("is broken though it was idle", function()
    local ex = ccpool.ProcessPoolExecutor(2)
    local zygote = zygote_of(ex)
    local pids = {}
    for i, worker in ipairs(ex:stats().workers) do pids[i] = worker.pid end
    signal.kill(zygote, signal.SIGKILL)
    for _, pid in ipairs(pids) do
      assert.is_true(program.within(1, function() return not program.alive(pid) end))
    end
    local ok, f = pcall(ex.submit, ex, identity, 1)
    broken(ok and f:exception(BOUND) or f)
    assert.is_true(ex:shutdown { timeout = BOUND })
  end)

  it("is broken before its first worker", function()
    local before, mine = {}, {}
    for _, pid in ipairs(program.children_of("self")) do before[pid] = true end
    local ex = ccpool.ProcessPoolExecutor(2)
    for _, pid in ipairs(program.children_of("self")) do
      if not before[pid] then mine[#mine + 1] = pid end
    end
    assert.equal(1, #mine)
    signal.kill(mine[1], signal.SIGKILL)
    local ok, f = pcall(ex.submit, ex, identity, 1)
    broken(ok and f:exception(BOUND) or f)
    assert.is_true(ex:shutdown { timeout = BOUND })
  end)

  it("leaves other pools alone", function()
    local good <close> = ccpool.ProcessPoolExecutor(1)
    local bad <close> = ccpool.ProcessPoolExecutor(1)
    local threads <close> = ccpool.ThreadPoolExecutor(1)
    assert.equal(1, good:submit(identity, 1):result(BOUND))
    signal.kill(zygote_of(bad), signal.SIGKILL)
    assert.equal(2, good:submit(identity, 2):result(BOUND))
    assert.equal(3, threads:submit(identity, 3):result(BOUND))
  end)
end)
