--- Tasks that wait for each other in a ring, whichever way they wait and whoever runs
-- them: one of them is told, so that the others go on. What is no ring is not taken for one.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"

local BOUND = 30 -- seconds; matters only when something is broken

local function threads(n) return ccpool.ThreadPoolExecutor(n) end

local function is_deadlock(err) return ccpool.is_error(err, "DeadlockError") end

-- How a task waits for a future.
local WAYS = {
  result = function(f) return f:result() end,
  exception = function(f) return f:exception() end,
  wait = function(f)
    require "ccpool".wait{ f }
    return f:result()
  end,
  ["wait for the first"] = function(f)
    require "ccpool".wait({ f }, { return_when = "FIRST_COMPLETED" })
    return f:result()
  end,
  as_completed = function(f)
    for g in require "ccpool".as_completed{ f } do return g:result() end
  end,
  all = function(f) return require "ccpool".all{ f }[1] end,
  any = function(f) return (require "ccpool".any{ f }) end,
}

--- A task that gets a future from a box and waits for it. A ring breaks where it is told
-- so: what waits for that task goes on.
local function waits(box, way)
  local ok, err = pcall(way, box:get())
  return ok and "went on" or require "ccpool".is_error(err, "DeadlockError") and "deadlock" or err
end

--- n tasks in a ring, each of which waits for the next one. Gives what each came to.
local function ring(executors, way)
  local boxes, futures, results = {}, {}, {}
  for i, ex in ipairs(executors) do
    boxes[i] = ccpool.Queue()
    futures[i] = ex:submit(waits, boxes[i], way)
  end
  for i = 1, #executors do boxes[i]:put(futures[i % #executors + 1]) end
  for i, f in ipairs(futures) do results[i] = f:result(BOUND) end
  table.sort(results)
  return results
end

describe("a ring of tasks", function()
  for name, way in pairs(WAYS) do
    it("of one is told (" .. name .. ")", function()
      local ex <close> = threads(1)
      assert.same({ "deadlock" }, ring({ ex }, way))
      assert.equal(2.0, ex:submit(math.sqrt, 4):result(BOUND))
    end)

    it("of one executor is told (" .. name .. ")", function()
      local ex <close> = threads(3)
      assert.same({ "deadlock", "went on", "went on" }, ring({ ex, ex, ex }, way))
    end)

    it("across executors of one worker each is told (" .. name .. ")", function()
      local a <close> = threads(1)
      local b <close> = threads(1)
      local c <close> = threads(1)
      assert.same({ "deadlock", "went on", "went on" }, ring({ a, b, c }, way))
    end)
  end

  it("is told where some wait one way and others another", function()
    local a <close> = threads(1)
    local b <close> = threads(2)
    local boxes, futures = {}, {}
    local kinds = { "result", "wait", "as_completed" }
    for i, ex in ipairs{ a, b, b } do
      boxes[i] = ccpool.Queue()
      futures[i] = ex:submit(waits, boxes[i], WAYS[kinds[i]])
    end
    for i = 1, 3 do boxes[i]:put(futures[i % 3 + 1]) end
    local results = {}
    for i = 1, 3 do results[i] = futures[i]:result(BOUND) end
    table.sort(results)
    assert.same({ "deadlock", "went on", "went on" }, results)
  end)

  it("is told in a step of map whose item waits for the mapping task", function()
    local ex <close> = threads(2)
    local box = ccpool.Queue()
    local f = ex:submit(function(e, b)
      local me = b:get()
      local outcome
      for _, text in e:map(function(g)
        local ok, err = g:presult()
        return ok and "went on" or tostring(err)
      end, { me }) do
        outcome = text
      end
      return outcome
    end, ex, box)
    box:put(f)
    local ok, got = f:presult(BOUND)
    -- either the item is told, or the step of map
    assert.truthy(tostring(got):find("DeadlockError", 1, true) or is_deadlock(got),
      tostring(ok) .. " " .. tostring(got))
  end)

  it("is told through a task that another runs for it", function()
    local a <close> = threads(1)
    local b <close> = threads(1)
    local box = ccpool.Queue()
    -- the inner task belongs to b, but the worker of a that waits for it may run it
    local f = a:submit(function(there, q)
      local inner = there:submit(function(p)
        local ok, err = p:get():presult()
        return ok and "went on" or tostring(err)
      end, q)
      local ok, got = inner:presult()
      return ok and got or tostring(got)
    end, b, box)
    box:put(f)
    assert.equal("DeadlockError: the tasks wait for each other", f:result(BOUND))
  end)

  it("is told when the workers are all that there may be", function()
    local ex <close> = threads(1)
    -- with a timeout nobody helps: each waits while a spare worker runs the next one
    local function down(e, self, n)
      if n == 0 then return "bottom" end
      return e:with{ timeout = 600 }:submit(self, e, self, n - 1):result()
    end
    assert.equal("bottom", ex:submit(down, ex, down, 20):result(BOUND))
    assert.is_true(is_deadlock(ex:submit(down, ex, down, 200):exception(BOUND)))
    assert.equal("bottom", ex:submit(down, ex, down, 20):result(BOUND))
  end)
end)

describe("what is no ring", function()
  it("goes on: a wait for the first of two, one of which is in a ring", function()
    local ex <close> = threads(2)
    local box, gate = ccpool.Queue(), ccpool.Event()
    local other = ex:submit(function(e) e:wait() return "other" end, gate)
    local f = ex:submit(function(q, g)
      local me = q:get()
      local done = require "ccpool".wait({ me, g }, { return_when = "FIRST_COMPLETED" })
      return #done == 1 and done[1]:result()
    end, box, other)
    box:put(f)
    gate:set()
    assert.equal("other", f:result(BOUND))
  end)

  it("goes on: a ring with a time limit in it", function()
    local ex <close> = threads(2)
    local a_box, b_box = ccpool.Queue(), ccpool.Queue()
    local function limited(q)
      local _, err = q:get():presult(0.05)
      return err.kind
    end
    local a = ex:submit(limited, a_box)
    local b = ex:submit(waits, b_box, WAYS.result)
    a_box:put(b)
    b_box:put(a)
    assert.equal("TimeoutError", a:result(BOUND))
    assert.equal("went on", b:result(BOUND))
  end)

  it("goes on: tasks of two executors that submit to each other", function()
    local a <close> = threads(1)
    local b <close> = threads(1)
    local function ping(here, there, self, way, n)
      if n == 0 then return "done" end
      return way(there:submit(self, there, here, self, way, n - 1))
    end
    for _, name in ipairs{ "result", "wait", "as_completed", "all" } do
      assert.equal("done", a:submit(ping, a, b, ping, WAYS[name], 30):result(BOUND))
    end
  end)

  it("goes on: long chains of futures", function()
    local a <close> = threads(1)
    local b <close> = threads(2)
    local gate = ccpool.Event()
    local last = a:submit(function(e) e:wait() return 0 end, gate)
    for i = 1, 40 do
      local ex = i % 2 == 0 and a or b
      last = ex:submit(function(f, way) return way(f) + 1 end, last,
        i % 3 == 0 and WAYS.wait or WAYS.result)
    end
    gate:set()
    assert.equal(40, last:result(BOUND))
  end)
end)
