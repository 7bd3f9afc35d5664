local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local misuse, task = pools.misuse, pools.task

local fail = task(function(value) error(value, 0) end)

describe("a future", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex

      before_each(function() ex = make(1) end)
      after_each(function() ex:shutdown() end)

      it("gives every value of its task, nils included, as often as asked", function()
        local f = ex:submit(function() return 1, nil, "x", nil end)
        for _ = 1, 3 do
          assert.same({ n = 4, 1, nil, "x", nil }, table.pack(f:result()))
          assert.same({ n = 5, true, 1, nil, "x", nil }, table.pack(f:presult()))
        end
      end)

      it("gives the same table each time", function()
        local f = ex:submit(function() return { "a table" }, { "another" } end)
        local a, b = f:result()
        local c, d = f:result()
        assert.equal(a, c)
        assert.equal(b, d)
      end)

      it("of a task that returned has no exception and no traceback", function()
        local f = ex:submit(math.sqrt, 16)
        assert.same({ n = 1 }, table.pack(f:exception()))
        assert.is_nil(f:traceback())
      end)

      it("of a task that failed says so in every way", function()
        for _, value in ipairs{ "short", ("long "):rep(20), ("huge "):rep(5000), { 1 } } do
          local f = ex:submit(fail, value)
          local results = table.pack(f:presult())
          assert.equal(2, results.n)
          assert.is_false(results[1])
          assert.same(value, results[2])
          local err, traceback = f:exception()
          assert.same(value, err)
          assert.is_string(traceback)
          local ok, raised = pcall(f.result, f)
          assert.is_false(ok)
          assert.same(value, raised)
        end
      end)

      it("presult alone tells failure, whatever was asked before", function()
        for _, first in ipairs{ "result", "presult", "exception", "traceback", "state" } do
          local f = ex:submit(fail, ("long "):rep(20))
          f:exception()
          local g = ex:submit(fail, ("long "):rep(20))
          while not g:done() do ccpool.poll(1) end
          pcall(g[first], g)
          assert.same({ n = 2, false, ("long "):rep(20) }, table.pack(g:presult()))
        end
      end)

      it("is finished in the end", function()
        for _, f in ipairs{ ex:submit(math.sqrt, 16), ex:submit(error, "no") } do
          f:exception()
          assert.is_true(f:done())
          assert.is_false(f:running())
          assert.is_false(f:cancelled())
          assert.equal("finished", f:state())
          assert.matches("^ccpool%.Future: 0x%x+ %(finished%)$", tostring(f))
        end
      end)

      it("that is finished cannot be cancelled", function()
        local f = ex:submit(math.sqrt, 16)
        f:result()
        assert.is_false(f:cancel())
        assert.is_false(f:cancelled())
        assert.equal(4.0, f:result())
      end)

      it("has a name for its metatable", function()
        assert.equal("ccpool.Future", getmetatable(ex:submit(math.sqrt, 1)).__name)
      end)

      it("may be closed, as often as one likes", function()
        local f <close> = ex:submit(math.sqrt, 16)
        do local _ <close> = f end
        assert.equal(4.0, f:result())
      end)

      it("refuses other objects", function()
        local f = ex:submit(math.sqrt, 16)
        for _, method in ipairs{ "result", "done", "cancel", "state", "getfd" } do
          assert.has_error(function() f[method]({}) end)
          assert.has_error(function() f[method](io.stdout) end)
          assert.has_error(function() f[method]() end)
        end
      end)

      it("refuses a timeout that is no time, at the caller's level", function()
        local f = ex:submit(math.sqrt, 16)
        f:result()
        for _, bad in ipairs{ 0 / 0, "1", {}, true } do
          misuse(function() f:result(bad) end, "#1 to 'result'", "timeout")
          misuse(function() f:presult(bad) end, "#1 to 'presult'", "timeout")
          misuse(function() f:exception(bad) end, "#1 to 'exception'", "timeout")
        end
      end)

      it("that nobody knows any more does no harm", function()
        for i = 1, 200 do ex:submit(math.abs, i) end
        collectgarbage()
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
        assert.equal(201, ex:stats().submitted)
      end)

      it("outlives its executor", function()
        local f = ex:submit(string.rep, "x", 100)
        ex:shutdown()
        ex = make(1)
        collectgarbage()
        collectgarbage()
        assert.equal(100, #f:result())
      end)
    end)
  end

  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("is pending, then running, then finished", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local f = ex:submit("spec.support.fifo.pass", gate.path, "through")
        assert.equal("pending", f:state())
        assert.is_false(f:running())
        assert.is_false(f:done())
        assert.matches("%(pending%)$", tostring(f))
        assert.equal("running", futures[1]:state())
        assert.is_true(futures[1]:running())
        assert.is_false(futures[1]:done())
        assert.is_false(futures[1]:cancelled())
        assert.matches("%(running%)$", tostring(futures[1]))
        gate:open()
        assert.equal("through", f:result())
        assert.equal("finished", f:state())
        assert.equal("finished", futures[1]:state())
      end)

      it("that is pending or running has no traceback yet", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local f = ex:submit(error, "no")
        assert.is_nil(futures[1]:traceback())
        assert.is_nil(f:traceback())
        gate:open()
        assert.equal("no", (f:exception()))
        assert.is_string(f:traceback())
      end)

      it("that is done says so without anybody waiting for it", function()
        local ex <close> = make(1)
        local told <close> = fifo.new()
        local f = ex:submit(math.sqrt, 16)
        ex:submit("spec.support.fifo.tell", told.path)
        told:await() -- the one worker has answered the first call
        assert.is_true(f:done())
        assert.equal("finished", f:state())
      end)

      describe("with a timeout", function()
        for _, timeout in ipairs{ 0, -1, -math.huge, 0.001 } do
          it("of " .. timeout .. " raises TimeoutError, and the task goes on", function()
            local ex <close> = make(1)
            local gate <close>, futures = pools.occupy(ex)
            local f = futures[1]
            pools.fails_with("TimeoutError", f.result, f, timeout)
            pools.fails_with("TimeoutError", f.exception, f, timeout)
            local results = table.pack(f:presult(timeout))
            assert.equal(2, results.n)
            assert.is_false(results[1])
            assert.is_true(ccpool.is_error(results[2], "TimeoutError"))
            assert.equal("running", f:state())
            gate:open()
            assert.equal(1, f:result())
          end)
        end

        for _, timeout in ipairs{ math.huge, 1e300, 1e9, math.maxinteger, 60 } do
          it("of " .. timeout .. " waits", function()
            local ex <close> = make(1)
            assert.equal(4.0, ex:submit(math.sqrt, 16):result(timeout))
            assert.equal(true, (ex:submit(math.sqrt, 16):presult(timeout)))
            assert.is_nil(ex:submit(math.sqrt, 16):exception(timeout))
          end)
        end

        it("refuses NaN and what is no number, at the caller's level", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          assert(gate)
          local f = futures[1]
          for _, bad in ipairs{ 0 / 0, "1", {}, true } do
            misuse(function() f:result(bad) end, "#1 to 'result'", "timeout")
            misuse(function() f:presult(bad) end, "#1 to 'presult'", "timeout")
            misuse(function() f:exception(bad) end, "#1 to 'exception'", "timeout")
          end
        end)
      end)

      describe("that is cancelled", function()
        local function cancelled_one(ex)
          local gate = pools.occupy(ex)
          local f = ex:submit(math.sqrt, 16)
          assert.is_true(f:cancel())
          return f, gate
        end

        it("before its task started never runs it", function()
          local ex <close> = make(1)
          local told <close> = fifo.new()
          local gate <close> = pools.occupy(ex)
          local f = ex:submit("spec.support.fifo.tell", told.path, "c")
          local g = ex:submit("spec.support.fifo.tell", told.path, "g")
          assert.is_true(f:cancel())
          gate:open()
          g:result()
          assert.equal("g", told:await())
          assert.is_false(told:any())
        end)

        it("is so at once", function()
          local ex <close> = make(1)
          local f, gate = cancelled_one(ex)
          local _ <close> = gate
          assert.is_true(f:cancelled())
          assert.is_true(f:done())
          assert.is_false(f:running())
          assert.equal("cancelled", f:state())
          assert.matches("%(cancelled%)$", tostring(f))
        end)

        it("may be cancelled again", function()
          local ex <close> = make(1)
          local f, gate = cancelled_one(ex)
          local _ <close> = gate
          assert.is_true(f:cancel())
          assert.is_true(f:cancel())
        end)

        it("raises CancelledError", function()
          local ex <close> = make(1)
          local f, gate = cancelled_one(ex)
          local _ <close> = gate
          pools.fails_with("CancelledError", f.result, f)
          local ok, err = f:presult()
          assert.is_false(ok)
          assert.is_true(ccpool.is_error(err, "CancelledError"))
          assert.is_true(ccpool.is_error(f:exception(), "CancelledError"))
          assert.is_nil(f:traceback())
        end)

        it("is counted", function()
          local ex <close> = make(1)
          local _, gate = cancelled_one(ex)
          local _ <close> = gate
          local stats = ex:stats()
          assert.equal(1, stats.cancelled)
          assert.equal(0, stats.queued)
          assert.equal(1, stats.running)
        end)

        it("leaves those before and behind it alone", function()
          local ex <close> = make(1)
          local gate <close> = pools.occupy(ex)
          local futures = {}
          for i = 1, 100 do futures[i] = ex:submit(math.abs, -i) end
          for i = 1, 100, 2 do assert.is_true(futures[i]:cancel()) end
          gate:open()
          for i = 1, 100 do
            if i % 2 == 1 then
              assert.equal("cancelled", futures[i]:state())
            else
              assert.equal(i, futures[i]:result())
            end
          end
          assert.equal(50, ex:stats().cancelled)
        end)

        it("from behind the board's window is cancelled too", function()
          local ex <close> = make(1)
          local gate <close> = pools.occupy(ex)
          local futures = {}
          for i = 1, 2500 do futures[i] = ex:submit(math.abs, -i) end
          assert.is_true(futures[2500]:cancel())
          assert.is_true(futures[1]:cancel())
          gate:open()
          assert.equal(2499, futures[2499]:result())
          assert.equal("cancelled", futures[2500]:state())
          assert.equal("cancelled", futures[1]:state())
        end)
      end)

      it("whose task runs cannot be cancelled", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        assert.is_false(futures[1]:cancel())
        assert.is_false(futures[1]:cancelled())
        assert.equal("running", futures[1]:state())
        gate:open()
        assert.equal(1, futures[1]:result())
      end)

      it("travels to threads only", function()
        local ex <close> = make(1)
        local f = ex:submit(math.sqrt, 16)
        local function result(g) return g:result() end
        if kind == "thread" then
          assert.equal(4.0, ex:submit(result, f):result())
        else
          pools.fails_with("NotSendableError", ex.submit, ex, result, f)
          assert.equal(4.0, f:result())
        end
      end)
    end)
  end
end)
