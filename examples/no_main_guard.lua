-- The top level of a script runs once, with any backend: workers are forks or fresh states,
-- they never run the script again. So there is no main guard, and buffered output is not
-- doubled.
local ccpool = require "ccpool"

io.stdout:setvbuf("full")
print "top level" -- still in the buffer when the workers are made

local function square(n) return n * n end

for _, class in ipairs{ "SerialExecutor", "ThreadPoolExecutor", "ProcessPoolExecutor" } do
  local ex <close> = ccpool[class](2)
  local list = ex:map(square, { 1, 2, 3 }):collect()
  print(class, table.concat(list, " "))
end

for _, class in ipairs{ "Thread", "Process" } do
  local worker <close> = ccpool[class]{ target = square, args = { 4 } }
  worker:start()
  print(class, worker:join())
end
print "end"
