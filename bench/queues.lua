-- Items per second through a queue: small integers from one producer, a worker, to one
-- consumer, the program; the same with a bound of 100 items; and 1 KB strings.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"
local ccpool = require "ccpool"

local ITEMS = 200000
local BOUND = 100
local TEXT = ("x"):rep(1000)
local WARMUPS, SAMPLES = 1, 5
local PER_MILLION = 1e6

local now = support.now

local function produce(queue, n)
  for i = 1, n do queue:put(i) end
end

local function produce_text(queue, n, text)
  for _ = 1, n do queue:put(text) end
end

local function integers(ex, bound)
  local queue, sum = ccpool.Queue(bound), 0
  local started = now()
  local future = ex:submit(produce, queue, ITEMS)
  for _ = 1, ITEMS do sum = sum + queue:get() end
  local seconds = now() - started
  future:result()
  support.expect(sum, ITEMS * (ITEMS + 1) // 2, "sum of the items")
  return ITEMS / seconds / PER_MILLION
end

local function texts(ex)
  local queue, sum = ccpool.Queue(), 0
  local started = now()
  local future = ex:submit(produce_text, queue, ITEMS, TEXT)
  for _ = 1, ITEMS do sum = sum + #queue:get() end
  local seconds = now() - started
  future:result()
  support.expect(sum, ITEMS * #TEXT, "length of the items")
  return ITEMS / seconds / PER_MILLION
end

support.main({ "threads", "processes" }, function(kind)
  local ex <close> = support.open(kind, 1)
  local function samples(measure, bound)
    return support.samples(WARMUPS, SAMPLES, function() return measure(ex, bound) end)
  end
  support.report(kind, "rate_M/s", samples(integers))
  support.report(kind, "bounded_M/s", samples(integers, BOUND))
  support.report(kind, "1KB_M/s", samples(texts))
end)
