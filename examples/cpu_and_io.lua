-- One worker computes while another waits: together they take as long as the longer of the
-- two. Usage: cpu_and_io.lua [seconds to wait, default 1]
local ccpool = require "ccpool"
local time = require "posix.time"

local seconds = tonumber(arg[1]) or 1

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

local function count(n) -- needs the processor
  local sum = 0
  for i = 1, n do sum = sum + i end
  io.write(("sum of 1 to %d: %d\n"):format(n, sum))
end

local function wait(s) -- needs none
  require "posix.poll".poll({}, math.floor(s * 1000))
  io.write("waited\n")
end

local function together(class, label, n)
  local began = now()
  local cpu = class{ target = count, args = { n } }
  local io = class{ target = wait, args = { seconds } }
  cpu:start()
  io:start()
  cpu:join()
  io:join()
  print(("%s: %.2f seconds"):format(label, now() - began))
end

together(ccpool.Thread, "threads", 10000000)
together(ccpool.Process, "processes", 5000000)
