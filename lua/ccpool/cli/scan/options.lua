--- The options of `ccpool scan`.
-- @module ccpool.cli.scan.options

local formats = require("ccpool.cli.scan.formats")
local options = require("ccpool.cli.options")
local ports = require("ccpool.cli.scan.ports")

local BANNER_BYTES = 256
local MAX_BANNER_BYTES = 65536
local MAX_SEED = 0x7fffffff
local MAX_RATE = 10000000
local MAX_CONCURRENCY = 100000

local function declare_targets(parser)
  parser:argument("host", "Names, addresses, networks 10.0.0.0/24, ranges 10.0.0.1-9."):args("*")
  parser:option("--input-list -i", "Read targets from a file too, - is standard input (also -iL).")
    :argname("FILE"):count("*")
  parser:option("--exclude", "Leave out these targets, with commas between them.")
    :argname("LIST"):count("*")
  parser:mutex(
    parser:flag("-4 --ipv4", "Use IPv4 only."),
    parser:flag("-6 --ipv6", "Use IPv6 only.")
  )
  parser:flag("--all-ips", "Scan all addresses of a name, not only the first.")
  parser:flag("--list-targets", "Only list the addresses that would be scanned.")
  parser:flag("--i-am-authorized", "Allow more than 65536 public addresses.")
end

local function declare_ports(parser)
  parser:option("-p --ports", "Ports, ranges, services; - is all of them (1-1024).")
    :argname("LIST"):count("*"):convert(ports.parse)
  parser:option("--top", "The ports that are met most often.")
    :argname("N"):convert(options.integer(1, ports.MAX_PORT))
  parser:option("--exclude-ports", "Leave out these ports.")
    :argname("LIST"):count("*"):convert(ports.parse)
  parser:option("--order", "In which order to ask the ports of a host.")
    :choices({ "random", "serial" }):default("random")
  parser:option("--seed", "Of the random order.")
    :argname("N"):convert(options.integer(0, MAX_SEED))
end

local function declare_timing(parser)
  parser:option("--timeout", "How long to wait for an answer: 1s, 500ms.", "1s")
    :argname("TIME"):convert(options.duration)
  parser:option("--retries", "How often to try again where no answer came.", "1")
    :argname("N"):convert(options.integer(0, 100))
  parser:option("--host-timeout", "Give up a host after this time.")
    :argname("TIME"):convert(options.duration)
  parser:option("--concurrency", "Connects in flight at most, in all workers.", "auto")
    :argname("N"):convert(options.integer_or_auto(1, MAX_CONCURRENCY))
  parser:option("--max-rate", "Connects a second at most.")
    :argname("N"):convert(options.integer(1, MAX_RATE))
  parser:option("--engine", "A poll loop in each worker, or one connect in each task.")
    :choices({ "poll", "connect" }):default("poll")
end

local function declare_results(parser)
  parser:option("--banner", ("Read what services say first, %d bytes at most."):format(
    BANNER_BYTES)):argname("[=BYTES]"):convert(options.integer(1, MAX_BANNER_BYTES))
  parser:flag("--open", "Show open ports only.")
  parser:flag("--reason", "Show why a port is said to be so.")
  parser:option("--format", "How to write the results."):choices(formats.NAMES):default("text")
  parser:option("--resume", "Keep what is known in a file, and go on from there.")
    :argname("FILE")
  parser:flag("--check", "Exit with 1 unless every port is open.")
end

-- Argparse cannot say that hosts may be missing only if there is a list of them.
local function require_targets(parser)
  parser:action(function(arguments)
    if #arguments.host == 0 and #arguments.input_list == 0 then
      parser._parent:error("no target: name hosts, or files of them with -iL")
    end
  end)
end

--- Declares the sub-command.
-- @tparam table parser the argparse command
local function declare(parser)
  declare_targets(parser)
  declare_ports(parser)
  declare_timing(parser)
  declare_results(parser)
  options.add_common(parser)
  options.add_executor(parser, ports.MAX_PORT,
    "Ports in a task (poll), or tasks that travel to a worker at once (connect).")
  require_targets(parser)
end

--- Rewrites what argparse cannot read: `-iL FILE`, and `--banner` without a number.
-- @tparam table argv the arguments behind the name of the sub-command
-- @treturn table
-- @usage scan_options.amend({ "-iL", "hosts" })  --> { "--input-list", "hosts" }
local function amend(argv)
  local amended = {}
  for i, word in ipairs(argv) do
    if word == "--" then
      return table.move(argv, i, #argv, #amended + 1, amended)
    elseif word == "-iL" then
      word = "--input-list"
    elseif word:find("^%-iL.") then
      word = "--input-list=" .. word:sub(4)
    elseif word == "--banner" then
      word = "--banner=" .. BANNER_BYTES
    end
    amended[#amended + 1] = word
  end
  return amended
end

return { amend = amend, declare = declare }
