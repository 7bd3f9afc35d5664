local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"
local program = require "spec.support.program"

-- What tasks know as globals, those are: busted gives specs an _ENV of their own.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local BOUND = program.BOUND

--- Appends its number to a file, then returns it, or dies if it is one of these.
local function work(path, dying)
  return function(n)
    local file = io.open(path, "a")
    file:write(n, "\n")
    file:close()
    if dying[n] then require "posix.signal".raise(9) end
    return n * 2
  end
end

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

local function set(...)
  local s = {}
  for _, n in ipairs { ... } do s[n] = true end
  return s
end

--- luassert is too slow for thousands of items.
local function expect(true_, format, ...)
  if not true_ then error(format:format(...), 2) end
end

local function check_item(i, dies, ok, value)
  if dies then
    expect(not ok and ccpool.is_error(value, "WorkerCrashedError"), "item %d: %s, %s", i, ok, value)
  else
    expect(ok and value == i * 2, "item %d: %s, %s", i, ok, value)
  end
end

local function check(ex, n, dying, opts)
  local log <close> = program.new_log()
  opts.on_error, opts.timeout = "return", BOUND
  local last, seen = 0, {}
  for i, ok, value in ex:map(work(log.path, dying), range(n), opts) do
    expect(not seen[i], "item %d comes twice", i)
    expect(opts.ordered == false or i == last + 1, "item %d comes behind %d", i, last)
    last, seen[i] = i, true
    check_item(i, dying[i], ok, value)
  end
  for i = 1, n do expect(seen[i], "item %d is missing", i) end
  local counts = log:counts()
  for i = 1, n do
    local runs = counts[tostring(i)] or 0
    expect(runs == 1, "item %d ran %d times", i, runs)
  end
end

describe("a death within a chunk of map #crash", function()
  local CASES = {
    { "the first item", 10, set(1), { chunksize = 10 } },
    { "the last item", 10, set(10), { chunksize = 10 } },
    { "an item in the middle", 10, set(5), { chunksize = 10 } },
    { "two neighbours", 10, set(5, 6), { chunksize = 10 } },
    { "every item of a chunk", 12, set(5, 6, 7, 8), { chunksize = 4 } },
    { "the only item", 1, set(1), { chunksize = 4 } },
    { "the first of each chunk", 20, set(1, 6, 11, 16), { chunksize = 5 } },
    { "the last of each chunk", 20, set(5, 10, 15, 20), { chunksize = 5 } },
    { "chunks of one", 20, set(3, 7, 11), { chunksize = 1 } },
    { "automatic chunks", 2000, set(1, 100, 777, 1500, 2000), {} },
    { "a chunk of a thousand", 1000, set(1, 2, 500, 999), { chunksize = 1000 } },
    { "a small buffer", 100, set(10, 50, 90), { chunksize = 5, buffersize = 10 } },
  }
  for _, case in ipairs(CASES) do
    for _, workers in ipairs { 1, 2 } do
      for _, ordered in ipairs { true, false } do
        local title = ("costs that item alone: %s, %d workers, %s"):format(case[1], workers,
          ordered and "ordered" or "unordered")
        it(title, function()
          local ex <close> = ccpool.ProcessPoolExecutor(workers)
          local opts = { ordered = ordered }
          for k, v in pairs(case[4]) do opts[k] = v end
          check(ex, case[2], case[3], opts)
        end)
      end
    end
  end

  it("goes on after many deaths if there were replies between", function()
    local ex <close> = ccpool.ProcessPoolExecutor(2)
    local dying = {}
    for i = 5, 200, 5 do dying[i] = true end
    check(ex, 200, dying, { chunksize = 20 })
    assert.equal(40, ex:stats().crashes)
  end)

  it("is raised at its item's step, and the iterator goes on", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local log <close> = program.new_log()
    local step = ex:map(work(log.path, set(2)), range(4), { chunksize = 4, timeout = BOUND })
    assert.same({ 1, 2 }, { step() })
    local ok, err = pcall(step)
    assert.is_false(ok)
    assert.is_true(ccpool.is_error(err, "WorkerCrashedError"), tostring(err))
    assert.same({ 3, 6 }, { step() })
    assert.same({ 4, 8 }, { step() })
    assert.is_nil((step()))
  end)

  for _, ordered in ipairs { true, false } do
    it("is known before the items behind it are through, " ..
      (ordered and "ordered" or "unordered"), function()
      local ex <close> = ccpool.ProcessPoolExecutor(1)
      local gate <close> = fifo.new()
      local function f(path, n)
        if n == 2 then require "posix.signal".raise(9) end
        if n == 3 then require "spec.support.fifo".pass(path) end
        return n
      end
      local opts = { chunksize = 3, ordered = ordered, on_error = "return", timeout = BOUND }
      local source = { { gate.path, 1 }, { gate.path, 2 }, { gate.path, 3 } }
      local step = ex:starmap(f, source, opts)
      assert.same({ 1, true, 1 }, { step() })
      local i, ok, err = step()
      assert.equal(2, i)
      assert.is_false(ok)
      assert.is_true(ccpool.is_error(err, "WorkerCrashedError"), tostring(err))
      gate:open()
      assert.same({ 3, true, 3 }, { step() })
      assert.is_nil((step()))
    end)
  end

  it("keeps large results of the items before", function()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local function big(n)
      if n == 4 then require "posix.signal".raise(9) end
      return (tostring(n)):rep(300000)
    end
    local opts = { chunksize = 6, on_error = "return", timeout = BOUND }
    for i, ok, value in ex:map(big, range(6), opts) do
      assert.equal(i ~= 4, ok)
      if ok then assert.is_true(value == tostring(i):rep(300000)) end
    end
  end)
end)
