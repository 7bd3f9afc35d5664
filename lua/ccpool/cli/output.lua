--- Where the command line writes: results to standard output or to a file, everything
-- else to standard error. A reader that went away ends the program quietly: writing
-- then raises @{CLOSED}.
-- @module ccpool.cli.output

local errno = require("posix.errno")
local signal = require("posix.signal")
local unistd = require("posix.unistd")

local SGR = { bold = "1", dim = "2", red = "31", green = "32", yellow = "33", cyan = "36" }
local RESET = "\27[0m"
local BUFFER_BYTES = 65536

--- What @{write} raises when nobody reads the results any more.
local CLOSED = setmetatable({}, {
  __name = "ccpool.cli.output.CLOSED",
  __tostring = function()
    return "standard output is closed"
  end,
})

-- There is one output in a program, as there is one standard output.
local sink = io.stdout
local sink_name = "standard output"
local is_quiet, is_verbose = false, false
local is_flushed = false -- after each write
local has_color = { out = false, err = false }
local before_line -- called before anything is written: a progress line makes room

local function check(ok, message, code)
  if ok then
    return
  end
  if code == errno.EPIPE then
    error(CLOSED, 0)
  end
  message = tostring(message):gsub("^.*: ", "")
  error({ failure = ("cannot write to %s: %s"):format(sink_name, message) }, 0)
end

local function is_terminal(fd)
  return unistd.isatty(fd) == 1
end

local function wants_color(mode, fd)
  if mode ~= "auto" then
    return mode == "always"
  end
  local function is_set(name)
    return (os.getenv(name) or "") ~= ""
  end
  if is_set("NO_COLOR") then
    return false
  elseif is_set("CLICOLOR_FORCE") and os.getenv("CLICOLOR_FORCE") ~= "0" then
    return true
  end
  return fd ~= nil and is_terminal(fd) and os.getenv("TERM") ~= "dumb"
end

--- Lets a broken pipe show as a failed write instead of killing the program.
local function protect()
  signal.signal(signal.SIGPIPE, signal.SIG_IGN)
end

local function open_file(path)
  local file, message = io.open(path, "wb")
  if not file then
    return nil, "cannot open " .. message
  end
  sink, sink_name = file, path
  return true
end

--- Takes over what the common options say about the output.
-- @tparam table arguments the parsed arguments: `output`, `quiet`, `verbose`, `color`,
--   `format`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why the file cannot be opened
local function setup(arguments)
  is_quiet, is_verbose = arguments.quiet or false, arguments.verbose or false
  local path = arguments.output
  if path and path ~= "-" then
    local ok, message = open_file(path)
    if not ok then
      return nil, message
    end
  end
  -- Lines of JSON go out at once. (A line-buffered stream would do that, too, but the C
  -- library forgets failures to write one.)
  is_flushed = arguments.format == "jsonl" or (sink == io.stdout and is_terminal(1))
  sink:setvbuf("full", BUFFER_BYTES)
  local mode = arguments.color or "auto"
  has_color.out = wants_color(mode, sink == io.stdout and unistd.STDOUT_FILENO or nil)
  has_color.err = wants_color(mode, unistd.STDERR_FILENO)
  return true
end

local function make_room()
  if before_line then
    before_line()
  end
end

--- Writes results, whole lines at a time.
-- @tparam string ...
-- @raise @{CLOSED}, or a table with `failure`, the message for the user
local function write(...)
  make_room()
  check(sink:write(...))
  if is_flushed then
    check(sink:flush())
  end
end

--- Hands to the system what has been written so far.
-- @raise as @{write}
local function flush()
  check(sink:flush())
end

--- Ends the output: flushes it and closes the file of `-o`.
-- @raise as @{write}
local function finish()
  flush()
  if sink ~= io.stdout then
    local file = sink
    sink = io.stdout
    check(file:close())
  end
end

local function painted(stream, color, text)
  if not has_color[stream] then
    return text
  end
  return ("\27[%sm%s%s"):format(SGR[color], text, RESET)
end

--- Colours a piece of a result if results are to have colours.
-- @tparam string color `bold`, `dim`, `red`, `green`, `yellow` or `cyan`
-- @tparam string text
-- @treturn string
-- @usage output.write(output.paint("green", "open"), "\n")
local function paint(color, text)
  return painted("out", color, text)
end

local function say(color, format, ...)
  make_room()
  io.stderr:write(painted("err", color, "ccpool:"), " ", format:format(...), "\n")
end

--- Writes one line about a failure to standard error, after the program's name.
-- @tparam string format as for `string.format`
-- @param ... its arguments
local function complain(format, ...)
  say("red", format, ...)
end

--- Like @{complain}, for what `-q` silences.
-- @tparam string format as for `string.format`
-- @param ... its arguments
local function notice(format, ...)
  if not is_quiet then
    say("yellow", format, ...)
  end
end

--- Like @{complain}, for what was asked for and is no failure.
-- @tparam string format as for `string.format`
-- @param ... its arguments
local function report(format, ...)
  say("cyan", format, ...)
end

--- Like @{report}, for what is said with `-v` only.
-- @tparam string format as for `string.format`
-- @param ... its arguments
local function detail(format, ...)
  if is_verbose then
    report(format, ...)
  end
end

--- Sets what is called before anything is written.
-- @tparam ?function hook
local function set_hook(hook)
  before_line = hook
end

--- Tells whether results go to a terminal.
-- @treturn boolean
local function is_on_terminal()
  return sink == io.stdout and is_terminal(unistd.STDOUT_FILENO)
end

return {
  CLOSED = CLOSED,
  complain = complain,
  detail = detail,
  finish = finish,
  flush = flush,
  is_on_terminal = is_on_terminal,
  notice = notice,
  paint = paint,
  protect = protect,
  report = report,
  set_hook = set_hook,
  setup = setup,
  write = write,
}
