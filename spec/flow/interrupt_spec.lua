--- Interrupting what a thread worker runs, also inside coroutines; and that the
-- worker's coroutine functions, which say what is to be interrupted, are otherwise
-- those of Lua.

local assert, describe, it, pending = assert, describe, it, pending
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"

-- The thread sanitizer holds a signal back until the thread calls the C library.
local late_signals = (os.getenv("CCPOOL_BUILD") or ""):find("tsan", 1, true)
local it_at_once = late_signals and pending or it

--- Starts f(path, ...) in a worker, waits until it has told "s", terminates, and waits
-- for the worker's end. Gives what else was told, n characters.
local function interrupted(n, f, ...)
  local told <close> = fifo.new()
  local ex = ccpool.ThreadPoolExecutor(1)
  ex:submit(f, told.path, ...)
  assert.equal("s", told:await())
  ex:terminate()
  assert.is_true(ex:shutdown{ timeout = 30 })
  assert.equal(0, ex:stats().abandoned)
  return n > 0 and told:await(n) or told:any()
end

describe("interrupting a thread worker", function()
  it_at_once("raises in a loop inside a coroutine", function()
    interrupted(0, function(path)
      coroutine.wrap(function()
        require("spec.support.fifo").tell(path, "s")
        while true do end
      end)()
    end)
  end)

  it_at_once("raises once, in the coroutine that runs: pcall there catches it", function()
    assert.equal("interrupted", interrupted(11, function(path)
      local tell = require "spec.support.fifo".tell
      local co = coroutine.create(function()
        local ok, err = pcall(function()
          tell(path, "s")
          while true do end
        end)
        return not ok and err:match("interrupted$")
      end)
      local _, text = coroutine.resume(co)
      for c in text:gmatch(".") do tell(path, c) end
    end))
  end)

  it_at_once("raises at any depth of coroutines, and after they have come and gone", function()
    assert.equal("i", interrupted(1, function(path)
      local tell = require "spec.support.fifo".tell
      local function deeper(n)
        if n == 0 then
          tell(path, "s")
          while true do end
        end
        for _ = 1, 3 do coroutine.wrap(coroutine.yield)(n) end
        return coroutine.wrap(deeper)(n - 1)
      end
      if not pcall(deeper, 50) then tell(path, "i") end
    end))
  end)

  it_at_once("raises in a loop that resumes short coroutines", function()
    assert.equal("i", interrupted(1, function(path)
      local tell = require "spec.support.fifo".tell
      local count = coroutine.wrap(function()
        local n = 0
        while true do
          n = n + 1
          coroutine.yield(n)
        end
      end)
      local ok = pcall(function()
        tell(path, "s")
        repeat until count() < 0
      end)
      if not ok then tell(path, "i") end
    end))
  end)

  it_at_once("raises in a loop below a generator of a for loop", function()
    assert.equal("i", interrupted(1, function(path)
      local tell = require "spec.support.fifo".tell
      local ok = pcall(function()
        for i in coroutine.wrap(function() coroutine.yield(1) while true do end end) do
          if i == 1 then tell(path, "s") end
        end
      end)
      if not ok then tell(path, "i") end
    end))
  end)

  it_at_once("raises in a loop that coroutine.close runs", function()
    assert.equal("i", interrupted(1, function(path)
      local tell = require "spec.support.fifo".tell
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function()
          tell(path, "s")
          while true do end
        end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      local closed, err = coroutine.close(co)
      if not closed and err:find("interrupted", 1, true) then tell(path, "i") end
    end))
  end)

  it_at_once("lets handlers of <close> run", function()
    assert.equal("123", interrupted(3, function(path)
      local tell = require "spec.support.fifo".tell
      local function guard(c)
        return setmetatable({}, { __close = function()
          for _ = 1, 1e5 do tostring(c) end
          tell(path, c)
        end })
      end
      local _ <close> = guard "3"
      coroutine.wrap(function()
        local _ <close> = guard "2"
        local _ <close> = guard "1"
        tell(path, "s")
        while true do end
      end)()
    end))
  end)

  it_at_once("ends what catches every error, again and again", function()
    interrupted(0, function(path)
      local function spin() while true do end end
      require("spec.support.fifo").tell(path, "s")
      while true do
        pcall(spin)
        pcall(coroutine.wrap(spin))
        coroutine.resume(coroutine.create(spin))
      end
    end)
  end)

  it_at_once("makes ccpool.cancelled() true for the task that is to stop", function()
    assert.equal("t", interrupted(1, function(path)
      local tell = require "spec.support.fifo".tell
      local pool = require "ccpool"
      local before = pool.cancelled()
      pcall(function()
        tell(path, "s")
        while true do end
      end)
      tell(path, not before and pool.cancelled() and "t" or "f")
    end))
  end)
end)

describe("a timeout in a thread worker", function()
  local LOOPS = {
    ["in a coroutine"] = function()
      coroutine.wrap(function() while true do end end)()
    end,
    ["in a coroutine inside pcall, nested"] = function()
      coroutine.wrap(function()
        pcall(coroutine.wrap(function()
          pcall(function() while true do end end)
        end))
      end)()
    end,
    ["that catches everything"] = function()
      local function spin() while true do end end
      while true do pcall(coroutine.wrap(spin)) end
    end,
  }
  for name, loop in pairs(LOOPS) do
    it_at_once("ends a loop " .. name .. "; its worker is replaced, none is abandoned", function()
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local f = ex:with{ timeout = 0.02 }:submit(loop)
      assert.is_true(ccpool.is_error(f:exception(), "TimeoutError"))
      assert.equal(3.0, ex:submit(math.sqrt, 9):result())
      assert.is_true(ex:shutdown{ timeout = 30 })
      assert.equal(0, ex:stats().abandoned)
      assert.equal(1, ex:stats().timeouts)
    end)
  end
end)

describe("cancelled", function()
  it("is false outside of workers and in tasks that nobody stops", function()
    assert.is_false(ccpool.cancelled())
    for _, make in ipairs{ ccpool.ThreadPoolExecutor, ccpool.ProcessPoolExecutor,
      ccpool.SerialExecutor } do
      local ex <close> = make(1)
      assert.is_false(ex:submit("ccpool.cancelled"):result())
    end
  end)

  it("is true in a process worker that got SIGTERM and lives on", function()
    local ex = ccpool.ProcessPoolExecutor(1)
    local told <close> = fifo.new()
    ex:submit(function(path)
      local signal = require "posix.signal"
      local tell = require "spec.support.fifo".tell
      local pool = require "ccpool"
      signal.signal(signal.SIGTERM, function() end)
      tell(path, "s")
      while not pool.cancelled() do end
      tell(path, "c")
    end, told.path)
    assert.equal("s", told:await())
    ex:terminate()
    assert.equal("c", told:await())
    assert.is_true(ex:shutdown{ timeout = 30 })
  end)
end)

describe("current", function()
  it("has the attempt", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    assert.equal(1, ex:submit(function() return require("ccpool").current().attempt end):result())
  end)
end)

--- What coroutines do in all their corners: a list of strings.
local function corners()
  local list = {}
  local function note(...)
    local words = table.pack(...)
    for i = 1, words.n do
      local kind = type(words[i])
      words[i] = (kind == "thread" or kind == "function" or kind == "table") and kind
        or tostring(words[i])
    end
    list[#list + 1] = words.n > 20 and words.n or table.concat(words, " ")
  end
  local wrap, create, resume = coroutine.wrap, coroutine.create, coroutine.resume
  local yield, close, status = coroutine.yield, coroutine.close, coroutine.status
  -- values
  local echo = create(function(...)
    local got = table.pack(...)
    while true do got = table.pack(yield(table.unpack(got, 1, got.n))) end
  end)
  note(resume(echo))
  note(resume(echo, nil, 1, nil))
  note(resume(echo, table.unpack({}, 1, 200)))
  note(pcall(resume, echo, table.unpack({}, 1, 100000)))
  note(resume(create(function() return table.unpack({}, 1, 100000) end)))
  note(resume(create(function() return string.rep("x", 10):byte(1, -1) end)))
  -- misuse
  note(pcall(resume))
  note(pcall(resume, 1))
  note(pcall(wrap))
  note(pcall(wrap, {}))
  if _VERSION == "Lua 5.4" then note(pcall(close)) end
  note(pcall(close, "x"))
  -- dead, running, normal
  local dead = create(function() end)
  note(resume(dead))
  note(resume(dead, 1))
  note(status(dead), close(dead), close(dead))
  note(resume(coroutine.running()))
  if _VERSION == "Lua 5.4" then
    note(pcall(close, (coroutine.running())))
  else -- it ends the coroutine that runs
    note(resume(create(function() note(pcall(close)) end)))
    note(pcall(wrap(function()
      local _ <close> = setmetatable({}, { __close = function() error("closing", 0) end })
      close(coroutine.running())
    end)))
  end
  local outer
  outer = create(function()
    return wrap(function()
      note(status(outer), resume(outer))
      note(pcall(close, outer))
      return coroutine.isyieldable(), select(2, coroutine.running())
    end)()
  end)
  note(resume(outer))
  local again = wrap(function() return 1 end)
  note(again())
  note(pcall(again))
  local self_call
  self_call = wrap(function() return pcall(self_call) end)
  note(self_call())
  -- errors
  note(resume(create(function() error("text", 0) end)))
  note(resume(create(function() error("text") end)))
  note(resume(create(function() error() end)))
  local object = {}
  local _, got = resume(create(function() error(object) end))
  note(got == object)
  note(pcall(wrap(function() error("text", 0) end)))
  local function place() wrap(function() error("inside") end)() end
  note(pcall(place))
  local _, other = pcall(wrap(function() error(object) end))
  note(other == object)
  -- yield across pcall, metamethods, iterators
  local across = create(function()
    local ok, value = pcall(function() return yield(1) + 1 end)
    local t = setmetatable({}, { __index = function(_, k) return yield(k) end })
    for v in wrap(function() yield(7) end) do yield(ok, value, t.key, v) end
    table.sort({ 3, 2, 1 }, function() yield() end)
  end)
  note(resume(across))
  note(resume(across, 5))
  note(resume(across, "field"))
  note(resume(across))
  note(status(across))
  -- closing
  local function closer(name, err)
    return setmetatable({}, { __close = function(_, e)
      note("close", name, e)
      if err then error(err, 0) end
    end })
  end
  local function guarded(err)
    return function()
      local _ <close> = closer("first", err)
      local _ <close> = closer("second")
      yield(1)
      error("failed", 0)
    end
  end
  for _, err in ipairs{ false, "instead" } do
    local co = create(guarded(err))
    note(resume(co))
    note(close(co))
    note(status(co), close(co))
    local failing = create(guarded(err))
    note(resume(failing), resume(failing))
    note(close(failing))
    local wrapped = wrap(guarded(err))
    note(wrapped())
    note(pcall(wrapped))
    note(pcall(wrapped))
  end
  -- depth
  local function deep(n) return n == 0 and "bottom" or wrap(deep)(n - 1) end
  note(pcall(deep, 150))
  note((select(2, pcall(deep, 250)):gsub("^.*(C stack overflow).*$", "%1")))
  -- what it looks like
  note(debug.getinfo(wrap).what, debug.getinfo(resume).what)
  local co = create(function() yield() end)
  resume(co)
  note((debug.traceback(co):gsub("[^\n]*%.lua", "x.lua")))
  note((wrap(function() return debug.traceback() end)():gsub("[^\n]*%.lua", "x.lua")))
  return list
end

describe("coroutines in a thread worker", function()
  it("behave as they do elsewhere", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local here = coroutine.wrap(corners)()
    local there = ex:submit(function(f) return coroutine.wrap(f)() end, corners):result()
    assert.is_true(#here > 60)
    assert.same(here, there)
  end)

  it("have functions with names, which travel", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local same, resume = ex:submit(function(f) return f == coroutine.resume, f end,
      coroutine.resume):result()
    assert.is_true(same)
    assert.equal(coroutine.resume, resume)
    for _, name in ipairs{ "wrap", "close", "create" } do
      assert.equal(coroutine[name],
        ex:submit(function(n) return coroutine[n] end, name):result())
    end
  end)
end)
