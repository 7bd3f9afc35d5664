--- The workload of system calls: a scan of all ports of loopback, a few of them our own.
-- @module ccpool.cli.compare.scan

local socket = require("posix.sys.socket")

local limits = require("ccpool.cli.scan.limits")
local measure = require("ccpool.cli.compare.measure")
local output = require("ccpool.cli.output")
local servers = require("ccpool.cli.compare.server")
local states = require("ccpool.cli.scan.states")

local HOST = "127.0.0.1"
local LISTENERS = 3
local LAST_PORT = 65535
local CHUNK = 1024
local TIMEOUT = 1
local RETRIES = 1

local Scan = {
  name = "scan",
  title = ("All %d TCP ports of %s, with a connect each"):format(LAST_PORT, HOST),
  unit = "ports",
  task = "scan",
  is_cpu_bound = true,
  has_no_lock_row = true,
  rivals = { nmap = true },
}
Scan.__index = Scan

--- Makes the workload; raises the limit of descriptors, for workers still to come too.
-- @treturn table as `ccpool.cli.compare.workloads` describes it
local function new()
  return setmetatable({ concurrency = limits.auto_concurrency() }, Scan)
end

function Scan:prepare()
  self.server = servers.open(LISTENERS, 0)
end

function Scan:close()
  if self.server then
    self.server:close()
    self.server = nil
  end
end

-- Chunks of a list of ports, each with what the engine needs to know.
function Scan:_chunks(list, workers)
  local target = { family = socket.AF_INET, addr = HOST, is_local = true }
  local settings = {
    timeout = TIMEOUT,
    retries = RETRIES,
    concurrency = math.max(1, self.concurrency // workers),
  }
  local chunks = {}
  for first = 1, #list, CHUNK do
    local last = math.min(first + CHUNK - 1, #list)
    local ports = table.move(list, first, last, 1, {})
    chunks[#chunks + 1] = { { { target = target, ports = ports } }, settings }
  end
  return chunks
end

local function all_ports()
  local list = {}
  for port = 1, LAST_PORT do
    list[port] = port
  end
  return list
end

function Scan:items(workers)
  return self:_chunks(all_ports(), workers)
end

function Scan.count()
  return LAST_PORT
end

-- The open ports of a list, ascending.
local function open_ports(list, replies)
  local open = {}
  for chunk, outcomes in ipairs(replies) do
    for i, outcome in ipairs(outcomes) do
      if states.of(outcome) == "open" then
        open[#open + 1] = list[(chunk - 1) * CHUNK + i]
      end
    end
  end
  return open
end

function Scan.gather(_, replies)
  return open_ports(all_ports(), replies)
end

function Scan.key(_, open)
  return table.concat(open, " ")
end

--- What a rival program is given.
-- @treturn table words
function Scan.arguments()
  return { HOST }
end

function Scan:verify(open)
  local is_open = {}
  for _, port in ipairs(open) do
    is_open[port] = true
  end
  for _, port in ipairs(self.server.ports) do
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
-- @tparam table contenders those of them that are executors: `backend` and `workers`
-- @treturn[1] table the open ports all agree on now
-- @treturn[2] nil if they still disagree
function Scan:reconcile(results, contenders)
  local common, disputed = split(results)
  local seen
  for _, contender in ipairs(contenders) do
    local sample = measure.run({
      backend = contender.backend,
      workers = contender.workers,
      task = self.task,
      items = self:_chunks(disputed, contender.workers),
    })
    local open = open_ports(disputed, sample.results)
    if seen and self:key(open) ~= self:key(seen) then
      return nil
    end
    seen = open
  end
  output.notice("compare: ports that came or went meanwhile: %s", self:key(disputed))
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
