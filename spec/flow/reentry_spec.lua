--- What runs in the middle of a wait or a step, a callback, a finalizer, a `load`, may use
-- the very object that is waited for.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"

local PATIENCE = 60

--- Has fn called inside the next wait of this state.
local function in_the_next_wait(ex, fn)
  local gate = ccpool.Event()
  local f = ex:submit(function(event) event:wait() end, gate)
  f:add_done_callback(fn)
  gate:set()
end

--- Items are done only after the gate is set; n of them, from an iterator.
local function gated(ex, n, options)
  local gate, i = ccpool.Event(), 0
  return ex:map(function(x, event)
    event:wait()
    return x, ("x"):rep(1000)
  end, function()
    i = i + 1
    if i <= n then return i, gate end
  end, options), gate
end

local ORDERS = { ordered = true, unordered = false }

describe("a map that waits", function()
  for name, ordered in pairs(ORDERS) do
    it("may be closed by a callback (" .. name .. ")", function()
      local ex <close> = ccpool.ThreadPoolExecutor(2)
      local other <close> = ccpool.ThreadPoolExecutor(1)
      local steps, gate = gated(ex, 20, { ordered = ordered, buffersize = 4 })
      in_the_next_wait(other, function()
        steps:close()
        gate:set()
      end)
      assert.is_nil(steps())
      assert.is_nil(steps())
    end)

    it("may be stepped by a callback, also to its end (" .. name .. ")", function()
      for n = 1, 7 do -- the callback leaves something of a chunk, or nothing
        local ex <close> = ccpool.ThreadPoolExecutor(2)
        local other <close> = ccpool.ThreadPoolExecutor(1)
        local steps, gate = gated(ex, 6, { ordered = ordered, buffersize = 4, chunksize = 2 })
        local seen = {}
        in_the_next_wait(other, function()
          gate:set()
          for _ = 1, n do
            local i = steps()
            if i then seen[#seen + 1] = i end
          end
        end)
        for i, x in steps do
          assert.equal(i, x)
          seen[#seen + 1] = i
        end
        table.sort(seen)
        assert.same({ 1, 2, 3, 4, 5, 6 }, seen)
      end
    end)
  end

  it("for room in the queue may be closed by a callback", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, max_queue = 1 }
    local other <close> = ccpool.ThreadPoolExecutor(1)
    local gate = ccpool.Event()
    for _ = 1, 2 do ex:submit(function(event) event:wait() end, gate) end
    local steps = ex:map(math.sqrt, function() return 4 end)
    in_the_next_wait(other, function()
      steps:close()
      gate:set()
    end)
    assert.is_nil(steps())
  end)
end)

describe("a map's result", function()
  local Closer = {}
  ccpool.register("spec.reentry.closer", {
    metatable = Closer,
    save = function() return true end,
    load = function()
      if _G.reentry then _G.reentry() end
      return setmetatable({}, Closer)
    end,
  })

  for name, ordered in pairs(ORDERS) do
    for _, bytes in ipairs{ 10, 2000, 200000 } do -- few, many, a block of their own
      local function started(chunksize)
        local ex <close> = ccpool.ThreadPoolExecutor(1)
        local object = setmetatable({}, Closer)
        return ex:map(function(i) return { object, ("x"):rep(bytes) .. i } end,
          { 1, 2, 3, 4 }, { chunksize = chunksize, ordered = ordered })
      end

      it(("of %d bytes may close the map that gives it (%s)"):format(bytes, name), function()
        local steps = started(4)
        function _G.reentry()
          steps:close()
          collectgarbage()
        end
        local i, result = steps()
        _G.reentry = nil
        assert.equal(("x"):rep(bytes) .. i, result[2])
        assert.is_nil(steps())
      end)

      it(("of %d bytes may step the map that gives it (%s)"):format(bytes, name), function()
        local steps, seen = started(2), {}
        local function step()
          local i, result = steps()
          if i then seen[i] = result[2] end
          return i
        end
        function _G.reentry() step() end
        while step() do end
        _G.reentry = nil
        for i = 1, 4 do assert.equal(("x"):rep(bytes) .. i, seen[i]) end
      end)
    end
  end
end)

describe("a task that runs inline", function()
  it("may close the map that it is of, but not step it", function()
    local ex <close> = ccpool.SerialExecutor()
    local i = 0
    _G.reentry = {}
    _G.reentry.steps = ex:map(function(n)
      local inherited = _G.reentry
      if n == 2 then inherited.ok, inherited.err = pcall(inherited.steps) end
      if n == 4 then inherited.steps:close() end
      return n, ("x"):rep(1000)
    end, function()
      i = i + 1
      return i
    end, { chunksize = 3, buffersize = 3 })
    local inherited = _G.reentry
    local steps, seen = inherited.steps, {}
    for n in steps do seen[#seen + 1] = n end
    _G.reentry = nil
    assert.same({ 1 }, seen) -- closed while the second step went on
    assert.is_false(inherited.ok)
    assert.matches("must not step the map", inherited.err)
  end)
end)

describe("joining a thread", function()
  it("bears callbacks that make executors and let others go", function()
    local other = ccpool.ThreadPoolExecutor(1)
    do
      local ended = ccpool.ThreadPoolExecutor(1) -- the last made: its pool is looked at first
      ended:submit(math.sqrt, 4):result(PATIENCE)
      ended:shutdown()
    end
    collectgarbage()
    collectgarbage()
    local gate = ccpool.Event()
    local thread = ccpool.Thread{ target = function(event) event:wait() end, args = { gate } }
    thread:start()
    local third = ccpool.ThreadPoolExecutor(1)
    in_the_next_wait(other, function()
      local _ <close> = ccpool.ThreadPoolExecutor(1) -- sweeps what has ended
      third:submit(function(event) event:set() end, gate)
    end)
    assert.is_true(thread:join(PATIENCE))
    third:shutdown()
    other:shutdown()
  end)
end)
