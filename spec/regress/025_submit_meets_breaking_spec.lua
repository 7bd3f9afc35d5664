-- A submit that takes in replies, one of which breaks the pool, queued its task all the
-- same: nobody ever ran or failed it.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"

local BOUND = 30 -- seconds; matters only when something is broken

describe("a submit that learns that the initializer failed", function()
  for kind, make in pools.concurrent() do
    it("leaves no task behind (" .. kind .. ")", function()
      for _ = 1, 20 do
        local gate <close> = fifo.new()
        local started <close> = fifo.new()
        local ex <close> = make{ max_workers = 2, initargs = { started.path, gate.path },
          initializer = function(tell, pass)
            require "spec.support.fifo".tell_and_pass(tell, pass)
            error("no", 0)
          end }
        local first = ex:submit(math.sqrt, 4)
        started:await()
        gate:open()
        -- the failure comes in during one of these, or between two of them
        local futures, ok, f = { first }, true, nil
        while ok do
          ok, f = pcall(ex.submit, ex, math.sqrt, 9)
          futures[#futures + 1] = ok and f or nil
        end
        assert.is_true(ccpool.is_error(f, "BrokenExecutorError"), tostring(f))
        for _, future in ipairs(futures) do
          local err = future:exception(BOUND)
          assert.is_true(ccpool.is_error(err, "BrokenExecutorError"), tostring(err))
        end
      end
    end)
  end
end)
