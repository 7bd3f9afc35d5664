--- `ccpool compare`: runs the same work serially, on threads and on processes.
-- @module ccpool.cli.compare

local backend = require("ccpool.cli.backend")
local cpu = require("ccpool.cli.compare.cpu")
local exit = require("ccpool.cli.exit")
local json = require("ccpool.cli.json")
local options = require("ccpool.cli.options")
local output = require("ccpool.cli.output")
local prime_workload = require("ccpool.cli.compare.primes")
local probe = require("ccpool.cli.scan.probe")
local scan_workload = require("ccpool.cli.compare.scan")
local text_table = require("ccpool.cli.table")

local MAX_RUNS = 100
local MIN_AUTO_WORKERS = 2

-- Reads a list of worker counts such as 1,2,4.
local function worker_list(text)
  local convert = options.integer(1, options.MAX_WORKERS)
  local list = {}
  for element in (text .. ","):gmatch("([^,]*),") do
    local count, message = convert(element)
    if element == "auto" then
      count = math.max(MIN_AUTO_WORKERS, options.worker_count("auto"))
    elseif not count then
      return nil, message .. " or auto"
    end
    list[#list + 1] = count
  end
  return list
end

--- Declares the sub-command.
-- @tparam table parser the argparse command
local function declare(parser)
  parser:argument("workload", "What to run."):args("?")
    :choices({ "scan", "primes", "all" }):default("all")
  options.add_common(parser)
  parser:option("-w --workers", "Numbers of workers, with commas between them.", "auto", nil, 1)
    :argname("LIST"):convert(worker_list)
  parser:option("--runs", "How often to run everything; the median counts.", "1")
    :argname("N"):convert(options.integer(1, MAX_RUNS))
  parser:option("--format", "How to write the results."):choices({ "text", "json" })
    :default("text")
end

local function new_workloads(arguments)
  local workloads = {}
  if arguments.workload ~= "scan" then
    workloads[#workloads + 1] = prime_workload.new()
  end
  if arguments.workload ~= "primes" then
    workloads[#workloads + 1] = scan_workload.new(arguments.quiet)
  end
  return workloads
end

local function new_contenders(worker_counts)
  local contenders = { { backend = "serial", workers = 1 } }
  for _, workers in ipairs(worker_counts) do
    contenders[#contenders + 1] = { backend = "threads", workers = workers }
    contenders[#contenders + 1] = { backend = "processes", workers = workers }
  end
  return contenders
end

-- Opens the executors from the last on, so that processes are forked before there are
-- threads, and starts their workers, so that starts are not counted.
local function open_all(contenders)
  for i = #contenders, 1, -1 do
    local contender = contenders[i]
    contender.executor = backend.open(contender.backend, contender.workers)
    contender.executor:warmup()
  end
end

local function end_all(contenders, method)
  for _, contender in ipairs(contenders) do
    if contender.executor then
      contender.executor[method](contender.executor)
    end
  end
end

local function measure(workload, contender)
  local executor = contender.executor
  local cpu_before, started = cpu.seconds(executor), probe.now()
  local result = workload:run(executor, contender.workers)
  local seconds = probe.now() - started
  return result, seconds, cpu.seconds(executor) - cpu_before
end

local function median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then
    return sorted[middle + 1]
  end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

-- Runs a workload once on every contender and files the figures.
local function run_round(workload, contenders, figures)
  for i, contender in ipairs(contenders) do
    local result, seconds, cpu_seconds = measure(workload, contender)
    local figure = figures[i] or { seconds = {}, cpu = {}, results = {} }
    figures[i] = figure
    table.insert(figure.seconds, seconds)
    table.insert(figure.cpu, cpu_seconds)
    table.insert(figure.results, result)
  end
end

-- Returns the result that every run of every contender agrees on, or nil and a message.
local function agreed_result(workload, contenders, figures)
  local results = {}
  for _, figure in ipairs(figures) do
    table.move(figure.results, 1, #figure.results, #results + 1, results)
  end
  local agreed = results[1]
  for _, result in ipairs(results) do
    if workload:key(result) ~= workload:key(agreed) then
      agreed = workload.reconcile and workload:reconcile(results, contenders)
      break
    end
  end
  if not agreed then
    return nil, "the backends disagree"
  end
  local is_right, message = workload:verify(agreed)
  return is_right and agreed or nil, message
end

local function rows_of(workload, contenders, figures)
  local rows = {}
  local serial_seconds = median(figures[1].seconds)
  for i, contender in ipairs(contenders) do
    local seconds = median(figures[i].seconds)
    rows[i] = {
      workload = workload.name,
      backend = contender.backend,
      workers = contender.workers,
      seconds = seconds,
      min = math.min(table.unpack(figures[i].seconds)),
      max = math.max(table.unpack(figures[i].seconds)),
      speedup = serial_seconds / seconds,
      cpu = median(figures[i].cpu),
    }
  end
  return rows
end

local function write_table(rows, runs)
  local lines = {}
  for i, row in ipairs(rows) do
    lines[i] = {
      row.workload, row.backend, tostring(row.workers), ("%.3f"):format(row.seconds),
      ("%.2f"):format(row.speedup), ("%.2f"):format(row.cpu),
      runs > 1 and ("%.3f"):format(row.min) or nil, runs > 1 and ("%.3f"):format(row.max) or nil,
    }
  end
  table.insert(lines, 1, {
    "workload", "backend", "workers", "time s", "speedup", "CPU s",
    runs > 1 and "min s" or nil, runs > 1 and "max s" or nil,
  })
  output.write("\n", text_table.format(lines, "llrrrrrr"))
end

local function row_record(row)
  return json.object("workload", row.workload, "backend", row.backend, "workers", row.workers,
    "seconds", row.seconds, "min", row.min, "max", row.max, "speedup", row.speedup,
    "cpu_seconds", row.cpu)
end

local function write_json(rows, outcomes, runs)
  local records, results = {}, {}
  for i, row in ipairs(rows) do
    records[i] = row_record(row)
  end
  for _, outcome in ipairs(outcomes) do
    results[#results + 1] = outcome.workload.name
    results[#results + 1] = outcome.result and outcome.workload:json(outcome.result) or false
  end
  output.write(json.object("runs", runs, "results", json.object(table.unpack(results)),
    "rows", records).text, "\n")
end

-- Runs everything, workload after workload and contender after contender in each round.
-- Returns an array of figures for each workload.
local function run_rounds(workloads, contenders, runs)
  local figures = {}
  for i, workload in ipairs(workloads) do
    workload:prepare()
    figures[i] = {}
  end
  for _ = 1, runs do
    for i, workload in ipairs(workloads) do
      run_round(workload, contenders, figures[i])
    end
  end
  return figures
end

local function compare(arguments, workloads, contenders)
  open_all(contenders)
  local figures = run_rounds(workloads, contenders, arguments.runs)
  local rows, outcomes, is_agreed = {}, {}, true
  for i, workload in ipairs(workloads) do
    local result, message = agreed_result(workload, contenders, figures[i])
    outcomes[i] = { workload = workload, result = result }
    if not result then
      is_agreed = false
      output.complain("compare: %s: %s", workload.name, message)
    elseif arguments.format == "text" then
      output.write(workload:text(result))
    end
    local more = rows_of(workload, contenders, figures[i])
    table.move(more, 1, #more, #rows + 1, rows)
  end
  if arguments.format == "text" then
    write_table(rows, arguments.runs)
  else
    write_json(rows, outcomes, arguments.runs)
  end
  return is_agreed and exit.OK or exit.INCOMPLETE
end

--- Runs the sub-command.
-- @tparam table arguments the parsed arguments
-- @treturn integer the exit code
local function run(arguments)
  local workloads = new_workloads(arguments)
  local contenders = new_contenders(arguments.workers)
  local ok, result = pcall(compare, arguments, workloads, contenders)
  for _, workload in ipairs(workloads) do
    workload:close()
  end
  end_all(contenders, ok and "shutdown" or "kill")
  if not ok then
    error(result, 0)
  end
  return result
end

return { declare = declare, run = run }
