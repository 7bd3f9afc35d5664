-- A worker that died between ringing another one's bell and waking it left that one asleep
-- for ever: who buried it found the bell rung and woke nobody, and the pool never closed.

local program = require "spec.support.program"

local ROOT = os.getenv("CCPOOL_ROOT") or "."

local SOURCE = [[
local ccpool = require "ccpool"
local nanosleep = require "posix.time".nanosleep
local ex = ccpool.ProcessPoolExecutor(3)
ex:warmup()
local function work() require "posix.time".nanosleep{ tv_sec = 0, tv_nsec = 20000000 } end
for _ = 1, 12 do
  nanosleep{ tv_sec = 0, tv_nsec = 30000000 } -- until all workers sleep, likely
  local futures = {}
  for i = 1, 3 do futures[i] = ex:submit(work) end
  for i = 1, 3 do futures[i]:presult() end
end
print(ex:stats().crashes > 0, ex:shutdown{ timeout = 10 })
os.exit(0, false)
]]

local function debug_build()
  local build = os.getenv("CCPOOL_BUILD") or ""
  if build:find("san", 1, true) then return build end -- these have the points too
  assert(os.execute("make -s -C '" .. ROOT .. "' debug >/dev/null"))
  return ROOT .. "/build/debug"
end

describe("a worker that dies while it wakes another #crash #slow", function()
  it("leaves nobody asleep", function()
    local path = debug_build() .. "/?.so;" .. (os.getenv("LUA_CPATH") or ";;")
    local result = program.run(SOURCE, { env = { CCP_FAULT = "ringing:1", LUA_CPATH = path } })
    assert.equal("true\ttrue\n", result.out)
    assert.equal(0, result.code)
  end)
end)
