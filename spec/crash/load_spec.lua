local ccpool = require "ccpool"
local program = require "spec.support.program"
local signal = require "posix.signal"

-- What tasks know as globals, those are: busted gives specs an _ENV of their own.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local BOUND = program.BOUND

--- One more death: of a random worker.
local function kill_one(ex)
  local workers = ex:stats().workers
  local worker = workers[#workers > 0 and math.random(#workers) or 1]
  if worker and worker.pid then signal.kill(worker.pid, signal.SIGKILL) end
end

--- luassert is too slow for thousands of items.
local function expect(true_, format, ...)
  if not true_ then error(format:format(...), 2) end
end

describe("workers killed from outside under load #crash #slow", function()
  it("cost the tasks they ran at most: 10000 single tasks", function()
    local ex <close> = ccpool.ProcessPoolExecutor(3)
    local futures = {}
    for i = 1, 10000 do
      futures[i] = ex:submit(function(n)
        local s = 0
        for k = 1, n % 100 do s = s + k end
        return n, s
      end, i)
      if i % 500 == 0 then kill_one(ex) end
    end
    local crashes = 0
    for i, f in ipairs(futures) do
      if i % 500 == 0 then kill_one(ex) end
      local ok, value, sum = f:presult(BOUND)
      if ok then
        expect(i == value and sum == (i % 100) * (i % 100 + 1) // 2, "task %d: %s", i, value)
      else
        expect(ccpool.is_error(value, "WorkerCrashedError"), "task %d: %s", i, value)
        crashes = crashes + 1
      end
    end
    local stats = ex:stats()
    assert.is_true(crashes <= 40, crashes .. " futures")
    assert.equal(10000, stats.done + stats.failed)
    assert.equal(crashes, stats.failed)
    assert.equal(0, stats.queued)
    assert.equal(0, stats.running)
  end)

  for _, chunksize in ipairs { 1, 50, "auto" } do
    it("cost the items they ran at most: 10000 items, chunksize " .. chunksize, function()
      local ex <close> = ccpool.ProcessPoolExecutor(3)
      local list, crashes, last = {}, 0, 0
      for i = 1, 10000 do list[i] = i end
      local opts = { chunksize = chunksize, on_error = "return", timeout = BOUND }
      for i, ok, value in ex:map(function(n)
        local s = 0
        for k = 1, 300 do s = s + k end
        return n + s
      end, list, opts) do
        expect(i == last + 1, "item %d comes behind %d", i, last)
        last = i
        if i % 500 == 0 then kill_one(ex) end
        if ok then
          expect(value == i + 45150, "item %d: %s", i, value)
        else
          expect(ccpool.is_error(value, "WorkerCrashedError"), "item %d: %s", i, value)
          crashes = crashes + 1
        end
      end
      assert.equal(10000, last)
      assert.is_true(crashes <= 20, crashes .. " items")
    end)
  end

  it("run no task twice: each is delivered, or was on a dead worker", function()
    local log <close> = program.new_log()
    local ex <close> = ccpool.ProcessPoolExecutor(3)
    local futures = {}
    for i = 1, 3000 do
      futures[i] = ex:submit(function(path, n)
        local file = io.open(path, "a")
        file:write(n, "\n")
        file:close()
        return n
      end, log.path, i)
      if i % 150 == 0 then kill_one(ex) end
    end
    local outcome = {}
    for i, f in ipairs(futures) do
      if i % 150 == 0 then kill_one(ex) end
      outcome[i] = f:presult(BOUND)
    end
    local counts = log:counts()
    for i = 1, 3000 do
      local runs = counts[tostring(i)] or 0
      expect(runs == 1 or not outcome[i] and runs == 0, "task %d ran %d times", i, runs)
    end
  end)

  it("do not break large payloads in flight", function()
    local ex <close> = ccpool.ProcessPoolExecutor(2)
    local payload = ("0123456789abcdef"):rep(20 * 65536) -- 20 MiB
    local right = 0
    for round = 1, 12 do
      local futures = {}
      for i = 1, 3 do futures[i] = ex:submit(function(s) return s, #s end, payload) end
      kill_one(ex)
      if round % 3 == 0 then kill_one(ex) end
      for _, f in ipairs(futures) do
        local ok, text, length = f:presult(BOUND)
        if ok then
          assert.equal(#payload, length)
          assert.is_true(text == payload)
          right = right + 1
        else
          assert.is_true(ccpool.is_error(text, "WorkerCrashedError"), tostring(text))
        end
      end
    end
    assert.is_true(right >= 12 * 3 - 16, right .. " right")
  end)
end)
