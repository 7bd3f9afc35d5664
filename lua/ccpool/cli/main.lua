--- The command line: parses the arguments, runs a sub-command, decides the exit code.
-- @module ccpool.cli.main

local argparse = require("argparse")

local compare = require("ccpool.cli.compare")
local exit = require("ccpool.cli.exit")
local interrupt = require("ccpool.cli.interrupt")
local options = require("ccpool.cli.options")
local output = require("ccpool.cli.output")
local primes = require("ccpool.cli.primes")
local scan = require("ccpool.cli.scan")
local statistics = require("ccpool.cli.statistics")

local COMMANDS = {
  { name = "scan", summary = "Find open TCP ports.", command = scan },
  { name = "primes", summary = "Tell which numbers are prime.", command = primes },
  { name = "compare", summary = "Run the same work serially, on threads and on processes.",
    command = compare },
}

local WIDTH = 80
local EXAMPLES = [[
Examples:
  ccpool primes 97 112272535095293        tell which numbers are prime
  ccpool primes --count 1-1000000000      count the primes of a range
  ccpool scan -p 22,80,8000-9000 ::1      find open ports
  ccpool compare primes --workers 1,2     put threads and processes side by side
'ccpool COMMAND --help' shows the options of a command.]]

-- Stands before an argument like -5, which argparse would take for an option. No real
-- argument contains the byte.
local SHIELD = "\0"

local function usage_error(parser, message)
  io.stderr:write(parser:get_usage(), "\n\nError: ", (message:gsub(SHIELD, "")), "\n")
  os.exit(exit.USAGE)
end

--- Makes the parser of the command line.
-- @treturn table an argparse parser
local function make_parser()
  local parser = argparse("ccpool", "Threads and processes for Lua, at the command line.")
  parser.error = usage_error
  parser:command_target("command"):require_command(true)
  parser:flag("-V --version", "Print the version and exit."):action(options.print_version)
  parser:usage_max_width(WIDTH):help_max_width(WIDTH)
  options.add_completion(parser)
  parser:epilog(EXAMPLES)
  for _, entry in ipairs(COMMANDS) do
    entry.command.declare(parser:command(entry.name, entry.summary))
  end
  return parser
end

-- The sub-command that takes numbers shall see -5, to say that it is none.
local function takes_numbers(argv)
  for _, argument in ipairs(argv) do
    if argument:sub(1, 1) ~= "-" then
      return argument == "primes"
    end
  end
  return false
end

local function shield(argv)
  if not takes_numbers(argv) then
    return argv
  end
  local shielded = {}
  for i, argument in ipairs(argv) do
    shielded[i] = argument:gsub("^%-[%d.]", SHIELD .. "%0")
  end
  return shielded
end

-- Lets the sub-command rewrite what argparse cannot read.
local function amend(argv)
  for _, entry in ipairs(COMMANDS) do
    if entry.name == argv[1] and entry.command.amend then
      local rest = entry.command.amend(table.move(argv, 2, #argv, 1, {}))
      return table.move(rest, 1, #rest, 2, { argv[1] })
    end
  end
  return argv
end

local function unshield(arguments)
  for key, value in pairs(arguments) do
    if type(value) == "table" then
      unshield(value)
    elseif type(value) == "string" then
      arguments[key] = value:gsub("^" .. SHIELD, "")
    end
  end
  return arguments
end

local function run_command(name, arguments)
  for _, entry in ipairs(COMMANDS) do
    if entry.name == name then
      local code = entry.command.run(arguments)
      output.finish()
      return code
    end
  end
end

-- Turns what ended a sub-command into an exit code and one message.
local function failure_code(err, name)
  if err == output.CLOSED then
    return exit.BROKEN_PIPE
  end
  local flushed, flush_err = pcall(output.finish)
  if interrupt.is(err) then
    output.complain("%s: interrupted", name)
    return exit.INTERRUPTED
  elseif not flushed and flush_err == output.CLOSED then
    return exit.BROKEN_PIPE
  end
  local message = type(err) == "table" and err.failure or tostring(err)
  output.complain("%s: %s", name, message)
  return exit.INCOMPLETE
end

--- Runs the command line.
-- @tparam table argv the arguments, an array of strings
-- @treturn integer the exit code; usage errors, `-h` and `-V` end the program instead
-- @usage os.exit(main.run(arg), true)
local function run(argv)
  local arguments = unshield(make_parser():parse(shield(amend(argv))))
  arguments.command_line = table.move(argv, 1, #argv, 2, { "ccpool" })
  output.protect()
  local is_open, message = output.setup(arguments)
  if not is_open then
    output.complain("%s: %s", arguments.command, message)
    return exit.USAGE
  end
  local ok, result = pcall(run_command, arguments.command, arguments)
  local code = ok and result or failure_code(result, arguments.command)
  if arguments.stats then
    statistics.print()
  end
  return code
end

return { make_parser = make_parser, run = run }
