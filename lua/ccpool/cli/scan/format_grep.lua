--- Results as nmap's `-oG` writes them: a line for each host.
-- @module ccpool.cli.scan.format_grep

local ccpool = require("ccpool")

local output = require("ccpool.cli.output")
local ports = require("ccpool.cli.scan.ports")
local states = require("ccpool.cli.scan.states")

local grep = {}

-- Slashes, commas and tabs separate fields.
local function field(text)
  return (text:gsub("[/,\t]", { ["/"] = "|", [","] = ";", ["\t"] = " " }))
end

function grep.start(report)
  output.write(("# ccpool %s scan initiated %s as: %s\n"):format(ccpool.VERSION,
    os.date("%c"), table.concat(report.command, " ")))
end

local function ignored_states(rest)
  local counts, parts = {}, {}
  for outcome, count in pairs(rest) do
    local state = states.of(outcome)
    counts[state] = (counts[state] or 0) + count
  end
  for _, state in ipairs(states.ALL) do
    if counts[state] then
      parts[#parts + 1] = ("%s (%d)"):format(state, counts[state])
    end
  end
  return table.concat(parts, ", ")
end

function grep.host(_, target, rows, counts, rest)
  local name = target.host ~= target.addr and target.host or ""
  local label = ("Host: %s (%s)\t"):format(target.addr, name)
  local is_up = counts.open + counts.closed > 0
  output.write(label, "Status: ", is_up and "Up" or "Unknown", "\n")
  local parts = {}
  for i, row in ipairs(rows) do
    parts[i] = ("%d/%s/tcp//%s//%s/"):format(row.port, row.state,
      ports.service(row.port) or "", field(row.banner or ""))
  end
  local fields = {}
  if #parts > 0 then
    fields[1] = "Ports: " .. table.concat(parts, ", ")
  end
  local ignored = ignored_states(rest)
  if ignored ~= "" then
    fields[#fields + 1] = "Ignored State: " .. ignored
  end
  if #fields > 0 then
    output.write(label, table.concat(fields, "\t"), "\n")
  end
end

function grep.finish(report, seconds, is_complete)
  output.write(("# ccpool done at %s -- %d addresses (%d up) scanned in %.2f seconds%s\n"):format(
    os.date("%c"), report.written_hosts, report.up_hosts, seconds,
    is_complete and "" or ", incomplete"))
end

return grep
