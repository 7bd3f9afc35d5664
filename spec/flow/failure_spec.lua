local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local task = pools.task

-- Lua 5.5 has a text for nil.
local no_object = select(2, pcall(error, nil))

local raise = task(function(value) error(value, 0) end)

describe("a task that fails", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex
      local fail = task(function(value) error(value, 0) end)

      before_each(function() ex = make(1) end)
      after_each(function() ex:shutdown() end)

      it("passes its error string on, position included", function()
        local f = ex:submit(task(function() error("out of flour") end))
        local ok, err = pcall(f.result, f)
        assert.is_false(ok)
        assert.matches("failure_spec.lua:%d+: out of flour$", err)
        assert.equal(err, (f:exception()))
        assert.same({ false, err }, { f:presult() })
      end)

      for _, value in ipairs{ 7, 2.5, true, "", "plain", ("long "):rep(2000) } do
        it("passes error(" .. tostring(value):sub(1, 9) .. ") on unchanged", function()
          local f = ex:submit(fail, value)
          local ok, err = pcall(f.result, f)
          assert.is_false(ok)
          assert.equal(value, err)
          assert.equal(math.type(value), math.type(err))
        end)
      end

      it("with error(nil) has failed nevertheless", function()
        local f = ex:submit(error, nil)
        local ok, err = pcall(f.result, f)
        assert.is_false(ok)
        assert.equal(no_object, err)
        assert.same({ n = 2, false, no_object }, table.pack(f:presult()))
        assert.equal("finished", f:state())
        assert.equal(no_object, (f:exception()))
        assert.is_string((select(2, f:exception())))
        assert.is_string(f:traceback())
      end)

      it("with error() without a value has failed nevertheless", function()
        local f = ex:submit(error)
        assert.same({ n = 2, false, no_object }, table.pack(f:presult()))
      end)

      it("with error(false) has failed nevertheless", function()
        local f = ex:submit(error, false)
        local ok, err = pcall(f.result, f)
        assert.is_false(ok)
        assert.is_false(err)
        assert.same({ n = 2, false, false }, table.pack(f:presult()))
        assert.is_false((f:exception()))
        assert.equal("finished", f:state())
      end)

      it("passes an error table on, nested and cyclic", function()
        local f = ex:submit(task(function()
          local e = { code = 42, where = { line = 7 } }
          e.self = e
          error(e)
        end))
        local err = f:exception()
        assert.equal(42, err.code)
        assert.equal(7, err.where.line)
        assert.equal(err, err.self)
      end)

      it("gives the same error value each time", function()
        local f = ex:submit(fail, { code = 1 })
        local err = f:exception()
        assert.equal(err, (f:exception()))
        assert.equal(err, (select(2, f:presult())))
        assert.equal(err, (select(2, pcall(f.result, f))))
      end)

      it("passes an error object of ccpool on as one", function()
        local _, timed_out = pcall(function()
          local slow <close> = ccpool.ThreadPoolExecutor(1)
          local gate <close>, futures = pools.occupy(slow)
          assert(gate)
          futures[1]:result(0)
        end)
        assert.is_true(ccpool.is_error(timed_out, "TimeoutError"))
        local err = ex:submit(fail, timed_out):exception()
        assert.is_true(ccpool.is_error(err, "TimeoutError"))
        assert.equal(timed_out.message, err.message)
        assert.equal(tostring(timed_out), tostring(err))
      end)

      it("passes an error object on that ccpool raised in the worker", function()
        local err = ex:submit(task(function()
          local inner <close> = require("ccpool").SerialExecutor()
          inner:submit(math.sqrt, coroutine.create(print))
        end)):exception()
        assert.is_true(ccpool.is_error(err, "NotSendableError"))
        assert.matches("argument 1", err.path, 1, true)
      end)

      it("keeps the metatable of an error whose class both sides know", function()
        local err = ex:submit(task(function()
          error(require("ccpool.errors").new("DeadlockError", "stuck", { ring = { 1, 2 } }))
        end)):exception()
        assert.is_true(ccpool.is_error(err, "DeadlockError"))
        assert.same({ 1, 2 }, err.ring)
        assert.equal("DeadlockError: stuck", tostring(err))
      end)

      it("with an error that cannot travel fails with NotSendableError", function()
        local f = ex:submit(task(function() error(coroutine.create(print)) end))
        local err = f:exception()
        assert.is_true(ccpool.is_error(err, "NotSendableError"), tostring(err))
        assert.matches("error", err.path)
        assert.equal(2.0, ex:submit(math.sqrt, 4):result())
      end)

      it("keeps the traceback of the place where it failed", function()
        local function innermost() raise("here") end
        local function outer() innermost() end
        local f = ex:submit(function() outer() end)
        local err, traceback = f:exception()
        assert.equal("here", err)
        assert.matches("stack traceback:", traceback, 1, true)
        assert.matches("innermost", traceback, 1, true)
        assert.matches("failure_spec.lua:", traceback, 1, true)
        assert.equal(traceback, f:traceback())
      end)

      it("keeps a traceback for errors that are no strings", function()
        local f = ex:submit(fail, { 1 })
        f:exception()
        assert.matches("stack traceback:", f:traceback(), 1, true)
      end)

      it("keeps each traceback to itself", function()
        local first = ex:submit(task(function() error("first") end))
        local second = ex:submit(task(function() error("second") end))
        local fine = ex:submit(math.sqrt, 4)
        ccpool.wait{ first, second, fine }
        assert.matches("first", first:traceback(), 1, true)
        assert.not_matches("second", first:traceback(), 1, true)
        assert.matches("second", second:traceback(), 1, true)
        assert.is_nil(fine:traceback())
      end)

      it("does not hurt the worker", function()
        for i = 1, 50 do
          assert.is_false((ex:submit(fail, i):presult()))
          assert.equal(i, ex:submit(math.abs, -i):result())
        end
        assert.equal(50, ex:stats().failed)
        assert.equal(50, ex:stats().done)
        assert.equal(0, ex:stats().crashes)
      end)

      it("in a C function fails like any other", function()
        local f = ex:submit(string.rep)
        assert.matches("bad argument #1", f:exception(), 1, true)
        assert.is_string(f:traceback())
      end)

      it("in a __close or a nested pcall is what Lua says it is", function()
        assert.same({ n = 2, false, "inner" }, table.pack(ex:submit(pcall, fail, "inner"):result()))
        assert.equal("closing", (ex:submit(task(function()
          local _ <close> = setmetatable({}, { __close = function() error("closing", 0) end })
          error("body", 0)
        end)):exception()))
      end)
    end)
  end
end)
