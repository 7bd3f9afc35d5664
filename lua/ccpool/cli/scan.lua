--- `ccpool scan`: finds open TCP ports by connecting to them.
-- @module ccpool.cli.scan

local socket = require("posix.sys.socket")

local backend = require("ccpool.cli.backend")
local exit = require("ccpool.cli.exit")
local limits = require("ccpool.cli.scan.limits")
local options = require("ccpool.cli.options")
local output = require("ccpool.cli.output")
local port_lists = require("ccpool.cli.scan.ports")
local probe = require("ccpool.cli.scan.probe")
local report = require("ccpool.cli.scan.report")
local sweep = require("ccpool.cli.scan.sweep")
local targets = require("ccpool.cli.scan.targets")

local DEFAULT_PORTS = "1-1024"

--- Declares the sub-command.
-- @tparam table parser the argparse command
local function declare(parser)
  parser:argument("host", "Names, IPv4 or IPv6 addresses."):args("+")
  options.add_common(parser)
  options.add_executor(parser, port_lists.MAX_PORT,
    "Ports in a task (poll), or tasks that travel to a worker at once (connect).")
  parser:option("-p --ports", "Ports, ranges, services; - is all of them.")
    :argname("LIST"):count("*"):convert(port_lists.parse)
  parser:option("--timeout", "How long to wait for an answer: 1s, 500ms.", "1s")
    :argname("TIME"):convert(options.duration)
  parser:option("--retries", "How often to try again where no answer came.", "1")
    :argname("N"):convert(options.integer(0, 100))
  parser:option("--concurrency", "Connects in flight at most, in all workers.", "auto")
    :argname("N"):convert(options.integer_or_auto(1, 100000))
  parser:option("--engine", "A poll loop in each worker, or one connect in each task.")
    :choices({ "poll", "connect" }):default("poll")
  parser:flag("--open", "Show open ports only.")
  parser:flag("--reason", "Show why a port is said to be so.")
  parser:option("--format", "How to write the results.")
    :choices({ "text", "jsonl", "csv" }):default("text")
  parser:mutex(
    parser:flag("-4 --ipv4", "Use IPv4 only."),
    parser:flag("-6 --ipv6", "Use IPv6 only.")
  )
end

local function union_of(lists)
  if #lists == 0 then
    return port_lists.parse(DEFAULT_PORTS)
  elseif #lists == 1 then
    return lists[1]
  end
  local merged = {}
  for i, list in ipairs(lists) do
    merged[i] = table.concat(list, ",")
  end
  return port_lists.parse(table.concat(merged, ","))
end

-- Returns the targets, each address once, and how many hosts could not be resolved.
local function resolve_all(arguments)
  local family = arguments.ipv4 and socket.AF_INET or arguments.ipv6 and socket.AF_INET6 or nil
  local list, is_known, unresolved = {}, {}, 0
  for _, host in ipairs(arguments.host) do
    local target, message = targets.resolve(host, family)
    local key = target and target.addr .. "%" .. (target.scope_id or 0)
    if not target then
      unresolved = unresolved + 1
      output.complain("scan: %s: %s", host, message)
    elseif not is_known[key] then
      is_known[key] = true
      list[#list + 1] = target
    elseif not arguments.quiet then
      output.complain("scan: %s: %s is scanned once", host, target.addr)
    end
  end
  return list, unresolved
end

local function make_plan(arguments, target_list)
  local concurrency = limits.auto_concurrency()
  return {
    targets = target_list,
    ports = union_of(arguments.ports),
    engine = arguments.engine,
    chunk = arguments.chunk,
    workers = arguments.backend == "serial" and 1 or options.worker_count(arguments.workers),
    timeout = arguments.timeout,
    retries = arguments.retries,
    concurrency = arguments.concurrency == "auto" and concurrency or arguments.concurrency,
  }
end

local function scan_all(arguments, plan, findings)
  backend.using(arguments.backend, plan.workers, function(executor)
    sweep.run(executor, plan, function(...)
      findings:add(...)
    end, function(target_index, first, count, err)
      local from, to = plan.ports[first], plan.ports[first + count - 1]
      output.complain("scan: %s: ports %d to %d: %s",
        plan.targets[target_index].host, from, to, tostring(err))
    end)
  end)
end

--- Runs the sub-command.
-- @tparam table arguments the parsed arguments
-- @treturn integer the exit code
local function run(arguments)
  local target_list, unresolved = resolve_all(arguments)
  local plan = make_plan(arguments, target_list)
  local findings = report.new({
    targets = target_list,
    ports = plan.ports,
    format = arguments.format,
    open_only = arguments.open,
    with_reason = arguments.reason,
  })
  local started = probe.now()
  local ok, err = true, nil
  if #target_list > 0 then
    ok, err = pcall(scan_all, arguments, plan, findings)
  end
  if err == output.CLOSED then
    error(err, 0)
  end
  local seconds = probe.now() - started
  -- What is known is written whatever ended the scan, Ctrl-C included.
  local is_complete = findings:finish(seconds)
  if not ok then
    error(err, 0)
  end
  if not arguments.quiet then
    output.flush()
    output.complain("scan: addresses: %d, ports of each: %d, time: %.2f s",
      #target_list, #plan.ports, seconds)
  end
  if not is_complete then
    return exit.INCOMPLETE
  end
  return unresolved > 0 and exit.USAGE or exit.OK
end

return { declare = declare, run = run }
