-- Executors inside of tasks: their own ones, and the one that runs them.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local function fib(ex, self, n)
  if n < 2 then return n end
  local a, b = ex:submit(self, ex, self, n - 1), ex:submit(self, ex, self, n - 2)
  return a:result() + b:result()
end

describe("an executor in its own tasks (thread)", function()
  for _, workers in ipairs{ 1, 2, 4 } do
    it(("computes fib by tasks on %d workers"):format(workers), function()
      local ex <close> = ccpool.ThreadPoolExecutor(workers)
      assert.equal(144, ex:submit(fib, ex, fib, 12):result())
    end)
  end

  it("is the same executor: counts, name and size", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 2, name = "same" }
    local name, size, kind, n = ex:submit(function(e)
      e:submit(math.abs, 1):result()
      return e.name, e.max_workers, e.kind, e:stats().submitted
    end, ex):result()
    assert.same({ "same", 2, "thread", 2 }, { name, size, kind, n })
    assert.truthy(ex:submit(tostring, ex):result():find("^ccpool.ThreadPoolExecutor: "))
  end)

  it("maps inside of a task", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local sum = ex:submit(function(e)
      local total = 0
      for _, v in e:map(function(x) return x * x end, { 1, 2, 3, 4, 5 }, { chunksize = 2 }) do
        total = total + v
      end
      return total
    end, ex):result()
    assert.equal(55, sum)
  end)

  it("waits in every way without a deadlock on one worker", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local list = ex:submit(function(e)
      local pool = require "ccpool"
      local fs = {}
      for i = 1, 5 do fs[i] = e:submit(math.abs, -i) end
      local done = pool.wait(fs)
      local n = 0
      for f in pool.as_completed(fs) do n = n + f:result() end
      local all = pool.all{ e:submit(math.sqrt, 16) }
      return { #done, n, all[1] }
    end, ex):result()
    assert.same({ 5, 15, 4.0 }, list)
  end)

  it("crosses two executors of one worker each", function()
    local a <close> = ccpool.ThreadPoolExecutor(1)
    local b <close> = ccpool.ThreadPoolExecutor(1)
    local function ping(here, there, self, n)
      if n == 0 then return "done" end
      return there:submit(self, there, here, self, n - 1):result()
    end
    assert.equal("done", a:submit(ping, a, b, ping, 10):result())
  end)

  it("carries errors, tracebacks and timeouts through", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, grace = 0.1 }
    local ok, err = ex:submit(function(e)
      return pcall(function() e:submit(error, "inner", 0):result() end)
    end, ex):result()
    assert.is_false(ok)
    assert.equal("inner", err)
  end)

  it("stops tasks in time whose submitter waits", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, grace = 0.1 }
    for _, limit in ipairs{ "timeout", "deadline" } do
      local ok, kind = ex:submit(function(e, name)
        local f = e:with{ [name] = 0.1 }:submit(function() while true do end end)
        local fine, err = f:presult()
        return fine, err.kind
      end, ex, limit):result()
      assert.is_false(ok)
      assert.equal("TimeoutError", kind)
    end
  end)

  it("forgets the futures of a task that ends without them", function()
    local ex <close> = ccpool.ThreadPoolExecutor(2)
    for _ = 1, 20 do
      ex:submit(function(e) for _ = 1, 10 do e:submit(math.abs, 1) end end, ex):result()
    end
    ex:shutdown()
    assert.equal(0, ex:stats().queued)
    assert.equal(220, ex:stats().done + ex:stats().cancelled)
  end)

  it("leaves no task behind when its worker is replaced", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, max_tasks_per_worker = 1 }
    for _ = 1, 10 do
      ex:submit(function(e) for _ = 1, 3 do e:submit(math.abs, 1) end end, ex):result()
    end
    ex:shutdown()
    local stats = ex:stats()
    assert.equal(40, stats.done + stats.cancelled)
  end)

  it("refuses to be ended by its tasks", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    for _, method in ipairs{ "shutdown", "terminate", "kill", "warmup" } do
      local err = ex:submit(function(e, m) e[m](e) end, ex, method):exception()
      assert.truthy(tostring(err):find("belongs to another thread", 1, true), tostring(err))
    end
    assert.equal(4, ex:submit(math.sqrt, 16):result())
  end)

  it("is told that it is shut down", function()
    local a = ccpool.ThreadPoolExecutor(1)
    local b <close> = ccpool.ThreadPoolExecutor(1)
    b:submit(function(e) package.loaded.kept = e end, a):result()
    a:shutdown()
    local err = b:submit(function() package.loaded.kept:submit(math.abs, 1) end):exception()
    assert.is_true(ccpool.is_error(err, "ShutdownError"), tostring(err))
  end)

  describe("does not travel to processes", function()
    local refused = {
      submit = function(ex, e) ex:submit(type, e) end,
      ["with options"] = function(ex, e) ex:with{ retries = 1 }:submit(type, { x = { e } }) end,
      ["an upvalue"] = function(ex, e) ex:submit(function() return e end) end,
      map = function(ex, e) ex:map(type, { 1, e, 3 }) end,
      starmap = function(ex, e) ex:starmap(type, { { 1 }, { 2, e } }) end,
      broadcast = function(ex, e) ex:broadcast(type, e) end,
      initargs = function(_, e)
        ccpool.ProcessPoolExecutor{ max_workers = 1, initializer = type, initargs = { e } }
      end,
    }
    for name, use in pairs(refused) do
      it("(" .. name .. "), which it says at once", function()
        local threads <close> = ccpool.ThreadPoolExecutor(1)
        local processes <close> = ccpool.ProcessPoolExecutor(1)
        for _, e in ipairs{ threads, processes } do
          local err = pools.fails_with("NotSendableError", use, processes, e)
          assert.truthy(err.path:find("an executor travels to threads", 1, true), err.path)
        end
        processes:submit(type, 1):result()
        local stats = processes:stats()
        assert.equal(0, stats.failed)
        assert.equal(stats.submitted, stats.done + stats.cancelled)
      end)
    end

    it("(an iterator's item), which its step says", function()
      local threads <close> = ccpool.ThreadPoolExecutor(1)
      local processes <close> = ccpool.ProcessPoolExecutor(1)
      local items, n = { 1, threads }, 0
      local steps = processes:map(type, function() n = n + 1; return items[n] end)
      local _, got = steps()
      assert.equal("number", got)
      pools.fails_with("NotSendableError", steps)
    end)

    it("and does not come from one", function()
      local processes <close> = ccpool.ProcessPoolExecutor(1)
      local f = processes:submit(function()
        return require "ccpool".ThreadPoolExecutor(1)
      end)
      pools.fails_with("NotSendableError", f.result, f)
    end)
  end)

  it("travels to threads of a process, of whatever pool", function()
    local processes <close> = ccpool.ProcessPoolExecutor(1)
    assert.equal(4.0, processes:submit(function()
      local pool = require "ccpool"
      local threads <close> = pool.ThreadPoolExecutor(1)
      local serial <close> = pool.SerialExecutor{}
      local function root(e, n) return e:submit(math.sqrt, n):result() end
      return serial:submit(root, threads, threads:submit(root, threads, 256):result()):result()
    end):result())
  end)

  it("serial stays where it is", function()
    local threads <close> = ccpool.ThreadPoolExecutor(1)
    local serial <close> = ccpool.SerialExecutor{}
    local ok, err = pcall(threads.submit, threads, print, serial)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("serial", 1, true), tostring(err))
  end)
end)

-- #nosan: the thread sanitizer cannot bear a forked child that makes threads.
describe("pools of a worker's own #nosan", function()
  for kind, make in pools.concurrent() do
    it("work in " .. kind .. " workers", function()
      local ex <close> = make(2)
      local got = ex:submit(function()
        local pool = require "ccpool"
        local threads <close> = pool.ThreadPoolExecutor(2)
        local sum = 0
        for _, v in threads:map(math.abs, { -1, -2, -3 }) do sum = sum + v end
        local processes <close> = pool.ProcessPoolExecutor(1)
        return sum + processes:submit(math.sqrt, 16):result()
      end):result()
      assert.equal(10.0, got)
    end)
  end
end)
