--- `ccpool scan`: finds open TCP ports by connecting to them.
-- @module ccpool.cli.scan

local socket = require("posix.sys.socket")

local backend = require("ccpool.cli.backend")
local banner = require("ccpool.cli.scan.banner")
local exit = require("ccpool.cli.exit")
local journal = require("ccpool.cli.scan.journal")
local limits = require("ccpool.cli.scan.limits")
local options = require("ccpool.cli.options")
local output = require("ccpool.cli.output")
local port_lists = require("ccpool.cli.scan.ports")
local probe = require("ccpool.cli.scan.probe")
local progress = require("ccpool.cli.progress")
local report = require("ccpool.cli.scan.report")
local scan_options = require("ccpool.cli.scan.options")
local sweep = require("ccpool.cli.scan.sweep")
local targets = require("ccpool.cli.scan.targets")
local words = require("ccpool.cli.scan.words")

local DEFAULT_PORTS = "1-1024"
-- What holds outside loopback and the private addresses unless more is asked for.
local PUBLIC_RATE = 1000
local MAX_PUBLIC = 65536
local MAX_SEED = 0x7fffffff

local Job = {}
Job.__index = Job

local function new_job(arguments)
  return setmetatable({
    arguments = arguments,
    family = arguments.ipv4 and socket.AF_INET or arguments.ipv6 and socket.AF_INET6 or nil,
    invalid = 0, -- targets that make no sense or cannot be found
    seed = arguments.seed or os.time() ~ math.random(MAX_SEED) & MAX_SEED,
    answered = 0,
    is_ended = false, -- whether every target had its turn
  }, Job)
end

local function usage_failure(format, ...)
  error({ failure = format:format(...), code = exit.USAGE }, 0)
end

-- Reads the targets; those that make no sense are named, and the others go on.
function Job:read_targets()
  self.specs = {}
  for _, word in ipairs(words.read(self.arguments.host, self.arguments.input_list)) do
    local spec, message = targets.parse(word.text, self.family)
    if spec then
      self.specs[#self.specs + 1] = spec
    else
      self.invalid = self.invalid + 1
      output.complain("scan: %s'%s' %s", word.place, words.show(word.text), message)
    end
  end
end

-- An order to leave something out is never half understood.
function Job:read_excluded()
  self.excluded = {}
  for _, text in ipairs(self.arguments.exclude) do
    local ranges, message = targets.parse_excluded(text)
    if not ranges then
      usage_failure("--exclude %s", message)
    end
    table.move(ranges, 1, #ranges, #self.excluded + 1, self.excluded)
  end
end

function Job:read_ports()
  local arguments = self.arguments
  local lists = { table.unpack(arguments.ports) }
  if arguments.top then
    lists[#lists + 1] = port_lists.top(arguments.top)
  elseif #lists == 0 then
    lists[1] = port_lists.parse(DEFAULT_PORTS)
  end
  self.ports = port_lists.combine(lists, arguments.exclude_ports)
  if #self.ports == 0 then
    usage_failure("--exclude-ports leaves no port")
  end
end

function Job:check_authority()
  local count = 0
  for _, spec in ipairs(self.specs) do
    count = count + targets.count_public(spec)
  end
  if count > MAX_PUBLIC and not self.arguments.i_am_authorized then
    usage_failure("%.0f addresses outside loopback and the private ranges: "
      .. "if you are allowed to scan them, say --i-am-authorized", count)
  end
end

function Job:expand()
  return targets.expand(self.specs, {
    excluded = self.excluded,
    family = self.family,
    all_ips = self.arguments.all_ips,
    on_unresolved = function(name, message)
      self.invalid = self.invalid + 1
      output.complain("scan: %s: %s", words.show(name), message)
    end,
  })
end

function Job:list_targets()
  local expansion = self:expand()
  local target = expansion:next()
  while target do
    if target.host == target.addr then
      output.write(target.addr, "\n")
    else
      output.write(("%s (%s)\n"):format(target.addr, target.host))
    end
    target = expansion:next()
  end
end

function Job:open_journal()
  local path = self.arguments.resume
  if not path then
    return
  end
  local file, message = journal.open(path, self.seed)
  if not file then
    usage_failure("resume file %s: %s", path, (message:gsub("^" .. path:gsub("%p", "%%%0")
      .. ": ", "")))
  end
  self.journal = file
  -- The same order again keeps what is left to do together.
  self.seed = self.arguments.seed or file.seed
end

-- Adds to the report what the journal knows of a host.
function Job:recall(index, target)
  local outcomes, banners = self.journal:known(target)
  if not outcomes then
    return
  end
  for i, port in ipairs(self.ports) do
    if outcomes[port] then
      self.is_recalled[index] = self.is_recalled[index] or {}
      self.is_recalled[index][i] = true
    end
  end
  for i in pairs(self.is_recalled[index] or {}) do
    local port = self.ports[i]
    self.report:add(index, i, { outcomes[port] }, { banners[port] })
    self.answered = self.answered + 1
  end
end

-- The rate for public addresses holds from the first one on.
function Job:guard(target)
  if self.has_public or not targets.is_public(target) then
    return
  end
  self.has_public = true
  if not self.arguments.max_rate then
    self.plan.rate = PUBLIC_RATE
  end
  output.notice("scan: %s is a public address: scan only what you are allowed to%s", target.addr,
    self.arguments.max_rate and "" or (" (%d connects/s, see --max-rate)"):format(PUBLIC_RATE))
end

-- The next target, made known to the report.
function Job:next_target()
  local target = self.expansion:next()
  if not target then
    self.is_ended = true
    return nil
  end
  self:guard(target)
  local index = self.report:begin(target)
  if self.journal then
    self:recall(index, target)
  end
  return target
end

function Job:total()
  local addresses = 0
  for _, spec in ipairs(self.specs) do
    addresses = addresses + targets.count(spec)
  end
  return addresses * #self.ports
end

function Job:make_plan()
  local arguments = self.arguments
  local concurrency = limits.auto_concurrency()
  if arguments.order == "random" then
    port_lists.shuffle(self.ports, self.seed)
  end
  self.is_recalled = {}
  self.plan = {
    next_target = function()
      return self:next_target()
    end,
    is_known = self.journal and function(index, i)
      local recalled = self.is_recalled[index]
      return recalled ~= nil and recalled[i] == true
    end,
    on_crash = function(err)
      output.notice("scan: %s; its ports are scanned again", tostring(err))
    end,
    ports = self.ports,
    total = self:total(),
    engine = arguments.engine,
    chunk = arguments.chunk,
    workers = arguments.backend == "serial" and 1 or options.worker_count(arguments.workers),
    timeout = arguments.timeout,
    host_timeout = arguments.host_timeout,
    retries = arguments.retries,
    rate = arguments.max_rate,
    banner = arguments.banner,
    concurrency = arguments.concurrency == "auto" and concurrency or arguments.concurrency,
  }
  output.detail("scan: %s engine, %s backend, workers: %d, connects in flight: %d, seed: %d",
    arguments.engine, arguments.backend, self.plan.workers, self.plan.concurrency, self.seed)
end

local function escape_all(banners)
  local escaped = {}
  for i, text in pairs(banners or {}) do
    escaped[i] = banner.escape(text)
  end
  return escaped
end

function Job:note(index, first, outcomes, banners)
  if self.journal then
    local ports = table.move(self.ports, first, first + #outcomes - 1, 1, {})
    self.journal:add(self.report:target(index), ports, outcomes, banners)
  end
end

function Job:take(index, first, outcomes, banners)
  self:note(index, first, outcomes, banners)
  self.report:add(index, first, outcomes, escape_all(banners))
  self.answered = self.answered + #outcomes
  self.line:set(self.answered)
end

-- Takes what is known of a chunk that is not through when the scan is broken off.
function Job:salvage(index, first, outcomes, banners)
  local count = self.report:salvage(index, first, outcomes, escape_all(banners))
  self.answered = self.answered + count
  if count > 0 then
    self:note(index, first, outcomes, banners)
  end
end

function Job:miss(index, count, err)
  output.complain("scan: %s: %d ports could not be scanned: %s", self.report:target(index).addr,
    count, tostring(err))
end

function Job:scan()
  local plan = self.plan
  backend.using(self.arguments.backend, plan.workers, function(executor)
    sweep.run(executor, plan, function(...)
      self:take(...)
    end, function(index, _, count, err)
      self:miss(index, count, err)
    end, function(...)
      self:salvage(...)
    end)
  end)
end

-- Scans, and writes what is known whatever ends the scan, Ctrl-C included. Returns whether
-- that is everything.
function Job:run()
  local arguments = self.arguments
  self.report = report.new({
    ports = self.ports,
    format = arguments.format,
    open_only = arguments.open,
    with_reason = arguments.reason,
    with_banner = arguments.banner ~= nil,
    command = arguments.command_line,
  })
  self.expansion = self:expand()
  self.line = progress.new({
    mode = arguments.progress, label = "scan", unit = "ports", total = self.plan.total,
  })
  local started = probe.now()
  self.report:start()
  local ok, err = pcall(self.scan, self)
  self.line:finish()
  if err == output.CLOSED then
    error(err, 0)
  end
  local seconds = probe.now() - started
  local is_complete = self.report:finish(seconds, self.is_ended)
  if not ok then
    error(err, 0)
  end
  output.flush()
  self:tell(seconds)
  return is_complete
end

function Job:tell(seconds)
  local parts = {}
  for outcome, count in pairs(self.report.troubles) do
    parts[#parts + 1] = ("%s: %d ports"):format(outcome, count)
  end
  if #parts > 0 then
    table.sort(parts)
    output.complain("scan: incomplete: %s", table.concat(parts, ", "))
  end
  if self.expansion.repeated > 0 then
    output.notice("scan: targets named more than once are scanned once")
  end
  output.notice("scan: addresses: %d, ports of each: %d, time: %.2f s",
    self.report:host_count(), #self.ports, seconds)
end

function Job:exit_code(is_complete)
  local totals = self.report.totals
  if not is_complete then
    return exit.INCOMPLETE
  elseif self.invalid > 0 then
    return exit.USAGE
  elseif self.arguments.check and totals.open < self.report:host_count() * #self.ports then
    return exit.CHECK_FAILED
  end
  return exit.OK
end

local function scan(arguments)
  local job = new_job(arguments)
  job:read_targets()
  job:read_excluded()
  if arguments.list_targets then
    job:list_targets()
    return job.invalid > 0 and exit.USAGE or exit.OK
  end
  job:read_ports()
  job:check_authority()
  job:open_journal()
  job:make_plan()
  local is_complete = job:run()
  return job:exit_code(is_complete)
end

--- Runs the sub-command.
-- @tparam table arguments the parsed arguments
-- @treturn integer the exit code
local function run(arguments)
  local ok, result = pcall(scan, arguments)
  if ok then
    return result
  elseif type(result) == "table" and result.code then
    output.complain("scan: %s", result.failure)
    return result.code
  end
  error(result, 0)
end

return { amend = scan_options.amend, declare = scan_options.declare, run = run }
