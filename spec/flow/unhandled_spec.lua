--- Errors of tasks that nobody looked at.

local assert, describe, it, before_each, after_each = assert, describe, it, before_each,
  after_each
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"
local pools = require "spec.support.pools"
local program = dofile "spec/support/program.lua"

local function collect()
  for _ = 1, 4 do collectgarbage() end
  ccpool.poll(0)
end

local function fail(e) error(e, 0) end

describe("an error that nobody looked at", function()
  local default = ccpool.on_unhandled_error
  local heard

  before_each(function()
    collect()
    heard = {}
    ccpool.on_unhandled_error = function(...) heard[#heard + 1] = table.pack(...) end
  end)
  after_each(function()
    collect()
    ccpool.on_unhandled_error = default
  end)

  --- Runs use(future) with a future that failed, in a function of its own, so that
  -- nothing of it stays on the stack; then collects.
  local function drop(ex, use, ...)
    local function inner(...)
      local f = ex:submit(fail, ...)
      ccpool.wait{ f }
      if use then use(f) end
    end
    inner(...)
    collect()
  end

  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("is reported once, with its traceback, when the future is collected", function()
        local ex <close> = make(1)
        drop(ex, nil, "oh")
        assert.equal(1, #heard)
        assert.equal("oh", heard[1][1])
        assert.is_truthy(heard[1][2]:find("stack traceback", 1, true))
        collect()
        assert.equal(1, #heard)
      end)

      it("of any kind and size is reported", function()
        local ex <close> = make(1)
        drop(ex, nil, nil)
        drop(ex, nil, { code = 5, text = ("x"):rep(100000) })
        assert.equal(2, #heard)
        assert.equal(select(2, pcall(error, nil)), heard[1][1]) -- Lua 5.5 has a text for it
        assert.equal(5, heard[2][1].code)
        assert.equal(100000, #heard[2][1].text)
      end)

      it("is not reported if somebody looked", function()
        local ex <close> = make(1)
        for _, use in ipairs{
          function(f) pcall(f.result, f) end,
          function(f) f:presult() end,
          function(f) f:exception() end,
          function(f) f:traceback() end,
          function(f) f:add_done_callback(function() end) end,
          function(f) pcall(ccpool.all, { f }) end,
          function(f) pcall(ccpool.any, { f }) end,
        } do
          drop(ex, use, "seen")
        end
        assert.same({}, heard)
      end)

      it("is reported if somebody only looked whether it is done", function()
        local ex <close> = make(1)
        drop(ex, function(f)
          f:done()
          f:state()
          f:cancel()
          tostring(f)
          for _ in ccpool.as_completed{ f } do end -- luacheck: ignore
        end, "unseen")
        assert.equal(1, #heard)
      end)

      it("leaves results alone", function()
        local ex <close> = make(1)
        for i = 1, 10 do ex:submit(math.sqrt, i) end
        ex:shutdown()
        collect()
        assert.same({}, heard)
      end)

      it("does not concern the items of a map", function()
        local ex <close> = make(1)
        local it_ = ex:map(fail, { 1, 2, 3 }, { on_error = "return" })
        it_()
        it_:close()
        it_ = nil -- luacheck: ignore
        collect()
        assert.same({}, heard)
      end)
    end)
  end

  for kind, make in pools.concurrent() do
    it("does not concern what was cancelled or terminated (" .. kind .. ")", function()
      for _, how in ipairs{ "terminate", "kill" } do
        local ex = make(1)
        do
          local gate <close>, futures = pools.occupy(ex)
          assert(gate)
          futures[2] = ex:submit(math.sqrt, 1)
          futures[2]:cancel()
          futures[3] = ex:submit(math.sqrt, 1)
          ex[how](ex)
        end
        ex:shutdown()
        collect()
      end
      assert.same({}, heard)
    end)

    it("is not reported for a callback added before the end (" .. kind .. ")", function()
      local ex <close> = make(1)
      local called = 0
      for _ = 1, 3 do
        ex:submit(fail, "x"):add_done_callback(function() called = called + 1 end)
      end
      ex:shutdown()
      ccpool.poll(0)
      collect()
      assert.equal(3, called)
      assert.same({}, heard)
    end)
  end

  it("is reported when an executor is waited for, and reporters may fail", function()
    local n = 0
    ccpool.on_unhandled_error = function()
      n = n + 1
      error("of the reporter")
    end
    local function run()
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      for i = 1, 5 do ex:submit(fail, i) end
    end
    run()
    collect()
    assert.equal(5, n)
  end)

  it("is not news in a process worker that inherits it", function()
    local function failed()
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local f = ex:submit(fail, "kept")
      ccpool.wait{ f }
      return f
    end
    local f = failed()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    assert.equal(0, ex:submit(function()
      local n = 0
      local pool = require "ccpool"
      pool.on_unhandled_error = function() n = n + 1 end
      for _ = 1, 4 do collectgarbage() end
      pool.poll(0)
      return n
    end):result())
    assert.equal("kept", f:exception())
    assert.same({}, heard)
  end)
end)

describe("ccpool.on_unhandled_error", function()
  local function run(before)
    return program.run(before .. [[
      local ex = ccpool.ThreadPoolExecutor(1)
      ex:submit(error, "message", 0)
      ex:submit(error, setmetatable({}, { __tostring = function() return "object" end }))
      ex:shutdown()
      for _ = 1, 4 do collectgarbage() end
      ccpool.poll(0)
      print "middle"
      kept = ex and ccpool.SerialExecutor(1):submit(error, "at the end", 0)
    ]])
  end

  it("writes to stderr by default, also when the state is closed", function()
    local result = run 'local ccpool = require "ccpool"\n'
    local err = result.err
    local said = "ccpool: error in a task that nobody looked at: "
    assert.equal("middle\n", result.out)
    assert.is_truthy(err:find(said .. "message\nstack traceback:\n", 1, true))
    assert.is_truthy(err:find(said .. "object\nstack traceback:\n", 1, true))
    assert.is_truthy(err:find(said .. "at the end\nstack traceback:\n", 1, true))
    assert.equal(3, select(2, err:gsub(said, "")))
    assert.equal(0, result.code)
  end)

  it("is reported when the program's end waits for the task", function()
    for _, kind in ipairs{ "Thread", "Process" } do
      for _, keep in ipairs{ "", "F = " } do
        local result = program.run(([[
          local ccpool = require "ccpool"
          local ex = ccpool.%sPoolExecutor(1)
          %sex:submit(function() error("too late to be seen", 0) end)
          local looked = ex:submit(error, "looked at", 0)
          looked:add_done_callback(print)
          ex:submit(math.sqrt, 4)]]):format(kind, keep))
        assert.matches("^ccpool: error in a task that nobody looked at: too late to be seen\n",
          result.err)
        assert.equal(1, select(2, result.err:gsub("ccpool:", "")))
        assert.equal(0, result.code)
      end
    end
  end)

  it("is silent if set to false", function()
    local result = run 'local ccpool = require "ccpool"\nccpool.on_unhandled_error = false\n'
    assert.equal("", result.err)
    assert.equal("middle\n", result.out)
  end)
end)
