--- Standard output and standard error of the command line.
-- A reader that went away ends the program quietly: writing then raises @{CLOSED}.
-- @module ccpool.cli.output

local errno = require("posix.errno")
local signal = require("posix.signal")

--- What @{write} raises when nobody reads standard output any more.
local CLOSED = setmetatable({}, {
  __name = "ccpool.cli.output.CLOSED",
  __tostring = function()
    return "standard output is closed"
  end,
})

local function check(ok, message, code)
  if ok then
    return
  end
  if code == errno.EPIPE then
    error(CLOSED, 0)
  end
  error({ failure = "cannot write to standard output: " .. tostring(message) }, 0)
end

--- Lets a broken pipe show as a failed write instead of killing the program.
local function protect()
  signal.signal(signal.SIGPIPE, signal.SIG_IGN)
end

--- Writes strings to standard output.
-- @tparam string ...
-- @raise @{CLOSED}, or a table with `failure`, the message for the user
local function write(...)
  check(io.stdout:write(...))
end

--- Hands to the system what has been written so far.
-- @raise as @{write}
local function flush()
  check(io.stdout:flush())
end

--- Writes one line to standard error, after the program's name.
-- @tparam string format as for `string.format`
-- @param ... its arguments
local function complain(format, ...)
  io.stderr:write("ccpool: ", format:format(...), "\n")
end

return {
  CLOSED = CLOSED,
  complain = complain,
  flush = flush,
  protect = protect,
  write = write,
}
