--- Collects what a scan found and writes it, host by host in the order of the targets.
-- @module ccpool.cli.scan.report

local formats = require("ccpool.cli.scan.formats")
local output = require("ccpool.cli.output")
local states = require("ccpool.cli.scan.states")

local function new_counts()
  local counts = {}
  for _, state in ipairs(states.ALL) do
    counts[state] = 0
  end
  return counts
end

local Report = {}
Report.__index = Report

-- The indices of the ports in the order of their numbers.
local function by_number(ports)
  local order = {}
  for i in ipairs(ports) do
    order[i] = i
  end
  table.sort(order, function(a, b)
    return ports[a] < ports[b]
  end)
  return order
end

--- Makes a report.
-- @tparam table options `ports` (in the order of the scan), `format` (one of
--   `formats.NAMES`), `open_only`, `with_reason`, `with_banner`, `command` (the command
--   line as an array, for the formats that show it)
-- @treturn table with `start`, `begin`, `add`, `finish`, `totals` (ports by state),
--   `troubles` (how many ports are unknown, by outcome)
local function new(options)
  return setmetatable({
    ports = options.ports,
    order = by_number(options.ports),
    format = formats.BY_NAME[options.format],
    open_only = options.open_only,
    with_reason = options.with_reason,
    with_banner = options.with_banner,
    command = options.command or {},
    hosts = {}, -- those not written yet, by index
    last_host = 0,
    next_host = 1,
    written_hosts = 0,
    up_hosts = 0,
    totals = new_counts(),
    troubles = {}, -- why ports are unknown: how many by outcome
  }, Report)
end

--- Writes what stands before all hosts.
function Report:start()
  if self.format.start then
    self.format.start(self)
  end
end

--- Takes the next host.
-- @tparam table target
-- @treturn integer its index: hosts count from 1
function Report:begin(target)
  local index = self.last_host + 1
  self.last_host = index
  self.hosts[index] = { target = target, outcomes = {}, banners = {}, known = 0 }
  return index
end

--- The target of a host that is not written yet.
-- @tparam integer index
-- @treturn table
function Report:target(index)
  return self.hosts[index].target
end

--- How many hosts have begun.
-- @treturn integer
function Report:host_count()
  return self.last_host
end

local function count_states(self, outcomes)
  local counts, state_of = new_counts(), {}
  for i in ipairs(self.ports) do
    local outcome = outcomes[i]
    local state = "unknown"
    if outcome then
      state = state_of[outcome] or states.of(outcome)
      state_of[outcome] = state
    end
    counts[state] = counts[state] + 1
  end
  return counts, state_of
end

-- The rows that a format lists, ascending by port; and how many there are of each outcome
-- that it does not list.
local function rows_of(self, host, counts, state_of)
  local rows, rest = {}, {}
  for _, i in ipairs(self.order) do
    local outcome = host.outcomes[i]
    local state = state_of[outcome]
    if outcome and self.format.lists(self, state, counts) then
      rows[#rows + 1] =
        { port = self.ports[i], state = state, outcome = outcome, banner = host.banners[i] }
    elseif outcome then
      rest[outcome] = (rest[outcome] or 0) + 1
    end
  end
  return rows, rest
end

function Report:_note_troubles(outcomes)
  for i in ipairs(self.ports) do
    local outcome = outcomes[i] or "not asked"
    if not outcomes[i] or states.of(outcome) == "unknown" then
      self.troubles[outcome] = (self.troubles[outcome] or 0) + 1
    end
  end
end

function Report:_write_host(index)
  local host = self.hosts[index]
  local counts, state_of = count_states(self, host.outcomes)
  local rows, rest = rows_of(self, host, counts, state_of)
  if counts.unknown > 0 then
    self:_note_troubles(host.outcomes)
  end
  for state, count in pairs(counts) do
    self.totals[state] = self.totals[state] + count
  end
  if counts.open + counts.closed > 0 then
    self.up_hosts = self.up_hosts + 1
  end
  self.hosts[index] = nil
  self.format.host(self, host.target, rows, counts, rest)
  self.written_hosts = self.written_hosts + 1
end

local function add_banners(host, first, banners)
  for i, text in pairs(banners or {}) do
    host.banners[first + i - 1] = text
  end
end

--- Takes outcomes of neighbours in the list of ports, and writes the hosts that are
-- complete with them.
-- @tparam integer index of the host
-- @tparam integer first the index of the first port
-- @tparam table outcomes
-- @tparam ?table banners escaped, by the same index as the outcomes
function Report:add(index, first, outcomes, banners)
  local host = self.hosts[index]
  table.move(outcomes, 1, #outcomes, first, host.outcomes)
  add_banners(host, first, banners)
  host.known = host.known + #outcomes
  host = self.hosts[self.next_host]
  while host and host.known == #self.ports do
    local next_host = self.next_host
    self.next_host = next_host + 1
    self:_write_host(next_host)
    host = self.hosts[self.next_host]
  end
  if self.next_host > self.last_host then
    output.flush()
  end
end

--- Takes outcomes of a scan that was broken off: part of them may be here already. Writes
-- nothing.
-- @tparam integer index as for @{Report:add}
-- @tparam integer first as for @{Report:add}
-- @tparam table outcomes
-- @tparam ?table banners as for @{Report:add}
-- @treturn integer how many outcomes are news
function Report:salvage(index, first, outcomes, banners)
  local host, count = self.hosts[index], 0
  if not host then
    return 0
  end
  for i, outcome in ipairs(outcomes) do
    if not host.outcomes[first + i - 1] then
      host.outcomes[first + i - 1] = outcome
      count = count + 1
    end
  end
  add_banners(host, first, banners)
  return count
end

--- Writes what is known of the hosts that are not complete, then the summary. A port
-- without outcome counts as unknown.
-- @tparam number seconds how long the scan took
-- @tparam boolean is_ended whether all targets had their turn
-- @treturn boolean whether every port of every host has a state
function Report:finish(seconds, is_ended)
  for index = self.next_host, self.last_host do
    self:_write_host(index)
  end
  local is_complete = is_ended and self.totals.unknown == 0
  if self.format.finish then
    self.format.finish(self, seconds, is_complete)
  end
  return is_complete
end

return { new = new }
