--- Runs the rounds of a comparison and checks the results.
-- @module ccpool.cli.compare.runner

local ccpool = require("ccpool")

local measure = require("ccpool.cli.compare.measure")
local rivals = require("ccpool.cli.compare.rivals")

local function add_backends(contenders, workload, worker_counts)
  if not workload.is_start then
    contenders[1] = { backend = "serial", workers = 1 }
  end
  local has_lock_row = workload.is_cpu_bound and not workload.has_no_lock_row and ccpool.Lock
  for _, workers in ipairs(worker_counts) do
    contenders[#contenders + 1] = { backend = "threads", workers = workers }
    contenders[#contenders + 1] = { backend = "processes", workers = workers }
    if has_lock_row then
      contenders[#contenders + 1] = { backend = "lock", workers = workers }
    end
  end
end

--- The contenders for a workload.
-- @tparam table workload
-- @tparam table worker_counts
-- @tparam table rival_names rivals that are installed
-- @treturn table an array of `backend`, `workers`, and for rivals `rival`
local function contenders_for(workload, worker_counts, rival_names)
  local contenders = {}
  add_backends(contenders, workload, worker_counts)
  for _, name in ipairs(rival_names) do
    if workload.rivals[name] then
      local more = rivals.contenders(name, worker_counts)
      table.move(more, 1, #more, #contenders + 1, contenders)
    end
  end
  return contenders
end

-- Runs a workload once; the sample has `result` or, of Python, `key`.
local function run_once(workload, contender)
  if contender.rival then
    return rivals.run(workload, contender)
  end
  local sample = measure.run({
    backend = contender.backend,
    workers = contender.workers,
    task = workload.task,
    items = workload:items(contender.workers),
    is_start = workload.is_start,
  })
  sample.result = workload:gather(sample.results, contender.workers)
  sample.results = nil
  return sample
end

-- One round of a workload. It begins with another contender each time, so that none
-- always runs after the same other. All results are kept, samples only of rounds that
-- count.
local function run_round(workload, figures, round, counts, on_run)
  for k = 1, #figures do
    local figure = figures[(round + k - 2) % #figures + 1]
    on_run(workload, figure.contender)
    local sample = run_once(workload, figure.contender)
    table.insert(figure.results, sample.result or false)
    table.insert(figure.keys, sample.key or workload:key(sample.result))
    sample.result = nil
    if counts then
      table.insert(figure.samples, sample)
    end
  end
end

--- Runs everything, workload after workload in each round, and contender after contender.
-- @tparam table entries an array of `{ workload =, contenders = }`; each gets `figures`, an
-- array of `{ contender =, samples =, results =, keys = }`
-- @tparam integer warmup how many rounds run first whose times do not count
-- @tparam integer runs how many rounds count
-- @tparam function on_run called with workload and contender before each run
local function run_rounds(entries, warmup, runs, on_run)
  for _, entry in ipairs(entries) do
    entry.workload:prepare()
    entry.figures = {}
    for i, contender in ipairs(entry.contenders) do
      entry.figures[i] = { contender = contender, samples = {}, results = {}, keys = {} }
    end
  end
  for round = 1, warmup + runs do
    for _, entry in ipairs(entries) do
      run_round(entry.workload, entry.figures, round, round > warmup, on_run)
    end
  end
end

--- Tells whether every contender of every workload has run at least once.
-- @tparam table entries as @{run_rounds} left them
-- @treturn boolean
local function is_complete(entries)
  for _, entry in ipairs(entries) do
    for _, figure in ipairs(entry.figures or { { samples = {} } }) do
      if #figure.samples == 0 then
        return false
      end
    end
  end
  return true
end

local function is_unanimous(figures)
  local first = figures[1].keys[1]
  for _, figure in ipairs(figures) do
    for _, key in ipairs(figure.keys) do
      if key ~= first then
        return false, figure.contender
      end
    end
  end
  return true
end

local function all_results(figures)
  local results = {}
  for _, figure in ipairs(figures) do
    table.move(figure.results, 1, #figure.results, #results + 1, results)
  end
  return results
end

local function own_contenders(contenders)
  local own = {}
  for _, contender in ipairs(contenders) do
    if not contender.rival then
      own[#own + 1] = contender
    end
  end
  return own
end

--- The result that all runs of all contenders agree on, warm-up runs included.
-- @tparam table entry as @{run_rounds} left it
-- @treturn[1] the workload's result, verified
-- @treturn[2] nil
-- @treturn[2] string why not
local function agreed_result(entry)
  local workload, figures = entry.workload, entry.figures
  local result = figures[1].results[1]
  local is_agreed, who = is_unanimous(figures)
  if not is_agreed then
    result = workload.reconcile
      and workload:reconcile(all_results(figures), own_contenders(entry.contenders))
    if not result then
      return nil, ("the backends disagree: %s × %d has another result than %s"):format(
        who.backend, who.workers, figures[1].contender.backend)
    end
  end
  local is_right, message = workload:verify(result)
  if not is_right then
    return nil, message
  end
  return result
end

return {
  agreed_result = agreed_result,
  contenders_for = contenders_for,
  is_complete = is_complete,
  run_rounds = run_rounds,
}
