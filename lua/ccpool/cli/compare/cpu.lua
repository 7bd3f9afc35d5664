--- The CPU time that an executor has used.
-- Worker processes are no children of the program, so the system does not add their time
-- to the program's; it is read from /proc while they live.
-- @module ccpool.cli.compare.cpu

local unistd = require("posix.unistd")

local TICKS_PER_SECOND = unistd.sysconf(unistd._SC_CLK_TCK)
-- Behind the name in parentheses: state is field 1, user and system time 12 and 13.
local USER_FIELD, SYSTEM_FIELD = 12, 13

local function of_process(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then
    return 0
  end
  local fields, i = {}, 0
  for field in file:read("a"):match("^.*%)%s+(.*)$"):gmatch("%S+") do
    i = i + 1
    fields[i] = tonumber(field)
  end
  file:close()
  return (fields[USER_FIELD] + fields[SYSTEM_FIELD]) / TICKS_PER_SECOND
end

--- The CPU seconds used so far by the program, all its threads, and the executor's
-- worker processes. Only differences mean something.
-- @tparam table executor
-- @treturn number seconds
-- @usage local before = cpu.seconds(ex)
local function seconds(executor)
  local own_pid = unistd.getpid()
  local sum = os.clock()
  local is_counted = { [own_pid] = true }
  for _, worker in ipairs(executor:stats().workers or {}) do
    if worker.pid and not is_counted[worker.pid] then
      is_counted[worker.pid] = true
      sum = sum + of_process(worker.pid)
    end
  end
  return sum
end

return { seconds = seconds }
