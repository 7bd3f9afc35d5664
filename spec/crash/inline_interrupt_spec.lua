--- Ctrl-C while a task runs in the program's own state: it interrupts the program.

local pools = require "spec.support.pools"

local HEAD = [[
local ccpool = require "ccpool"
local ex = ccpool.SerialExecutor()
local function interrupted(x)
  if x and x ~= 2 then return x end
  require "posix.signal".raise(2)
  for _ = 1, 1e8 do end
  print "not interrupted"
end
local function counts()
  local s = ex:stats()
  return s.submitted, s.done, s.failed, s.cancelled
end
]]

local function run(text) return pools.output_of(HEAD .. text) end

describe("Ctrl-C in a task that runs inline #crash", function()
  it("interrupts submit", function()
    assert.matches("^false\t[^\n]*interrupted!\n1\t0\t0\t1\n2.0\n$", run[[
      print(pcall(function() ex:submit(interrupted) end))
      print(counts())
      print(ex:submit(math.sqrt, 4):result())
    ]])
  end)

  it("interrupts a task with a time limit, and is not tried again", function()
    assert.matches("^false\t[^\n]*interrupted!\n1\t0\t0\t1\n$", run[[
      print(pcall(function() ex:with{ timeout = 60, retries = 3 }:submit(interrupted) end))
      print(counts())
    ]])
  end)

  it("interrupts a map of an array", function()
    assert.matches("^false\t[^\n]*interrupted!\n", run[[
      print(pcall(function() return ex:map(interrupted, { 1, 2, 3 }, { chunksize = 3 }) end))
    ]])
  end)

  it("interrupts a step of a map; what was to follow in the chunk is cancelled", function()
    local out = run[[
      local n = 0
      local function source() n = n + 1 return n <= 5 and n or nil end
      local step = ex:map(interrupted, source, { chunksize = 3 })
      print((select(2, pcall(step))))
      for _ = 1, 6 do
        local ok, i, value = pcall(step)
        print(ok, not ok and i.kind or i, value)
      end
    ]]
    assert.matches("^[^\n]*interrupted!\ntrue\t1\t1\nfalse\tCancelledError\tnil\n" ..
      "false\tCancelledError\tnil\ntrue\t4\t4\ntrue\t5\t5\ntrue\tnil\tnil\n$", out)
  end)

  it("interrupts tasks inside of tasks, whatever they are submitted with", function()
    assert.matches("^false\t[^\n]*interrupted!\n$", run[[
      inner = ccpool.SerialExecutor()
      print(pcall(function()
        ex:submit(function(f)
          inner:submit(f)
          print "went on"
        end, interrupted)
      end))
    ]])
  end)

  it("interrupts a task that the caller runs for a full queue", function()
    assert.matches("^false\t[^\n]*interrupted!\n$", run[[
      local gate = ccpool.Event()
      local full <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, max_queue = 1,
        overflow = "caller_runs" }
      local first = full:submit(function(g) g:wait() end, gate)
      while not first:running() do ccpool.poll(0.01) end
      full:submit(math.abs, 1)
      print(pcall(function() full:submit(interrupted) end))
      gate:set()
    ]])
  end)

  it("leaves a task's own errors, and its time limit, to its future", function()
    assert.equal("false\tmine\nfalse\tTimeoutError: the task ran longer than 0.05 s\n", run[[
      print(ex:submit(function() error("mine", 0) end):presult())
      inner = ccpool.SerialExecutor()
      print(ex:with{ timeout = 0.05 }:submit(function()
        inner:submit(function() while true do end end)
        print "went on"
      end):presult())
    ]])
  end)
end)

describe("a thread worker that is told to stop #crash", function()
  it("does not go on behind a task that it runs inline", function()
    assert.equal("false\tTimeoutError: the task ran longer than 0.1 s\ntrue\n", run[[
      local threads <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, grace = 20 }
      local went_on = ccpool.Event()
      print(threads:with{ timeout = 0.1 }:submit(function(e)
        require "ccpool".SerialExecutor():submit(function() while true do end end)
        e:set()
      end, went_on):presult())
      threads:shutdown()
      print(not went_on:is_set())
    ]])
  end)
end)
