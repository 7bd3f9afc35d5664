-- Joining each worker before the next one is started makes it all sequential. A pool keeps
-- its workers: no starts between the tasks, and as many at once as there are processors.
local ccpool = require "ccpool"
local time = require "posix.time"

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

local began = now()
local function log(text) print(("[%6.3f s] %s"):format(now() - began, text)) end

local function pause() require "posix.poll".poll({}, 50) end -- milliseconds

for i = 1, 3 do
  local t = ccpool.Thread{ target = pause, name = "worker " .. i }
  log("start " .. t.name)
  t:start()
  t:join()
  log("end   " .. t.name)
end

local TASKS = 100

local function sum()
  local s = 0
  for i = 1, 10000 do s = s + i end
  return s
end

local function one_by_one()
  local total = 0
  for _ = 1, TASKS do
    local t = ccpool.Thread{ target = sum }
    t:start()
    total = total + t:result()
  end
  return total
end

local function pooled()
  local ex <close> = ccpool.ThreadPoolExecutor()
  local total, futures = 0, {}
  for i = 1, TASKS do futures[i] = ex:submit(sum) end
  for _, f in ipairs(futures) do total = total + f:result() end
  return total
end

for _, case in ipairs{ { "one by one", one_by_one }, { "pooled", pooled } } do
  local start = now()
  local total = case[2]()
  print(("%-10s  %d tasks, total %d, %.4f s"):format(case[1], TASKS, total, now() - start))
end
print "A thread for each task pays for a new Lua state each time; a pool pays once per worker."
