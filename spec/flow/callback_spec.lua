local ccpool = require "ccpool"
local poll = require "posix.poll"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local misuse = pools.misuse

describe("add_done_callback", function()
  local reporter

  before_each(function() reporter = ccpool.on_callback_error end)
  after_each(function() ccpool.on_callback_error = reporter end)

  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("calls back with the future, which is done then", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local seen = {}
        futures[1]:add_done_callback(function(...)
          seen = table.pack(...)
          seen.state = (...):state()
          seen.value = (...):result()
        end)
        assert.is_nil(seen.state)
        gate:open()
        futures[1]:result()
        assert.equal(1, seen.n)
        assert.equal(futures[1], seen[1])
        assert.equal("finished", seen.state)
        assert.equal(1, seen.value)
      end)

      it("calls back in the order of adding, exactly once", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local order = {}
        for i = 1, 5 do
          futures[1]:add_done_callback(function() order[#order + 1] = i end)
        end
        gate:open()
        futures[1]:result()
        assert.same({ 1, 2, 3, 4, 5 }, order)
        for _ = 1, 3 do ccpool.poll(0) end
        futures[1]:result()
        assert.same({ 1, 2, 3, 4, 5 }, order)
      end)

      it("calls in that order, too, if the future gets done between two of them", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local order = {}
        local function note(text) return function() order[#order + 1] = text end end
        futures[1]:add_done_callback(note "first")
        futures[1]:add_done_callback(note "second")
        gate:open()
        repeat until futures[1]:done() -- delivers, but calls nothing back
        assert.same({}, order)
        futures[1]:add_done_callback(note "third")
        assert.same({ "first", "second", "third" }, order)
        ccpool.poll(0)
        assert.same({ "first", "second", "third" }, order)
      end)

      it("calls each time that the same function was added", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local n = 0
        local function count() n = n + 1 end
        futures[1]:add_done_callback(count)
        futures[1]:add_done_callback(count)
        gate:open()
        futures[1]:result()
        assert.equal(2, n)
      end)

      it("calls back for failures and cancellations too", function()
        local ex <close> = make(1)
        local gate <close> = pools.occupy(ex)
        local failed, dropped = ex:submit(error, "no"), ex:submit(math.sqrt, 1)
        local states = {}
        failed:add_done_callback(function(f) states[1] = (f:exception()) end)
        dropped:add_done_callback(function(f) states[2] = f:state() end)
        assert.is_true(dropped:cancel())
        ccpool.poll(0)
        assert.equal("cancelled", states[2])
        gate:open()
        failed:exception()
        assert.equal("no", states[1])
      end)

      for _, name in ipairs{ "result", "wait", "as_completed", "map", "warmup", "poll",
        "shutdown" } do
        it("runs callbacks inside " .. name .. ", of whatever else", function()
          local ex <close> = make(1)
          local other <close> = ccpool.ThreadPoolExecutor(1)
          local gate <close>, futures = pools.occupy(ex)
          local called
          local unblock <close> = fifo.new() -- by the callback: so the call has to wait
          futures[1]:add_done_callback(function()
            called = true
            unblock:open()
          end)
          local function blocked()
            return other:submit("spec.support.fifo.pass", unblock.path)
          end
          local waits = {
            result = function() blocked():result() end,
            wait = function() ccpool.wait{ blocked() } end,
            as_completed = function() ccpool.as_completed{ blocked() }() end,
            map = function() other:map("spec.support.fifo.pass", { unblock.path }):collect() end,
            warmup = function() other:warmup() end,
            poll = function() ccpool.poll() end,
            shutdown = function() other:shutdown() end,
          }
          local fd = futures[1]:getfd()
          gate:open()
          assert.equal(1, poll.rpoll(fd, 30000))
          assert.is_nil(called)
          waits[name]()
          assert.is_true(called)
        end)
      end

      for name, ask in pairs{
        result = function(f) return f:result() end,
        presult = function(f) return select(2, f:presult()) end,
        exception = function(f) return f:exception() or 1 end,
        await = function(f) return f:await() end,
        wait = function(f) return ccpool.wait{ f }[1]:result() end,
      } do
        it("runs callbacks inside " .. name .. ", although nothing is left to wait for", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          local first, calls = futures[1], 0
          local last = ex:submit(math.sqrt, 9)
          last:add_done_callback(function(f)
            calls = calls + 1
            assert(f:result() == 3) -- inside of a callback: no other is run by that
          end)
          gate:open()
          while not last:done() do poll.poll({}, 1) end
          assert.equal(0, calls)
          assert.equal(1, ask(first))
          assert.equal(1, calls)
        end)
      end

      it("runs none inside a callback, at once or not, that asks for what is there", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local early, late, log = futures[1], ex:submit(math.sqrt, 9), {}
        early:add_done_callback(function(f) log[#log + 1] = f:result() end)
        gate:open()
        while not late:done() do poll.poll({}, 1) end
        late:add_done_callback(function(f) log[#log + 1] = f:result() end)
        early:result()
        assert.same({ 3, 1 }, log)
      end)

      it("takes callbacks inside callbacks, on the same future and on others", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local last = ex:submit("spec.support.fifo.pass", gate.path)
        local order = {}
        local function note(text) return function() order[#order + 1] = text end end
        futures[1]:add_done_callback(function(f)
          order[#order + 1] = "outer"
          f:add_done_callback(note "inner")
          last:add_done_callback(note "other")
        end)
        futures[1]:add_done_callback(note "second")
        gate:open()
        last:result()
        assert.equal("outer", order[1])
        table.sort(order)
        assert.same({ "inner", "other", "outer", "second" }, order)
      end)

      it("lets callbacks submit and wait", function()
        local ex <close> = make(2)
        local gate <close>, futures = pools.occupy(ex)
        local got
        futures[1]:add_done_callback(function(f)
          got = ex:submit(math.sqrt, f:result() * 16):result()
        end)
        gate:open()
        futures[1]:result()
        assert.equal(4.0, got)
      end)

      it("keeps a future with a callback alive", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local got
        ex:submit(string.rep, "x", 50):add_done_callback(function(f) got = #f:result() end)
        collectgarbage()
        collectgarbage()
        gate:open()
        futures[1]:result()
        while not got do ccpool.poll(10) end
        assert.equal(50, got)
      end)

      it("reports an error in a callback, and skips nothing", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local reports, called = {}, 0
        ccpool.on_callback_error = function(...) reports[#reports + 1] = table.pack(...) end
        local function fine() called = called + 1 end
        futures[1]:add_done_callback(fine)
        futures[1]:add_done_callback(function() error("oh", 0) end)
        futures[1]:add_done_callback(function() error({ code = 7 }) end)
        futures[1]:add_done_callback(fine)
        gate:open()
        assert.equal(1, futures[1]:result())
        assert.equal(2, called)
        assert.equal(2, #reports)
        assert.equal("oh", reports[1][1])
        assert.equal(futures[1], reports[1][2])
        assert.equal(7, reports[2][1].code)
      end)

      it("survives an error in the reporter", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local called
        ccpool.on_callback_error = function() error("and again") end
        futures[1]:add_done_callback(function() error("oh") end)
        futures[1]:add_done_callback(function() called = true end)
        gate:open()
        assert.equal(1, futures[1]:result())
        assert.is_true(called)
      end)

      it("takes a callable object", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local got
        futures[1]:add_done_callback(setmetatable({}, { __call = function(_, f) got = f end }))
        gate:open()
        futures[1]:result()
        assert.equal(futures[1], got)
      end)
    end)
  end

  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("calls back at once if the future is done", function()
        local ex <close> = make(1)
        local f = ex:submit(math.sqrt, 16)
        f:result()
        local order = {}
        f:add_done_callback(function(g) order[#order + 1] = g:result() end)
        order[#order + 1] = "after"
        assert.same({ 4.0, "after" }, order)
      end)

      it("reports an error of a callback that it calls at once", function()
        local ex <close> = make(1)
        local f = ex:submit(math.sqrt, 16)
        f:result()
        local got
        ccpool.on_callback_error = function(err) got = err end
        f:add_done_callback(function() error("oh", 0) end)
        assert.equal("oh", got)
      end)

      it("refuses what cannot be called, at the caller's level", function()
        local ex <close> = make(1)
        local f = ex:submit(math.sqrt, 16)
        for _, bad in ipairs{ 1, "f", {}, true } do
          misuse(function() f:add_done_callback(bad) end, "#1 to 'add_done_callback'", "function")
        end
        misuse(function() f:add_done_callback() end, "#1 to 'add_done_callback'")
      end)
    end)
  end

  it("writes to stderr by default", function()
    local _, _, err = pools.run_script[[
      local ccpool = require "ccpool"
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local f = ex:submit(math.sqrt, 16)
      f:add_done_callback(function() error("crumbs", 0) end)
      print(f:result())]]
    assert.matches("crumbs", err, 1, true)
    assert.matches("ccpool.Future", err, 1, true)
  end)
end)
