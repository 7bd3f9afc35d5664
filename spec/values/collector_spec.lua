--- The collector rests while a message of data is decoded, and is as near as it would have
-- been as soon as the state has nothing else to do.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"

local PATIENCE = 60 -- seconds; reached only by what is broken
local RECORDS = 20000
local SIZE = RECORDS * 0.4 -- KiB that so many take
local MODES = { "incremental", "generational" }

local function records(n)
  local list = {}
  for i = 1, n do list[i] = { id = i, name = "record " .. i, tags = { "tag " .. i % 10 } } end
  return list
end

--- Runs `fn(...)` in a state that has next to no heap of its own.
local function alone(fn, ...)
  local ex <close> = ccpool.ThreadPoolExecutor(1)
  return ex:submit(fn, ...):result(PATIENCE)
end

--- In a state, in that mode: the table that is given has in `n` how many cycles of its collector
-- have ended since.
local function count_cycles(mode)
  local cycles = {}
  local function watch()
    setmetatable({}, { __gc = function()
      cycles.n = cycles.n + 1
      watch()
    end })
  end
  collectgarbage(mode)
  cycles.n = 0
  watch()
  collectgarbage()
  cycles.n = 0
  return cycles
end

--- In a state: takes all messages there are. How many cycles of the collector that took, and how
-- large the heap has been, in KiB.
local function take(queue, mode, again)
  local cycles, peak = count_cycles(mode), 0
  for _ = 1, again or 1 do
    pcall(queue.get, queue)
    peak = math.max(peak, collectgarbage("count"))
  end
  return cycles.n, peak
end

describe("the collector", function()
  for _, mode in ipairs(MODES) do
    if _VERSION == "Lua 5.4" then -- 5.5 has no way to let it rest and go on as before
      it("rests while data is decoded, in mode " .. mode, function()
        local queue = ccpool.Queue()
        queue:put(records(RECORDS))
        assert.is_true(alone(take, queue, mode) <= 1)
      end)
    end

    it("goes on afterwards, in mode " .. mode, function()
      local queue, again = ccpool.Queue(), 30
      local list = records(RECORDS)
      for _ = 1, again do queue:put(list) end
      local cycles, peak = alone(take, queue, mode, again)
      assert.is_true(cycles >= again // 4, ("%d cycles"):format(cycles))
      assert.is_true(peak < 6 * SIZE, ("%.0f KiB of %.0f"):format(peak, SIZE))
    end)
  end

  if _VERSION == "Lua 5.4" then
    it("goes on in a worker when the reply is sent", function()
      for _, kind in ipairs { "ThreadPoolExecutor", "ProcessPoolExecutor" } do
        local ex <close> = ccpool[kind](1)
        ex:submit(function() _G.cycles = count_cycles("generational") end):result(PATIENCE)
        local function seen() return _G.cycles.n end
        local before, first
        for _ = 1, 20 do -- a process begins with room for several
          before = ex:submit(seen):result(PATIENCE)
          first = first or before
          assert.equal(before, ex:submit(seen, records(RECORDS)):result(PATIENCE))
        end
        assert.is_true(before > first)
      end
    end)

    it("goes on when its state waits", function()
      local queue, gate = ccpool.Queue(), ccpool.Event()
      queue:put(records(RECORDS))
      queue:put(records(RECORDS))
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local seen = ex:submit(function(q, event)
        local pool = require "ccpool".ThreadPoolExecutor(1)
        local stuck = pool:submit(function(e) e:wait() end, event)
        local waits = {
          function() event:wait(0.001) end,
          function() pcall(stuck.result, stuck, 0.001) end,
        }
        local cycles, counts = 0, {}
        collectgarbage("generational")
        for i = 1, #waits do
          collectgarbage()
          setmetatable({}, { __gc = function() cycles = cycles + 1 end })
          q:get()
          counts[#counts + 1] = cycles
          waits[i]()
          counts[#counts + 1] = cycles
        end
        event:set()
        pool:shutdown()
        return counts
      end, queue, gate):result(PATIENCE)
      assert.same({ 0, 1, 1, 2 }, seen)
    end)

    it("may run finalizers that put while a put waits", function()
      local large, full, side = ccpool.Queue(), ccpool.Queue(1), ccpool.Queue()
      large:put(records(RECORDS))
      full:put("first")
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local put = ex:submit(function(from, to, other)
        collectgarbage("generational")
        collectgarbage()
        setmetatable({}, { __gc = function() other:put("by a finalizer") end })
        from:get()
        return other:qsize(), to:put("second")
      end, large, full, side)
      assert.equal("by a finalizer", side:get(PATIENCE))
      assert.equal("first", full:get(PATIENCE))
      assert.equal("second", full:get(PATIENCE))
      assert.same({ 0, true }, { put:result(PATIENCE) })
    end)
  end

  it("goes on when a value fails to load", function()
    local Bad = {}
    ccpool.register("spec.bad", { metatable = Bad,
      save = function() return 1 end,
      load = function() error("no such thing", 0) end })
    local list = records(RECORDS)
    list[#list + 1] = setmetatable({}, Bad)
    local queue, again = ccpool.Queue(), 30
    for _ = 1, again do queue:put(list) end
    local _, peak = alone(take, queue, "incremental", again)
    assert.is_true(peak < 6 * SIZE, ("%.0f KiB of %.0f"):format(peak, SIZE))
  end)

  it("stays stopped if it was", function()
    local queue = ccpool.Queue()
    queue:put(records(RECORDS))
    assert.is_true(alone(function(q)
      collectgarbage()
      collectgarbage("stop")
      local gone = false
      setmetatable({}, { __gc = function() gone = true end })
      q:get()
      return not gone and not collectgarbage("isrunning")
    end, queue))
  end)
end)
