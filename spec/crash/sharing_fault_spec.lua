--- Processes of a debug build die at each step by which messages with shared objects in
-- them move into queues and dicts and out of them: nothing of theirs stays, and what is
-- stored by others does.

local faulty = require "spec.support.faulty"
local program = require "spec.support.program"

-- The child runs `steps` and dies at the n-th passage of the point, for every n up to that
-- which it survives.
local SOURCE = [[
local ccpool = require "ccpool"
local core = require "ccpool.core"
local stdlib = require "posix.stdlib"
local queue, bounded, dict = ccpool.Queue(), ccpool.Queue(2), ccpool.Dict()
local mixed = ccpool.Queue()
local event = ccpool.Event()

local MEGABYTE = 1000000

local function close(o) getmetatable(o).__gc(o) end

local steps = {
  new = function()
    for _ = 1, 10 do close(ccpool.Array("u8", MEGABYTE)) end
  end,
  put = function()
    queue:put{ ccpool.Event(), ccpool.Lock() }
    queue:put{ ccpool.Event(), ("x"):rep(10000) }
    for _ = 1, 3 do bounded:put({ event }, 0.001) end
    assert(not pcall(queue.put, queue, { event, coroutine.running() }))
  end,
  get = function()
    mixed:put{ event, ("x"):rep(10000) }
    for _ = 1, 2 do mixed:put{ event, ccpool.Event(), ccpool.Lock() } end
    for _ = 1, 3 do assert(mixed:get(0)[1]:is_set()) end
  end,
  set = function()
    dict:set(1, { ccpool.Event(), event })
    dict:set(1, { ccpool.Event() })
    dict:set(1, 5)
    dict:set(1, { event })
    dict:update(1, function(v) return { ccpool.Event(), v } end)
    assert(dict:get(1)[2][1] == event)
    dict:delete(1)
  end,
  free = function()
    local inner, other = ccpool.Queue(), ccpool.Dict()
    inner:put(ccpool.Event())
    inner:put{ event, ("x"):rep(10000) }
    inner:put{ ccpool.Event(), other }
    for i = 1, 3 do other:set(i, { ccpool.Event(), event }) end
    close(other)
    close(inner)
  end,
}

local function objects()
  collectgarbage()
  core.reap()
  return (core.shared_stats())
end

local function empty(q)
  local n = 0
  repeat
    local item = q:get(0)
    if item then
      n = n + 1
      for _, o in ipairs(item) do assert(tostring(o):find("0x") or #o == 10000) end
    end
  until not item
  return n
end

event:set()
local step = assert(steps[arg[1] ])
queue:put{ event, ccpool.Event() } -- must outlive all of it
dict:set("mine", { ccpool.Event() })
local before, n = objects(), 0
local _, _, used = core.shared_stats()
repeat
  n = n + 1
  local p = ccpool.Process{ target = function()
    stdlib.setenv("CCP_FAULT", "keep:" .. n)
    event:set()
    step()
  end }
  p:start()
  p:join()
  assert(p.exitcode == 0 or p.exitcode == -9, tostring(p.exitcode))
  -- the first that moves has to find what was there before
  local first = queue:get(0)
  assert(first[1] == event and tostring(first[2]):find("0x"))
  assert(empty(queue) <= 2 and empty(bounded) <= 2 and empty(mixed) <= 3)
  queue:put(first)
  first = nil
  dict:set(1, nil)
  assert(dict:size() == 1 and not dict:get("mine")[1]:is_set())
  local now = objects()
  assert(now == before, ("%d objects, %d before, after %d"):format(now, before, n))
until p.exitcode == 0
local _, _, later = core.shared_stats()
assert(later - used < 4 * MEGABYTE, "bytes: " .. later - used)
print(n)
]]

describe("a death on the way of shared objects #crash #slow", function()
  local path

  setup(function() path = faulty.cpath() end)

  --- The step has at least that many points to die at.
  local function dies_everywhere(step, points)
    local result = program.run(SOURCE, { args = { step }, env = { LUA_CPATH = path } })
    assert.equal("", result.err)
    assert.is_true(tonumber(result.out) > points, result.out)
  end

  it("of a new one leaves nothing behind", function() dies_everywhere("new", 40) end)
  it("into a queue leaves nothing behind", function() dies_everywhere("put", 20) end)
  it("out of a queue leaves nothing behind", function() dies_everywhere("get", 20) end)
  it("into a dict and out of it leaves nothing behind", function()
    dies_everywhere("set", 20)
  end)
  it("while what keeps them is freed leaves nothing behind", function()
    dies_everywhere("free", 20)
  end)
end)
