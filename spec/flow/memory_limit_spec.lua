--- The option memory_limit: what a worker's state may take.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local LIMIT = 8 << 20

-- Sanitizers take address space that the limit of a process refuses, and end it then.
local TAG = { thread = "", process = " #nosan" }

--- Processes may reuse what they inherit and nobody needs: as little as can be.
local function clean(make)
  return function(opts)
    collectgarbage()
    collectgarbage()
    return make(opts)
  end
end

local function hoard()
  local list = {}
  for i = 1, 1e7 do list[i] = ("x"):rep(i) end
  return #list
end

local function caught_and_raised_again()
  local _, err = pcall(string.rep, "x", 1 << 30)
  error(err, 0)
end

local function with_place()
  local _, err = pcall(string.rep, "x", 1 << 30)
  error("sorry: " .. err)
end

local function in_coroutine()
  return coroutine.wrap(hoard)()
end

local function of_the_stack()
  local function f(n) return 1 + f(n + 1) end
  return f(1)
end

describe("memory_limit", function()
  for kind, make in pools.concurrent() do
    make = clean(make)
    describe("(" .. kind .. ")" .. TAG[kind], function()
      it("makes a task that hits it fail with MemoryLimitError", function()
        local ex <close> = make{ max_workers = 1, memory_limit = LIMIT }
        local tasks = { hoard, caught_and_raised_again, with_place, in_coroutine, of_the_stack }
        for _, f in ipairs(tasks) do
          local future = ex:submit(f)
          pools.fails_with("MemoryLimitError", future.result, future)
          assert.equal(3.0, ex:submit(math.sqrt, 9):result())
        end
        assert.equal(0, ex:stats().crashes)
      end)

      it("lets garbage be collected first", function()
        local ex <close> = make{ max_workers = 1, memory_limit = LIMIT }
        local who = function() return require("ccpool").current().pid, tostring(print) end
        local pid, state = ex:submit(who):result()
        assert.equal(2000000, ex:submit(function()
          local n = 0
          for i = 1, 200000 do n = n + #(("x"):rep(10 - #tostring(i)) .. i) end
          collectgarbage("stop")
          for i = 1, 200 do
            local t = {}
            for j = 1, 6000 do t[j] = i end
            n = n + #t - 6000
          end
          -- Lua 5.5 makes long strings without asking a second time
          for i = 1, _VERSION == "Lua 5.4" and 200 or 0 do n = n + #("y"):rep(100000 + i) * 0 end
          return n
        end):result())
        local pid_after, state_after = ex:submit(who):result()
        assert.equal(pid, pid_after)
        assert.equal(state, state_after)
      end)

      it("replaces the worker that hit it", function()
        local ex <close> = make{ max_workers = 1, memory_limit = LIMIT }
        ex:submit(function() HOARD = ("x"):rep(1 << 20) end):result() -- luacheck: ignore
        local kept = ex:submit(function() return HOARD ~= nil end) -- luacheck: ignore
        assert.is_true(kept:result())
        local f = ex:submit(hoard)
        pools.fails_with("MemoryLimitError", f.result, f)
        assert.is_false(ex:submit(function() return HOARD ~= nil end):result()) -- luacheck: ignore
      end)

      it("holds for arguments and for results", function()
        local ex <close> = make{ max_workers = 1, memory_limit = LIMIT }
        local function items(n)
          local list = {}
          for i = 1, n do list[i] = { i } end
          return list
        end
        local f = ex:submit(function(list) return #list end, items(300000))
        pools.fails_with("MemoryLimitError", f.result, f)
        assert.equal(1000, ex:submit(function(list) return #list end, items(1000)):result())
        local large = ex:submit(function() return ("x"):rep(3 << 20) end)
        assert.equal(3 << 20, #large:result())
      end)

      it("is not hit by what runs below it", function()
        local ex <close> = make{ max_workers = 2, memory_limit = 64 << 20 }
        local sum = 0
        for _, n in ex:map(function(n) return #("x"):rep(n) end, { 1, 1000, 1000000 }) do
          sum = sum + n
        end
        assert.equal(1001001, sum)
      end)

      it("hit in the initializer breaks the executor, with its cause", function()
        local ex <close> = make{ max_workers = 1, memory_limit = LIMIT, initializer = hoard }
        local f = ex:submit(math.sqrt, 4)
        local err = pools.fails_with("BrokenExecutorError", f.result, f)
        assert.is_true(ccpool.is_error(err.cause, "MemoryLimitError"))
      end)
    end)
  end

  it("limits the address space of processes #nosan", function()
    -- a limit of its own would end a sanitized process
    local ex <close> = ccpool.ProcessPoolExecutor{ max_workers = 1, memory_limit = LIMIT }
    local free <close> = ccpool.ProcessPoolExecutor(1)
    local function soft()
      local resource = require "posix.sys.resource"
      return resource.getrlimit(resource.RLIMIT_AS).rlim_cur
    end
    assert.not_equal(free:submit(soft):result(), ex:submit(soft):result())
    assert.is_true(ex:submit(soft):result() > LIMIT)
  end)

  it("is a positive integer", function()
    for _, bad in ipairs{ 0, -1, 1.5, "1M" } do
      pools.misuse(function() ccpool.ThreadPoolExecutor{ memory_limit = bad } end, "memory_limit")
    end
  end)
end)
