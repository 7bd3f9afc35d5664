--- What an executor uses of the machine: CPU time and memory, as /proc tells it.
-- Worker processes are no children of the program, so the system does not add their time
-- to the program's; it is read while they live.
-- @module ccpool.cli.compare.usage

local unistd = require("posix.unistd")

local TICKS_PER_SECOND = unistd.sysconf(unistd._SC_CLK_TCK)
local NANOSECONDS = 1e9
local KIBIBYTE = 1024
-- Behind the name in parentheses: state is field 1, user and system time 12 and 13.
local USER_FIELD, SYSTEM_FIELD = 12, 13

local function content(format, ...)
  local file = io.open(format:format(...))
  if not file then
    return ""
  end
  local text = file:read("a") or ""
  file:close()
  return text
end

-- User and system seconds, in whole ticks.
local function ticks_of(pid)
  local fields = {}
  for field in (content("/proc/%d/stat", pid):match("^.*%)%s+(.*)$") or ""):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  return (tonumber(fields[USER_FIELD]) or 0) / TICKS_PER_SECOND,
    (tonumber(fields[SYSTEM_FIELD]) or 0) / TICKS_PER_SECOND
end

-- The seconds that a process with one thread has run, to the nanosecond; nil if the
-- system does not tell.
local function exact_seconds(pid)
  local run = content("/proc/%d/schedstat", pid):match("^%d+")
  return run and tonumber(run) / NANOSECONDS
end

-- Calls a function with the pid of every worker process.
local function each_worker(executor, call)
  local own_pid = unistd.getpid()
  if executor.kind ~= "process" then
    return
  end
  for _, worker in ipairs(executor:stats().workers) do
    if worker.pid and worker.pid ~= own_pid then
      call(worker.pid)
    end
  end
end

--- The CPU seconds used so far by the program, all its threads, and the executor's
-- worker processes. Only differences mean something.
-- @tparam table executor
-- @treturn table `total`, and `user` and `system`, which are counted in ticks of 10 ms
-- @usage local before = usage.cpu(ex)
local function cpu(executor)
  local user, system = ticks_of(unistd.getpid())
  local sums = { total = os.clock(), user = user, system = system }
  each_worker(executor, function(pid)
    local worker_user, worker_system = ticks_of(pid)
    sums.user, sums.system = sums.user + worker_user, sums.system + worker_system
    sums.total = sums.total + (exact_seconds(pid) or worker_user + worker_system)
  end)
  return sums
end

--- What lies between two readings of @{cpu}: the exact total is split like the ticks.
-- @tparam table before
-- @tparam table after
-- @treturn number user seconds
-- @treturn number system seconds
-- @usage local user, system = usage.cpu_between(before, usage.cpu(ex))
local function cpu_between(before, after)
  local total = after.total - before.total
  local user, system = after.user - before.user, after.system - before.system
  local ticks = user + system
  local share = ticks > 0 and user / ticks or 1
  return total * share, total * (1 - share)
end

local function children_of(pid)
  local children = {}
  for child in content("/proc/%d/task/%d/children", pid, pid):gmatch("%d+") do
    children[#children + 1] = math.tointeger(tonumber(child))
  end
  return children
end

-- The proportional set size: a page that k processes share counts 1/k for each.
local function memory_of(pid)
  local kib = content("/proc/%d/smaps_rollup", pid):match("Pss:%s+(%d+)")
  local sum = (tonumber(kib) or 0) * KIBIBYTE
  for _, child in ipairs(children_of(pid)) do
    sum = sum + memory_of(child)
  end
  return sum
end

--- The bytes of memory that the program, its threads and all its processes hold now;
-- shared pages count once.
-- @treturn number bytes, 0 if the system does not tell
-- @usage local before = usage.memory()
local function memory()
  return memory_of(unistd.getpid())
end

return { cpu = cpu, cpu_between = cpu_between, memory = memory }
