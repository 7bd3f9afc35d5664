--- The option finalizer: what a worker does before it ends.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"
local program = dofile "spec/support/program.lua"

describe("finalizer", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("runs once in every worker, after its last task, with its globals", function()
        local told <close> = fifo.new()
        local path = told.path
        local ex = make{
          max_workers = 2,
          initializer = function() LETTER = "f" end, -- luacheck: ignore
          finalizer = function() require("spec.support.fifo").tell(path, LETTER) end, -- luacheck: ignore
        }
        ex:warmup()
        for i = 1, 10 do ex:submit(math.sqrt, i) end
        assert.is_false(told:any())
        assert.is_true(ex:shutdown())
        assert.equal("ff", told:await(2))
        assert.is_false(told:any())
      end)

      it("does not run in workers that are terminated or killed", function()
        for _, how in ipairs{ "terminate", "kill" } do
          local told <close> = fifo.new()
          local path = told.path
          local ex = make{
            max_workers = 1,
            finalizer = function() require("spec.support.fifo").tell(path) end,
          }
          local gate <close> = pools.occupy(ex)
          ex[how](ex)
          assert(gate)
          assert.is_true(ex:shutdown{ timeout = 30 })
          assert.is_false(told:any())
        end
      end)

      it("does not run after an initializer that failed", function()
        local told <close> = fifo.new()
        local path = told.path
        local ex = make{
          max_workers = 1,
          initializer = function() error "no" end,
          finalizer = function() require("spec.support.fifo").tell(path) end,
        }
        local f = ex:submit(math.sqrt, 1)
        pools.fails_with("BrokenExecutorError", f.result, f)
        ex:shutdown()
        assert.is_false(told:any())
      end)

      it("may be a name", function()
        local ex = make{ max_workers = 1, finalizer = "os.time" }
        assert.equal(2.0, ex:submit(math.sqrt, 4):result())
        assert.is_true(ex:shutdown())
      end)

      it("that fails is reported, and ends nothing else", function()
        local result = program.run(([[
          local ccpool = require "ccpool"
          local ex = ccpool.%s{ max_workers = 1, name = "pool",
            finalizer = function() error("no end", 0) end }
          print(ex:submit(math.sqrt, 4):result())
          print(ex:shutdown())
        ]]):format(kind == "thread" and "ThreadPoolExecutor" or "ProcessPoolExecutor"))
        assert.equal(0, result.code)
        assert.equal("2.0\ntrue\n", result.out)
        assert.equal("ccpool: error in the finalizer of pool_1: no end\n", result.err)
      end)
    end)
  end

  it("of a serial executor runs before its end", function()
    local told <close> = fifo.new()
    local path = told.path
    local ex = ccpool.SerialExecutor{
      finalizer = function() require("spec.support.fifo").tell(path) end,
    }
    ex:submit(math.sqrt, 4)
    assert.is_false(told:any())
    ex:shutdown()
    ex:shutdown()
    assert.equal("x", told:await())
    assert.is_false(told:any())
    assert.equal(1, ex:stats().submitted)
    local broken = ccpool.SerialExecutor{
      initializer = function() error "no" end,
      finalizer = function() require("spec.support.fifo").tell(path) end,
    }
    broken:shutdown()
    assert.is_false(told:any())
  end)

  it("is a function or a name", function()
    pools.misuse(function() ccpool.ThreadPoolExecutor{ finalizer = 1 } end, "finalizer")
    pools.fails_with("NotSendableError", ccpool.ThreadPoolExecutor,
      { finalizer = coroutine.wrap(function() end) })
  end)
end)
