--- Turns the samples of a workload's contenders into rows of figures.
-- @module ccpool.cli.compare.rows

local stats = require("ccpool.cli.compare.stats")

-- The middle half of the runs lies within this share of the median, or they are noisy.
local NOISE_LIMIT = 0.1

local function column(samples, field)
  local values = {}
  for _, sample in ipairs(samples) do
    values[#values + 1] = sample[field]
  end
  return values
end

local function median_of(samples, field)
  local values = column(samples, field)
  return #values > 0 and stats.median(values) or nil
end

-- The seconds that each task took, of all runs.
local function task_seconds(samples)
  local values = {}
  for _, sample in ipairs(samples) do
    for _, span in ipairs(sample.spans) do
      values[#values + 1] = span.to - span.from
    end
  end
  return values
end

local function spread(times)
  local quartiles = stats.quantile(times, 0.75) - stats.quantile(times, 0.25)
  return quartiles / stats.median(times)
end

local function notes_of(row, cpu_count)
  local notes = {}
  if row.is_noisy then
    notes[#notes + 1] = "noisy"
  end
  if row.workers > cpu_count then
    notes[#notes + 1] = "workers > cores"
  end
  return notes
end

local function add_times(row, times)
  row.times = times
  row.seconds = stats.median(times)
  row.low, row.high = stats.interval(times)
  row.min, row.max = math.min(table.unpack(times)), math.max(table.unpack(times))
  row.mean, row.stddev = stats.mean(times), stats.deviation(times)
  row.is_noisy = spread(times) > NOISE_LIMIT
end

local function add_tasks(row, samples)
  row.tasks = task_seconds(samples)
  if #row.tasks > 0 then
    row.p50, row.p99 = stats.quantile(row.tasks, 0.5), stats.quantile(row.tasks, 0.99)
  end
  -- The run that lies nearest to the median stands for all of them.
  table.sort(samples, function(a, b)
    return math.abs(a.seconds - row.seconds) < math.abs(b.seconds - row.seconds)
  end)
  row.spans = samples[1].spans
end

local function add_costs(row, samples)
  row.user, row.system = median_of(samples, "user"), median_of(samples, "system")
  row.cpu = row.user + row.system
  row.memory = median_of(samples, "memory")
  row.memory_per_worker = row.memory and row.memory / row.workers
  row.start_seconds = median_of(samples, "start_seconds")
  row.start_per_worker = row.start_seconds / row.workers
end

-- How a row compares with the serial one.
local function add_speedup(row, serial)
  if not serial then
    return
  end
  row.speedup = serial.seconds / row.seconds
  row.efficiency = row.speedup / row.workers
  if row.low then
    row.speedup_low, row.speedup_high = serial.seconds / row.high, serial.seconds / row.low
  end
end

--- Makes the rows of a workload.
-- @tparam table workload
-- @tparam table figures an array of `{ contender =, samples = }`
-- @tparam integer cpu_count
-- @treturn table an array of rows; times are seconds, memory is bytes, and what is not
-- known is nil
local function make(workload, figures, cpu_count)
  local rows = {}
  for i, figure in ipairs(figures) do
    local contender = figure.contender
    local row = {
      workload = workload.name,
      backend = contender.backend,
      workers = contender.workers,
      is_rival = contender.rival ~= nil,
    }
    add_times(row, column(figure.samples, "seconds"))
    add_costs(row, figure.samples)
    add_tasks(row, figure.samples)
    row.rate = workload:count(row.workers) / row.seconds
    add_speedup(row, figures[1].contender.backend == "serial" and (rows[1] or row))
    row.notes = notes_of(row, cpu_count)
    rows[i] = row
  end
  return rows
end

return { make = make }
