--- Programs with little address space: everything shrinks, nothing fails.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local program = dofile "spec/support/program.lua"
local resource = require "posix.sys.resource"

local MIB = 1 << 20

local WORK = [[
  local ccpool = require "ccpool"
  local threads <close> = ccpool.ThreadPoolExecutor(2)
  local processes <close> = ccpool.ProcessPoolExecutor(2)
  local queue = ccpool.Queue()
  local function answer(q) q:put(("x"):rep(100000)) return math.sqrt(4) end
  print(threads:submit(answer, queue):result(), processes:submit(answer, queue):result())
  print(#queue:get(60), #queue:get(60))
]]

describe("a program under a limit of address space", function()
  -- The sanitizers reserve terabytes.
  for _, mib in ipairs{ 200, 300, 400, 500, 700, 1000 } do
    it(("makes executors and shared objects: %d MiB #nosan"):format(mib), function()
      local result = program.run(WORK, { before = function()
        local most = mib * MIB
        resource.setrlimit(resource.RLIMIT_AS, { rlim_cur = most, rlim_max = most })
      end })
      assert.are.same({ code = 0, out = "2.0\t2.0\n100000\t100000\n", err = "" }, result)
    end)
  end
end)
