local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local misuse, task = pools.misuse, pools.task

local pack_up = task(function(...) return table.pack(...) end)

describe("submit", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex

      before_each(function() ex = make(2) end)
      after_each(function() ex:shutdown() end)

      it("returns a future", function()
        assert.matches("^ccpool%.Future: ", tostring(ex:submit(math.sqrt, 1)))
      end)

      it("runs a Lua function", function()
        assert.equal(5, ex:submit(function(a, b) return a + b end, 2, 3):result())
      end)

      it("runs a C function of a loaded module", function()
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
        assert.equal("ABC", ex:submit(string.upper, "abc"):result())
      end)

      it("runs what a name means to the worker", function()
        assert.equal(4.0, ex:submit("math.sqrt", 16):result())
        assert.equal("a", ex:submit("spec.support.fifo.pass", "/nowhere", "a"):result())
      end)

      it("fails the future of a name that means nothing", function()
        for _, name in ipairs{ "math.no_such", "no.such.module", "print_", "", ".", "math.pi" } do
          local f = ex:submit(name)
          local err = f:exception()
          assert.equal("finished", f:state())
          assert.is_not_nil(err, name)
        end
        assert.matches("no_such", tostring(ex:submit("math.no_such"):exception()))
        assert.equal(2.0, ex:submit("math.sqrt", 4):result())
      end)

      it("passes every argument on, nils included", function()
        local got = ex:submit(pack_up, nil, 1, nil, false, nil):result()
        assert.same({ n = 5, [2] = 1, [4] = false }, got)
        assert.equal(0, ex:submit(pack_up):result().n)
        assert.equal(1, ex:submit(pack_up, nil):result().n)
      end)

      it("passes upvalues on", function()
        local greeting, n = "hello", 3
        assert.equal("hellohellohello", ex:submit(function()
          return greeting:rep(n)
        end):result())
      end)

      it("takes upvalues as they are at submit", function()
        local n = 1
        local f = function() return n end
        local first = ex:submit(f)
        n = 2
        local second = ex:submit(f)
        assert.equal(1, first:result())
        assert.equal(2, second:result())
      end)

      it("leaves the caller's upvalues and arguments as they are", function()
        local n, t = 1, { 1 }
        local f = ex:submit(function(list)
          n = n + 1
          list[1] = n
          return n, list
        end, t)
        local m, copy = f:result()
        assert.equal(2, m)
        assert.same({ 2 }, copy)
        assert.equal(1, n)
        assert.same({ 1 }, t)
      end)

      it("starts every call from the upvalues that were sent", function()
        local n = 0
        local function count()
          n = n + 1
          return n
        end
        for _ = 1, 20 do assert.equal(1, ex:submit(count):result()) end
      end)

      it("runs recursive local functions", function()
        local function fib(n)
          if n < 2 then return n end
          return fib(n - 1) + fib(n - 2)
        end
        assert.equal(55, ex:submit(fib, 10):result())
      end)

      it("runs functions that call each other", function()
        local even, odd
        function even(n) return n == 0 or odd(n - 1) end
        function odd(n) return n ~= 0 and even(n - 1) end
        assert.is_true(ex:submit(even, 10):result())
        assert.is_false(ex:submit(odd, 10):result())
      end)

      it("keeps a local that two closures share shared", function()
        local n = 10
        local function add() n = n + 1 end
        local function get() return n end
        assert.equal(12, ex:submit(function()
          add()
          add()
          return get()
        end):result())
        assert.equal(11, ex:submit(function(f, g)
          f()
          return g()
        end, add, get):result())
      end)

      it("gives functions the worker's globals", function()
        assert.equal(_VERSION, ex:submit(task(function() return _VERSION end)):result())
        assert.is_true(ex:submit(task(function() return _G == _ENV end)):result())
      end)

      it("returns functions", function()
        local add = ex:submit(function(a) return function(b) return a + b end end, 3):result()
        assert.equal(7, add(4))
        assert.equal(math.sqrt, ex:submit(function(f) return f end, math.sqrt):result())
      end)

      it("passes the same function many times", function()
        local f = function(x) return x * x end
        local futures = {}
        for i = 1, 300 do futures[i] = ex:submit(f, i) end
        for i = 1, 300 do assert.equal(i * i, futures[i]:result()) end
      end)

      it("runs many different functions", function()
        for i = 1, 100 do
          local f = load("return function(x) return x + " .. i .. " end")()
          assert.equal(i + 1, ex:submit(f, 1):result())
        end
      end)

      it("refuses what is no function, at the caller's level", function()
        for _, value in ipairs{ 1, true, {}, io.stdout, coroutine.create(print) } do
          misuse(function() ex:submit(value, 1) end, "#1 to 'submit'", "function")
        end
        misuse(function() ex:submit(nil) end, "#1 to 'submit'", "function")
        misuse(function() ex:submit() end, "#1 to 'submit'", "function")
        assert.equal(0, ex:stats().submitted)
      end)

      it("raises NotSendableError for an argument, with the path to it", function()
        local err = pools.fails_with("NotSendableError", ex.submit, ex, math.max, 1,
          { cfg = { on_done = coroutine.create(print) } })
        assert.matches("argument 2", err.path, 1, true)
        assert.matches("cfg.on_done", err.path, 1, true)
        assert.matches("thread", err.path, 1, true)
        assert.matches(err.path, tostring(err), 1, true)
      end)

      it("raises NotSendableError for an upvalue, with its name", function()
        local sock = coroutine.create(print)
        local err = pools.fails_with("NotSendableError", ex.submit, ex, function()
          return sock
        end)
        assert.matches("upvalue 'sock'", err.path, 1, true)
      end)

      it("queues nothing that it has refused", function()
        pcall(ex.submit, ex, math.max, coroutine.create(print))
        assert.equal(0, ex:stats().submitted)
        assert.equal(4, ex:submit(math.sqrt, 16):result())
        assert.equal(1, ex:stats().submitted)
      end)

      it("raises ShutdownError after shutdown", function()
        ex:shutdown()
        pools.fails_with("ShutdownError", ex.submit, ex, math.sqrt, 16)
        pools.fails_with("ShutdownError", ex.map, ex, math.sqrt, { 16 })
        pools.fails_with("ShutdownError", ex.starmap, ex, math.sqrt, { { 16 } })
      end)

      it("checks arguments after shutdown too", function()
        ex:shutdown()
        misuse(function() ex:submit(7) end, "#1 to 'submit'")
      end)
    end)
  end

  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("keeps a queue in order", function()
        local ex <close> = make(1)
        local order <close> = require("spec.support.fifo").new()
        local gate <close> = pools.occupy(ex)
        for i = 1, 9 do
          ex:submit("spec.support.fifo.tell", order.path, tostring(i))
        end
        gate:open()
        assert.equal("123456789", order:await(9))
      end)

      it("takes more tasks than the board has room for", function()
        local ex <close> = make(2)
        local gate <close> = pools.occupy(ex)
        local futures = {}
        for i = 1, 3000 do futures[i] = ex:submit(math.abs, -i) end
        gate:open()
        for i = 1, 3000 do assert.equal(i, futures[i]:result()) end
      end)

      it("counts tasks that wait and tasks that run", function()
        local ex <close> = make(2)
        local gate <close> = pools.occupy(ex)
        for _ = 1, 3 do ex:submit(math.abs, 1) end
        local stats = ex:stats()
        assert.equal(5, stats.submitted)
        assert.equal(2, stats.running)
        assert.equal(3, stats.queued)
        gate:open()
      end)
    end)
  end
end)

describe("a task", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex

      before_each(function() ex = make(1) end)
      after_each(function() ex:shutdown() end)

      it("may return nothing, nils and many values", function()
        assert.equal(0, select("#", ex:submit(function() end):result()))
        assert.equal(3, select("#", ex:submit(function() return nil, nil, nil end):result()))
        assert.same({ n = 4, 1, nil, 3, nil },
          table.pack(ex:submit(function() return 1, nil, 3, nil end):result()))
      end)

      it("may return a thousand values", function()
        local list = {}
        for i = 1, 1000 do list[i] = i end
        local got = table.pack(ex:submit(table.unpack, list):result())
        assert.equal(1000, got.n)
        for i = 1, 1000 do assert.equal(i, got[i]) end
      end)

      it("may yield in coroutines of its own", function()
        assert.equal(6, ex:submit(task(function()
          local sum = 0
          for i in coroutine.wrap(function()
            for i = 1, 3 do coroutine.yield(i) end
          end) do sum = sum + i end
          return sum
        end)):result())
      end)

      it("fails if it yields outside of one, and the worker lives on", function()
        local f = ex:submit(coroutine.yield, 1)
        assert.is_not_nil(f:exception())
        assert.equal("finished", f:state())
        assert.equal(2.0, ex:submit(math.sqrt, 4):result())
      end)

      it("that returns what cannot travel fails with NotSendableError", function()
        local f = ex:submit(task(function() return 1, { co = coroutine.create(print) } end))
        local err = f:exception()
        assert.is_true(ccpool.is_error(err, "NotSendableError"))
        assert.matches("result 2", err.path, 1, true)
        assert.matches("co", err.path, 1, true)
        assert.equal(2.0, ex:submit(math.sqrt, 4):result())
      end)

      it("that overflows the stack fails alone", function()
        local function deeper(n) return 1 + deeper(n + 1) end
        local err = ex:submit(deeper, 1):exception()
        assert.matches("stack overflow", tostring(err))
        assert.equal(2.0, ex:submit(math.sqrt, 4):result())
      end)
    end)
  end
end)
