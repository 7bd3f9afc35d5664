-- A worker that died between ringing another one's bell and waking it left that one asleep
-- for ever: who buried it found the bell rung and woke nobody, and the pool never closed.

local faulty = require "spec.support.faulty"
local program = require "spec.support.program"

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

describe("a worker that dies while it wakes another #crash #slow", function()
  it("leaves nobody asleep", function()
    local path = faulty.cpath()
    local result = program.run(SOURCE, { env = { CCP_FAULT = "ringing:1", LUA_CPATH = path } })
    assert.equal("true\ttrue\n", result.out)
    assert.equal(0, result.code)
  end)
end)
