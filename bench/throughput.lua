-- Tasks per second: 100 000 tiny tasks on two workers, a future each, all results read.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local TASKS = 100000
local SUM = TASKS * (TASKS + 1) * (2 * TASKS + 1) // 6
local WARMUPS, SAMPLES = 2, 5
local PER_MILLION = 1e6

local now = support.now

local function square(i) return i * i end

local function round(ex)
  local futures, sum = {}, 0
  local started = now()
  for i = 1, TASKS do futures[i] = ex:submit(square, i) end
  for i = 1, TASKS do sum = sum + futures[i]:result() end
  local seconds = now() - started
  support.expect(sum, SUM, "sum of the squares")
  return TASKS / seconds / PER_MILLION
end

support.main({ "threads", "processes" }, function(kind)
  local ex <close> = support.open(kind)
  support.report(kind, "rate_M/s", support.samples(WARMUPS, SAMPLES, function()
    return round(ex)
  end))
end)
