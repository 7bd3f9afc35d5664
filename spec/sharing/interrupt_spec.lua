--- Ctrl-C in the main program interrupts every blocking call, and what the call held or
-- waited for is as if it had not been made.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local pools = require "spec.support.pools"

local SCRIPT = [[
local ccpool = require "ccpool"
local signal = require "posix.signal"
local unistd = require "posix.unistd"
local me = unistd.getpid()
local ex <close> = ccpool.%s(2)
local ready = ccpool.Semaphore(0)
local lock, q, full = ccpool.Lock(), ccpool.Queue(), ccpool.Queue(1)
local semaphore, event, barrier = ccpool.Semaphore(0), ccpool.Event(), ccpool.Barrier(2)
local condition, dict, array = ccpool.Condition(), ccpool.Dict(), ccpool.Array("u8", 1)
local undone = ccpool.Queue()
full:put(1)
undone:put(1)
lock:acquire()
local hold = ccpool.Event()
local f = ex:submit(function(d, a, r, h)
  local _ <close> = a:lock()
  d:update(1, function() r:release() h:wait() end)
end, dict, array, ready, hold)
ready:acquire()
local ok, err = pcall(function()
  ex:submit(function(pid)
    require "posix.signal".kill(pid, require "posix.signal".SIGINT)
  end, me)
  %s
end)
hold:set()
f:result()
print(ok, (tostring(err):gsub("^.-: ", "")))
lock:release()
assert(lock:acquire(0) and not semaphore:acquire(0) and condition:acquire(0))
assert(full:qsize() == 1 and full:get() == 1 and q:qsize() == 0)
dict:set(1, 2)
array:lock():release()
]]

local CALLS = {
  ["Queue:get"] = "q:get()",
  ["Queue:put"] = "full:put({ 2 })",
  ["Queue:join"] = "undone:join()",
  ["Queue:iter"] = "for _ in q:iter() do end",
  ["Lock:acquire"] = "lock:acquire()",
  ["Semaphore:acquire"] = "semaphore:acquire()",
  ["Event:wait"] = "event:wait()",
  ["Condition:wait"] = "condition:with(function() condition:wait() end)",
  ["Condition:wait_for"] = "condition:with(function() condition:wait_for(function() end) end)",
  ["Barrier:wait"] = "barrier:wait()",
  ["Dict:set"] = "dict:set(1, 1)",
  ["Dict:update"] = "dict:update(1, function() end)",
  ["Array:lock"] = "local _ <close> = array:lock()",
}

describe("SIGINT", function()
  for name, call in pairs(CALLS) do
    it("interrupts " .. name, function()
      local out, code, err = pools.run_script(SCRIPT:format("ThreadPoolExecutor", call))
      assert.equal("false\tinterrupted!\n", out, err)
      assert.equal(0, code)
    end)
  end

  it("does so while processes work, too", function()
    local out, code, err = pools.run_script(SCRIPT:format("ProcessPoolExecutor", "q:get()"))
    assert.equal("false\tinterrupted!\n", out, err)
    assert.equal(0, code)
  end)
end)
