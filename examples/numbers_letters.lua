-- A thread beside the main thread, then two processes beside the main process.
local ccpool = require "ccpool"

local function say_all(label, list)
  for _, item in ipairs(list) do
    io.write(("%s: %s\n"):format(label, item))
    io.stdout:flush()
    require "posix.poll".poll({}, 10) -- milliseconds
  end
end

local t = ccpool.Thread{ target = say_all, args = { "Number", { 1, 2, 3 } } }
t:start()
print "Main thread continues..."
t:join()
print "The thread has finished."

local numbers = ccpool.Process{ target = say_all, args = { "Number", { 1, 2, 3 } } }
local letters = ccpool.Process{ target = say_all, args = { "Letter", { "a", "b", "c" } } }
numbers:start()
letters:start()
print "Main process continues..."
numbers:join()
letters:join()
print "Both processes have finished."
