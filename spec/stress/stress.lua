--- A random mix of everything that executors do, with every outcome checked.
-- Usage: lua5.4 spec/stress/stress.lua [seconds [seed]], or
-- make stress SECONDS=60 SEED=n VARIANT=asan (or tsan, or debug)
--
-- A round makes an executor, gives it tasks, disturbs it, looks at what became of each
-- task and ends it. Whatever stands still for 30 seconds ends the program with status 2;
-- a wrong outcome with status 1; both name the seed.
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local signal = require "posix.signal"
local time = require "posix.time"
local unistd = require "posix.unistd"

local SECONDS = tonumber(arg[1]) or 60
local SEED = math.tointeger(tonumber(arg[2])) or os.time()
local STILL = 30 -- seconds without progress
local MEMORY_LIMIT = 24 << 20
-- A sanitizer takes address space that the limit of a process refuses.
local SANITIZED = (os.getenv("CCPOOL_BUILD") or ""):find("san$") ~= nil

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

math.randomseed(SEED)
local random = math.random

local function chance(percent) return random(100) <= percent end
local function one_of(list) return list[random(#list)] end

local PAYLOADS = { 0, 1, 39, 40, 41, 1000, 65535, 65536, 65537, 300000, 2097152 }

-- The executor of the round, for who reports.
local current, doing, rounds, checked = nil, "start", 0, 0

local function show(value, indent)
  if type(value) ~= "table" then return tostring(value) end
  local lines = {}
  for k, v in pairs(value) do
    lines[#lines + 1] = indent .. tostring(k) .. " = " .. show(v, indent .. "  ")
  end
  table.sort(lines)
  return "\n" .. table.concat(lines, "\n")
end

local function give_up(status, text)
  io.stderr:write(("stress: seed %d, round %d, %s: %s\n"):format(SEED, rounds, doing, text))
  if current then
    io.stderr:write(current.about, show(select(2, pcall(current.ex.stats, current.ex)), "  "), "\n")
  end
  io.stderr:flush()
  if current then pcall(current.ex.kill, current.ex) end
  unistd._exit(status)
end

local function progress(what)
  doing = what
  unistd.alarm(STILL)
end

-- ---- What tasks do ---------------------------------------------------------------

local work = {}

function work.echo(text, n) return text, n end
function work.fail(_, n) error({ code = n }) end
function work.unsendable() return coroutine.create(print) end
function work.loop() while true do end end

function work.spin(_, n)
  local sum = 0
  for i = 1, n * 1000 do sum = sum + i % 7 end
  return n
end

-- What harms its state or process is told apart where the caller runs it.
local SPARED = "spared"

function work.hoard()
  if not require "ccpool".current() then return SPARED end
  local list = {}
  for i = 1, 1 << 12 do list[i] = ("x"):rep(1 << 16) .. i end
  return #list
end

function work.initialized() return _G.initialized end

function work.crash()
  if not require "ccpool".current() then return SPARED end
  local s, u = require "posix.signal", require "posix.unistd"
  s.kill(u.getpid(), s.SIGKILL)
  while true do end
end

function work.exit()
  if not require "ccpool".current() then return SPARED end
  os.exit(3)
end

function work.share(_, n, queue, lock, value)
  do
    local guard <close> = lock:guard() -- luacheck: ignore
    value:set(value:get() + 1)
  end
  queue:put(n)
  return n
end

function work.nested(ex, n)
  return ex:submit(function(k) return k + 1 end, n):result()
end

-- ---- Initializers ------------------------------------------------------------------

local function initialize(mark) _G.initialized = mark end

--- Fails in the worker in which the countdown ends.
local function initialize_or_fail(mark, countdown)
  _G.initialized = mark
  if countdown:add(-1) <= 0 then error("no more", 0) end
end

-- ---- What may become of them -----------------------------------------------------

local CHECKS = {}

function CHECKS.echo(t, text, n) return text == t.text and n == t.n end
function CHECKS.spin(t, n) return n == t.n end
CHECKS.share = CHECKS.spin
function CHECKS.initialized(t, mark) return mark == t.mark end
function CHECKS.nested(t, n) return n == t.n + 1 end

local function spared(t, what) return t.may.spared and what == SPARED end
CHECKS.hoard, CHECKS.crash, CHECKS.exit = spared, spared, spared

local KIND_OF = {
  unsendable = "NotSendableError", hoard = "MemoryLimitError", crash = "WorkerCrashedError", exit = "WorkerCrashedError",
}

local function may_be(round, task, kind)
  return kind == KIND_OF[task.what] or task.may[kind] or round.may[kind]
end

local function judge(round, task, ok, ...)
  checked = checked + 1
  if ok then
    local check = CHECKS[task.what]
    if not check or not check(task, ...) then
      give_up(1, task.what .. " returned what it must not: " .. tostring((...)):sub(1, 80))
    end
    task.succeeded = true
    return
  end
  local err = ...
  if ccpool.is_error(err) then
    round.seen[err.kind] = true
    if not may_be(round, task, err.kind) then
      give_up(1, ("%s failed: %s: %s"):format(task.what, err.kind, tostring(err)))
    end
  elseif task.what ~= "fail" or type(err) ~= "table" or err.code ~= task.n then
    give_up(1, task.what .. " failed otherwise: " .. tostring(err))
  end
end

-- ---- Rounds ----------------------------------------------------------------------

local shared = { queue = ccpool.Queue(), lock = ccpool.Lock(), value = ccpool.Value("i64", 0) }

--- How workers begin: the options, and whether that may break the executor.
local function choose_initializer(options)
  if not chance(40) then return nil end
  options.initargs = { random(1000) }
  if chance(75) then
    options.initializer = initialize
    return false
  end
  options.initializer = initialize_or_fail
  options.initargs[2] = ccpool.Value("i64", random(0, 6))
  return true
end

local function choose_limits(kind, options)
  if chance(30) then
    options.max_queue = random(20)
    options.overflow = one_of{ "block", "error", "caller_runs" }
  end
  if chance(25) and not (SANITIZED and kind == "Process") then
    options.memory_limit = MEMORY_LIMIT
  end
  if chance(15) then options.on_crash = "break" end
end

local function new_round()
  local kind = one_of{ "Thread", "Process" }
  local options = {
    max_workers = random(4),
    max_tasks_per_worker = chance(30) and random(5) or nil,
    grace = 0.1,
    idle_timeout = chance(20) and random() / 50 or nil,
    name = chance(30) and "stress" or nil,
  }
  choose_limits(kind, options)
  local fails = choose_initializer(options)
  local about = kind .. " " .. show(options, "  ") .. "\n"
  -- what runs beside a task that takes too much, or in what its worker left, may fail, too
  local may = { MemoryLimitError = options.memory_limit, BrokenExecutorError = fails }
  return {
    ex = ccpool[kind .. "PoolExecutor"](options), kind = kind, about = about,
    may = may, tasks = {}, shares = 0, options = options, seen = {},
  }
end

local function new_view(round, task)
  local options = {}
  if task.what == "loop" then options.timeout = 0.01 + random() / 20 end
  if chance(10) then options.deadline = random() / 10 end
  if chance(20) then options.priority = random(-3, 3) end
  if chance(20) then options.retries = random(3) end
  if chance(20) then options.name = "task" .. random(100) end
  task.may.TimeoutError = options.timeout or options.deadline
  -- a task that ran again after a crash may have met its timeout first, and so on
  if not next(options) then return round.ex end
  return round.ex:with(options)
end

local SAFE = { "echo", "echo", "echo", "spin", "fail", "unsendable", "share", "nested" }
local RUDE = { "loop", "crash", "exit" }

local function choose_work(round)
  local options = round.options
  if options.memory_limit and chance(10) then return "hoard" end
  if options.initializer and options.overflow ~= "caller_runs" and chance(20) then
    return "initialized"
  end
  local what = chance(12) and one_of(RUDE) or one_of(SAFE)
  if round.kind == "Thread" and (what == "crash" or what == "exit") then what = "loop" end
  if round.kind == "Process" and what == "nested" then what = "echo" end
  return what
end

local function new_task(round)
  local what = choose_work(round)
  if what == "crash" or what == "exit" then
    round.may.BrokenExecutorError = true -- by many in a row, or by the first
  end
  local inner = what == "nested" -- its submit may find the queue full or closed
  local spared = round.options.overflow == "caller_runs"
  return { what = what, n = random(1000), mark = (round.options.initargs or {})[1],
    may = { QueueFullError = inner, ShutdownError = inner, spared = spared } }
end

local function arguments(round, task)
  if task.what == "nested" then return round.ex, task.n end
  if task.what == "share" then
    return nil, task.n, shared.queue, shared.lock, shared.value
  end
  if task.what == "echo" then
    task.text = string.char(random(0, 255)):rep(one_of(PAYLOADS))
  end
  return task.text, task.n
end

local function submit(round)
  local task = new_task(round)
  progress("submit " .. task.what)
  local view = new_view(round, task)
  local ok, future = pcall(view.submit, view, work[task.what], arguments(round, task))
  if ok then
    task.future = future
    round.tasks[#round.tasks + 1] = task
  elseif not (ccpool.is_error(future) and (future.kind == "QueueFullError" or
    may_be(round, task, future.kind))) then
    give_up(1, "submit: " .. tostring(future))
  end
end

local function map(round)
  local list, n = {}, random(0, 200)
  progress("map")
  for i = 1, n do list[i] = i end
  local options = { chunksize = one_of{ 1, 3, 50, "auto" }, ordered = chance(50),
    on_error = "return" }
  local stop, seen = chance(20) and random(100) or nil, 0
  local task = { what = "map", may = { QueueFullError = true } }
  local function item(i, ok, value)
    if ok then
      if value ~= i * 3 then give_up(1, "item " .. i .. " of a map is wrong") end
    else
      judge(round, task, ok, value)
    end
  end
  local function triple(v) return v * 3 end
  local ok, err = pcall(function()
    for i, good, value in round.ex:map(triple, list, options) do
      item(i, good, value)
      seen = seen + 1
      if seen == stop then return end
    end
    if seen ~= n then give_up(1, ("a map of %d gave %d"):format(n, seen)) end
  end)
  if not ok then judge(round, task, false, err) end
end

local function starmap(round)
  progress("starmap")
  local list = {}
  for i = 1, random(50) do list[i] = { i, i * 2 } end
  local ok, err = pcall(function()
    local sums = round.ex:starmap(function(a, b) return a + b end, list,
      { chunksize = random(20) }):collect()
    for i = 1, #list do
      if sums[i] ~= i * 3 then give_up(1, "starmap is wrong") end
    end
  end)
  if ok then return end
  judge(round, { what = "starmap", may = { QueueFullError = true } }, false, err)
end

local function cancel(round)
  local task = #round.tasks > 0 and one_of(round.tasks)
  if not task or task.what == "gone" then return end
  progress("cancel")
  local force = chance(50)
  if task.future:cancel(force and { force = true, reason = "stress" } or nil) then
    task.may.CancelledError = true
  elseif force then
    task.may.CancelledError = true
  end
end

local function broadcast(round)
  progress("broadcast")
  local ok, err = pcall(round.ex.broadcast, round.ex, function() _G.told = true end)
  if ok then return end
  judge(round, { what = "broadcast", may = { WorkerCrashedError = true } }, false, err)
end

local function resize(round)
  progress("resize")
  local ok, err = pcall(round.ex.resize, round.ex, random(4))
  if not ok then judge(round, { what = "resize", may = {} }, false, err) end
end

local function look(round)
  progress("look")
  local task = #round.tasks > 0 and one_of(round.tasks)
  if task then
    task.future:state()
    task.future:attempts()
  end
  if chance(30) then collectgarbage() end
  if chance(30) then ccpool.poll(0) end
  round.ex:stats()
end

local function settle(round)
  for _, task in ipairs(round.tasks) do
    progress("wait for " .. task.what)
    judge(round, task, task.future:presult())
    if task.what == "share" and task.succeeded then round.shares = round.shares + 1 end
  end
end

--- A pool that breaks by its first crash is broken once a crash was seen.
local function check_broken(round)
  if round.options.on_crash ~= "break" or not round.seen.WorkerCrashedError then return end
  local ok, err = pcall(round.ex.submit, round.ex, work.echo)
  if ok or not (ccpool.is_error(err, "BrokenExecutorError") or
    ccpool.is_error(err, "ShutdownError")) then
    give_up(1, "a submit after the crash gave " .. tostring(err))
  end
end

--- Nothing is lost or counted twice.
local function check_counts(round)
  local stats = round.ex:stats()
  if stats.queued ~= 0 or stats.running ~= 0 or
    stats.submitted ~= stats.done + stats.failed + stats.cancelled then
    give_up(1, "the counts are wrong")
  end
end

-- Some futures are dropped with the executor.
local ENDS = {
  function(round)
    settle(round)
    check_broken(round)
    round.ex:shutdown()
    check_counts(round)
  end,
  function(round) round.ex:shutdown(); settle(round); check_counts(round) end,
  function(round)
    round.may.CancelledError = true
    round.ex:shutdown{ cancel_futures = true, wait = false }
    settle(round)
  end,
  function(round) round.may.CancelledError = true; round.ex:terminate(); settle(round) end,
  function(round) round.may.CancelledError = true; round.ex:kill(); settle(round) end,
  function(round) local ex <close> = round.ex end, -- luacheck: ignore
  function(round) round.tasks = {}; current = nil; collectgarbage(); collectgarbage() end,
}

local STEPS = { submit, submit, submit, submit, submit, submit, map, starmap, cancel, cancel,
  broadcast, resize, look }

local function run_round()
  local round = new_round()
  current, rounds = round, rounds + 1
  for _ = 1, random(40) do one_of(STEPS)(round) end
  progress("end")
  one_of(ENDS)(round)
  progress("after the end")
  current = nil
  while shared.queue:try_get() do end
end

-- Many futures are dropped, with what failed.
local unheard = 0
ccpool.on_unhandled_error = function() unheard = unheard + 1 end

signal.signal(signal.SIGALRM, function() give_up(2, "nothing moves") end)
print(("stress: seed %d, %g seconds"):format(SEED, SECONDS))
io.stdout:flush()
local limit = now() + SECONDS
repeat run_round() until now() >= limit
progress("the end of the program")
collectgarbage()
print(("stress: %d errors that nobody looked at"):format(unheard))
print(("stress: %d rounds, %d outcomes right"):format(rounds, checked))
io.stdout:flush()
