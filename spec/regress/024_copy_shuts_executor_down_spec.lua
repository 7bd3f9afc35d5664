-- An executor that came back to the state that made it was another object for the same
-- pool, and the collector's end of that object shut the pool down.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("an executor that came back as a result", function()
  it("may be collected, and the executor goes on", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    assert.equal(1, ex:submit(function(e) return e.max_workers end,
      ex:submit(function(e) return e end, ex):result()):result())
    collect()
    assert.equal(2.0, ex:submit(math.sqrt, 4):result())
  end)

  it("keeps the executor open when the first object is collected", function()
    local again = (function()
      local ex = ccpool.ThreadPoolExecutor(1)
      return ex:submit(function(e) return e end, ex):result()
    end)()
    collect()
    assert.equal(2.0, again:submit(math.sqrt, 4):result())
    again:shutdown()
  end)

  it("may be collected where the submitter runs the task itself", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, max_queue = 1,
      overflow = "caller_runs" }
    local futures = {}
    for i = 1, 50 do futures[i] = ex:submit(function(e) return e.name end, ex) end
    for _, f in ipairs(futures) do assert.equal(ex.name, f:result()) end
    collect()
    assert.equal(2.0, ex:submit(math.sqrt, 4):result())
  end)
end)
