-- How many times faster two workers are than none: trial division of six numbers, each
-- of them several times, one call an item.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local NUMBERS = {
  112272535095293, 112582705942171, 112272535095293,
  115280095190773, 115797848077099, 1099726899285419,
}
local REPEATS, SAMPLES = 2, 3

local now = support.now

local function is_prime(n)
  if n < 2 or n % 2 == 0 then return n == 2 end
  for i = 3, math.floor(math.sqrt(n)), 2 do
    if n % i == 0 then return false end
  end
  return true
end

local function work()
  local items, expected = {}, {}
  for _ = 1, REPEATS do
    for i, number in ipairs(NUMBERS) do
      items[#items + 1] = number
      expected[#expected + 1] = i < #NUMBERS
    end
  end
  return items, expected
end

local function seconds_of(run, items, expected)
  local started = now()
  local list = run(items)
  local seconds = now() - started
  for i, is in ipairs(expected) do
    support.expect(list[i], is, items[i] .. " is prime")
  end
  return seconds
end

local function serial(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = is_prime(item) end
  return list
end

support.main({ "threads", "processes" }, function(kind)
  local items, expected = work()
  local ex <close> = support.open(kind)
  local function parallel() return ex:map(is_prime, items, { chunksize = 1 }):collect() end
  support.report(kind, "speedup", support.samples(0, SAMPLES, function()
    return seconds_of(serial, items, expected) / seconds_of(parallel, items, expected)
  end))
end)
