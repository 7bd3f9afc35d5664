--- The I/O-bound workload: a scan of all ports of loopback, a few of them our own.
-- @module ccpool.cli.compare.scan

local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local limits = require("ccpool.cli.scan.limits")
local output = require("ccpool.cli.output")
local ports = require("ccpool.cli.scan.ports")
local states = require("ccpool.cli.scan.states")
local sweep = require("ccpool.cli.scan.sweep")
local targets = require("ccpool.cli.scan.targets")

local HOST = "127.0.0.1"
local LISTENERS = 3
-- Connections are never accepted: all of a comparison must fit into the queue.
local BACKLOG = 1024
local TIMEOUT = 1
local RETRIES = 1

local Scan = { name = "scan" }
Scan.__index = Scan

--- Makes the workload; raises the limit of descriptors, for workers still to come too.
-- @tparam boolean is_quiet whether to keep notices back
-- @treturn table with `name`, `prepare`, `run`, `key`, `verify`, `reconcile`, `text`,
-- `json`, `close`
local function new(is_quiet)
  return setmetatable({
    is_quiet = is_quiet,
    concurrency = limits.auto_concurrency(),
    fds = {},
    own_ports = {},
  }, Scan)
end

local function listen()
  local fd, message = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
  local ok = fd
  if ok then
    ok, message = socket.bind(fd, { family = socket.AF_INET, addr = HOST, port = 0 })
  end
  if ok then
    ok, message = socket.listen(fd, BACKLOG)
  end
  if not ok then
    error({ failure = "cannot listen on loopback: " .. tostring(message) }, 0)
  end
  return fd, socket.getsockname(fd).port
end

function Scan:prepare()
  for i = 1, LISTENERS do
    self.fds[i], self.own_ports[i] = listen()
  end
  table.sort(self.own_ports)
  self.target = targets.resolve(HOST)
end

function Scan:close()
  for _, fd in ipairs(self.fds) do
    unistd.close(fd)
  end
  self.fds = {}
end

-- Returns the open ports of a list, ascending.
function Scan:_open_ports(executor, workers, list)
  local open, answered = {}, 0
  local plan = {
    targets = { self.target },
    ports = list,
    engine = "poll",
    chunk = "auto",
    workers = workers,
    timeout = TIMEOUT,
    retries = RETRIES,
    concurrency = self.concurrency,
  }
  sweep.run(executor, plan, function(_, first, outcomes)
    answered = answered + #outcomes
    for i, outcome in ipairs(outcomes) do
      if states.of(outcome) == "open" then
        open[#open + 1] = list[first + i - 1]
      end
    end
  end, function(_, _, _, err)
    error(err, 0)
  end)
  if answered ~= #list then
    error({ failure = ("only %d of %d ports were answered for"):format(answered, #list) }, 0)
  end
  table.sort(open)
  return open
end

function Scan:run(executor, workers)
  return self:_open_ports(executor, workers, ports.parse("-"))
end

function Scan.key(_, open)
  return table.concat(open, " ")
end

function Scan:verify(open)
  local is_open = {}
  for _, port in ipairs(open) do
    is_open[port] = true
  end
  for _, port in ipairs(self.own_ports) do
    if not is_open[port] then
      return false, ("port %d has a listener and was not found"):format(port)
    end
  end
  return true
end

-- The ports that all results have, and those that only some have.
local function split(results)
  local counts = {}
  for _, open in ipairs(results) do
    for _, port in ipairs(open) do
      counts[port] = (counts[port] or 0) + 1
    end
  end
  local common, disputed = {}, {}
  for port, count in pairs(counts) do
    local list = count == #results and common or disputed
    list[#list + 1] = port
  end
  table.sort(disputed)
  return common, disputed
end

--- Other programs open and close ports while we scan: looks at the ports in dispute once
-- more with everyone.
-- @tparam table results the open ports that each run found
-- @tparam table contenders all of them, with `executor` and `workers`
-- @treturn[1] table the open ports all agree on now
-- @treturn[2] nil if they still disagree
function Scan:reconcile(results, contenders)
  local common, disputed = split(results)
  local seen
  for _, contender in ipairs(contenders) do
    local open = self:_open_ports(contender.executor, contender.workers, disputed)
    if seen and self:key(open) ~= self:key(seen) then
      return nil
    end
    seen = open
  end
  if not self.is_quiet then
    output.complain("compare: ports that came or went meanwhile: %s", self:key(disputed))
  end
  table.move(seen, 1, #seen, #common + 1, common)
  table.sort(common)
  return common
end

function Scan.text(_, open)
  return ("%s: open ports: %s\n"):format(HOST, table.concat(open, " "))
end

function Scan.json(_, open)
  return open
end

return { new = new }
