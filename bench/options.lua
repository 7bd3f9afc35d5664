-- What options of tasks cost: tiny tasks through the executor, and through a view with a
-- timeout, in turns. The first column is what a program without options gets.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local TASKS = 50000
local WARMUPS, SAMPLES = 1, 5
local PER_MILLION = 1e6

local now = support.now

local function square(i) return i * i end

local function round(target)
  local futures = {}
  local started = now()
  for i = 1, TASKS do futures[i] = target:submit(square, i) end
  for i = 1, TASKS do support.expect(futures[i]:result(), i * i, "square") end
  return TASKS / (now() - started) / PER_MILLION
end

support.main({ "threads", "processes" }, function(kind)
  local ex <close> = support.open(kind)
  local view = ex:with{ timeout = 60 }
  local timed = {}
  support.report(kind, "plain_M/s", support.samples(WARMUPS, SAMPLES, function()
    timed[#timed + 1] = round(view)
    return round(ex)
  end))
  table.remove(timed, 1) -- the warm-up
  support.report(kind, "with_timeout_M/s", timed)
end)
