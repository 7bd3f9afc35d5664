-- Functions are dumped once per pool and loaded once per worker, and never mixed up.
local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

--- Identity of the function that runs: a worker that loads a function anew gives it
-- another address.
local function new_probe()
  return load([[
    local seen = rawget(_G, "SEEN") or {}
    rawset(_G, "SEEN", seen)
    local f = debug.getinfo(1, "f").func
    if not seen[f] then
      seen[f] = true
      seen.n = (seen.n or 0) + 1
    end
    return seen.n]], "=probe")
end

describe("functions", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("are loaded once per worker, by content", function()
        local ex <close> = make(1)
        local one, same = new_probe(), new_probe()
        assert.not_equal(one, same)
        for _ = 1, 100 do
          assert.equal(1, ex:submit(one):result())
          assert.equal(1, ex:submit(same):result())
        end
        assert.equal(1, ex:submit(function(f) return f() end, one):result())
      end)

      it("are dumped once per pool, with upvalues of their own and without", function()
        local core = require "ccpool.core"
        local n = 3
        local function plain(x) return x end
        local function closure(x) return x + n end
        for _ = 1, 2 do
          local ex <close> = make(2)
          local start = core.functions()
          for i = 1, 300 do
            assert.equal(i, ex:submit(plain, i):result())
            assert.equal(i + 3, ex:submit(closure, i):result())
            assert.same({ true, i }, { ex:submit(pcall, plain, i):result() })
          end
          assert.equal(2, core.functions() - start)
        end
      end)

      it("are loaded as often as they differ", function()
        local ex <close> = make(1)
        local function loads() return select(2, require "ccpool.core".functions()) end
        local others = {}
        for i = 1, 5 do others[i] = load("return ... + " .. i, "=other" .. i) end
        local before = ex:submit(loads):result()
        for round = 1, 50 do
          for i = 1, 5 do assert.equal(round + i, ex:submit(others[i], round):result()) end
        end
        assert.equal(5, ex:submit(loads):result() - before)
      end)

      it("are dumped once by a map", function()
        local core = require "ccpool.core"
        local ex <close> = make(2)
        local before = core.functions()
        local n, last = 2, 0
        for i, x in ex:map(function(i) return i * n end, function()
          last = last + 1
          if last <= 5000 then return last end
        end) do
          if x ~= 2 * i then error(i) end
        end
        assert.equal(1, core.functions() - before)
      end)

      it("are loaded once per worker by a map over a million items #slow", function()
        local ex <close> = make(2)
        local probe = new_probe()
        local dumps = require "ccpool.core".functions()
        local n, i = 1000000, 0
        local count = 0
        for _, loads in ex:map(probe, function()
          i = i + 1
          if i <= n then return i end
        end) do
          count = count + 1
          if loads ~= 1 then error(loads .. " loads at item " .. count) end
        end
        assert.equal(n, count)
        assert.equal(1, require "ccpool.core".functions() - dumps)
      end)

      it("that differ in upvalues only are told apart", function()
        local ex <close> = make(1)
        local function adder(n) return function(x) return x + n end end
        local fs = {}
        for i = 1, 20 do fs[i] = adder(i) end
        for round = 1, 3 do
          for i = 1, 20 do assert.equal(round + i, ex:submit(fs[i], round):result()) end
        end
        local list = ex:submit(function(l)
          local out = {}
          for i, f in ipairs(l) do out[i] = f(0) end
          return out
        end, fs):result()
        for i = 1, 20 do assert.equal(i, list[i]) end
      end)

      it("that differ in chunk or line only are told apart", function()
        local ex <close> = make(1)
        local code = "return debug.getinfo(1, 'S').source, debug.getinfo(1, 'l').currentline"
        local fs = { load(code, "=one"), load(code, "=two"), load("\n" .. code, "=one") }
        for _ = 1, 3 do
          assert.same({ "=one", 1 }, { ex:submit(fs[1]):result() })
          assert.same({ "=two", 1 }, { ex:submit(fs[2]):result() })
          assert.same({ "=one", 2 }, { ex:submit(fs[3]):result() })
        end
      end)

      it("are kept apart within a message, and the same where they are the same", function()
        local ex <close> = make(1)
        local code = "return 1"
        local f, g = load(code, "=x"), load(code, "=x")
        local same, apart = ex:submit(function(a, b, c) return a == b, a == c end, f, f, g)
          :result()
        assert.is_true(same)
        -- Lua itself may make closures without upvalues one or two, as it likes
        assert.equal("boolean", type(apart))
      end)

      it("see upvalues as they are at each submit", function()
        local ex <close> = make(1)
        local n = 0
        local function get() return n end
        for i = 1, 5 do
          n = i
          assert.equal(i, ex:submit(get):result())
        end
      end)

      it("may be more than any cache holds", function()
        local ex <close> = make(1)
        local fs = {}
        for i = 1, 3000 do fs[i] = load("return " .. i) end
        local futures = {}
        for round = 1, 2 do
          for i = 1, 3000 do futures[i] = ex:submit(fs[i]) end
          for i = 1, 3000 do
            local got = futures[i]:result()
            if got ~= i then error(("round %d: %s instead of %d"):format(round, got, i)) end
          end
        end
      end)

      it("may be larger than any cache holds #slow", function()
        local ex <close> = make(1)
        local text = ("x"):rep(9 << 20)
        for i = 1, 10 do -- 90 MiB of bytecode
          local f = load(("local s = %q return %d, #s"):format(text, i))
          local got, len = ex:submit(f):result()
          assert.same({ i, #text }, { got, len })
        end
      end)
    end)
  end

  it("that are collected do not lend their address to others", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    for i = 1, 300 do
      assert.equal(i, ex:submit(load("return " .. i)):result())
      collectgarbage()
    end
  end)
end)
