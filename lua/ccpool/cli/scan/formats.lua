--- The formats of a scan's results. A format is a table of functions:
-- `start(report)` writes what stands before all hosts; `lists(report, state, counts)` tells
-- whether ports of a state get rows; `host(report, target, rows, counts, rest)` writes a
-- host, `rest` being how many ports without a row had each outcome; and
-- `finish(report, seconds, is_complete)` ends it. The first and the last may be missing.
-- @module ccpool.cli.scan.formats

local csv = require("ccpool.cli.csv")
local grep = require("ccpool.cli.scan.format_grep")
local json = require("ccpool.cli.json")
local output = require("ccpool.cli.output")
local ports = require("ccpool.cli.scan.ports")
local states = require("ccpool.cli.scan.states")
local text_table = require("ccpool.cli.table")
local xml = require("ccpool.cli.scan.format_xml")

-- In text, a state other than open that more ports of a host share is only counted.
local MAX_LISTED = 25

local COLORS = { open = "green", closed = "red", filtered = "yellow", error = "red",
  unknown = "yellow" }

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

-- An array of values from which those that are nil or false are left out.
local function compact(...)
  local list = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if value then
      list[#list + 1] = value
    end
  end
  return list
end

-- Lists open ports, and the others unless --open is given.
local function lists_all(report, state)
  return state == "open" or not report.open_only
end

-- Lists open ports, and others where they are few.
local function lists_few(report, state, counts)
  return state == "open" or (not report.open_only and counts[state] <= MAX_LISTED)
end

local text = { lists = lists_few }

-- Cells are aligned without colours, which are no part of their width.
local function paint_states(lines)
  return (lines:gsub("(/tcp +)(%l+)", function(before, state)
    return before .. output.paint(COLORS[state], state)
  end))
end

local function text_lines(report, rows)
  local lines = {
    compact("PORT", "STATE", "SERVICE", report.with_reason and "REASON",
      report.with_banner and "BANNER"),
  }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = compact(row.port .. "/tcp", row.state, ports.service(row.port) or "-",
      report.with_reason and row.outcome, report.with_banner and (row.banner or ""))
  end
  return lines
end

function text.host(report, target, rows, counts)
  if report.open_only and counts.open == 0 then
    return
  end
  local separator = report.has_text and "\n" or ""
  report.has_text = true
  output.write(separator, output.paint("bold", host_label(target)), ": ", counted(counts), "\n")
  if #rows > 0 then
    output.write(paint_states(text_table.format(text_lines(report, rows))))
  end
end

local jsonl = { lists = lists_all }

function jsonl.host(report, target, rows)
  for _, row in ipairs(rows) do
    local record = json.object(
      "type", "port", "host", target.host, "address", target.addr, "port", row.port,
      "state", row.state, "service", ports.service(row.port),
      "reason", report.with_reason and row.outcome or nil, "banner", row.banner
    )
    output.write(record.text, "\n")
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

local as_csv = { lists = lists_all }

function as_csv.start(report)
  output.write(csv.line(compact("host", "address", "port", "state", "service",
    report.with_reason and "reason", report.with_banner and "banner")))
end

function as_csv.host(report, target, rows)
  for _, row in ipairs(rows) do
    output.write(csv.line(compact(target.host, target.addr, row.port, row.state,
      ports.service(row.port) or "", report.with_reason and row.outcome,
      report.with_banner and (row.banner or ""))))
  end
end

local list = {}

function list.lists(_, state)
  return state == "open"
end

function list.host(_, target, rows)
  local pattern = target.addr:find(":", 1, true) and "[%s]:%d\n" or "%s:%d\n"
  for _, row in ipairs(rows) do
    output.write(pattern:format(target.addr, row.port))
  end
end

grep.lists, xml.lists = lists_few, lists_few

--- The values of `--format`.
local NAMES = { "text", "jsonl", "grep", "xml", "csv", "list" }

local BY_NAME = {
  text = text,
  jsonl = jsonl,
  grep = grep,
  xml = xml,
  csv = as_csv,
  list = list,
}

return { BY_NAME = BY_NAME, NAMES = NAMES }
