--- Measures one run of a workload, in a process of its own, so that no run finds what
-- another left: no warm pages, no idle workers, no grown heap.
--
--     program -> fresh process -> executor -> workers
--        ^            |  clock, CPU time, memory, result, times of all tasks
--        +------------+
-- @module ccpool.cli.compare.measure

local ccpool = require("ccpool")

local backend = require("ccpool.cli.backend")
local tasks = require("ccpool.cli.compare.tasks")
local usage = require("ccpool.cli.compare.usage")

-- Prefixes to each item's arguments what the task wrapper takes.
local function calls_of(job)
  local lock = job.backend == "lock" and ccpool.Lock() or false
  local calls = {}
  for i, item in ipairs(job.items) do
    calls[i] = { job.task, lock, table.unpack(item) }
  end
  return calls
end

-- Runs all tasks; returns the results in the order of the items, and what is known of
-- each task.
local function run_tasks(executor, calls, started)
  local results, spans = {}, {}
  for i, reply in executor:starmap(tasks.timed, calls, { chunksize = 1, ordered = false }) do
    results[i] = reply[1]
    spans[#spans + 1] = {
      item = i,
      from = reply[2] - started,
      to = reply[3] - started,
      worker = reply[4],
    }
  end
  return results, spans
end

--- Measures one run. Meant to be the only task of a process worker.
-- @tparam table job `backend`, `workers`, `task`, `items`; `is_start` if the start of the
-- workers is what is to be measured
-- @treturn table the sample: `seconds`, `start_seconds`, `user`, `system`, `memory`
-- (bytes more than before the start), `results`, `spans`
local function sample(job)
  local calls = calls_of(job)
  collectgarbage()
  local memory_before = usage.memory()
  local opened = tasks.now()
  local executor <close> = backend.open(job.backend == "lock" and "threads" or job.backend,
    job.workers)
  executor:warmup()
  local started = tasks.now()
  local cpu_before = usage.cpu(executor)
  local begun = tasks.now()
  local results, spans = run_tasks(executor, calls, begun)
  local seconds = tasks.now() - begun
  local user, system = usage.cpu_between(cpu_before, usage.cpu(executor))
  return {
    seconds = job.is_start and started - opened or seconds,
    start_seconds = started - opened,
    user = user,
    system = system,
    memory = math.max(0, usage.memory() - memory_before),
    results = results,
    spans = spans,
  }
end

--- Measures one run in a fresh process.
-- @tparam table job as for @{sample}
-- @treturn table the sample
-- @raise what the run raised
local function run(job)
  local outer = ccpool.ProcessPoolExecutor({ max_workers = 1, name = "compare" })
  local ok, result = pcall(function()
    return outer:submit(sample, job):result()
  end)
  if not ok then
    outer:kill()
    error(result, 0)
  end
  outer:shutdown()
  return result
end

return { run = run, sample = sample }
