-- Where more workers stop paying: the same work on 1 to 64 workers, cut into large and into
-- tiny tasks. Usage: too_many_workers.lua [steps in all, default 4000000]
local ccpool = require "ccpool"
local time = require "posix.time"

local STEPS = math.tointeger(tonumber(arg[1])) or 4000000
local WORKERS = { 1, 2, 4, 16, 64 }
local TASKS = { 64, 1024 } -- how many tasks the work is cut into

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

local function count(n)
  local sum = 0
  for _ = 1, n do sum = sum + 1 end
  return sum
end

local function measure(class, workers, tasks)
  local began = now() -- starting the workers is part of the price
  local ex <close> = class(workers)
  local sizes, total = {}, 0
  for i = 1, tasks do sizes[i] = STEPS // tasks end
  for _, sum in ex:map(count, sizes, { chunksize = 1 }) do total = total + sum end
  assert(total == STEPS // tasks * tasks)
  return now() - began
end

print(("%d processors, %d steps in all"):format(ccpool.cpu_count(), STEPS))
print("workers    tasks    threads  processes")
for _, tasks in ipairs(TASKS) do
  for _, workers in ipairs(WORKERS) do
    print(("%7d %8d %8.3f s %8.3f s"):format(workers, tasks,
      measure(ccpool.ThreadPoolExecutor, workers, tasks),
      measure(ccpool.ProcessPoolExecutor, workers, tasks)))
  end
end
print "More workers than processors cost their start and gain nothing here: the work never waits."
