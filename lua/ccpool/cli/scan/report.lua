--- Writes what a scan found, host by host in the order of the targets.
-- @module ccpool.cli.scan.report

local csv = require("ccpool.cli.csv")
local json = require("ccpool.cli.json")
local output = require("ccpool.cli.output")
local ports = require("ccpool.cli.scan.ports")
local states = require("ccpool.cli.scan.states")
local text_table = require("ccpool.cli.table")

-- In text, a state other than open that more ports of a host share is only counted.
local MAX_LISTED = 25

local function host_label(target)
  if target.host == target.addr then
    return target.addr
  end
  return ("%s (%s)"):format(target.host, target.addr)
end

local function counted(counts)
  local parts = {}
  for _, state in ipairs(states.ALL) do
    if counts[state] > 0 then
      parts[#parts + 1] = ("%d %s"):format(counts[state], state)
    end
  end
  return table.concat(parts, ", ")
end

-- The outcome of a row if reasons are wanted; nil else, which ends the list of fields.
local function reason_of(report, row)
  return report.with_reason and row.outcome or nil
end

local text = {}

local function is_listed(report, state, counts)
  return state == "open" or (not report.open_only and counts[state] <= MAX_LISTED)
end

function text.host(report, target, rows, counts)
  local lines = { { "PORT", "STATE", "SERVICE", report.with_reason and "REASON" or nil } }
  for _, row in ipairs(rows) do
    if is_listed(report, row.state, counts) then
      local service = ports.service(row.port) or "-"
      lines[#lines + 1] = { row.port .. "/tcp", row.state, service, reason_of(report, row) }
    end
  end
  local separator = report.written_hosts > 0 and "\n" or ""
  output.write(separator, host_label(target), ": ", counted(counts), "\n")
  if #lines > 1 then
    output.write(text_table.format(lines))
  end
end

function text.finish() end

local jsonl = {}

function jsonl.host(report, target, rows)
  for _, row in ipairs(rows) do
    if row.state == "open" or not report.open_only then
      local record = json.object(
        "type", "port", "host", target.host, "address", target.addr, "port", row.port,
        "state", row.state, "service", ports.service(row.port),
        "reason", reason_of(report, row)
      )
      output.write(record.text, "\n")
      output.flush()
    end
  end
end

function jsonl.finish(report, seconds, is_complete)
  local totals = report.totals
  local record = json.object(
    "type", "summary", "hosts", report.written_hosts, "open", totals.open,
    "closed", totals.closed, "filtered", totals.filtered, "error", totals.error,
    "unknown", totals.unknown, "seconds", seconds, "complete", is_complete
  )
  output.write(record.text, "\n")
end

local as_csv = {}

function as_csv.start(report)
  local reason = report.with_reason and "reason" or nil
  output.write(csv.line({ "host", "address", "port", "state", "service", reason }))
end

function as_csv.host(report, target, rows)
  for _, row in ipairs(rows) do
    if row.state == "open" or not report.open_only then
      output.write(csv.line({
        target.host, target.addr, row.port, row.state, ports.service(row.port) or "",
        reason_of(report, row),
      }))
    end
  end
end

function as_csv.finish() end

local FORMATS = { text = text, jsonl = jsonl, csv = as_csv }

local function new_counts()
  local counts = {}
  for _, state in ipairs(states.ALL) do
    counts[state] = 0
  end
  return counts
end

local Report = {}
Report.__index = Report

--- Makes a report.
-- @tparam table options `targets`, `ports`, `format` (`text`, `jsonl` or `csv`),
-- `open_only`, `with_reason`
-- @treturn table with `add`, `finish`, `totals` (ports by state)
local function new(options)
  local outcomes, known = {}, {}
  for i in ipairs(options.targets) do
    outcomes[i], known[i] = {}, 0
  end
  local report = setmetatable({
    targets = options.targets,
    ports = options.ports,
    format = FORMATS[options.format],
    open_only = options.open_only,
    with_reason = options.with_reason,
    outcomes = outcomes,
    known = known,
    next_host = 1,
    written_hosts = 0,
    totals = new_counts(),
  }, Report)
  if report.format.start then
    report.format.start(report)
  end
  return report
end

function Report:_write_host(index)
  local rows, counts = {}, new_counts()
  local outcomes = self.outcomes[index]
  for i, port in ipairs(self.ports) do
    local outcome = outcomes[i]
    if outcome then
      local state = states.of(outcome)
      counts[state] = counts[state] + 1
      rows[#rows + 1] = { port = port, state = state, outcome = outcome }
    else
      counts.unknown = counts.unknown + 1
    end
  end
  for state, count in pairs(counts) do
    self.totals[state] = self.totals[state] + count
  end
  self.format.host(self, self.targets[index], rows, counts)
  self.written_hosts = self.written_hosts + 1
  self.outcomes[index] = nil
end

--- Takes the outcomes of a chunk, and writes the hosts that are complete with them.
-- @tparam integer target_index
-- @tparam integer first the index of the first port
-- @tparam table outcomes
function Report:add(target_index, first, outcomes)
  table.move(outcomes, 1, #outcomes, first, self.outcomes[target_index])
  self.known[target_index] = self.known[target_index] + #outcomes
  while self.known[self.next_host] == #self.ports do
    self:_write_host(self.next_host)
    self.next_host = self.next_host + 1
  end
end

--- Writes what is known of the hosts that are not complete, then the summary. A port
-- without outcome counts as unknown.
-- @tparam number seconds how long the scan took
-- @treturn boolean whether every port of every host has a state
function Report:finish(seconds)
  for index = self.next_host, #self.targets do
    self:_write_host(index)
  end
  local is_complete = self.totals.unknown == 0
  self.format.finish(self, seconds, is_complete)
  return is_complete
end

return { new = new }
