local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local misuse, task = pools.misuse, pools.task

local odd_fails = task(function(i)
  if i % 2 == 1 then error("odd " .. i, 0) end
  return i * 10
end)

local function double(x) return 2 * x end

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

--- An iterator over 1, 2, ... (to n), and another that tells how many were pulled.
local function counter(n)
  local i = 0
  return function()
    if i == n then return nil end
    i = i + 1
    return i
  end, function() return i end
end

describe("map", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex

      before_each(function() ex = make(2) end)
      after_each(function() ex:shutdown() end)

      it("gives index and result in input order", function()
        local n = 0
        for i, x in ex:map(double, range(500)) do
          n = n + 1
          assert.equal(n, i)
          assert.equal(2 * i, x)
        end
        assert.equal(500, n)
      end)

      it("gives nothing for an empty source", function()
        for _ in ex:map(double, {}) do error("a result of nothing") end
        for _ in ex:map(double, function() end) do error("a result of nothing") end
        assert.same({ n = 0 }, ex:map(double, {}):collect())
      end)

      it("takes C functions and names", function()
        assert.same({ n = 2, 2.0, 3.0 }, ex:map(math.sqrt, { 4, 9 }):collect())
        assert.same({ n = 2, 2.0, 3.0 }, ex:map("math.sqrt", { 4, 9 }):collect())
      end)

      it("takes an iterator function; each step gives the arguments of one call", function()
        local i = 0
        local function source()
          i = i + 1
          if i <= 3 then return i, nil, "x" .. i end
        end
        local f = task(function(...) return select("#", ...), ... end)
        local got = {}
        for k, n, a, b, c in ex:map(f, source) do got[k] = table.pack(n, a, b, c) end
        assert.same({ { n = 4, 3, 1, nil, "x1" }, { n = 4, 3, 2, nil, "x2" },
          { n = 4, 3, 3, nil, "x3" } }, got)
      end)

      it("takes false as an item", function()
        local got = ex:map(function(x) return not x end, { false, true, false }):collect()
        assert.same({ n = 3, true, false, true }, got)
      end)

      it("takes tables as items", function()
        local got = ex:map(function(t) return t.a + t.b end, { { a = 1, b = 2 }, { a = 3, b = 4 } })
        assert.same({ n = 2, 3, 7 }, got:collect())
      end)

      it("gives nils and many results as they are", function()
        local f = task(function(i)
          if i == 1 then return end
          if i == 2 then return nil end
          return i, nil, "third", nil
        end)
        local it = ex:map(f, { 1, 2, 3 })
        assert.same({ n = 1, 1 }, table.pack(it()))
        assert.same({ n = 2, 2, nil }, table.pack(it()))
        assert.same({ n = 5, 3, 3, nil, "third", nil }, table.pack(it()))
        assert.is_nil((it()))
      end)

      it("ends with nil, however often it is called", function()
        local it = ex:map(double, { 1 })
        it()
        for _ = 1, 3 do assert.is_nil((it())) end
      end)

      it("collects first results, holes included, with n", function()
        local f = task(function(i) if i ~= 2 then return i, "more" end end)
        local list = ex:map(f, { 1, 2, 3 }):collect()
        assert.same({ n = 3, 1, nil, 3 }, list)
      end)

      it("collects what is left", function()
        local it = ex:map(double, range(5))
        it()
        it()
        local list = it:collect()
        assert.equal(6, list[3])
        assert.equal(10, list[5])
        assert.is_nil(list[1])
      end)

      it("collects large results and small ones, several of an item and none", function()
        local f = task(function(i)
          if i % 3 == 0 then return ("x"):rep(100000 + i), i end
          if i % 3 == 1 then return i end
        end)
        local list = ex:map(f, range(30)):collect()
        assert.equal(30, list.n)
        for i = 1, 30 do
          local size = i % 3 == 0 and #list[i]
          assert.equal(i % 3 == 0 and 100000 + i or i % 3 == 1 and i or nil, size or list[i])
        end
      end)

      it("lets hooks run while it collects", function()
        local it, calls = ex:map(double, range(5000), { chunksize = 2500 }), 0
        debug.sethook(function() calls = calls + 1 end, "c")
        local list = it:collect()
        debug.sethook()
        assert.equal(5000, list.n)
        assert.is_true(calls > 5000 // 128)
      end)

      it("does not change its source", function()
        local list = { 3, 1, 2 }
        ex:map(double, list):collect()
        assert.same({ 3, 1, 2 }, list)
      end)

      it("says what it is", function()
        local it <close> = ex:map(double, { 1 })
        assert.matches("^ccpool%.Map: ", tostring(it))
        assert.equal("ccpool.Map", getmetatable(it).__name)
      end)

      it("may be closed again and again, and gives nothing then", function()
        local it = ex:map(double, range(10))
        it()
        it:close()
        it:close()
        assert.is_nil((it()))
        local _ <close> = it
      end)

      it("refuses a function that is none, at the caller's level", function()
        for _, bad in ipairs{ 1, true, {}, io.stdout } do
          misuse(function() ex:map(bad, { 1 }) end, "#1 to 'map'", "function")
          misuse(function() ex:starmap(bad, { { 1 } }) end, "#1 to 'starmap'", "function")
        end
        misuse(function() ex:map(nil, { 1 }) end, "#1 to 'map'", "function")
      end)

      it("refuses a source that is none, at the caller's level", function()
        for _, bad in ipairs{ 1, true, "abc", io.stdout } do
          misuse(function() ex:map(double, bad) end, "#2 to 'map'")
          misuse(function() ex:starmap(double, bad) end, "#2 to 'starmap'")
        end
        misuse(function() ex:map(double) end, "#2 to 'map'")
      end)

      for _, case in ipairs{
        { "chunksize", 0, -1, 1.5, "2", "Auto", true, 0 / 0 },
        { "buffersize", 0, -1, 1.5, "2", true, 0 / 0 },
        { "ordered", 1, "yes" },
        { "timeout", "1", true, 0 / 0 },
        { "on_error", "ignore", true, 1 },
      } do
        it("refuses a bad " .. case[1] .. ", by name, at the caller's level", function()
          for k = 2, #case do
            misuse(function() ex:map(double, { 1 }, { [case[1]] = case[k] }) end,
              "'" .. case[1] .. "' to 'map'")
            misuse(function() ex:starmap(double, { { 1 } }, { [case[1]] = case[k] }) end,
              "'" .. case[1] .. "' to 'starmap'")
          end
          assert.equal(0, ex:stats().submitted)
        end)
      end

      it("refuses unknown options and what are no options", function()
        misuse(function() ex:map(double, { 1 }, { chunk_size = 2 }) end, "chunk_size", "unknown")
        misuse(function() ex:map(double, { 1 }, 2) end, "map")
        misuse(function() ex:map(double, { 1 }, "ordered") end, "map")
        assert.equal(0, ex:stats().submitted)
      end)

      it("refuses holes, at the caller's level, and submits nothing", function()
        misuse(function() ex:map(double, { 1, nil, 3 }) end, "#2 to 'map'", "2")
        misuse(function() ex:map(double, { nil, 2 }) end, "#2 to 'map'", "1")
        misuse(function() ex:map(double, { 1, 2, x = 1, [5] = 5 }) end, "#2 to 'map'", "3")
        misuse(function() ex:map(double, { [2] = 2 }) end, "#2 to 'map'", "1")
        assert.equal(0, ex:stats().submitted)
      end)

      it("raises NotSendableError for a function or an item that cannot travel", function()
        local co = coroutine.create(print)
        local err = pools.fails_with("NotSendableError", ex.map, ex, function() return co end,
          { 1 })
        assert.matches("upvalue 'co'", err.path, 1, true)
        err = pools.fails_with("NotSendableError", ex.map, ex, double, { 1, { deep = co }, 3 })
        assert.matches("item 2", err.path, 1, true)
        assert.matches("deep", err.path, 1, true)
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
      end)

      describe("chunksize", function()
        for _, size in ipairs{ "auto", 1, 2, 7, 100, 1000, 65536, 1 << 40 } do
          it(size .. " gives the same results", function()
            local n = 0
            for i, x in ex:map(double, range(100), { chunksize = size }) do
              n = n + 1
              assert.equal(n, i)
              assert.equal(2 * i, x)
            end
            assert.equal(100, n)
            assert.equal(100, ex:map(double, (counter(100)), { chunksize = size }):collect().n)
          end)

          it(size .. " starts every item from the upvalues that were sent", function()
            local n, t = 0, { 0 }
            local function count()
              n = n + 1
              t[1] = t[1] + 1
              return n + t[1]
            end
            for _, x in ex:map(count, range(50), { chunksize = size }) do assert.equal(2, x) end
          end)

          it(size .. " keeps errors to their items", function()
            local seen = 0
            for i, ok, x in ex:map(odd_fails, range(50),
              { chunksize = size, on_error = "return" }) do
              seen = seen + 1
              assert.equal(seen, i)
              assert.equal(i % 2 == 0, ok)
              assert.equal(ok and i * 10 or "odd " .. i, x)
            end
            assert.equal(50, seen)
          end)
        end

        it("may be far larger than any message", function()
          local it = ex:map(function(s) return #s end,
            { ("x"):rep(300000), ("y"):rep(200000), "z" }, { chunksize = 3 })
          assert.same({ n = 3, 300000, 200000, 1 }, it:collect())
        end)
      end)

      describe("on_error", function()
        it("= raise raises an item's error at its step, then goes on", function()
          local it = ex:map(odd_fails, range(6), { on_error = "raise" })
          for i = 1, 6 do
            local ok, a, b = pcall(it)
            assert.equal(i % 2 == 0, ok)
            if ok then
              assert.equal(i, a)
              assert.equal(i * 10, b)
            else
              assert.equal("odd " .. i, a)
            end
          end
          assert.is_nil((it()))
        end)

        it("raises by default", function()
          local it = ex:map(odd_fails, { 1, 2 })
          local ok, err = pcall(it)
          assert.is_false(ok)
          assert.equal("odd 1", err)
          assert.same({ 2, 20 }, { it() })
        end)

        it("makes collect raise the first error", function()
          local it = ex:map(odd_fails, { 2, 4, 5, 6, 7 })
          local ok, err = pcall(it.collect, it)
          assert.is_false(ok)
          assert.equal("odd 5", err)
        end)

        it("= return makes collect give results and errors apart", function()
          local it = ex:map(odd_fails, { 1, 2, 3, 4 }, { on_error = "return" })
          local list, errors = it:collect()
          assert.same({ n = 4, nil, 20, nil, 40 }, list)
          assert.same({ "odd 1", nil, "odd 3" }, errors)
          list, errors = it:collect()
          assert.same({ n = 0 }, list)
          assert.same({}, errors)
        end)

        it("= return gives i, true, ... or i, false, err", function()
          local f = task(function(i)
            if i == 2 then error(nil) end
            if i == 3 then error{ code = 3 } end
            return i, nil
          end)
          local it = ex:map(f, range(4), { on_error = "return" })
          assert.same({ n = 4, 1, true, 1, nil }, table.pack(it()))
          assert.same({ n = 3, 2, false, (select(2, pcall(error, nil))) }, table.pack(it()))
          assert.same({ n = 3, 3, false, { code = 3 } }, table.pack(it()))
          assert.same({ n = 4, 4, true, 4, nil }, table.pack(it()))
          assert.is_nil((it()))
        end)

        it("tells a result that cannot travel from the others", function()
          local f = task(function(i) return i == 2 and coroutine.create(print) or i end)
          local it = ex:map(f, range(3), { on_error = "return", chunksize = 3 })
          assert.same({ 1, true, 1 }, { it() })
          local i, ok, err = it()
          assert.equal(2, i)
          assert.is_false(ok)
          assert.is_true(ccpool.is_error(err, "NotSendableError"))
          assert.same({ 3, true, 3 }, { it() })
        end)
      end)

      describe("with an iterator", function()
        it("works on endless sources", function()
          local source, pulled = counter()
          local n = 0
          for i, x in ex:map(double, source) do
            n = n + 1
            assert.equal(2 * i, x)
            if n == 300 then break end
          end
          assert.equal(300, n)
          assert.is_true(pulled() < 1000000)
        end)

        it("pulls no more once it is closed", function()
          local source, pulled = counter()
          for i in ex:map(double, source) do
            if i == 10 then break end
          end
          local n = pulled()
          ex:submit(math.sqrt, 1):result()
          collectgarbage()
          assert.equal(n, pulled())
        end)

        it("never calls the source again after its end", function()
          local calls = 0
          local function source()
            calls = calls + 1
            if calls <= 5 then return calls end
          end
          local it = ex:map(double, source)
          assert.equal(5, it:collect().n)
          assert.is_nil((it()))
          assert.equal(6, calls)
        end)

        it("runs the source in the caller, whatever it captures", function()
          local file = assert(io.open("LICENSE"))
          local lines = 0
          for _ in io.lines("LICENSE") do lines = lines + 1 end
          local got = ex:map(string.len, function() return file:read("l") end):collect()
          file:close()
          assert.equal(lines, got.n)
        end)

        it("raises an error of the source at the step that needed it", function()
          for _, size in ipairs{ 1, 2, 3, 10, "auto" } do
            local i = 0
            local function source()
              i = i + 1
              if i == 4 then error({ code = "dry" }) end
              return i
            end
            local it = ex:map(double, source, { chunksize = size })
            for k = 1, 3 do assert.same({ k, 2 * k }, { it() }) end
            local ok, err = pcall(it)
            assert.is_false(ok)
            assert.same({ code = "dry" }, err)
            assert.is_nil((it()))
            assert.equal(4, i)
          end
        end)

        it("raises NotSendableError of an item at its step", function()
          local i = 0
          local function source()
            i = i + 1
            return i == 3 and coroutine.create(print) or i
          end
          local it = ex:map(double, source, { chunksize = 2 })
          assert.same({ 1, 2 }, { it() })
          assert.same({ 2, 4 }, { it() })
          local err = pools.fails_with("NotSendableError", it)
          assert.matches("item 3", err.path, 1, true)
        end)

        it("lets the source use the executor", function()
          local i = 0
          local function source()
            i = i + 1
            if i <= 5 then return ex:submit(math.abs, -i):result() end
          end
          assert.same({ n = 5, 2, 4, 6, 8, 10 }, ex:map(double, source):collect())
        end)

        it("lets the consumer use the executor", function()
          for i, x in ex:map(double, (counter(20))) do
            assert.equal(x, ex:submit(math.abs, -2 * i):result())
          end
        end)

        for _, how in ipairs{ "it()", "it:close()", "ex:shutdown{ wait = false }" } do
          it("bears that its source calls " .. how, function()
            local script = [[
              local ex = require("ccpool").CLASS(2)
              local it, done
              local function source()
                if done then return nil end
                done = true
                pcall(function() HOW end)
                return 1
              end
              it = ex:map(function(x) return 2 * x end, source)
              for _ = 1, 3 do pcall(it) end
              it:close()
              io.write("alive")]]
            local class = getmetatable(ex).__name:match("[^.]+$")
            script = script:gsub("%u%u%u+", { CLASS = class, HOW = how })
            local out, code = pools.run_script(script)
            assert.equal("alive", out)
            assert.equal(0, code)
          end)
        end
      end)

      describe("buffersize", function()
        for _, case in ipairs{ { 1, 1 }, { 3, 1 }, { 8, 2 }, { 5, 10 }, { 7, "auto" } } do
          local size, chunk = case[1], case[2]
          it(size .. " bounds what is submitted ahead (chunksize " .. chunk .. ")", function()
            local source, pulled = counter(60)
            local yielded = 0
            local it = ex:map(double, source, { buffersize = size, chunksize = chunk })
            repeat
              local i = it()
              -- a step may pull as many as it finds room for before it gives its own
              assert.is_true(pulled() - yielded <= size,
                ("%d pulled, %d yielded"):format(pulled(), yielded))
              if i then yielded = yielded + 1 end
            until not i
            assert.equal(60, yielded)
          end)

          it(size .. " bounds an array too (chunksize " .. chunk .. ")", function()
            local it = ex:map(double, range(60), { buffersize = size, chunksize = chunk })
            assert.is_true(ex:stats().submitted <= size)
            local n = 0
            for i, x in it do
              n = n + 1
              assert.equal(2 * i, x)
              assert.is_true(ex:stats().submitted <= n - 1 + size)
            end
            assert.equal(60, n)
          end)

          it(size .. " ends with what the array held at first (chunksize " .. chunk .. ")",
            function()
              local array, n = range(20), 0
              for i in ex:map(double, array, { buffersize = size, chunksize = chunk }) do
                n = n + 1
                assert.equal(n, i)
                array[#array + 1] = i
                if n > 20 then break end
              end
              assert.equal(20, n)
            end)
        end

        it("is four chunks for each worker for an iterator", function()
          local source, pulled = counter()
          local it <close> = ex:map(double, source, { chunksize = 5 })
          for i = 1, 100 do
            assert.equal(i, (it()))
            assert.is_true(pulled() - (i - 1) <= 4 * 2 * 5, tostring(pulled()))
          end
        end)
      end)

      describe("timeout", function()
        it("nil and huge wait", function()
          assert.equal(9, ex:map(double, range(9)):collect().n)
          assert.equal(9, ex:map(double, range(9), { timeout = math.huge }):collect().n)
          assert.equal(9, ex:map(double, range(9), { timeout = 1e300 }):collect().n)
          assert.equal(9, ex:map(double, range(9), { timeout = 60 }):collect().n)
        end)
      end)

      it("counts items, not chunks", function()
        ex:map(double, range(100), { chunksize = 10 }):collect()
        local stats = ex:stats()
        assert.equal(100, stats.submitted)
        assert.equal(100, stats.done)
        assert.equal(0, stats.queued)
        assert.equal(0, stats.running)
      end)

      it("runs many maps one inside the other", function()
        local got = {}
        for i in ex:map(double, { 1, 2 }) do
          for k, x in ex:map(double, { 10, 20 }) do got[#got + 1] = i .. k .. x end
        end
        assert.same({ "1120", "1240", "2120", "2240" }, got)
      end)
    end)
  end
end)

describe("map", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("submits arrays before the first step", function()
        local ex <close> = make(2)
        local gate <close> = pools.occupy(ex)
        local it <close> = ex:map(double, range(50))
        assert.equal(52, ex:stats().submitted)
        gate:open()
        assert.equal(50, it:collect().n)
      end)

      it("= ordered = false gives results as they come, with the input index", function()
        for _, size in ipairs{ 1, "auto" } do
          local ex <close> = make(2)
          local gate <close> = fifo.new()
          local f = task(function(x)
            return require("spec.support.fifo").pass(x.gate, x.value)
          end)
          local open <close> = fifo.new()
          open:open()
          local it <close> = ex:map(f, { { gate = gate.path, value = "late" },
            { gate = open.path, value = "b" }, { gate = open.path, value = "c" } },
            { ordered = false, chunksize = size })
          local got = {}
          for _ = 1, 2 do
            local i, x = it()
            got[i] = x
          end
          assert.same({ [2] = "b", [3] = "c" }, got)
          gate:open()
          assert.same({ 1, "late" }, { it() })
          assert.is_nil((it()))
        end
      end)

      it("gives every index exactly once when unordered", function()
        local ex <close> = make(2)
        for _, size in ipairs{ 1, 3, 64, "auto" } do
          local seen, n = {}, 0
          for i, x in ex:map(double, range(500), { ordered = false, chunksize = size }) do
            assert.is_nil(seen[i])
            assert.equal(2 * i, x)
            seen[i], n = true, n + 1
          end
          assert.equal(500, n)
        end
      end)

      it("keeps errors to their items when unordered", function()
        local ex <close> = make(2)
        local good, bad = 0, 0
        for i, ok, x in ex:map(odd_fails, (counter(60)),
          { ordered = false, on_error = "return", chunksize = 4 }) do
          if ok then good = good + 1 else bad = bad + 1 end
          assert.equal(ok and i * 10 or "odd " .. i, x)
        end
        assert.equal(30, good)
        assert.equal(30, bad)
      end)

      it("bounds what is submitted ahead when unordered", function()
        local ex <close> = make(2)
        local source, pulled = counter(100)
        local n = 0
        for _ in ex:map(double, source, { ordered = false, buffersize = 6, chunksize = 2 }) do
          n = n + 1
          assert.is_true(pulled() - (n - 1) <= 6)
        end
        assert.equal(100, n)
      end)

      it("does not let a long item hold back those behind it in its chunk", function()
        local ex <close> = make(2)
        local gate <close> = fifo.new()
        local told <close> = fifo.new()
        local gate_path, told_path = gate.path, told.path
        local f = task(function(i)
          local support = require "spec.support.fifo"
          if i == 1 then return support.tell_and_pass(told_path, gate_path, i) end
          support.tell(told_path)
          return i
        end)
        local it <close> = ex:map(f, range(8), { chunksize = 8 })
        told:await(8) -- nobody is inside of ccpool, and the gate is closed
        gate:open()
        assert.same({ n = 8, 1, 2, 3, 4, 5, 6, 7, 8 }, it:collect())
      end)

      it("does not let a long item in the middle hold back those behind it", function()
        local ex <close> = make(2)
        local gate <close> = fifo.new()
        local gate_path = gate.path
        local f = task(function(i)
          if i == 3 then return require("spec.support.fifo").pass(gate_path, i) end
          return i
        end)
        local it <close> = ex:map(f, range(10), { chunksize = 10, ordered = false })
        local sum = 0
        for _ = 1, 9 do
          local i, x = it()
          assert.equal(i, x)
          sum = sum + i
        end
        assert.equal(55 - 3, sum)
        gate:open()
        assert.same({ 3, 3 }, { it() })
        assert.is_nil((it()))
      end)

      it("gives an item's result while a later one of its chunk still runs", function()
        local ex <close> = make(1)
        local gate <close> = fifo.new()
        local gate_path = gate.path
        local f = task(function(i)
          if i == 2 then return require("spec.support.fifo").pass(gate_path, i) end
          return i
        end)
        local it <close> = ex:map(f, range(3), { chunksize = 3 })
        assert.same({ 1, 1 }, { it() })
        gate:open()
        assert.same({ 2, 2 }, { it() })
        assert.same({ 3, 3 }, { it() })
      end)

      for _, size in ipairs{ 1, 5, 1000 } do
        for _, how in ipairs{ "break", "close", "collect" } do
          it(how .. " cancels what has not started (chunksize " .. size .. ")", function()
            local ex <close> = make(1)
            local gate <close> = fifo.new()
            local told <close> = fifo.new()
            local gate_path, told_path = gate.path, told.path
            local f = task(function(i)
              if i == 1 then return i end
              return require("spec.support.fifo").tell_and_pass(told_path, gate_path, i)
            end)
            if how == "break" then
              for _ in ex:map(f, range(40), { chunksize = size }) do -- luacheck: ignore 512
                told:await()
                break
              end
            else
              local it = ex:map(f, range(40), { chunksize = size })
              it()
              told:await()
              if how == "close" then it:close() end
              it = nil -- luacheck: ignore
              collectgarbage()
              collectgarbage()
            end
            gate:open()
            ex:shutdown()
            local stats = ex:stats()
            assert.equal(38, stats.cancelled)
            assert.equal(2, stats.done)
            assert.is_false(told:any())
          end)
        end
      end

      describe("timeout", function()
        for _, timeout in ipairs{ 0, -1, 0.001 } do
          it(timeout .. " raises TimeoutError and cancels the rest", function()
            local ex <close> = make(1)
            local gate <close> = pools.occupy(ex)
            local it = ex:map(double, range(20), { timeout = timeout })
            pools.fails_with("TimeoutError", it)
            assert.equal(20, ex:stats().cancelled)
            assert.is_nil((it()))
            gate:open()
          end)
        end

        it("counts from the call of map, not from a step", function()
          local ex <close> = make(1)
          local gate <close> = pools.occupy(ex)
          local it = ex:map(double, range(3), { timeout = 0.001 })
          pcall(function() ex:submit(math.sqrt, 1):result(0.01) end)
          gate:open()
          ex:submit(math.sqrt, 1):result()
          -- the results are there, and may be given although the time is up; the
          -- iterator ends either way
          local n = 0
          local ok, err = pcall(function() for _ in it do n = n + 1 end end)
          assert.is_true(ok and n == 3 or ccpool.is_error(err, "TimeoutError"))
        end)

        it("ends with TimeoutError whatever on_error says", function()
          local ex <close> = make(1)
          local gate <close> = pools.occupy(ex)
          local it = ex:map(double, range(2), { timeout = 0, on_error = "return" })
          pools.fails_with("TimeoutError", it)
          gate:open()
        end)

        it("applies to unordered results too", function()
          local ex <close> = make(1)
          local gate <close> = pools.occupy(ex)
          local it = ex:map(double, range(2), { timeout = 0, ordered = false })
          pools.fails_with("TimeoutError", it)
          gate:open()
        end)
      end)

      it("goes on after shutdown{ wait = false } for what was submitted", function()
        local ex <close> = make(1)
        local gate <close> = pools.occupy(ex)
        local it = ex:map(double, range(10), { chunksize = 3 })
        ex:shutdown{ wait = false }
        gate:open()
        assert.equal(10, it:collect().n)
      end)

      it("raises CancelledError for items that shutdown cancelled", function()
        local ex <close> = make(1)
        local gate <close> = pools.occupy(ex)
        local it = ex:map(double, range(10), { chunksize = 3, on_error = "return" })
        ex:shutdown{ wait = false, cancel_futures = true }
        gate:open()
        local n = 0
        for i, ok, err in it do
          n = n + 1
          assert.equal(n, i)
          assert.is_false(ok)
          assert.is_true(ccpool.is_error(err, "CancelledError"))
        end
        assert.equal(10, n)
      end)

      it("raises ShutdownError at the step that would have submitted", function()
        local ex <close> = make(1)
        local it = ex:map(double, (counter()), { buffersize = 2, chunksize = 1 })
        it()
        ex:shutdown()
        local ok, err = true, nil
        for _ = 1, 5 do
          ok, err = pcall(it)
          if not ok then break end
        end
        assert.is_false(ok)
        assert.is_true(ccpool.is_error(err, "ShutdownError"), tostring(err))
      end)

      it("carries large items and results", function()
        local ex <close> = make(2)
        local sizes = { 0, 1, 1000, 70000, 300000, 1 << 20 }
        local it = ex:map(function(n, s) return s .. s, n end, (function()
          local i = 0
          return function()
            i = i + 1
            if sizes[i] then return i, ("z"):rep(sizes[i]) end
          end
        end)(), { chunksize = 2 })
        for i, s, n in it do
          assert.equal(i, n)
          assert.equal(2 * sizes[i], #s)
        end
      end)

      it("gives 20000 results", function()
        local ex <close> = make(2)
        local n = 0
        for i, x in ex:map(double, range(20000)) do
          n = n + 1
          if i ~= n or x ~= 2 * i then error("wrong result") end
        end
        assert.equal(20000, n)
      end)
    end)
  end
end)

describe("starmap", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex

      before_each(function() ex = make(2) end)
      after_each(function() ex:shutdown() end)

      it("gives the elements of each item as arguments", function()
        assert.same({ n = 3, 3, 7, 9 },
          ex:starmap(math.max, { { 1, 3 }, { 7, 5, 6 }, { 9 } }):collect())
      end)

      it("takes table.pack's nils", function()
        local f = task(function(...) return select("#", ...), ... end)
        local it = ex:starmap(f, { table.pack(nil, 1, nil), table.pack(), { n = 2 } })
        assert.same({ n = 5, 1, 3, nil, 1, nil }, table.pack(it()))
        assert.same({ n = 2, 2, 0 }, table.pack(it()))
        assert.same({ n = 4, 3, 2, nil, nil }, table.pack(it()))
      end)

      it("takes an iterator and options", function()
        local i = 0
        local function source()
          i = i + 1
          if i <= 10 then return { i, i } end
        end
        local it = ex:starmap(function(a, b) return a * b end, source,
          { chunksize = 3, buffersize = 6 })
        local list = it:collect()
        assert.equal(10, list.n)
        assert.equal(100, list[10])
      end)

      it("refuses an element that is no array", function()
        assert.has_error(function() ex:starmap(math.max, { { 1 }, 2 }):collect() end)
        local given = false
        local it = ex:starmap(math.max, function()
          if given then return 2 end
          given = true
          return { 1 }
        end)
        assert.same({ 1, 1 }, { it() })
        assert.has_error(function() it() end)
      end)

      it("names argument and item that cannot travel", function()
        local err = pools.fails_with("NotSendableError", ex.starmap, ex, math.max,
          { { 1 }, { 1, coroutine.create(print) } })
        assert.matches("item 2", err.path, 1, true)
        assert.matches("argument 2", err.path, 1, true)
      end)
    end)
  end
end)
