-- Processes of a program with a heap of 500 MB: from the constructor to the first result,
-- the same by hand (fork and a pipe); and how much more memory the program and its workers
-- have in the end than before, after tasks that leave garbage: 24 MB a worker, then 220 MB.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local MB = 1024 * 1024
local HEAP = 500 * MB
local STRING_BYTES = 1000
local NEXT_CYCLE, DEFAULT_CYCLE = 104, 200 -- per cent of the heap, multiples of 4
local LITTLE_WORK, MORE_WORK = 34, 280 -- tasks
local TABLES = 20000 -- of garbage, 1.4 MB, a task
local MS = 1e3

local now = support.now

-- Half of it strings, half of it small tables, with no holes between them that a worker's
-- values could fall into. The collector rests while it grows; then it is left as in a
-- program that runs: its next cycle, which would write to every object, is due after
-- another 4 % of the heap, more than is allocated here but less than a worker's garbage.
local function build_heap()
  local heap = {}
  local base = collectgarbage("count")
  local function used() return (collectgarbage("count") - base) * 1024 end
  collectgarbage("stop")
  repeat
    for _ = 1, 1000 do heap[#heap + 1] = ("x"):rep(STRING_BYTES) end
  until used() >= HEAP / 2
  repeat
    for _ = 1, 1000 do heap[#heap + 1] = { 1, 2, 3, 4, 5, 6, 7, 8 } end
  until used() >= HEAP
  collectgarbage("restart")
  collectgarbage("incremental", NEXT_CYCLE)
  collectgarbage()
  collectgarbage("incremental", DEFAULT_CYCLE)
  return heap
end

local function first() return "first" end

local function litter(n)
  local last
  for i = 1, n do last = { i } end
  return last[1]
end

local function work(ex, tasks)
  local futures = {}
  for i = 1, tasks do futures[i] = ex:submit(litter, TABLES) end
  for _, future in ipairs(futures) do
    support.expect(future:result(), TABLES, "result of a task")
  end
end

local function with_ccpool()
  local before = support.family_memory()
  local started = now()
  local ex <close> = support.construct("processes")
  local constructed = now()
  local result = ex:submit(first):result()
  local ended = now()
  support.expect(result, "first", "first result")
  ex:warmup()
  work(ex, LITTLE_WORK)
  local little = support.family_memory()
  work(ex, MORE_WORK)
  support.report("processes", "first_result_ms", (ended - started) * MS)
  support.report("processes", "construct_ms", (constructed - started) * MS)
  support.report("processes", "more_MB", (little - before) / MB)
  support.report("processes", "more_long_MB", (support.family_memory() - before) / MB)
end

local function by_hand()
  local has_posix, unistd = pcall(require, "posix.unistd")
  if not has_posix then return io.stderr:write("fork_heap: by_hand needs luaposix\n") end
  local wait = require "posix.sys.wait"
  local started = now()
  local from, to = assert(unistd.pipe())
  local pid = assert(unistd.fork())
  if pid == 0 then
    collectgarbage("stop")
    unistd.write(to, "x")
    unistd._exit(0)
  end
  local byte = unistd.read(from, 1)
  local ended = now()
  wait.wait(pid)
  support.expect(byte, "x", "byte of the child")
  support.report("by_hand", "first_result_ms", (ended - started) * MS)
end

support.main({ "processes", "by_hand" }, function(kind)
  local heap = build_heap()
  if kind == "by_hand" then by_hand() else with_ccpool() end
  support.expect(#heap[1], STRING_BYTES, "length of a string of the heap")
end)
