-- Tasks that waited for room in the queue of their own executor counted as what fills it:
-- two of them waited for each other.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"

local BOUND = 30 -- seconds; matters only when something is broken

describe("tasks that submit to their own executor while its queue is full", function()
  it("go on", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, max_queue = 1 }
    local go = ccpool.Event()
    local function outer(e, event)
      event:wait()
      return e:submit(math.sqrt, 16):result()
    end
    local first, second = ex:submit(outer, ex, go), ex:submit(outer, ex, go)
    go:set()
    assert.equal(4.0, first:result(BOUND))
    assert.equal(4.0, second:result(BOUND))
  end)

  it("go on when threads that wait for them run them", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, max_queue = 2 }
    local others <close> = ccpool.ThreadPoolExecutor(2)
    local gate, both = ccpool.Event(), ccpool.Barrier(2)
    local busy = ex:submit(function(event) event:wait() end, gate)
    local function helper(e, barrier)
      return e:submit(function(inner, meet)
        meet:wait()
        return inner:submit(math.sqrt, 16):result() -- three are unfinished: there is no room
      end, e, barrier):result()
    end
    local first, second = others:submit(helper, ex, both), others:submit(helper, ex, both)
    local ok, root = first:presult(BOUND)
    local too, other = second:presult(BOUND)
    gate:set()
    busy:result()
    assert.same({ true, 4.0, true, 4.0 }, { ok, root, too, other })
  end)
end)
