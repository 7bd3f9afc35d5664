-- What cannot travel is named in the words of the program.
local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local assert, describe, it, setup, teardown = assert, describe, it, setup, teardown
local _ENV = _G -- luacheck: ignore

local function echo(...) return ... end

describe("NotSendableError.path", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex, sock

      setup(function()
        ex = make(1)
        sock = io.tmpfile()
      end)
      teardown(function()
        sock:close()
        ex:shutdown()
      end)

      local function path_of(...)
        local err = pools.fails_with("NotSendableError", ex.submit, ex, ...)
        assert.equal("cannot send " .. err.path, err.message)
        return err.path
      end

      --- The path of a result or error.
      local function later(...)
        local err = ex:submit(...):exception()
        assert.is_true(ccpool.is_error(err, "NotSendableError"), tostring(err))
        return err.path
      end

      it("names arguments", function()
        local co = coroutine.create(print)
        assert.equal("argument 1 (thread)", path_of(echo, co))
        assert.equal("argument 2 (userdata: FILE*)", path_of(echo, 1, sock))
        assert.equal("argument 1.cfg.list[2] (thread)",
          path_of(echo, { cfg = { list = { 1, co } } }))
        assert.equal("argument 1[\"two words\"] (thread)", path_of(echo, { ["two words"] = co }))
        assert.equal("argument 1[\"end\"][1.5][true] (thread)",
          path_of(echo, { ["end"] = { [1.5] = { [true] = co } } }))
        assert.equal("argument 1[-3] (thread)", path_of(echo, { [-3] = co }))
        assert.equal("argument 1 key (thread)", path_of(echo, { [co] = 1 }))
        assert.equal("argument 1 metatable.__index.x (thread)",
          path_of(echo, setmetatable({}, { __index = { x = co } })))
        assert.equal("argument 3 (C function)", path_of(echo, 1, 2, coroutine.wrap(print)))
      end)

      it("names upvalues, of the function and of functions in arguments", function()
        assert.equal("function upvalue 'sock' (userdata: FILE*)",
          path_of(function() return sock end))
        local function on_done() return sock end
        assert.equal("argument 2.cfg.on_done upvalue 'sock' (userdata: FILE*)",
          path_of(echo, 1, { cfg = { on_done = on_done } }))
        local list = { { on_done } }
        assert.equal("function upvalue 'list'[1][1] upvalue 'sock' (userdata: FILE*)",
          path_of(function() return list end))
        local stripped = load(string.dump(on_done, true))
        debug.upvaluejoin(stripped, 1, on_done, 1)
        assert.equal("function upvalue '(no name)' (userdata: FILE*)", path_of(stripped))
      end)

      it("names results", function()
        assert.equal("result 1 (thread)", later(function() return coroutine.create(print) end))
        assert.equal("result 3.file (userdata: FILE*)",
          later(function() return 1, nil, { file = io.tmpfile() } end))
        assert.equal("result 1 upvalue 'co' (thread)", later(function()
          local co = coroutine.create(print)
          return function() return co end
        end))
      end)

      it("names errors", function()
        assert.equal("error (thread)", later(function() error(coroutine.create(print)) end))
        assert.equal("error.detail[1] (userdata: FILE*)",
          later(function() error{ detail = { io.tmpfile() } } end))
        assert.equal("error metatable.__index upvalue 'f' (userdata: FILE*)", later(function()
          local f = io.tmpfile()
          error(setmetatable({}, { __index = function() return f end }))
        end))
      end)

      it("names initargs", function()
        local err = pools.fails_with("NotSendableError", make,
          { initializer = echo, initargs = { 1, { sock } } })
        assert.equal("initargs 2[1] (userdata: FILE*)", err.path)
      end)

      it("names the initializer and the finalizer", function()
        local err = pools.fails_with("NotSendableError", make,
          { initializer = function() return sock end })
        assert.equal("initializer upvalue 'sock' (userdata: FILE*)", err.path)
        err = pools.fails_with("NotSendableError", function()
          make{ finalizer = function() return sock end }
        end)
        assert.equal("finalizer upvalue 'sock' (userdata: FILE*)", err.path)
      end)

      it("does not look into objects of ccpool", function()
        local serial = ccpool.SerialExecutor()
        local err = pools.fails_with("NotSendableError", ex.submit, ex, echo, { serial })
        assert.matches("^argument 1%[1%] %(%a[^%[]*%)$", err.path)
        err = pools.fails_with("NotSendableError", ex.submit, ex, function() return serial end)
        assert.matches("^function upvalue 'serial' %(%a[^%[]*%)$", err.path)
        local hand = ccpool.Thread{ target = echo }
        err = pools.fails_with("NotSendableError", ex.submit, ex, echo, hand)
        assert.matches("^argument 1 %(userdata: ccpool", err.path)
      end)

      it("names items of a map", function()
        local err = pools.fails_with("NotSendableError", function()
          ex:map(echo, { 1, { sock } }):collect()
        end)
        assert.matches("^item 2.*%[1%] %(userdata: FILE%*%)$", err.path)
      end)

      it("shows both ends of a very deep path", function()
        local t = { x = coroutine.create(print) }
        for _ = 1, 100000 do t = { t } end
        local path = path_of(echo, t)
        assert.matches("^argument 1%[1%]%[1%].* %.%.%. .*%[1%]%.x %(thread%)$", path)
        assert.is_true(#path < 300)
      end)

      it("leaves the executor as it was", function()
        local before = ex:stats()
        for _ = 1, 3 do path_of(echo, coroutine.create(print)) end
        assert.equal(before.submitted, ex:stats().submitted)
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
      end)
    end)
  end
end)
