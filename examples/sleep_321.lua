-- Three workers sleep 3, 2 and 1 seconds. They are started in this order and end in the
-- opposite one, and the whole takes as long as the longest sleep. Threads write into a list
-- that they share, processes send what they have through a queue.
-- Arguments: how long a unit of sleep is, in seconds (1).
local ccpool = require "ccpool"
local time = require "posix.time"

local UNIT = tonumber(arg and arg[1]) or 1

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

local function sleep(seconds)
  require "posix.poll".poll({}, math.floor(seconds * 1000)) -- milliseconds
end

--- Starts a worker for each of 3, 2, 1 and joins them all.
local function run(class, target, collector)
  local workers = {}
  for n = 3, 1, -1 do
    print(("start %d"):format(n))
    local worker = class{ target = target, args = { n, n * UNIT, sleep, collector } }
    worker:start()
    workers[#workers + 1] = worker
  end
  for _, worker in ipairs(workers) do worker:join() end
end

local function into_list(n, seconds, pause, list)
  pause(seconds)
  list:set(list:incr "n", n) -- incr is atomic: no two get the same place
end

local function into_queue(n, seconds, pause, queue)
  pause(seconds)
  queue:put(n)
end

print "threads, a shared list"
local began = now()
local list = ccpool.Dict()
run(ccpool.Thread, into_list, list)
for i = 1, list:get "n" do print(("end %d"):format(list:get(i))) end
print(("%.1f s"):format(now() - began))

print "processes, a queue"
began = now()
local queue = ccpool.Queue()
run(ccpool.Process, into_queue, queue)
queue:close() -- what is in it can still be taken
for n in queue:iter() do print(("end %d"):format(n)) end
print(("%.1f s"):format(now() - began))
