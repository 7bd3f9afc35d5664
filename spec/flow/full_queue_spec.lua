--- A bounded queue that several threads fill.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"

local PATIENCE = 60

describe("an executor with max_queue that threads share", function()
  local function crowd(overflow, fn)
    local ex <close> = ccpool.ThreadPoolExecutor{
      max_workers = 1, max_queue = 1, overflow = overflow,
    }
    local others <close> = ccpool.ThreadPoolExecutor(4)
    local gate, futures, all = ccpool.Event(), {}, 0
    for i = 1, 4 do futures[i] = others:submit(fn, ex, gate) end
    gate:set()
    for i = 1, 4 do all = all + futures[i]:result(PATIENCE) end
    return all
  end

  for _, overflow in ipairs{ "block", "caller_runs" } do
    it("refuses no task with overflow = " .. overflow, function()
      assert.equal(4 * 200, crowd(overflow, function(ex, gate)
        gate:wait()
        local n = 0
        for i = 1, 200 do
          local f = ex:submit(math.abs, i)
          if i % 50 == 0 then f:result() end
          n = n + 1
        end
        return n
      end))
    end)
  end

  it("refuses no item of a map", function()
    assert.equal(4 * 200, crowd("error", function(ex, gate)
      gate:wait()
      local n, i = 0, 0
      for index, root in ex:map(math.sqrt, function()
        i = i + 1
        if i <= 200 then return i * i end
      end) do
        assert(index == root)
        n = n + 1
      end
      return n
    end))
  end)

  it("raises QueueFullError in all of them with overflow = error", function()
    local ex <close> = ccpool.ThreadPoolExecutor{
      max_workers = 1, max_queue = 1, overflow = "error",
    }
    local others <close> = ccpool.ThreadPoolExecutor(1)
    local gate = ccpool.Event()
    for _ = 1, 2 do ex:submit(function(event) event:wait() end, gate) end
    local kind = others:submit(function(full)
      local _, err = pcall(full.submit, full, math.sqrt, 4)
      return err.kind
    end, ex)
    local ok, told = pcall(kind.result, kind, PATIENCE)
    gate:set()
    assert.is_true(ok)
    assert.equal("QueueFullError", told)
  end)
end)
