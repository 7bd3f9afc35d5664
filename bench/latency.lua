-- Microseconds from `submit` to the result of one tiny task on two workers: one after the
-- other, and cold, after a pause in which the idle workers have gone to sleep.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local CALLS, COLD_CALLS = 20000, 300
local WARMUPS, SAMPLES = 1, 5
local PAUSE = 0.001 -- seconds; workers search for some 10 us before they sleep
local US = 1e6

local now = support.now

local function square(i) return i * i end

-- Measures `n` calls, each after a pause of `pause` seconds.
local function calls(ex, n, pause)
  local list = {}
  for i = 1, n do
    if pause > 0 then support.spin(pause) end
    local started = now()
    local result = ex:submit(square, i):result()
    list[i] = (now() - started) * US
    if result ~= i * i then support.expect(result, i * i, "square of " .. i) end
  end
  return list
end

support.main({ "threads", "processes" }, function(kind)
  local ex <close> = support.open(kind)
  local p99, cold_p99 = {}, {}
  support.report(kind, "p50_us", support.samples(WARMUPS, SAMPLES, function()
    local list = calls(ex, CALLS, 0)
    p99[#p99 + 1] = support.percentile(list, 0.99)
    return support.percentile(list, 0.5)
  end))
  support.report(kind, "p99_us", table.move(p99, 1 + WARMUPS, #p99, 1, {}))
  support.report(kind, "cold_p50_us", support.samples(0, 1, function()
    local list = calls(ex, COLD_CALLS, PAUSE)
    cold_p99[1] = support.percentile(list, 0.99)
    return support.percentile(list, 0.5)
  end))
  support.report(kind, "cold_p99_us", cold_p99)
end)
