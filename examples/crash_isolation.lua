-- What goes wrong in a task stays with that task.
local ccpool = require "ccpool"

local function work(what)
  if what == "error" then error("this task has failed") end
  if what == "die" then
    local signal, unistd = require "posix.signal", require "posix.unistd"
    signal.kill(unistd.getpid(), signal.SIGKILL) -- as the system does when memory is short
  end
  return "done: " .. what
end

local function show(label, ex, tasks)
  print(label)
  local futures = {}
  for i, what in ipairs(tasks) do futures[i] = ex:submit(work, what) end
  for i, what in ipairs(tasks) do
    local ok, value = futures[i]:presult()
    local text = ccpool.is_error(value) and value.kind or tostring(value)
    print(("  %-6s %s %s"):format(what, ok and "returned" or "raised", text))
  end
end

do
  local ex <close> = ccpool.ThreadPoolExecutor(2)
  show("threads", ex, { "first", "error", "last" })
end
do
  local ex <close> = ccpool.ProcessPoolExecutor(2)
  show("processes", ex, { "first", "error", "die", "last" })
  print(("  crashes: %d, and the pool goes on: %s"):format(ex:stats().crashes,
    ex:submit(work, "again"):result()))
end

print [[
An error is caught in either kind of worker. A crash, a signal or a bug in a C library, ends
a whole process: a process worker is replaced, a thread takes the program with it. That is
why no thread was asked to die.]]
