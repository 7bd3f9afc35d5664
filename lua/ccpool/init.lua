--- Threads and processes for Lua: executors, futures, and what goes with them.
-- Loading this starts no thread and no process.
-- @module ccpool

local core = require "ccpool.core"
local errors = require "ccpool.errors"
local executor = require "ccpool.executor"
local loop = require "ccpool.loop"
local process = require "ccpool.process"
local thread = require "ccpool.thread"
local types = require "ccpool.types"
local sharing = require "ccpool.sharing"
local waiting = require "ccpool.waiting"

local ccpool = {
  VERSION = "0.1.0",
  ThreadPoolExecutor = executor.ThreadPoolExecutor,
  ProcessPoolExecutor = executor.ProcessPoolExecutor,
  SerialExecutor = executor.SerialExecutor,
  Thread = thread.Thread,
  Process = process.Process,
  wait = waiting.wait,
  as_completed = waiting.as_completed,
  all = waiting.all,
  any = waiting.any,
  is_error = errors.is_error,
  register = types.register,
  use = loop.use,
  cpu_count = core.cpu_count,
}

--- Hears of errors in done callbacks; replace it to handle them yourself.
-- @param err what the callback raised
-- @tparam ccpool.Future future whose callback it was
function ccpool.on_callback_error(err, future)
  io.stderr:write(("ccpool: error in a done callback of %s: %s\n"):format(tostring(future),
    tostring(err)))
end

core.set_callback_reporter(function(err, future) ccpool.on_callback_error(err, future) end)

--- As `print`, but a line stays whole, however many threads and processes print.
-- The `print` of thread workers is this one. Of different processes, lines to a
-- pipe stay whole up to 4096 bytes; that is the system's limit.
-- @function ccpool.print
-- @param ... any values
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- assert(ex:submit(function() return print == require "ccpool".print end):result())
ccpool.print = core.print

--- Hears of errors of tasks that nobody looked at: of failed futures that were
-- collected before anybody asked for their results, and had no callback. It is
-- called, like done callbacks, inside a blocking ccpool call or `ccpool.poll`, or
-- when the state is closed. Replace it, or set it to false to hear nothing.
-- @param err what the task raised, or an error object
-- @tparam ?string traceback of the task
function ccpool.on_unhandled_error(err, traceback)
  local text = tostring(err)
  if type(err) == "string" and traceback then
    text = traceback -- it begins with the message
  elseif traceback then
    text = text .. "\n" .. traceback
  end
  io.stderr:write(("ccpool: error in a task that nobody looked at: %s\n"):format(text))
end

core.set_unheard_reporter(function(err, traceback)
  local report = ccpool.on_unhandled_error
  if report then report(err, traceback) end
end)

--- Takes in what has finished and runs done callbacks.
-- @function ccpool.poll
-- @tparam[opt] number timeout seconds to wait for a future to finish; nil waits
--   until one does, 0 only looks. Without a pending future it returns at once.
-- @treturn integer how many futures came in
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- local seen
-- ex:submit(math.sqrt, 16):add_done_callback(function(f) seen = f:result() end)
-- while not seen do ccpool.poll() end
-- assert(seen == 4)
ccpool.poll = core.step

--- Inside a worker, or a thread or process by hand, who it is.
-- @treturn ?table `kind` ("thread" or "process"), `id`, `name`, `pid`, `task`
--   (number of the call that runs), `attempt` (1, unless the call is run again);
--   nil outside. A thread or process by hand has `kind`, `name` and `pid` only
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local function who() return require "ccpool".current().id end
-- assert(ex:submit(who):result() == 1 and ccpool.current() == nil)
function ccpool.current()
  local kind, id, name, pid, task, attempt = core.current()
  if not kind then return nil end
  return { kind = kind, id = id, name = name, pid = pid, task = task, attempt = attempt }
end

--- Inside a task: was it told to stop? A task that catches all errors, or that
-- spends its time in C code, asks this now and then.
-- @function ccpool.cancelled
-- @treturn boolean false also outside of any worker
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local function told() return require "ccpool".cancelled() end
-- assert(ex:submit(told):result() == false and not ccpool.cancelled())
ccpool.cancelled = core.cancelled

--- Collects a map's results: an array of the first result of each item, with
-- `n`; with `on_error = "return"` a second table has the errors by index.
-- @function core.Map:collect

for name, make in pairs(sharing) do ccpool[name] = make end

return ccpool
