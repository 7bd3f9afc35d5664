--- Executors: pools of threads or processes, and one that runs inline.
--
-- The object is a table; its first element is the userdata that the C module
-- works on.
-- @classmod ccpool.Executor

local core = require "ccpool.core"
local errors = require "ccpool.errors"
local options = require "ccpool.options"
local view = require "ccpool.view"

local Executor = {}

local CONSTRUCTOR = {
  max_workers = "positive integer",
  min_workers = "non-negative integer",
  idle_timeout = "positive seconds",
  name = "string",
  initializer = "function or \"module.function\"",
  initargs = "array",
  finalizer = "function or \"module.function\"",
  max_tasks_per_worker = "positive integer",
  max_rss_growth = "positive number of bytes",
  memory_limit = "positive number of bytes",
  max_queue = "positive integer",
  overflow = "\"block\", \"error\" or \"caller_runs\"",
  on_crash = "\"replace\" or \"break\"",
  grace = "non-negative seconds",
}
local MAX_WORKERS = 1024 -- records of a board, as in csrc/task/board.h
local GRACE = 1 -- seconds between asking a worker to end and killing it
local FOREVER = 1e9 -- seconds
local PLENTY = 2^32 - 1 -- of tasks: what the C part counts with
local OVERFLOW = { block = 0, error = 1, caller_runs = 2 } -- as in csrc/bind/lexecutor.h
local SIGKILL, SIGTERM = 9, 15

local made = 0 -- executors so far, for their names

--- Preloads that a new state of a thread may get: Lua functions, one by one.
-- What cannot be sent stays behind, the C loaders that only this program has.
local function preloads()
  local found = {}
  for name, loader in pairs(package.preload) do
    if type(loader) == "function" and core.sendable(loader) then found[name] = loader end
  end
  return found
end

-- Modules that change how others are found: a thread's state gets them first.
local LOADERS = { "luarocks.loader" }

local function needed()
  local found = {}
  for _, name in ipairs(LOADERS) do
    if package.loaded[name] then found[#found + 1] = name end
  end
  return found
end

local function default_workers(kind)
  local cpus = core.cpu_count()
  return kind == "thread" and math.min(32, cpus + 4) or kind == "process" and cpus or 1
end

local function check_constructor(who, kind, given)
  if type(given) == "number" then given = { max_workers = given } end
  local opts = options.check(who, given, CONSTRUCTOR, 3)
  if opts.max_workers and opts.max_workers > MAX_WORKERS then
    error(("bad option 'max_workers' to '%s' (at most %d)"):format(who, MAX_WORKERS), 3)
  end
  if kind == "thread" and opts.max_rss_growth then
    error(("bad option 'max_rss_growth' to '%s' (for processes only)"):format(who), 3)
  end
  if opts.min_workers and opts.min_workers > (opts.max_workers or default_workers(kind)) then
    error(("bad option 'min_workers' to '%s' (more than max_workers)"):format(who), 3)
  end
  return opts
end

-- Options as csrc/bind/lexecutor.c reads them. Thirty years are for ever.
local function settings_of(opts, max_workers)
  return {
    grace = math.min(opts.grace or GRACE, FOREVER),
    memory_limit = opts.memory_limit,
    finalizer = opts.finalizer,
    min_workers = math.min(opts.min_workers or 0, max_workers),
    idle_timeout = opts.idle_timeout and math.min(opts.idle_timeout, FOREVER),
    max_tasks_per_worker = opts.max_tasks_per_worker and
      math.min(opts.max_tasks_per_worker, PLENTY),
    max_rss_growth = opts.max_rss_growth,
    max_queue = opts.max_queue and math.min(opts.max_queue, PLENTY),
    overflow = OVERFLOW[opts.overflow or "block"],
    break_on_crash = opts.on_crash == "break",
  }
end

--- Is it fit for that method? Misuse is an error of the method's caller.
-- @param self
-- @tparam string who the method
-- @tparam[opt] boolean owner only the state that made the executor may call it
local function check_self(self, who, owner)
  local why, what = core.unfit(self, owner)
  if not why then return end
  error(("%s '%s': %s"):format(what and "bad self of" or "cannot call", who, why), 3)
end

local function construct(class, who, kind, given)
  local opts = check_constructor(who, kind, given)
  made = made + 1
  local n = opts.max_workers or default_workers(kind)
  local name = opts.name or "ccpool-" .. made
  local initargs = opts.initargs or {}
  local settings = settings_of(opts, n)
  local setup
  if kind == "thread" then setup = { preloads(), needed() } end
  local handle = core.new(kind, name, n, settings, setup, opts.initializer,
    table.unpack(initargs, 1, initargs.n or #initargs))
  -- submit stands in the object too: it is what is looked up most
  local self = setmetatable({ handle, kind = kind, name = name, submit = core.submit }, class)
  if kind == "serial" and opts.finalizer then
    core.check_finalizer(self, opts.finalizer)
    self._finalizer = opts.finalizer
  end
  if kind == "serial" and opts.initializer then
    core.initialize(self, opts.initializer, table.unpack(initargs, 1, initargs.n or #initargs))
  end
  return self
end

--- Queues `fn(...)`.
-- @function Executor:submit
-- @tparam function|string fn a Lua function, a C function of a loaded module, or
--   "module.function", which the worker resolves with `require`
-- @param ... arguments; they travel by value, like upvalues and results
-- @treturn ccpool.Future
-- @raise NotSendableError, ShutdownError, BrokenExecutorError
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- assert(ex:submit(math.sqrt, 16):result() == 4)
Executor.submit = core.submit

local MAP = {
  chunksize = "positive integer or \"auto\"",
  buffersize = "positive integer",
  ordered = "boolean",
  timeout = "seconds",
  on_error = "\"raise\" or \"return\"",
}

-- Called in tail position, so level 2 is the program's.
local function map(who, star, self, fn, source, given)
  check_self(self, who)
  local opts = options.check(who, given, MAP, 2)
  if type(fn) ~= "function" and type(fn) ~= "string" then
    error(("bad argument #1 to '%s' (function or \"module.function\" expected, got %s)")
      :format(who, type(fn)), 2)
  end
  if type(source) ~= "table" and type(source) ~= "function" then
    error(("bad argument #2 to '%s' (array or iterator function expected, got %s)")
      :format(who, type(source)), 2)
  end
  local chunksize = opts.chunksize ~= "auto" and opts.chunksize or 0
  return core.map(self, fn, source, chunksize, opts.buffersize or 0, opts.ordered ~= false,
    opts.timeout, opts.on_error == "return", star)
end

--- Calls `fn` with every item of a source; results come in input order, their
-- index first.
-- @tparam function|string fn
-- @tparam table|function source an array without holes, or an iterator function
--   each of whose steps gives the arguments of one call
-- @tparam[opt] table opts `chunksize` ("auto" or calls per message), `buffersize`
--   (items submitted and not yet yielded, at most), `ordered` (true), `timeout`
--   (seconds from this call), `on_error` ("raise" or "return")
-- @treturn function an iterator for `for`, with `close` and `collect`
-- @raise NotSendableError, ShutdownError, BrokenExecutorError; from the steps
--   also the items' errors and TimeoutError
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- for i, root in ex:map(math.sqrt, { 1, 4, 9 }) do assert(root == i) end
function Executor:map(fn, source, opts) return map("map", false, self, fn, source, opts) end

--- As `map`, but each element of the source is an array (or `table.pack`) of
-- arguments.
-- @tparam function|string fn
-- @tparam table|function source
-- @tparam[opt] table opts as for `map`
-- @treturn function
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- local list = ex:starmap(math.max, { { 1, 2 }, { 4, 3 } }):collect()
-- assert(list[1] == 2 and list[2] == 4)
function Executor:starmap(fn, source, opts)
  return map("starmap", true, self, fn, source, opts)
end

local SHUTDOWN = { wait = "boolean", cancel_futures = "boolean", timeout = "seconds" }

--- The same executor with other options for its tasks.
-- @tparam table opts `timeout` (seconds a task may run, from its start on the
--   worker), `deadline` (seconds from submit; an expired task never starts),
--   `priority` (integer, higher first; 0), `retries` (how often a task is run
--   again after a crash or a timeout; 0), `name` (in errors, stats and traces).
--   Options not given are those of the view that `with` is called on.
-- @treturn table a view with `submit`, `map`, `starmap` and `with`
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local slow = ex:with{ timeout = 0.05, name = "endless" }:submit(function() while true do end end)
-- local ok, err = slow:presult()
-- assert(not ok and ccpool.is_error(err, "TimeoutError"))
function Executor:with(opts)
  check_self(self, "with")
  return view.new(self, options.check("with", opts, view.OPTIONS, 2))
end
for _, name in ipairs{ "map", "starmap", "with" } do view.methods[name] = Executor[name] end

--- Changes how many workers there may be. More are started on demand; of too
-- many, the idle ones end first and the others after the task that they run.
-- @tparam integer n
-- @raise ShutdownError
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- ex:resize(3)
-- assert(ex.max_workers == 3)
function Executor:resize(n)
  check_self(self, "resize")
  if not options.is["positive integer"](n) or n > MAX_WORKERS then
    error(("bad argument #1 to 'resize' (number of workers from 1 to %d expected, got %s)")
      :format(MAX_WORKERS, tostring(n)), 2)
  end
  core.resize(self, n)
end

--- Runs `fn(...)` once in every live worker and in every later one, before its
-- first task. Returns when the live ones have.
-- @tparam function|string fn
-- @param ... arguments
-- @raise what it raised in a live worker; NotSendableError, ShutdownError,
--   BrokenExecutorError. If it fails in a later one, the executor breaks.
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- ex:broadcast(function(n) package.loaded.answer = n end, 42)
-- assert(ex:submit(function() return require "answer" end):result() == 42)
function Executor:broadcast(fn, ...)
  check_self(self, "broadcast")
  if not options.is['function or "module.function"'](fn) then
    error(("bad argument #1 to 'broadcast' (function or \"module.function\" expected, got %s)")
      :format(type(fn)), 2)
  elseif self.kind == "serial" then
    self:submit(fn, ...):result()
  else
    core.broadcast(self, fn, ...)
  end
end

--- Starts to write a trace that Chrome's viewer opens: a row for each worker, a
-- slice for each task.
-- @tparam ?string path nil ends the trace
-- @raise SystemError if the file cannot be written
-- @usage
-- local ex = ccpool.ThreadPoolExecutor(2)
-- local path = os.tmpname()
-- ex:trace(path)
-- ex:submit(math.sqrt, 16):result()
-- ex:trace(nil)
-- assert(io.open(path):read("a"):find("task 1", 1, true))
-- os.remove(path)
-- ex:shutdown()
function Executor:trace(path)
  check_self(self, "trace")
  if path ~= nil and type(path) ~= "string" then
    error(("bad argument #1 to 'trace' (path or nil expected, got %s)"):format(type(path)), 2)
  end
  core.trace(self, path, self.name)
end

--- The finalizer of an executor without workers runs before its end, unless it is
-- broken.
local function finalize(self)
  local finalizer = self._finalizer
  self._finalizer = nil
  if not finalizer then return end
  local ok, future = pcall(core.finalize, self, finalizer)
  if not ok then return end
  local fine, err = future:presult()
  if not fine then
    io.stderr:write(("ccpool: error in the finalizer of %s: %s\n"):format(self.name, tostring(err)))
  end
end

--- Takes no more tasks; pending ones still run. Idempotent.
-- @tparam[opt] table opts `wait` (true), `cancel_futures` (false: what has not
--   started is cancelled), `timeout` (seconds to wait)
-- @treturn boolean true, or false if the timeout came first
-- @usage
-- local ex = ccpool.ThreadPoolExecutor(2)
-- local f = ex:submit(math.sqrt, 16)
-- assert(ex:shutdown{ timeout = 60 } and f:done())
function Executor:shutdown(opts)
  check_self(self, "shutdown", true)
  opts = options.check("shutdown", opts, SHUTDOWN, 2)
  finalize(self)
  core.shutdown(self, opts.cancel_futures or false)
  if opts.wait == false then return true end
  return core.wait_closed(self, opts.timeout)
end

--- Sends SIGTERM to process workers and interrupts thread workers; every
-- unfinished future ends with CancelledError. After a second, processes that
-- live on are killed, and threads that are stuck in C code are abandoned.
function Executor:terminate()
  check_self(self, "terminate", true)
  core.kill(self, SIGTERM)
end

--- As `terminate`, with SIGKILL.
function Executor:kill()
  check_self(self, "kill", true)
  core.kill(self, SIGKILL)
end

--- Starts all workers and waits until they are ready.
-- @raise ShutdownError, BrokenExecutorError
function Executor:warmup()
  check_self(self, "warmup", true)
  core.warmup(self)
end

--- What the executor did and does.
-- @treturn table `submitted`, `queued`, `running`, `done`, `failed`,
--   `cancelled`, `timeouts`, `retries`, `crashes`, `recycled`, `abandoned`
--   (counts; `map` counts items); `wait` and `run`, how long tasks waited and
--   ran: `n`, `mean`, `min`, `max`, `p50`, `p90`, `p99` (seconds; of tiny tasks a
--   sample and means); `workers`, an array of `id`, `name`, `pid`, `state`, `task`
--   (its name or number), `tasks`, `age` (seconds) and `rss` (bytes; processes)
-- @usage
-- local ex <close> = ccpool.ThreadPoolExecutor(2)
-- ex:submit(math.sqrt, 16):result()
-- assert(ex:stats().done == 1)
function Executor:stats()
  check_self(self, "stats")
  local stats = core.stats(self, self.kind == "process")
  for _, worker in ipairs(stats.workers) do
    worker.name = self.name .. "_" .. worker.id
  end
  return stats
end

--- The end of a `<close>` scope. An executor that another thread or process made
-- is not this one's to end.
local function close(self, err)
  if core.unfit(self, true) then return end
  finalize(self)
  core.shutdown(self, err ~= nil)
  core.wait_closed(self)
end

--- A class of executors: the methods are shared, the name is its own.
local function class(name)
  return {
    __name = name,
    __index = function(self, key)
      if key == "max_workers" then return core.size(self) end -- others may resize it
      return Executor[key]
    end,
    __close = close,
    __tostring = function(self)
      return ("%s: %p (%s, %d workers)"):format(name, self, self.name, self.max_workers)
    end,
  }
end

local Thread = class "ccpool.ThreadPoolExecutor"
local Process = class "ccpool.ProcessPoolExecutor"
local Serial = class "ccpool.SerialExecutor"

return {
  Executor = Executor,
  Thread = Thread, -- classes: named here, they travel by name
  Process = Process,
  errors = errors,
  setup = function() return { preloads(), needed() } end,
  ThreadPoolExecutor = function(opts)
    return construct(Thread, "ThreadPoolExecutor", "thread", opts)
  end,
  ProcessPoolExecutor = function(opts)
    return construct(Process, "ProcessPoolExecutor", "process", opts)
  end,
  SerialExecutor = function(opts)
    return construct(Serial, "SerialExecutor", "serial", opts)
  end,
}
