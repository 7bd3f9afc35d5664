-- What `make leaks` runs with valgrind: values of every kind, there and back, errors and
-- refusals included. All in this state: threads that search for work hardly let each other
-- go on under valgrind.
local ccpool = require "ccpool"

local Class = { __name = "Class" }
ccpool.register("Class", { metatable = Class,
  save = function(o)
    if o.bad then error("cannot be saved", 0) end
    return o.v, {}
  end,
  load = function(v)
    if v == "bad" then error("cannot be loaded", 0) end
    return setmetatable({ v = v }, Class)
  end })

local function echo(...) return ... end

local function use(ex)
  local t = { 1, 2.5, "text", { x = print }, [1.5] = true }
  t.t = t
  local deep = {}
  for _ = 1, 2000 do deep = { deep, "x" } end
  local long = ("x"):rep(100000)
  for _ = 1, 3 do
    ex:submit(echo, t, deep, long, function() return t, echo end, setmetatable({}, t),
      setmetatable({ v = 1 }, Class), Class):result()
    ex:submit(function() error{ long } end):exception()
    ex:submit(function() return coroutine.create(print) end):exception()
    ex:submit(echo, setmetatable({ v = "bad" }, Class)):presult()
    assert(not pcall(ex.submit, ex, echo, setmetatable({ bad = true }, Class)))
    assert(not pcall(ex.submit, ex, echo, { deep, { coroutine.create(print) } }))
    assert(ex:map(math.abs, { -1, -2, -3 }):collect()[3] == 3)
    for i = 1, 20 do assert(ex:submit(load("return " .. i)):result() == i) end
  end
  ex:shutdown()
end

use(ccpool.SerialExecutor())
