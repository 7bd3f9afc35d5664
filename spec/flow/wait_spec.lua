local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local misuse = pools.misuse
local quiet, loud = pools.unheard()

setup(quiet)
teardown(loud)

local function set(list)
  local of = {}
  for _, f in ipairs(list) do of[f] = true end
  return of
end

--- A pool with a worker for each of n tasks, each at a gate of its own.
local function gated(make, n)
  local ex = make(n)
  local futures, gates = {}, {}
  for i = 1, n do
    gates[i] = fifo.new()
    futures[i] = ex:submit("spec.support.fifo.pass", gates[i].path, i)
  end
  local guard = setmetatable({}, { __close = function()
    for i = 1, n do gates[i]:close() end
    ex:shutdown()
  end })
  return futures, gates, guard, ex
end

describe("wait", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("waits for all by default", function()
        local ex <close> = make(2)
        local futures = {}
        for i = 1, 20 do futures[i] = ex:submit(math.abs, -i) end
        local done, not_done = ccpool.wait(futures)
        assert.equal(20, #done)
        assert.same({}, not_done)
        for i = 1, 20 do
          assert.is_true(set(done)[futures[i]])
          assert.equal("finished", futures[i]:state())
        end
      end)

      it("returns when the first is done", function()
        local futures, gates, _ <close> = gated(make, 3)
        gates[2]:open()
        local done, not_done = ccpool.wait(futures, { return_when = "FIRST_COMPLETED" })
        assert.same({ futures[2] }, done)
        assert.equal(2, #not_done)
        assert.is_true(set(not_done)[futures[1]] and set(not_done)[futures[3]])
      end)

      it("returns at once if one is done already", function()
        local futures, _, _ <close>, ex = gated(make, 1)
        local cancelled = ex:submit(math.sqrt, 1)
        cancelled:cancel()
        local done, not_done = ccpool.wait({ futures[1], cancelled },
          { return_when = "FIRST_COMPLETED" })
        assert.same({ cancelled }, done)
        assert.same({ futures[1] }, not_done)
      end)

      it("returns when the first has failed", function()
        local ex <close> = make(2)
        local gate <close> = fifo.new()
        local waits = ex:submit("spec.support.fifo.pass", gate.path)
        local fine, fails = ex:submit(math.sqrt, 4), ex:submit(error, "no")
        local done, not_done = ccpool.wait({ waits, fine, fails },
          { return_when = "FIRST_EXCEPTION" })
        assert.is_true(set(done)[fails])
        assert.is_true(set(done)[fine]) -- it ran before, on the same worker
        assert.same({ waits }, not_done)
      end)

      it("waits for all if none fails", function()
        local ex <close> = make(2)
        local futures = { ex:submit(math.sqrt, 4), ex:submit(math.sqrt, 9) }
        local done, not_done = ccpool.wait(futures, { return_when = "FIRST_EXCEPTION" })
        assert.equal(2, #done)
        assert.equal(0, #not_done)
      end)

      it("ALL_COMPLETED waits for failures and the others", function()
        local ex <close> = make(2)
        local done = ccpool.wait({ ex:submit(error, "no"), ex:submit(math.sqrt, 9) },
          { return_when = "ALL_COMPLETED" })
        assert.equal(2, #done)
      end)

      it("counts duplicates once", function()
        local futures, gates, _ <close> = gated(make, 2)
        gates[1]:open()
        local done, not_done = ccpool.wait(
          { futures[1], futures[2], futures[1], futures[2] }, { return_when = "FIRST_COMPLETED" })
        assert.same({ futures[1] }, done)
        assert.same({ futures[2] }, not_done)
        gates[2]:open()
        done, not_done = ccpool.wait{ futures[2], futures[2] }
        assert.same({ futures[2] }, done)
        assert.same({}, not_done)
      end)

      it("takes futures as keys", function()
        local ex <close> = make(2)
        local of = { [ex:submit(math.sqrt, 4)] = 4, [ex:submit(math.sqrt, 9)] = 9 }
        local done, not_done = ccpool.wait(of)
        assert.equal(2, #done)
        assert.same({}, not_done)
        for _, f in ipairs(done) do assert.equal(of[f], f:result() ^ 2) end
      end)

      it("takes futures of several executors", function()
        local a <close> = make(1)
        local b <close> = ccpool.ThreadPoolExecutor(1)
        local c <close> = ccpool.ProcessPoolExecutor(1)
        local d <close> = ccpool.SerialExecutor()
        local futures = {}
        for i, ex in ipairs{ a, b, c, d } do futures[i] = ex:submit(math.abs, -i) end
        local done = ccpool.wait(futures)
        assert.equal(4, #done)
        for i = 1, 4 do assert.equal(i, futures[i]:result()) end
      end)

      for _, timeout in ipairs{ 0, -1, 0.001 } do
        it("with timeout " .. timeout .. " gives what is done, and raises nothing", function()
          local futures, gates, _ <close> = gated(make, 2)
          gates[2]:open()
          futures[2]:result()
          local done, not_done = ccpool.wait(futures, { timeout = timeout })
          assert.same({ futures[2] }, done)
          assert.same({ futures[1] }, not_done)
          done, not_done = ccpool.wait({ futures[1] },
            { timeout = timeout, return_when = "FIRST_COMPLETED" })
          assert.same({}, done)
          assert.same({ futures[1] }, not_done)
          gates[1]:open()
          assert.equal(1, futures[1]:result())
        end)
      end

      it("may be asked again and again for the same futures", function()
        local futures, gates, _ <close> = gated(make, 2)
        for _ = 1, 5 do
          local _, not_done = ccpool.wait(futures, { timeout = 0 })
          assert.equal(2, #not_done)
        end
        gates[1]:open()
        gates[2]:open()
        for _ = 1, 2 do assert.equal(2, #ccpool.wait(futures, { timeout = 60 })) end
      end)
    end)
  end

  it("of nothing returns at once", function()
    local done, not_done = ccpool.wait{}
    assert.same({}, done)
    assert.same({}, not_done)
    assert.same({}, ccpool.wait({}, { return_when = "FIRST_COMPLETED" }))
  end)

  it("waits with huge timeouts", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    assert.equal(1, #ccpool.wait({ ex:submit(math.sqrt, 1) }, { timeout = math.huge }))
    assert.equal(1, #ccpool.wait({ ex:submit(math.sqrt, 1) }, { timeout = 1e300 }))
  end)

  it("refuses misuse, by name, at the caller's level", function()
    local ex <close> = ccpool.SerialExecutor()
    local f = ex:submit(math.sqrt, 1)
    misuse(function() ccpool.wait() end, "#1 to 'wait'")
    misuse(function() ccpool.wait(7) end, "#1 to 'wait'")
    misuse(function() ccpool.wait(f) end, "#1 to 'wait'")
    misuse(function() ccpool.wait{ f, 7 } end, "#1 to 'wait'")
    misuse(function() ccpool.wait{ f = f } end, "#1 to 'wait'")
    misuse(function() ccpool.wait({ f }, 7) end, "wait")
    misuse(function() ccpool.wait({ f }, { when = 1 }) end, "'when'", "unknown")
    misuse(function() ccpool.wait({ f }, { return_when = "SOON" }) end, "'return_when'", "SOON")
    misuse(function() ccpool.wait({ f }, { return_when = 1 }) end, "'return_when'")
    misuse(function() ccpool.wait({ f }, { timeout = 0 / 0 }) end, "'timeout'")
    misuse(function() ccpool.wait({ f }, { timeout = "1" }) end, "'timeout'")
  end)
end)

describe("as_completed", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("gives futures in the order in which they finish", function()
        local futures, gates, _ <close> = gated(make, 3)
        local next_done = ccpool.as_completed(futures)
        for _, i in ipairs{ 2, 3, 1 } do
          gates[i]:open()
          local f = next_done()
          assert.equal(futures[i], f)
          assert.equal(i, f:result())
        end
        assert.is_nil(next_done())
        assert.is_nil(next_done())
      end)

      it("keeps that order when nobody was looking", function()
        local futures, gates, _ <close> = gated(make, 3)
        local next_done = ccpool.as_completed(futures)
        for _, i in ipairs{ 3, 1, 2 } do
          gates[i]:open()
          futures[i]:result()
        end
        assert.equal(futures[3], next_done())
        assert.equal(futures[1], next_done())
        assert.equal(futures[2], next_done())
        assert.is_nil(next_done())
      end)

      it("gives those done already first", function()
        local futures, gates, _ <close> = gated(make, 3)
        gates[3]:open()
        futures[3]:result()
        local next_done = ccpool.as_completed(futures)
        assert.equal(futures[3], next_done())
        gates[2]:open()
        assert.equal(futures[2], next_done())
        gates[1]:open()
        assert.equal(futures[1], next_done())
        assert.is_nil(next_done())
      end)

      it("gives duplicates once, failures and cancelled ones too", function()
        local ex <close> = make(1)
        local gate <close> = pools.occupy(ex)
        local a, b, c = ex:submit(math.sqrt, 4), ex:submit(error, "no"), ex:submit(math.sqrt, 9)
        c:cancel()
        gate:open()
        local seen, n = {}, 0
        for f in ccpool.as_completed{ a, b, c, a, b, c } do
          assert.is_nil(seen[f])
          assert.is_true(f:done())
          seen[f], n = true, n + 1
        end
        assert.equal(3, n)
      end)

      it("takes futures as keys, of several executors", function()
        local ex <close> = make(2)
        local other <close> = ccpool.SerialExecutor()
        local of = {}
        for i = 1, 10 do of[ex:submit(math.abs, -i)] = i end
        of[other:submit(math.abs, -11)] = 11
        local sum = 0
        for f in ccpool.as_completed(of) do
          assert.equal(of[f], f:result())
          sum = sum + f:result()
        end
        assert.equal(66, sum)
      end)

      for _, timeout in ipairs{ 0, -1, 0.001 } do
        it("with timeout " .. timeout .. " says how many are unfinished", function()
          local futures, gates, _ <close> = gated(make, 4)
          gates[1]:open()
          gates[4]:open()
          ccpool.wait{ futures[1], futures[4] }
          local next_done = ccpool.as_completed(futures, timeout)
          next_done()
          next_done()
          local err = pools.fails_with("TimeoutError", next_done)
          assert.matches("2 (of 4) futures unfinished", err.message, 1, true)
          gates[2]:open()
          assert.equal(2, futures[2]:result())
        end)
      end

      it("may be left halfway", function()
        local futures, gates, _ <close> = gated(make, 2)
        gates[1]:open()
        for f in ccpool.as_completed(futures) do -- luacheck: ignore 512
          assert.equal(futures[1], f)
          break
        end
        gates[2]:open()
        assert.equal(2, futures[2]:result())
      end)

      it("runs twice at a time over the same futures", function()
        local futures, gates, _ <close> = gated(make, 2)
        local a, b = ccpool.as_completed(futures), ccpool.as_completed(futures)
        gates[2]:open()
        assert.equal(futures[2], a())
        assert.equal(futures[2], b())
        gates[1]:open()
        assert.equal(futures[1], b())
        assert.equal(futures[1], a())
      end)

      it("gives a thousand", function()
        local ex <close> = make(2)
        local futures = {}
        for i = 1, 1000 do futures[i] = ex:submit(math.abs, -i) end
        local sum = 0
        for f in ccpool.as_completed(futures) do sum = sum + f:result() end
        assert.equal(500500, sum)
      end)
    end)
  end

  it("of nothing gives nothing", function()
    assert.is_nil(ccpool.as_completed{}())
    assert.is_nil(ccpool.as_completed({}, 0)())
  end)

  it("refuses misuse, by name, at the caller's level", function()
    local ex <close> = ccpool.SerialExecutor()
    local f = ex:submit(math.sqrt, 1)
    misuse(function() ccpool.as_completed() end, "#1 to 'as_completed'")
    misuse(function() ccpool.as_completed(f) end, "#1 to 'as_completed'")
    misuse(function() ccpool.as_completed{ f, 7 } end, "#1 to 'as_completed'")
    misuse(function() ccpool.as_completed({ f }, 0 / 0) end, "#2 to 'as_completed'", "timeout")
    misuse(function() ccpool.as_completed({ f }, "1") end, "#2 to 'as_completed'", "timeout")
  end)
end)

describe("all", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("gives the first result of each, nils included", function()
        local ex <close> = make(2)
        local results = ccpool.all{ ex:submit(math.abs, -1), ex:submit(function() end),
          ex:submit(function() return 3, 4 end) }
        assert.equal(1, results[1])
        assert.is_nil(results[2])
        assert.equal(3, results[3])
      end)

      it("gives a result at each place of a duplicate", function()
        local ex <close> = make(1)
        local f = ex:submit(math.abs, -7)
        assert.same({ 7, 7 }, ccpool.all{ f, f })
      end)

      it("gives results by future for futures as keys", function()
        local ex <close> = make(2)
        local f, g = ex:submit(math.abs, -1), ex:submit(math.abs, -2)
        local results = ccpool.all{ [f] = "f", [g] = "g" }
        assert.equal(1, results[f])
        assert.equal(2, results[g])
      end)

      it("raises the first error and cancels the rest", function()
        local ex <close> = make(1)
        local gate <close> = pools.occupy(ex)
        local told <close> = fifo.new()
        local last <close> = fifo.new()
        local fails = ex:submit(error, { code = 7 })
        local runs = ex:submit("spec.support.fifo.tell_and_pass", told.path, last.path)
        local waits = ex:submit(math.sqrt, 1)
        gate:open()
        local ok, err = pcall(ccpool.all, { waits, runs, fails })
        assert.is_false(ok)
        assert.same({ code = 7 }, err)
        assert.equal("cancelled", waits:state())
        last:open()
      end)

      it("raises TimeoutError and cancels the rest", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        for _, timeout in ipairs{ 0, -1, 0.001 } do
          local f = ex:submit(math.sqrt, 1)
          pools.fails_with("TimeoutError", ccpool.all, { futures[1], f }, timeout)
          assert.equal("cancelled", f:state())
        end
        assert.equal("running", futures[1]:state())
        gate:open()
      end)
    end)
  end

  it("of nothing is an empty table", function() assert.same({}, ccpool.all{}) end)

  it("refuses misuse, by name, at the caller's level", function()
    local ex <close> = ccpool.SerialExecutor()
    local f = ex:submit(math.sqrt, 1)
    misuse(function() ccpool.all() end, "#1 to 'all'")
    misuse(function() ccpool.all{ 7 } end, "#1 to 'all'")
    misuse(function() ccpool.all({ f }, 0 / 0) end, "#2 to 'all'", "timeout")
    misuse(function() ccpool.all({ f }, {}) end, "#2 to 'all'", "timeout")
  end)
end)

describe("any", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("gives the first success and its future, and cancels the rest", function()
        local ex <close> = make(2)
        local gate <close> = fifo.new()
        local slow = ex:submit("spec.support.fifo.pass", gate.path, "slow")
        local fails = ex:submit(error, "no")
        local told <close> = fifo.new()
        local fast = ex:submit(math.abs, -2)
        local busy = ex:submit("spec.support.fifo.tell_and_pass", told.path, gate.path)
        local waits = ex:submit(math.sqrt, 1)
        told:await() -- both workers are busy now
        local value, winner = ccpool.any{ slow, fails, fast, busy, waits }
        assert.equal(2, value)
        assert.equal(fast, winner)
        assert.equal("cancelled", waits:state())
        assert.equal("running", slow:state())
        gate:open()
      end)

      it("takes nil for a success", function()
        local ex <close> = make(1)
        local f = ex:submit(function() end)
        local value, winner = ccpool.any{ f }
        assert.is_nil(value)
        assert.equal(f, winner)
      end)

      it("raises the first error if all fail", function()
        local ex <close> = make(1)
        local a, b = ex:submit(error, "first"), ex:submit(error, "second")
        local ok, err = pcall(ccpool.any, { b, a })
        assert.is_false(ok)
        -- the first in time, or either if both were done before
        assert.is_true(err == "first" or err == "second")
        local gate <close> = pools.occupy(ex)
        a, b = ex:submit(error, "first"), ex:submit(error, "second")
        gate:open()
        ok, err = pcall(ccpool.any, { a, b })
        assert.is_false(ok)
        assert.equal("first", err)
      end)

      it("raises TimeoutError and cancels the rest", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local f = ex:submit(math.sqrt, 1)
        pools.fails_with("TimeoutError", ccpool.any, { futures[1], f }, 0)
        assert.equal("cancelled", f:state())
        gate:open()
      end)

      it("takes futures as keys", function()
        local ex <close> = make(1)
        local f = ex:submit(math.abs, -5)
        local value, winner = ccpool.any{ [f] = "f" }
        assert.equal(5, value)
        assert.equal(f, winner)
      end)
    end)
  end

  it("refuses misuse, by name, at the caller's level", function()
    local ex <close> = ccpool.SerialExecutor()
    local f = ex:submit(math.sqrt, 1)
    misuse(function() ccpool.any() end, "#1 to 'any'")
    misuse(function() ccpool.any{} end, "#1 to 'any'")
    misuse(function() ccpool.any{ 7 } end, "#1 to 'any'")
    misuse(function() ccpool.any({ f }, 0 / 0) end, "#2 to 'any'", "timeout")
    misuse(function() ccpool.any({ f }, true) end, "#2 to 'any'", "timeout")
  end)
end)

describe("poll", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("waits for a future to come in, and runs its callbacks", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local got
        futures[1]:add_done_callback(function(f) got = f:result() end)
        gate:open()
        while not got do ccpool.poll() end
        assert.equal(1, got)
      end)

      it("returns at the end of its time, with what is not done yet", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        for _, timeout in ipairs{ 0, -1, 0.001 } do ccpool.poll(timeout) end
        assert.equal("running", futures[1]:state())
        gate:open()
      end)

      it("takes huge timeouts", function()
        local ex <close> = make(1)
        local got
        for _, timeout in ipairs{ math.huge, 1e300 } do
          got = nil
          ex:submit(math.abs, -3):add_done_callback(function(f) got = f:result() end)
          while not got do ccpool.poll(timeout) end
          assert.equal(3, got)
        end
      end)
    end)
  end

  it("with nothing to wait for returns at once", function()
    ccpool.poll()
    ccpool.poll(60)
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    ex:submit(math.sqrt, 1):result()
    ccpool.poll()
    ccpool.poll(60)
  end)

  it("refuses misuse, by name, at the caller's level", function()
    misuse(function() ccpool.poll(0 / 0) end, "#1 to 'poll'", "timeout")
    misuse(function() ccpool.poll("1") end, "#1 to 'poll'", "timeout")
    misuse(function() ccpool.poll({}) end, "#1 to 'poll'", "timeout")
  end)
end)
