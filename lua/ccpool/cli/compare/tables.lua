--- Writes a comparison as text, Markdown, CSV and JSON.
-- @module ccpool.cli.compare.tables

local csv = require("ccpool.cli.csv")
local json = require("ccpool.cli.json")
local series = require("ccpool.cli.compare.series")
local text_table = require("ccpool.cli.table")

local MEBIBYTE = 1024 * 1024
local NOTHING = "–"

local function shown(format, value, factor)
  return value and format:format(value * (factor or 1)) or NOTHING
end

-- Seconds: starts of workers need more digits than runs.
local SHORT = 0.02

local function seconds(value)
  return value and (value < SHORT and "%.5f" or "%.3f"):format(value) or NOTHING
end

local function backend_of(row)
  return row.backend == "lock" and series.of("lock").label or row.backend
end

local function rate_of(row)
  return (row.rate < 1000 and "%.4g" or "%.0f"):format(row.rate)
end

local function interval_of(row)
  return row.low and seconds(row.low) .. "–" .. seconds(row.high) or NOTHING
end

-- The columns of tables for people: title, alignment, cell.
local COLUMNS = {
  { "workload", "l", function(row) return row.workload end },
  { "backend", "l", backend_of },
  { "workers", "r", function(row) return tostring(row.workers) end },
  { "time s", "r", function(row) return seconds(row.seconds) end },
  { "speedup", "r", function(row) return shown("%.2f", row.speedup) end },
  { "CPU s", "r", function(row) return shown("%.2f", row.cpu) end },
  { "95% s", "r", interval_of },
  { "min s", "r", function(row) return seconds(row.min) end },
  { "max s", "r", function(row) return seconds(row.max) end },
  { "eff %", "r", function(row) return shown("%.0f", row.efficiency, 100) end },
  { "MiB", "r", function(row) return shown("%.1f", row.memory, 1 / MEBIBYTE) end },
  { "items/s", "r", rate_of },
  { "p50 ms", "r", function(row) return shown("%.2f", row.p50, 1000) end },
  { "p99 ms", "r", function(row) return shown("%.2f", row.p99, 1000) end },
  { "notes", "l", function(row) return table.concat(row.notes, ", ") end },
}

local function columns_text(pick)
  local list = {}
  for i, column in ipairs(COLUMNS) do
    list[i] = pick(column)
  end
  return list
end

local function cells_of(row)
  return columns_text(function(column) return column[3](row) end)
end

local function titles()
  return columns_text(function(column) return column[1] end)
end

--- The rows as a table of text.
-- @tparam table report
-- @treturn string
local function text(report)
  local lines = { titles() }
  for _, row in ipairs(report.rows) do
    lines[#lines + 1] = cells_of(row)
  end
  local alignment = table.concat(columns_text(function(column) return column[2] end))
  return text_table.format(lines, alignment)
end

local function markdown_line(cells)
  return "| " .. table.concat(cells, " | ") .. " |\n"
end

local function markdown_rule()
  return "|" .. table.concat(columns_text(function(column)
    return column[2] == "r" and "---:" or "---"
  end), "|") .. "|\n"
end

--- The comparison as Markdown: a table for each workload, and the machine.
-- @tparam table report
-- @treturn string
local function markdown(report)
  local parts = { "# ccpool compare\n" }
  for _, entry in ipairs(report.entries) do
    parts[#parts + 1] = ("\n## %s\n\n%s.\n\n"):format(entry.name, entry.title)
    parts[#parts + 1] = markdown_line(titles()) .. markdown_rule()
    for _, row in ipairs(entry.rows) do
      parts[#parts + 1] = markdown_line(cells_of(row))
    end
  end
  parts[#parts + 1] = "\n"
  for _, note in ipairs(report.notes) do
    parts[#parts + 1] = "- " .. note .. "\n"
  end
  return table.concat(parts)
end

-- The columns of CSV: name and field of the row; seconds and bytes, unrounded.
local FIELDS = {
  "workload", "backend", "workers", "seconds", "low", "high", "min", "max", "mean", "stddev",
  "user", "system", "cpu", "memory", "memory_per_worker", "start_seconds", "speedup",
  "efficiency", "rate", "p50", "p99",
}

local function plain(value)
  if value == nil then
    return ""
  end
  return math.type(value) == "float" and ("%.9g"):format(value) or value
end

--- The rows as comma-separated values: seconds and bytes, an empty field for what is not
-- known.
-- @tparam table report
-- @treturn string
local function comma_separated(report)
  local names = table.move(FIELDS, 1, #FIELDS, 1, {})
  names[#names + 1] = "notes"
  local lines = { csv.line(names) }
  for _, row in ipairs(report.rows) do
    local values = {}
    for i, field in ipairs(FIELDS) do
      values[i] = plain(row[field])
    end
    values[#values + 1] = table.concat(row.notes, "; ")
    lines[#lines + 1] = csv.line(values)
  end
  return table.concat(lines)
end

local function exit_codes(count)
  local codes = {}
  for i = 1, count do
    codes[i] = 0
  end
  return codes
end

local function json_row(row)
  return json.object(
    "command", row.workload .. " " .. series.name(row),
    "mean", row.mean, "stddev", row.stddev or json.raw("null"), "median", row.seconds,
    "user", row.user, "system", row.system, "min", row.min, "max", row.max,
    "times", row.times, "exit_codes", exit_codes(#row.times),
    "parameters", json.object("workload", row.workload, "backend", row.backend,
      "workers", tostring(row.workers)),
    "low", row.low, "high", row.high, "speedup", row.speedup, "efficiency", row.efficiency,
    "items_per_second", row.rate, "task_p50", row.p50, "task_p99", row.p99,
    "memory", row.memory and math.floor(row.memory), "start", row.start_seconds,
    "notes", row.notes)
end

local function json_outputs(entries)
  local pairs_list = {}
  for _, entry in ipairs(entries) do
    pairs_list[#pairs_list + 1] = entry.name
    pairs_list[#pairs_list + 1] = entry.json == nil and json.raw("null") or entry.json
  end
  return json.object(table.unpack(pairs_list))
end

--- The comparison as JSON: `results` as hyperfine writes them, with more fields behind,
-- and `outputs`, what each workload found.
-- @tparam table report
-- @treturn string
local function to_json(report)
  local results = {}
  for i, row in ipairs(report.rows) do
    results[i] = json_row(row)
  end
  local machine = report.machine
  return json.object("results", results, "outputs", json_outputs(report.entries),
    "runs", report.runs, "warmup", report.warmup, "notes", report.notes,
    "machine", json.object("cpus", machine.cpus, "cpu", machine.cpu, "system", machine.system,
      "lua", machine.lua, "ccpool", machine.ccpool, "date", machine.date,
      "load", machine.load)).text .. "\n"
end

return {
  cells_of = cells_of,
  columns = COLUMNS,
  csv = comma_separated,
  json = to_json,
  markdown = markdown,
  text = text,
}
