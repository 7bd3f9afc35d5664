--- Options that several sub-commands share, and how their values are read.
-- @module ccpool.cli.options

local ccpool = require("ccpool")

local MAX_WORKERS = 1024
local UNITS = { [""] = 1, ms = 0.001, s = 1, m = 60 }
local MAX_SECONDS = 3600
local WHEN = { "auto", "always", "never" }

--- Makes a reader of whole numbers within bounds, for argparse's `convert`.
-- @tparam integer low
-- @tparam integer high
-- @treturn function text -> integer, or nil and a message
-- @usage parser:option("--retries", "..."):convert(options.integer(0, 10))
local function integer(low, high)
  return function(text)
    local value = text:find("^%d+$") and #text < 16 and math.tointeger(tonumber(text))
    if value and value >= low and value <= high then
      return value
    end
    return nil, ("'%s' is not a whole number from %d to %d"):format(text, low, high)
  end
end

--- Like @{integer}, but also takes the word `auto`.
-- @tparam integer low
-- @tparam integer high
-- @treturn function text -> integer or "auto", or nil and a message
-- @usage parser:option("--chunk", "..."):convert(options.integer_or_auto(1, 1000))
local function integer_or_auto(low, high)
  local convert = integer(low, high)
  return function(text)
    if text == "auto" then
      return text
    end
    local value, message = convert(text)
    return value, message and message .. " or auto"
  end
end

--- Reads a duration: a number, with `ms`, `s` (the default) or `m` behind it.
-- @tparam string text
-- @treturn[1] number seconds
-- @treturn[2] nil
-- @treturn[2] string message
-- @usage options.duration("500ms")  --> 0.5
local function duration(text)
  local digits, unit = text:match("^(%d*%.?%d*)(%a*)$")
  local value = tonumber(digits)
  local factor = UNITS[unit]
  if value and factor and value > 0 and value * factor <= MAX_SECONDS then
    return value * factor
  end
  return nil, ("'%s' is not a duration such as 1s, 500ms or 0.5"):format(text)
end

--- The number of workers that a value of `-w` stands for.
-- @tparam integer|string workers a number or `auto`
-- @treturn integer
-- @usage options.worker_count("auto")
local function worker_count(workers)
  return workers == "auto" and ccpool.cpu_count() or workers
end

--- Prints the version and ends the program.
local function print_version()
  io.stdout:write("ccpool ", ccpool.VERSION, "\n")
  os.exit(0)
end

local function root_of(parser)
  while parser._parent do
    parser = parser._parent
  end
  return parser
end

--- Adds `--completion`, which prints a script for a shell and ends the program.
-- @tparam table parser an argparse parser or command
local function add_completion(parser)
  parser:option("--completion", "Print completions for a shell and exit.")
    :choices({ "bash", "zsh", "fish" }):action(function(_, _, shell)
      local completion = require("ccpool.cli.completion")
      io.stdout:write(completion.script(root_of(parser), shell))
      os.exit(0)
    end)
end

--- Adds what every sub-command understands: `-V -q -v -o --progress --color --stats
-- --completion`.
-- @tparam table parser an argparse parser or command
local function add_common(parser)
  parser:flag("-V --version", "Print the version and exit."):action(print_version)
  parser:flag("-q --quiet", "Print no notices and no warnings to standard error.")
  parser:flag("-v --verbose", "Print to standard error what is done and how.")
  parser:option("-o --output", "Write the results to a file; - is standard output.")
    :argname("FILE")
  parser:option("--progress", "Show on standard error how far the work is.")
    :choices(WHEN):default("auto")
  parser:option("--color", "Colour the output."):choices(WHEN):default("auto")
  parser:flag("--stats", "Print statistics to standard error in the end.")
  add_completion(parser)
end

--- Adds the options that choose an executor.
-- @tparam table parser an argparse parser or command
-- @tparam integer max_chunk the largest value of `--chunk`
-- @tparam string chunk_help what a chunk is
local function add_executor(parser, max_chunk, chunk_help)
  parser:option("--backend", "What runs the tasks."):choices({ "serial", "threads", "processes" })
    :default("threads")
  parser:option("-w --workers", "How many workers (serial: always one).", "auto", nil, 1)
    :argname("N"):convert(integer_or_auto(1, MAX_WORKERS))
  parser:option("--chunk", chunk_help, "auto", nil, 1)
    :argname("N"):convert(integer_or_auto(1, max_chunk))
end

return {
  MAX_WORKERS = MAX_WORKERS,
  add_common = add_common,
  add_completion = add_completion,
  add_executor = add_executor,
  duration = duration,
  integer = integer,
  integer_or_auto = integer_or_auto,
  print_version = print_version,
  worker_count = worker_count,
}
