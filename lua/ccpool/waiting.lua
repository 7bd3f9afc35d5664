--- Waiting for several futures, of whatever executors.
-- @module ccpool.waiting

local core = require "ccpool.core"
local errors = require "ccpool.errors"
local options = require "ccpool.options"

local M = {}

local function bad(who, i, got, level)
  error(("bad argument #1 to '%s' (array of futures, or table with futures as keys, expected; " ..
    "got %s at %s)"):format(who, got == nil and "nil" or "a " .. type(got), tostring(i)), level)
end

--- The futures of an array or the keys of a table, each once.
local function gather(who, futures)
  if type(futures) ~= "table" then
    error(("bad argument #1 to '%s' (table expected, got %s)"):format(who, type(futures)), 3)
  end
  local list, seen = {}, {}
  local function add(f, at)
    if not core.is_future(f) then bad(who, at, f, 5) end
    if not seen[f] then
      seen[f] = true
      list[#list + 1] = f
    end
  end
  if futures[1] ~= nil then
    for i = 1, #futures do add(futures[i], i) end
    for i in pairs(futures) do -- behind a hole: not to be left out without a word
      if math.type(i) == "integer" and i > #futures then bad(who, #futures + 1, nil, 4) end
    end
  else
    for f in pairs(futures) do add(f, "a key") end
  end
  return list
end

local function check_timeout(who, arg, timeout)
  if timeout ~= nil and not (type(timeout) == "number" and timeout == timeout) then
    error(("bad argument #%d to '%s' (timeout in seconds expected, got %s)")
      :format(arg, who, tostring(timeout)), 3)
  end
  return timeout and core.now() + timeout or math.huge
end

--- Lets futures arrive until the deadline: false once it has passed.
local function step(deadline)
  if deadline == math.huge then
    core.step()
    return true
  end
  local left = deadline - core.now()
  core.step(left)
  return left > 0
end

--- Splits into those done and an ever growing queue of those that get done.
local function watch(list)
  local done, queue = {}, {}
  if list[1] then core.step(0) end -- takes in what has finished by now
  for _, f in ipairs(list) do
    if not core.watch(f, queue) then done[#done + 1] = f end
  end
  return done, queue
end

local WAIT = {
  timeout = "seconds",
  return_when = "ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION",
}

--- Returns when enough of the list is done, or the deadline has passed.
local function wait_until(list, when, deadline)
  local done, queue = watch(list)
  local n, seen, stop = #done, 0, false
  local function look(f)
    stop = stop or when == "FIRST_COMPLETED" or when == "FIRST_EXCEPTION" and core.failed(f)
  end
  for _, f in ipairs(done) do look(f) end
  while not stop and n < #list do
    local in_time = step(deadline)
    while seen < #queue do
      seen, n = seen + 1, n + 1
      look(queue[seen])
    end
    if not in_time then return end
  end
end

--- Waits for futures.
-- @tparam table futures an array of futures, or a table with futures as keys
-- @tparam[opt] table opts `timeout` (seconds), `return_when` ("ALL_COMPLETED",
--   "FIRST_COMPLETED" or "FIRST_EXCEPTION")
-- @treturn table array of those done, in the order given
-- @treturn table array of the others
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- local done, not_done = ccpool.wait{ ex:submit(math.sqrt, 4), ex:submit(math.sqrt, 9) }
-- assert(#done == 2 and #not_done == 0)
function M.wait(futures, opts)
  local list = gather("wait", futures)
  opts = options.check("wait", opts, WAIT, 2)
  local when = opts.return_when or "ALL_COMPLETED"
  wait_until(list, when, opts.timeout and core.now() + opts.timeout or math.huge)
  local yes, no = {}, {}
  for _, f in ipairs(list) do
    local to = f:done() and yes or no
    to[#to + 1] = f
  end
  return yes, no
end

--- Gives futures as they get done: those done already first, then in the order
-- in which they finish.
-- @tparam table futures an array of futures, or a table with futures as keys
-- @tparam[opt] number timeout seconds from this call
-- @treturn function an iterator over futures
-- @raise TimeoutError, from the iterator
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- local of = { [ex:submit(math.sqrt, 4)] = 4, [ex:submit(math.sqrt, 9)] = 9 }
-- for f in ccpool.as_completed(of) do assert(f:result() ^ 2 == of[f]) end
function M.as_completed(futures, timeout)
  local list = gather("as_completed", futures)
  local deadline = check_timeout("as_completed", 2, timeout)
  local done, queue = watch(list)
  local given, from_queue = 0, 0
  return function()
    if given < #done then
      given = given + 1
      return done[given]
    end
    if given == #list then return nil end
    while from_queue == #queue do
      if not step(deadline) and from_queue == #queue then
        error(errors.new("TimeoutError",
          ("%d (of %d) futures unfinished"):format(#list - given, #list)), 0)
      end
    end
    given, from_queue = given + 1, from_queue + 1
    local f = queue[from_queue]
    queue[from_queue] = false -- let go of it
    return f
  end
end

--- One error of them is enough: the others shall not pass for unseen.
local function look_at(list)
  for _, f in ipairs(list) do core.look(f) end
end

local function cancel_all(list)
  for _, f in ipairs(list) do f:cancel() end
end

--- The first results of all futures, or the first error.
-- @tparam table futures an array of futures, or a table with futures as keys
-- @tparam[opt] number timeout seconds
-- @treturn table the first result of each, at the place of its future: the
--   index in an array, the future itself otherwise
-- @raise what the first task that failed raised, or TimeoutError; the others are
--   cancelled then
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- local roots = ccpool.all{ ex:submit(math.sqrt, 4), ex:submit(math.sqrt, 9) }
-- assert(roots[1] == 2 and roots[2] == 3)
function M.all(futures, timeout)
  local list = gather("all", futures)
  look_at(list)
  check_timeout("all", 2, timeout)
  local ok, err = pcall(function()
    for f in M.as_completed(list, timeout) do f:result() end
  end)
  if not ok then
    cancel_all(list)
    error(err, 0)
  end
  local results = {}
  if futures[1] ~= nil then
    for i, f in ipairs(futures) do results[i] = (f:result()) end
  else
    for f in pairs(futures) do results[f] = (f:result()) end
  end
  return results
end

--- The first success.
-- @tparam table futures at least one; an array, or a table with futures as keys
-- @tparam[opt] number timeout seconds
-- @return the first result of the first task that succeeded
-- @treturn ccpool.Future its future; the others are cancelled
-- @raise the first error if all failed, or TimeoutError
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- assert(ccpool.any{ ex:submit(error, "no"), ex:submit(math.sqrt, 9) } == 3)
function M.any(futures, timeout)
  local list = gather("any", futures)
  look_at(list)
  check_timeout("any", 2, timeout)
  if #list == 0 then error("bad argument #1 to 'any' (no futures)", 2) end
  local first_error, failed
  local ok, err, winner = pcall(function()
    for f in M.as_completed(list, timeout) do
      local good, why = f:presult()
      if good then return nil, f end
      if not failed then failed, first_error = true, why end
    end
  end)
  cancel_all(list)
  if not ok then error(err, 0) end
  if not winner then error(first_error, 0) end
  return (winner:result()), winner
end

--- What submit gives. Its methods are in the C module (csrc/bind/lfuture.c).
-- @type ccpool.Future

--- Waits for the task: all values that it returned, nils included.
-- @function Future:result
-- @tparam[opt] number timeout seconds; nil waits for ever, 0 looks
-- @return the values
-- @raise the task's error, as it was; CancelledError; TimeoutError, which does not touch
--   the task
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- assert(ex:submit(math.max, 3, 9):result() == 9)

--- As `result`, but raises no error of the task.
-- @function Future:presult
-- @tparam[opt] number timeout seconds
-- @treturn boolean true and the values, or false and the error

--- The error of a task that failed.
-- @function Future:exception
-- @tparam[opt] number timeout seconds
-- @return nil if the task returned, else the error and the traceback

--- Where in the worker the task failed.
-- @function Future:traceback
-- @treturn ?string nil if it is not done, or did not fail

--- True once it is finished or cancelled. It does not wait.
-- @function Future:done
-- @treturn boolean

--- True while a worker runs the task.
-- @function Future:running
-- @treturn boolean

--- True if it was cancelled.
-- @function Future:cancelled
-- @treturn boolean

--- Where it stands.
-- @function Future:state
-- @treturn string `"pending"`, `"running"`, `"finished"` or `"cancelled"`

--- Keeps a task from starting; stops one that runs, if told to.
-- @function Future:cancel
-- @tparam[opt] table opts `force` (boolean: what runs is stopped as by a timeout), `reason`
--   (string: a field of the CancelledError)
-- @treturn boolean false if the task runs, and `force` was not given, or is finished
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local f = ex:submit(function() while true do end end)
-- assert(f:cancel{ force = true, reason = "enough" })
-- assert(f:exception().reason == "enough")

--- Which workers ran the task, and what came of it.
-- @function Future:attempts
-- @treturn table an array of tables with `worker`, `pid`, and `error` unless it succeeded;
--   empty if no worker is through with it
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local f = ex:submit(math.sqrt, 4)
-- assert(f:result() == 2 and f:attempts()[1].worker == 1)

--- Has a function called once, when the future is done; at once if it is. It is called
-- inside a blocking call of ccpool, or `ccpool.poll`.
-- @function Future:add_done_callback
-- @tparam function fn gets the future

--- A descriptor that gets readable when the future is done, for event loops. It is closed
-- when the future is collected. `pollfd` is the same; `events` gives "r", and `timeout` 0
-- once the future is done, else nil.
-- @function Future:getfd
-- @treturn integer

return M
