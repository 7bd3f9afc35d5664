--- Ctrl-C, and hooks that raise, while a done callback runs.

local pools = require "spec.support.pools"

local HEAD = [[
local ccpool = require "ccpool"
local signal = require "posix.signal"
local ex <close> = ccpool.ThreadPoolExecutor(1)
local gate = ccpool.Event()
local f = ex:submit(function(g) g:wait() return 2 end, gate)
local later = 0
local function interrupt()
  signal.raise(signal.SIGINT)
  for _ = 1, 1e8 do end
  print "not interrupted"
end
]]

local function run(text) return pools.output_of(HEAD .. text) end

describe("Ctrl-C in a done callback #crash", function()
  for name, call in pairs{
    ["f:result"] = "f:result()",
    ["ccpool.wait"] = "ccpool.wait{ f }",
    ["ccpool.poll"] = "while true do ccpool.poll() end",
    ["a queue's get"] = "ccpool.Queue():get()",
  } do
    it("interrupts " .. name .. ", and costs the callbacks behind it nothing", function()
      local out = run(([[
        local g = ex:submit(math.sqrt, 9)
        f:add_done_callback(function() later = later + 1 end)
        f:add_done_callback(interrupt)
        f:add_done_callback(function() later = later + 10 end)
        g:add_done_callback(function() later = later + 100 end)
        gate:set()
        print(pcall(function() %s end))
        g:result()
        ccpool.poll(0)
        print(later, f:result(), g:result())
      ]]):format(call))
      assert.matches("^false\t[^\n]*interrupted!\n111\t2\t3.0\n$", out)
    end)
  end

  it("interrupts add_done_callback to a future that is done", function()
    assert.matches("^false\t[^\n]*interrupted!\n$", run[[
      gate:set()
      f:result()
      print(pcall(function() f:add_done_callback(interrupt) end))
    ]])
  end)

  it("interrupts the program in the reporter, too", function()
    assert.matches("^false\t[^\n]*interrupted!\n$", run[[
      ccpool.on_callback_error = interrupt
      f:add_done_callback(function() error "no" end)
      gate:set()
      print(pcall(function() f:result() end))
    ]])
  end)

  it("is no different when a hook of the program's raises", function()
    assert.matches("^false\tfrom the hook\n1\n$", run[[
      local function stop()
        debug.sethook()
        error("from the hook", 0)
      end
      f:add_done_callback(function()
        debug.sethook(stop, "", 1000)
        for _ = 1, 1e8 do end
      end)
      f:add_done_callback(function() later = later + 1 end)
      gate:set()
      print(pcall(function() f:result() end))
      ccpool.poll(0)
      print(later)
    ]])
  end)

  it("leaves the errors of callbacks to the reporter, also inside of a handler", function()
    assert.equal("reported plain\nhandled 3.0\n", run[[
      ccpool.on_callback_error = function(err) print("reported " .. err) end
      gate:set()
      signal.signal(signal.SIGUSR1, function()
        local g = ex:submit(math.sqrt, 9)
        g:add_done_callback(function() error("plain", 0) end)
        local root = g:result()
        print("handled " .. root)
      end)
      signal.raise(signal.SIGUSR1)
      for _ = 1, 1e6 do end
    ]])
  end)
end)
