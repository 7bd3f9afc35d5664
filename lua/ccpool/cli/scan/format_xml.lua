--- Results as a subset of what nmap's `-oX` writes.
-- @module ccpool.cli.scan.format_xml

local ccpool = require("ccpool")

local output = require("ccpool.cli.output")
local ports = require("ccpool.cli.scan.ports")
local states = require("ccpool.cli.scan.states")

local xml = {}

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

-- nmap's words for outcomes; any other is given as it is.
local REASONS = {
  connected = "syn-ack",
  ECONNREFUSED = "conn-refused",
  timeout = "no-response",
  ETIMEDOUT = "no-response",
  EHOSTUNREACH = "host-unreach",
  ENETUNREACH = "net-unreach",
  EACCES = "admin-prohibited",
  EPERM = "admin-prohibited",
  ECONNRESET = "reset",
}

-- nmap knows no state `error`.
local STATES = { error = "unknown" }

local function quoted(value)
  -- Control characters cannot stand in XML at all, and other bytes only as UTF-8.
  local text = tostring(value):gsub("%c", "?")
  if not utf8.len(text) then
    text = text:gsub("[\128-\255]", "?")
  end
  return '"' .. text:gsub('[&<>"]', ESCAPES) .. '"'
end

-- An element from its name and its attributes, names and values in turn.
local function tag(name, close, ...)
  local parts = { "<", name }
  for i = 1, select("#", ...), 2 do
    local key, value = select(i, ...)
    parts[#parts + 1] = (" %s=%s"):format(key, quoted(value))
  end
  parts[#parts + 1] = close
  return table.concat(parts)
end

-- Writes ports in short: 22,80-89.
local function short_list(order, list)
  local parts, i = {}, 1
  while i <= #order do
    local last = i
    while order[last + 1] and list[order[last + 1]] == list[order[last]] + 1 do
      last = last + 1
    end
    local from, to = list[order[i]], list[order[last]]
    parts[#parts + 1] = from == to and from or from .. "-" .. to
    i = last + 1
  end
  return table.concat(parts, ",")
end

function xml.start(report)
  local now = os.time()
  output.write('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE nmaprun>\n',
    tag("nmaprun", ">\n", "scanner", "ccpool", "args", table.concat(report.command, " "),
      "start", now, "startstr", os.date("%c", now), "version", ccpool.VERSION,
      "xmloutputversion", "1.05"),
    tag("scaninfo", "/>\n", "type", "connect", "protocol", "tcp",
      "numservices", #report.ports, "services", short_list(report.order, report.ports)))
end

local function write_extra(state, count, rest)
  output.write(tag("extraports", ">\n", "state", STATES[state] or state, "count", count))
  local outcomes = {}
  for outcome in pairs(rest) do
    if states.of(outcome) == state then
      outcomes[#outcomes + 1] = outcome
    end
  end
  table.sort(outcomes)
  for _, outcome in ipairs(outcomes) do
    output.write(tag("extrareasons", "/>\n", "reason", REASONS[outcome] or outcome,
      "count", rest[outcome]))
  end
  output.write("</extraports>\n")
end

local function write_port(row)
  output.write(tag("port", ">", "protocol", "tcp", "portid", row.port),
    tag("state", "/>", "state", STATES[row.state] or row.state,
      "reason", REASONS[row.outcome] or row.outcome, "reason_ttl", 0))
  local service = ports.service(row.port)
  if service then
    output.write(tag("service", "/>", "name", service, "method", "table", "conf", 3))
  end
  if row.banner then
    output.write(tag("script", "/>", "id", "banner", "output", row.banner))
  end
  output.write("</port>\n")
end

-- Writes what ports without a row have in common, state by state.
local function write_extras(rest)
  local extra = {}
  for outcome, count in pairs(rest) do
    local state = states.of(outcome)
    extra[state] = (extra[state] or 0) + count
  end
  for _, state in ipairs(states.ALL) do
    if extra[state] then
      write_extra(state, extra[state], rest)
    end
  end
end

function xml.host(_, target, rows, counts, rest)
  local is_up = counts.open + counts.closed > 0
  local kind = target.addr:find(":", 1, true) and "ipv6" or "ipv4"
  output.write("<host>", tag("status", "/>\n", "state", is_up and "up" or "unknown",
    "reason", is_up and "conn-refused" or "no-response", "reason_ttl", 0),
    tag("address", "/>\n", "addr", target.addr, "addrtype", kind), "<hostnames>\n")
  if target.host ~= target.addr then
    output.write(tag("hostname", "/>\n", "name", target.host, "type", "user"))
  end
  output.write("</hostnames>\n<ports>")
  write_extras(rest)
  for _, row in ipairs(rows) do
    write_port(row)
  end
  output.write("</ports>\n</host>\n")
end

function xml.finish(report, seconds, is_complete)
  local now = os.time()
  local hosts = report.written_hosts
  output.write("<runstats>", tag("finished", "/>", "time", now, "timestr", os.date("%c", now),
    "elapsed", ("%.2f"):format(seconds),
    "summary", ("%d addresses (%d up) scanned in %.2f seconds"):format(hosts,
      report.up_hosts, seconds),
    "exit", is_complete and "success" or "error"),
    tag("hosts", "/>\n", "up", report.up_hosts, "down", 0, "total", hosts),
    "</runstats>\n</nmaprun>\n")
end

return xml
