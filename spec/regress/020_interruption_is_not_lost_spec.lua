-- What a hook raises, as the interpreter's own does at Ctrl-C, was taken for want of memory
-- when it came while a reply was delivered: an innocent future failed, and the program went on.
local assert, describe, it = assert, describe, it
local setup, teardown = setup, teardown
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local INTERRUPTION = "interrupted!"

-- As the interpreter's handler of SIGINT: when the events left are none, the hook is gone,
-- and raises.
local function interrupt_after(events)
  debug.sethook(function()
    events.left = events.left - 1
    if events.left == 0 then
      debug.sethook()
      error(INTERRUPTION, 0)
    end
  end, "cr")
end

-- Runs body once for each event in it that may raise: body is interrupted there, then
-- check is called with what body had noted.
local function interrupt_everywhere(body, check)
  local n, is_spared = 0, false
  repeat
    n = n + 1
    local noted, events = {}, { left = n }
    local ok, err = pcall(function()
      interrupt_after(events)
      body(noted)
      is_spared, events.left = events.left > 0, 0
    end)
    debug.sethook()
    assert.are.equal(is_spared, ok, ("event %d: %s"):format(n, tostring(err)))
    if not ok then assert.are.equal(INTERRUPTION, err) end
    check(noted)
  until is_spared
  assert.is_true(n > 4)
end

local texts = pools.task(function(n) return ("x"):rep(n), n end)
local fails = pools.task(function(n) error(("y"):rep(n), 0) end)

local function check_texts(noted)
  for i, future in ipairs(noted) do
    assert.are.same({ true, ("x"):rep(i * 50), i * 50 }, { future:presult() })
  end
end

describe("an interruption of the program", function()
  local before, after = pools.unheard()
  setup(before)
  teardown(after)

  for kind, new in pools.concurrent() do
    it("fails no future and comes to light, submitting and asking: " .. kind, function()
      local ex <close> = new(1)
      interrupt_everywhere(function(noted)
        for i = 1, 4 do noted[i] = ex:submit(texts, i * 50) end
        for i = 1, 4 do assert(noted[i]:result()) end
      end, check_texts)
    end)

    it("fails no future whose end a loop awaits: " .. kind, function()
      local ex <close> = new(1)
      interrupt_everywhere(function(noted)
        for i = 1, 2 do noted[i] = ex:submit(texts, i * 50) end
        for future in ccpool.as_completed(noted) do assert(future:done()) end
      end, check_texts)
    end)

    it("is not taken for the outcome that presult asks for: " .. kind, function()
      local ex <close> = new(1)
      interrupt_everywhere(function(noted)
        noted[1] = ex:submit(texts, 50)
        noted[1]:presult()
      end, check_texts)
    end)

    it("does not change a task's own error: " .. kind, function()
      local ex <close> = new(1)
      interrupt_everywhere(function(noted)
        noted[1] = ex:submit(fails, 50)
        noted[1]:exception()
      end, function(noted)
        for _, future in ipairs(noted) do
          assert.are.equal(("y"):rep(50), (future:exception()))
        end
      end)
    end)

    it("ends a map where it comes, and no earlier item is lost: " .. kind, function()
      local ex <close> = new(1)
      interrupt_everywhere(function(noted)
        local i = 0
        local function source()
          i = i + 1
          return i <= 3 and i * 50 or nil
        end
        for index, text in ex:map(texts, source, { chunksize = 1 }) do noted[index] = text end
      end, function(noted)
        for i = 1, #noted do assert.are.equal(("x"):rep(i * 50), noted[i]) end
      end)
      assert.are.equal(7, ex:submit(math.max, 7):result())
    end)
  end

  it("leaves executors that can be closed, with all their workers", function()
    for _, new in pools.concurrent() do
      interrupt_everywhere(function(noted)
        local ex <close> = new(1)
        noted[1] = ex:submit(texts, 50)
        assert(noted[1]:result())
      end, function(noted)
        local future = noted[1]
        local ok, text = true, ("x"):rep(50)
        if future then ok, text = future:presult() end
        assert.is_true(ok and text == ("x"):rep(50)
          or ccpool.is_error(text, "CancelledError"), tostring(text))
      end)
    end
  end)

  it("is not handed on to a process worker that starts just then", function()
    local ran = 0
    interrupt_everywhere(function(noted)
      local ex <close> = ccpool.ProcessPoolExecutor(1)
      noted.value = ex:submit(math.max, 3, 4):result()
    end, function(noted)
      ran = ran + (noted.value and 1 or 0)
      assert.is_true(noted.value == nil or noted.value == 4)
    end)
    assert.is_true(ran >= 1)
  end)
end)
