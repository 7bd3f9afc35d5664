-- A task that was to be tried again after its pool had broken was queued, and nobody ever
-- ran or failed it.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local BOUND = 30 -- seconds; matters only when something is broken

describe("a task with retries whose pool has broken meanwhile", function()
  for kind, make in pools.concurrent() do
    it("fails as the queued ones do (" .. kind .. ")", function()
      local born = ccpool.Value("i32", 0)
      local started <close> = fifo.new()
      local ex = make{ max_workers = 2, grace = 0.1, initargs = { born },
        initializer = function(n)
          if n:add(1) > 1 then error("only one may be born", 0) end
        end }
      local f = ex:with{ timeout = 0.1, retries = 3 }:submit(pools.task(function(path)
        require("spec.support.fifo").tell(path, 1)
        while true do end
      end), started.path)
      started:await(1)
      -- this needs the second worker, which breaks the pool
      assert.is_true(ccpool.is_error(ex:submit(math.sqrt, 4):exception(BOUND),
        "BrokenExecutorError"))
      assert.is_true(ccpool.is_error(f:exception(BOUND), "BrokenExecutorError"))
      assert.is_true(ex:shutdown{ timeout = BOUND })
    end)
  end
end)
