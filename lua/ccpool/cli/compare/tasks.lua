--- What workers run in a comparison. Every task comes back with its start, its end and
-- the worker that ran it.
-- @module ccpool.cli.compare.tasks

local socket = require("posix.sys.socket")
local time = require("posix.time")
local unistd = require("posix.unistd")

local ccpool = require("ccpool")
local engine = require("ccpool.cli.scan.engine")
local prime = require("ccpool.cli.prime")

local READ_SIZE = 4096

--- The seconds of a clock that never goes back and that all processes share.
-- @treturn number
local function now()
  local clock = time.clock_gettime(time.CLOCK_MONOTONIC)
  return clock.tv_sec + clock.tv_nsec * 1e-9
end

local function count_primes(first, last)
  local count = 0
  for n = first, last do
    if prime.is_prime_trial(n) then
      count = count + 1
    end
  end
  return count
end

local function sleep(seconds)
  local whole = math.floor(seconds)
  local left = { tv_sec = whole, tv_nsec = math.floor((seconds - whole) * 1e9) }
  -- A signal cuts a sleep short and leaves the rest.
  repeat
    local ok, _, _, rest = time.nanosleep(left)
    left = rest
  until ok == 0 or type(left) ~= "table"
  return true
end

local function read_all(fd)
  local parts = {}
  repeat
    local part = assert(unistd.read(fd, READ_SIZE))
    parts[#parts + 1] = part
  until part == ""
  return table.concat(parts)
end

local function read_banner(addr, port)
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  local ok, result = pcall(function()
    assert(socket.connect(fd, { family = socket.AF_INET, addr = addr, port = port }))
    return read_all(fd)
  end)
  unistd.close(fd)
  return ok and result or error(result, 0)
end

--- The tasks, by the names that workloads give them.
local TASKS = {
  banner = read_banner,
  count = count_primes,
  nothing = function() return true end,
  prime = prime.is_prime_trial,
  scan = engine.scan_chunk,
  sleep = sleep,
}

--- Runs a task and notes when and where it ran.
-- @tparam string name of the task
-- @tparam table|boolean lock a `ccpool.Lock` to hold meanwhile, or false
-- @param ... its arguments
-- @treturn table the result; seconds at which it began and ended; the worker's number
-- @usage tasks.timed("prime", false, 97)
local function timed(name, lock, ...)
  local worker = ccpool.current()
  local task = TASKS[name]
  if lock then
    lock:acquire()
  end
  local started = now()
  local ok, result = pcall(task, ...)
  local ended = now()
  if lock then
    lock:release()
  end
  if not ok then
    error(result, 0)
  end
  return { result, started, ended, worker and worker.id or 1 }
end

return { now = now, timed = timed }
