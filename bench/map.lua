-- Items per second: `map` of a tiny function over an array of 500 000 integers on two
-- workers, collected into an array.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local ITEMS = 500000
local WARMUPS, SAMPLES = 2, 5
local PER_MILLION = 1e6

local now = support.now

local function square(i) return i * i end

local function check(list)
  support.expect(list.n, ITEMS, "number of results")
  for i = 1, ITEMS do
    if list[i] ~= i * i then support.expect(list[i], i * i, "result " .. i) end
  end
end

local function round(ex, items)
  local started = now()
  local list = ex:map(square, items):collect()
  local seconds = now() - started
  check(list)
  return ITEMS / seconds / PER_MILLION
end

support.main({ "threads", "processes" }, function(kind)
  local items = {}
  for i = 1, ITEMS do items[i] = i end
  local ex <close> = support.open(kind)
  support.report(kind, "rate_M/s", support.samples(WARMUPS, SAMPLES, function()
    return round(ex, items)
  end))
end)
