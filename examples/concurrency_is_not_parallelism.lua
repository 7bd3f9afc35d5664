-- Two waits overlap on one processor; two computations do not. With two processors both do.
-- Usage: concurrency_is_not_parallelism.lua [steps, default 20000000]
local ccpool = require "ccpool"
local poll = require "posix.poll".poll
local time = require "posix.time"
local unistd = require "posix.unistd"

local STEPS = math.tointeger(tonumber(arg[1])) or 20000000

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

local function wait(ms) require "posix.poll".poll({}, ms) end

local function compute(n)
  local sum = 0
  for i = 1, n do sum = sum + i end
  return sum
end

-- How many times as long as one do two at once take? 1 means that they overlap.
local function two_at_once(f, n)
  local began = now()
  f(n)
  local alone = now() - began
  began = now()
  local a = ccpool.Thread{ target = f, args = { n } }
  local b = ccpool.Thread{ target = f, args = { n } }
  a:start()
  b:start()
  a:join()
  b:join()
  return (now() - began) / alone
end

local function report(label)
  print(("%s: two waits take %.1f times as long as one, two computations %.1f times"):format(label,
    two_at_once(wait, 100), two_at_once(compute, STEPS)))
end

-- Threads that are made later run on the same processors as this one.
local function pin(list)
  return os.execute(("taskset -cp %s %d >/dev/null 2>&1"):format(list, unistd.getpid()))
end

local status = io.open("/proc/self/status"):read("a")
local all = status:match("Cpus_allowed_list:%s*(%S+)")
if pin(all:match("^%d+")) then
  report("one processor")
  pin(all)
  poll({}, 10)
else
  print "one processor: (the command taskset is not there)"
end
report(("%d processors"):format(ccpool.cpu_count()))
