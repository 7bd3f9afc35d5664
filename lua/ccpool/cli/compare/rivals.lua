--- Other programs that do the same work: Python, nmap, factor.
-- @module ccpool.cli.compare.rivals

local times = require("posix.sys.times")
local unistd = require("posix.unistd")

local python = require("ccpool.cli.compare.python")
local tasks = require("ccpool.cli.compare.tasks")

local TICKS_PER_SECOND = unistd.sysconf(unistd._SC_CLK_TCK)

--- All names.
local NAMES = { "python", "nmap", "factor" }

local PROGRAMS = { python = "python3", nmap = "nmap", factor = "factor" }

local PYTHON_KINDS = {
  ["python-serial"] = "serial",
  ["python-threads"] = "threads",
  ["python-processes"] = "processes",
}

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

local function command_line(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = quote(word)
  end
  return table.concat(quoted, " ")
end

--- Tells whether a rival is installed.
-- @tparam string name one of @{NAMES}
-- @treturn boolean
-- @usage rivals.is_installed("nmap")
local function is_installed(name)
  return os.execute("command -v " .. quote(PROGRAMS[name]) .. " >/dev/null 2>&1") == true
end

local function children_cpu()
  local used = times.times()
  return used.tms_cutime / TICKS_PER_SECOND, used.tms_cstime / TICKS_PER_SECOND
end

-- Runs a program to its end; returns what it prints, and the sample of its whole run.
local function run_program(words)
  local user_before, system_before = children_cpu()
  local started = tasks.now()
  local pipe = assert(io.popen("exec " .. command_line(words) .. " 2>/dev/null"))
  local out = pipe:read("a")
  local ok, _, code = pipe:close()
  local seconds = tasks.now() - started
  if not ok then
    error({ failure = ("%s ended with exit code %d"):format(words[1], code) }, 0)
  end
  local user, system = children_cpu()
  return out, {
    seconds = seconds,
    start_seconds = 0,
    user = user - user_before,
    system = system - system_before,
    spans = {},
  }
end

local function read_python(out)
  local sample = { spans = {} }
  for item, from, to, worker in out:gmatch("span (%d+) (%S+) (%S+) (%d+)") do
    table.insert(sample.spans, {
      item = math.tointeger(item),
      from = tonumber(from),
      to = tonumber(to),
      worker = math.tointeger(worker),
    })
  end
  sample.seconds = tonumber(out:match("\nseconds (%S+)"))
  sample.start_seconds = tonumber(out:match("\nstart (%S+)"))
  sample.user, sample.system = out:match("\ncpu (%S+) (%S+)")
  sample.user, sample.system = tonumber(sample.user), tonumber(sample.system)
  sample.memory = tonumber(out:match("\nmemory (%d+)"))
  sample.key = out:match("\nkey ([^\n]*)")
  return sample
end

local function run_python(workload, contender)
  local words = { PROGRAMS.python, "-c", python, workload.name,
    PYTHON_KINDS[contender.backend], contender.workers }
  local arguments = workload:arguments()
  table.move(arguments, 1, #arguments, #words + 1, words)
  return read_python((run_program(words)))
end

local function run_nmap(workload)
  local words = { PROGRAMS.nmap, "-sT", "-Pn", "-n", "-p-", "--max-retries", "1", "-oG", "-",
    table.unpack(workload:arguments()) }
  local out, sample = run_program(words)
  sample.result = {}
  for port in out:gmatch("(%d+)/open/tcp") do
    table.insert(sample.result, math.tointeger(port))
  end
  table.sort(sample.result)
  return sample
end

-- A number is prime if it is its only factor.
local function run_factor(workload)
  local out, sample = run_program({ PROGRAMS.factor, table.unpack(workload:arguments()) })
  sample.result = {}
  for number, factors in out:gmatch("(%d+):([^\n]*)") do
    table.insert(sample.result, factors == " " .. number)
  end
  return sample
end

local RUNNERS = { nmap = run_nmap, factor = run_factor }

--- Runs a workload once on a rival.
-- @tparam table workload
-- @tparam table contender `backend`, `workers`
-- @treturn table a sample, as `ccpool.cli.compare.measure` makes them, with `result` or
-- `key` in the place of `results`
-- @raise a table with `failure` if the program fails
local function run(workload, contender)
  return (RUNNERS[contender.backend] or run_python)(workload, contender)
end

--- The contenders of a rival.
-- @tparam string name one of @{NAMES}
-- @tparam table worker_counts
-- @treturn table an array of `backend`, `workers`, `rival`
local function contenders(name, worker_counts)
  if name ~= "python" then
    return { { backend = name, workers = 1, rival = name } }
  end
  local list = { { backend = "python-serial", workers = 1, rival = name } }
  for _, workers in ipairs(worker_counts) do
    list[#list + 1] = { backend = "python-threads", workers = workers, rival = name }
    list[#list + 1] = { backend = "python-processes", workers = workers, rival = name }
  end
  return list
end

return { NAMES = NAMES, contenders = contenders, is_installed = is_installed, run = run }
