-- A process worker that used executors of its own and collected garbage freed its copy of
-- the pool that it belongs to, and with it the plan that it lives by.
local ccpool = require "ccpool"
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local function name_after_collections()
  local inner = require "ccpool"
  local ex <close> = inner.SerialExecutor {}
  for round = 1, 10 do
    collectgarbage()
    local filler = {}
    for i = 1, 20000 do
      filler[i] = ("x"):rep(i % 300)
    end
    ex:submit(math.sqrt, round + #filler):result()
  end
  return inner.current().name
end

describe("a process worker", function()
  it("knows who it is after it has collected what it inherited", function()
    local outer <close> = ccpool.ProcessPoolExecutor { max_workers = 1, name = "outer" }
    assert.are.equal("outer_1", outer:submit(name_after_collections):result())
  end)
end)
