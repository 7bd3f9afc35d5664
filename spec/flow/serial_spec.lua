local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local task = pools.task

local PATIENCE = 30 -- seconds; reached only by what is broken

describe("SerialExecutor", function()
  it("has run a task when submit returns", function()
    local ex <close> = ccpool.SerialExecutor()
    local f = ex:submit(math.sqrt, 16)
    assert.is_true(f:done())
    assert.equal("finished", f:state())
    assert.equal(4.0, f:result(0))
  end)

  it("runs tasks in the program itself", function()
    local ex <close> = ccpool.SerialExecutor()
    local pid = require("posix.unistd").getpid()
    assert.equal(pid, ex:submit("posix.unistd.getpid"):result())
    rawset(_G, "spec_serial", "seen")
    assert.equal("seen", (ex:submit(task(function()
      return spec_serial -- luacheck: ignore
    end)):result()))
    rawset(_G, "spec_serial", nil)
  end)

  it("lets tasks submit to itself", function()
    local outer = ccpool.SerialExecutor()
    local inner = function(n) return n + 1 end
    rawset(_G, "spec_outer", outer)
    local f = outer:submit(task(function(g)
      local ex = spec_outer -- luacheck: ignore
      return ex:submit(g, 1):result() + ex:submit(g, 2):result()
    end), inner)
    rawset(_G, "spec_outer", nil)
    assert.equal(5, f:result())
    outer:shutdown()
  end)

  it("lets a map run inside a map", function()
    local ex <close> = ccpool.SerialExecutor()
    rawset(_G, "spec_outer", ex)
    local list = ex:map(task(function(n)
      local sum = 0
      for _, x in spec_outer:map(math.abs, { -1, -n }) do sum = sum + x end -- luacheck: ignore
      return sum
    end), { 1, 2, 3 }):collect()
    rawset(_G, "spec_outer", nil)
    assert.same({ n = 3, 2, 3, 4 }, list)
  end)

  it("starts no thread and no process", function()
    local function tasks()
      local n = 0
      for _ in require("posix.dirent").files("/proc/self/task") do n = n + 1 end
      return n
    end
    local before = tasks()
    local ex <close> = ccpool.SerialExecutor(4)
    ex:warmup()
    ex:submit(math.sqrt, 1)
    ex:map(math.sqrt, { 1, 2 }):collect()
    assert.equal(before, tasks())
    assert.same({}, ex:stats().workers)
  end)

  it("counts how long its tasks ran, and neither initializer nor finalizer", function()
    local ex = ccpool.SerialExecutor{ initializer = math.abs, initargs = { 1 },
      finalizer = task(function() end) }
    ex:submit(task(function() for _ = 1, 1000 do math.sqrt(2) end end))
    ex:map(math.sqrt, { 1, 2 }):collect()
    ex:shutdown()
    local stats = ex:stats()
    assert.equal(3, stats.run.n)
    assert.is_true(stats.run.max > 0 and stats.run.max >= stats.run.mean)
    assert.equal(0, stats.wait.n)
    assert.equal(3, stats.submitted)
    assert.equal(3, stats.done)
  end)

  it("works with everything that waits", function()
    local ex <close> = ccpool.SerialExecutor()
    local f, g = ex:submit(math.abs, -1), ex:submit(math.abs, -2)
    assert.equal(2, #ccpool.wait{ f, g })
    assert.same({ 1, 2 }, ccpool.all{ f, g })
    assert.equal(1, (ccpool.any{ f, g }))
    local n = 0
    for h in ccpool.as_completed{ f, g } do n = n + h:result() end
    assert.equal(3, n)
    ccpool.poll(0)
    assert.is_false(f:cancel())
  end)

  it("passes interrupts of the task's own through as errors", function()
    local ex <close> = ccpool.SerialExecutor()
    assert.equal("no", (ex:submit(error, "no"):exception()))
  end)

  it("works on in a forked process, which is not its maker's any more", function()
    local ex <close> = ccpool.SerialExecutor()
    local step = ex:map(math.sqrt, { 1, 4 })
    _G.inherited = { ex = ex, step = step }
    local processes <close> = ccpool.ProcessPoolExecutor(1)
    local child = processes:submit(task(function()
      local g = _G.inherited
      -- the state gets a client of its own, and the inherited one may go
      require("ccpool").SerialExecutor():submit(math.sqrt, 1)
      for _ = 1, 4 do collectgarbage() end
      local root = g.ex:submit(math.sqrt, 16):result()
      local ok, err = pcall(g.step)
      return root, g.ex:map(math.sqrt, { 9 }):collect()[1], ok, err
    end))
    _G.inherited = nil
    local root, mapped, ok, err = child:result(PATIENCE)
    assert.same({ 4, 3, false }, { root, mapped, ok })
    assert.matches("belongs to the process", err)
    assert.same({ 1, 1 }, { step() })
    assert.same({ 2, 2 }, { step() })
  end)
end)
