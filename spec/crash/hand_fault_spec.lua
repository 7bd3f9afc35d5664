--- Processes by hand of a debug build die where CCP_FAULT says: just after the fork, or
-- just before their exit.

local faulty = require "spec.support.faulty"
local program = require "spec.support.program"

-- Each child also starts one of its own.
local SOURCE = [[
local ccpool = require "ccpool"
local log = arg[1]
local function inner() io.open(log, "a"):write("inner\n") end
local function outer()
  local p = ccpool.Process{ target = inner }
  p:start()
  p:join()
  io.open(log, "a"):write("outer ", tostring(p.exitcode), "\n")
end
for _ = 1, 5 do
  local p = ccpool.Process{ target = outer }
  p:start()
  print(p:join(), p.exitcode, p:is_alive())
end
local ex <close> = ccpool.ThreadPoolExecutor(1)
print(ex:submit(math.sqrt, 16):result())]]

describe("a death of a process by hand #crash #slow", function()
  local path

  setup(function() path = faulty.cpath() end)

  local function run(point)
    local log <close> = program.new_log()
    local result = program.run(SOURCE, {
      args = { log.path }, env = { CCP_FAULT = point, LUA_CPATH = path },
    })
    assert.equal("", result.err)
    assert.equal(("true\t-9\tfalse\n"):rep(5) .. "4.0\n", result.out)
    return log:counts()
  end

  it("before its target runs is joined, and costs nothing else", function()
    assert.same({}, run "child:1")
  end)

  it("when its child dies first, too: each counts its own passages", function()
    local log <close> = program.new_log()
    local result = program.run(SOURCE, {
      args = { log.path }, env = { CCP_FAULT = "child:2", LUA_CPATH = path },
    })
    assert.equal(("true\t0\tfalse\n"):rep(5) .. "4.0\n", result.out)
    assert.same({ ["outer -9"] = 5 }, log:counts())
  end)

  it("just before its exit is joined; what it has written is there", function()
    assert.same({ inner = 5, ["outer -9"] = 5 }, run "leave:1")
  end)
end)
