--- `ccpool compare`: runs the same work serially, on threads and on processes.
-- @module ccpool.cli.compare

local exit = require("ccpool.cli.exit")
local interrupt = require("ccpool.cli.interrupt")
local machine = require("ccpool.cli.compare.machine")
local options = require("ccpool.cli.options")
local output = require("ccpool.cli.output")
local progress = require("ccpool.cli.progress")
local rivals = require("ccpool.cli.compare.rivals")
local rows = require("ccpool.cli.compare.rows")
local runner = require("ccpool.cli.compare.runner")
local series = require("ccpool.cli.compare.series")
local statistics = require("ccpool.cli.statistics")
local tables = require("ccpool.cli.compare.tables")
local workloads = require("ccpool.cli.compare.workloads")

local MAX_RUNS, MAX_WARMUP = 1000, 100
local MIN_AUTO_WORKERS = 2
local STDOUT = "-"
-- So much load for each core, before anything runs, is worth a word.
local LOAD_LIMIT = 0.5

-- The modules that plot are loaded only when they are needed.
local function html(report)
  return require("ccpool.cli.compare.html").page(report)
end

local function figure(report)
  return require("ccpool.cli.compare.figure").speedup(report)
end

-- Options that name a file, and what writes it.
local FILES = {
  { option = "html", write = html, help = "Write a report with plots: one file of HTML." },
  { option = "json", write = tables.json, help = "Write JSON, in hyperfine's form." },
  { option = "md", write = tables.markdown, help = "Write Markdown." },
  { option = "csv", write = tables.csv, help = "Write comma-separated values." },
  { option = "svg", write = figure, help = "Write the plots of speedup as a picture." },
}
local FORMATS = { json = tables.json, md = tables.markdown, csv = tables.csv }

-- Makes a reader of words with commas between them.
local function list_of(convert)
  return function(text)
    local list = {}
    for element in (text .. ","):gmatch("([^,]*),") do
      local value, message = convert(element)
      if not value then
        return nil, message
      end
      list[#list + 1] = value
    end
    return list
  end
end

local function worker_count(text)
  if text == "auto" then
    return math.max(MIN_AUTO_WORKERS, options.worker_count("auto"))
  end
  local count, message = options.integer(1, options.MAX_WORKERS)(text)
  return count, message and message .. " or auto"
end

-- Each number once, ascending: they are an axis.
local function worker_list(text)
  local list, message = list_of(worker_count)(text)
  if not list then
    return nil, message
  end
  local counts, is_there = {}, {}
  for _, count in ipairs(list) do
    if not is_there[count] then
      is_there[count] = true
      counts[#counts + 1] = count
    end
  end
  table.sort(counts)
  return counts
end

local function rival(text)
  for _, name in ipairs(rivals.NAMES) do
    if name == text then
      return name
    end
  end
  return nil, ("'%s' is none of %s"):format(text, table.concat(rivals.NAMES, ", "))
end

--- Declares the sub-command.
-- @tparam table parser the argparse command
local function declare(parser)
  local choices = table.move(workloads.NAMES, 1, #workloads.NAMES, 1, {})
  choices[#choices + 1] = "all"
  parser:argument("workload", "What to run (default: primes and scan)."):args("*")
    :choices(choices)
  options.add_common(parser)
  parser:option("-w --workers", "Numbers of workers, with commas between them.", "auto", nil, 1)
    :argname("LIST"):convert(worker_list)
  parser:option("--runs", "How many rounds count; the median is shown.", "3")
    :argname("N"):convert(options.integer(1, MAX_RUNS))
  parser:option("--warmup", "How many rounds run before them.", "1")
    :argname("N"):convert(options.integer(0, MAX_WARMUP))
  parser:option("--vs", "Also run python, nmap, factor, where they are installed.", nil, nil, 1)
    :argname("LIST"):convert(list_of(rival))
  parser:option("--format", "How to write the results on standard output.")
    :choices({ "text", "json", "md", "csv" }):default("text")
  for _, file in ipairs(FILES) do
    parser:option("--" .. file.option, file.help .. " - is standard output."):argname("FILE")
  end
end

-- At most one thing can go to standard output besides notices.
local function file_for_stdout(arguments)
  local found
  for _, file in ipairs(FILES) do
    if arguments[file.option] == STDOUT then
      if found then
        error({ failure = ("--%s - and --%s - both want standard output"):format(found.option,
          file.option) }, 0)
      end
      found = file
    end
  end
  return found
end

-- Opens the files before anything runs: a wrong name shall not cost a comparison.
local function open_files(arguments)
  local open = {}
  for _, file in ipairs(FILES) do
    local path = arguments[file.option]
    if path and path ~= STDOUT then
      local handle, message = io.open(path, "w")
      if not handle then
        error({ failure = "cannot open " .. message }, 0)
      end
      open[#open + 1] = { handle = handle, write = file.write, path = path }
    end
  end
  return open
end

local function write_files(open, report)
  for _, file in ipairs(open) do
    local ok, message = file.handle:write(file.write(report))
    if ok then
      ok, message = file.handle:close()
    end
    if not ok then
      error({ failure = ("cannot write %s: %s"):format(file.path, message) }, 0)
    end
  end
end

-- Returns those that are installed, and a note for each of the others.
local function find_rivals(names)
  local installed, notes = {}, {}
  for _, name in ipairs(names or {}) do
    if rivals.is_installed(name) then
      installed[#installed + 1] = name
    else
      notes[#notes + 1] = name .. " is not installed and was left out"
    end
  end
  return installed, notes
end

local function total_runs(entries, rounds)
  local sum = 0
  for _, entry in ipairs(entries) do
    sum = sum + #entry.contenders
  end
  return sum * rounds
end

local function add_machine_notes(notes, described)
  if described.load > described.cpus * LOAD_LIMIT then
    notes[#notes + 1] = ("the machine was busy before: load %.2f on %d cores")
      :format(described.load, described.cpus)
  end
  notes[#notes + 1] = ("%s; %d cores; %s; %s; ccpool %s; %s"):format(described.cpu,
    described.cpus, described.system, described.lua, described.ccpool, described.date)
end

-- What one workload came to. `json` is nil, and `failure` says why, without agreement.
local function conclude(entry, cpu_count)
  local workload = entry.workload
  local result, message = runner.agreed_result(entry)
  local is_agreed = message == nil
  return {
    name = workload.name,
    title = workload.title,
    unit = workload.unit,
    is_cpu_bound = workload.is_cpu_bound,
    is_start = workload.is_start,
    text = is_agreed and workload:text(result) or "",
    json = is_agreed and workload:json(result) or nil,
    failure = message,
    rows = rows.make(workload, entry.figures, cpu_count),
  }
end

local function write_results(arguments, report)
  local file = file_for_stdout(arguments)
  local write = file and file.write or FORMATS[arguments.format]
  if write then
    output.write(write(report))
    return
  end
  for _, entry in ipairs(report.entries) do
    output.write(entry.text)
  end
  output.write("\n", tables.text(report))
end

-- Runs all rounds. Returns nil, or what interrupted them when there is enough to report.
local function run_all(arguments, entries)
  local total = total_runs(entries, arguments.warmup + arguments.runs)
  local line = progress.new({ mode = arguments.quiet and "never" or arguments.progress,
    label = "compare", unit = "runs", total = total })
  local begun = 0
  local function on_run(workload, contender)
    output.detail("compare: run %d of %d: %s, %s", begun + 1, total, workload.name,
      series.name(contender))
    line:set(begun)
    begun = begun + 1
  end
  local ok, err = pcall(runner.run_rounds, entries, arguments.warmup, arguments.runs, on_run)
  line:set(ok and total or begun)
  line:finish()
  statistics.add("runs", begun)
  if not ok and not (interrupt.is(err) and runner.is_complete(entries)) then
    error(err, 0)
  end
  return err
end

local function compare(arguments, files, entries, notes)
  local described = machine.describe()
  local interruption = run_all(arguments, entries)
  if interruption then
    notes[#notes + 1] = "interrupted: not all rounds were run"
  end
  add_machine_notes(notes, described)
  local report = { machine = described, notes = notes, runs = arguments.runs,
    warmup = arguments.warmup, entries = {}, rows = {} }
  local code = exit.OK
  for i, entry in ipairs(entries) do
    local concluded = conclude(entry, described.cpus)
    report.entries[i] = concluded
    table.move(concluded.rows, 1, #concluded.rows, #report.rows + 1, report.rows)
    if concluded.failure then
      code = exit.INCOMPLETE
      notes[#notes + 1] = concluded.name .. ": " .. concluded.failure
      output.complain("compare: %s: %s", concluded.name, concluded.failure)
    end
  end
  write_results(arguments, report)
  write_files(files, report)
  if interruption then
    error(interruption, 0)
  end
  return code
end

--- Runs the sub-command.
-- @tparam table arguments the parsed arguments
-- @treturn integer the exit code
local function run(arguments)
  local ok, files = pcall(function()
    file_for_stdout(arguments)
    return open_files(arguments)
  end)
  if not ok then
    output.complain("compare: %s", files.failure)
    return exit.USAGE
  end
  local installed, notes = find_rivals(arguments.vs)
  for _, note in ipairs(notes) do
    output.notice("compare: %s", note)
  end
  local entries = {}
  for i, workload in ipairs(workloads.make(arguments.workload)) do
    entries[i] = { workload = workload,
      contenders = runner.contenders_for(workload, arguments.workers, installed) }
  end
  local is_done, result = pcall(compare, arguments, files, entries, notes)
  for _, entry in ipairs(entries) do
    entry.workload:close()
  end
  if not is_done then
    error(result, 0)
  end
  return result
end

return { declare = declare, run = run }
