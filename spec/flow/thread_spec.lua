local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"
local poll = require "posix.poll"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"
local program = require "spec.support.program"

local misuse, fails_with = pools.misuse, pools.fails_with

--- A thread that waits at the gate, started.
local function waiting(gate, ...)
  local t = ccpool.Thread{ target = "spec.support.fifo.pass",
    args = table.pack(gate.path, ...) }
  t:start()
  return t
end

describe("ccpool.Thread", function()
  it("runs its target with its arguments, nils included", function()
    local t = ccpool.Thread{ target = function(...) return select("#", ...), ... end,
      args = table.pack(1, nil, "x", nil) }
    t:start()
    assert.is_true(t:join())
    assert.same({ 4, 1, nil, "x", nil, n = 5 }, table.pack(t:result()))
  end)

  it("takes the name of a function", function()
    local t = ccpool.Thread{ target = "string.rep", args = { "ab", 2 } }
    t:start()
    assert.equal("abab", t:result())
  end)

  it("copies arguments and upvalues when it is started", function()
    local list = { 1 }
    local t = ccpool.Thread{ target = function(l) l[#l + 1] = "thread" return #l, #list end,
      args = { list } }
    list[2] = 2
    t:start()
    local n, m = t:result()
    assert.same({ 3, 3 }, { n, m }) -- one table, in the message too
    assert.same({ 1, 2 }, list)
  end)

  it("has a state of its own, with the standard libraries and the program's paths", function()
    local t = ccpool.Thread{ target = function()
      return _G.SOME_GLOBAL, package.path, type(require "ccpool".ThreadPoolExecutor)
    end }
    _G.SOME_GLOBAL = 1
    t:start()
    _G.SOME_GLOBAL = nil
    assert.same({ nil, package.path, "function", n = 3 }, table.pack(t:result()))
  end)

  it("is a thread of this process; ident is its number", function()
    local gate <close> = fifo.new()
    local t = waiting(gate)
    assert.is_truthy(program.slurp(("/proc/self/task/%d/stat"):format(t.ident)))
    assert.not_equal(require "posix.unistd".getpid(), t.ident)
    gate:open()
    t:join()
  end)

  it("is named after its number, or as it is told, for the system too", function()
    local gate <close> = fifo.new()
    assert.matches("^Thread%-%d+$", ccpool.Thread{ target = print }.name)
    local t = ccpool.Thread{ target = "spec.support.fifo.pass", args = { gate.path },
      name = "reader" }
    t:start()
    assert.equal("reader", t.name)
    assert.equal("reader\n", program.slurp(("/proc/self/task/%d/comm"):format(t.ident)))
    assert.matches("^ccpool.Thread: %S+ %(reader, running%)$", tostring(t))
    gate:open()
    t:join()
    assert.matches("%(reader, ended%)$", tostring(t))
  end)

  it("is alive between start and end", function()
    local gate <close> = fifo.new()
    local t = ccpool.Thread{ target = "spec.support.fifo.pass", args = { gate.path } }
    assert.is_false(t:is_alive())
    assert.is_nil(t.ident)
    t:start()
    assert.is_true(t:is_alive())
    gate:open()
    t:join()
    assert.is_false(t:is_alive())
  end)

  it("knows who it is", function()
    local t = ccpool.Thread{ target = function()
      local me = require "ccpool".current()
      return me.kind, me.name, me.id, require "ccpool".cancelled()
    end, name = "me" }
    t:start()
    assert.same({ "thread", "me", nil, false, n = 4 }, table.pack(t:result()))
  end)

  it("may use pools, threads and processes of its own", function()
    local t = ccpool.Thread{ target = function(n)
      local pool = require "ccpool"
      local ex <close> = pool.ThreadPoolExecutor(2)
      local inner = pool.Thread{ target = math.sqrt, args = { n } }
      local child = pool.Process{ target = function() os.exit(n) end }
      inner:start()
      child:start()
      child:join()
      return ex:submit(math.max, 3, n):result(), inner:result(), child.exitcode
    end, args = { 16 } }
    t:start()
    assert.same({ 16, 4.0, 16 }, { t:result() })
  end)

  it("raises NotSendableError at start, and may be started when that is mended", function()
    local args = { { log = io.stdout, file = io.tmpfile() } }
    local t = ccpool.Thread{ target = function(a) return a.file end, args = args }
    assert.matches("argument 1%.file", fails_with("NotSendableError", t.start, t).path)
    assert.is_false(t:is_alive())
    args[1].file = "mended"
    t:start()
    assert.equal("mended", t:result())
  end)

  it("cannot be sent itself", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local t = ccpool.Thread{ target = print }
    fails_with("NotSendableError", ex.submit, ex, print, t)
  end)

  it("works inside coroutines", function()
    local co = coroutine.wrap(function()
      local t = ccpool.Thread{ target = math.max, args = { 1, 2 } }
      t:start()
      coroutine.yield(t)
      return t:result()
    end)
    co():join()
    assert.equal(2, co())
  end)

  it("leaves nothing behind, a thousand times", function()
    local before
    for i = 1, 1000 do
      local t = ccpool.Thread{ target = math.max, args = { i, 0 } }
      t:start()
      assert.equal(i, t:result())
      if i == 10 then before = #program.entries("/proc/self/task") end
    end
    assert.is_true(#program.entries("/proc/self/task") <= before + 1)
  end)
end)

describe("thread:join", function()
  it("gives false when the time is up and true after the end", function()
    local gate <close> = fifo.new()
    local t = waiting(gate)
    assert.is_false(t:join(0))
    assert.is_false(t:join(0.01))
    assert.is_false(t:join(-1))
    gate:open()
    assert.is_true(t:join(math.huge))
    assert.is_true(t:join())
    assert.is_true(t:join(0))
  end)

  it("may be called by several coroutines", function()
    local gate <close> = fifo.new()
    local t = waiting(gate)
    local function join(timeout) return coroutine.wrap(function() return t:join(timeout) end) end
    assert.is_false(join(0)())
    assert.is_false(join(0.001)())
    gate:open()
    assert.is_true(join()())
    assert.is_true(join()())
  end)

  it("runs done callbacks meanwhile, from which it may be called again", function()
    local gate <close> = fifo.new()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local t = waiting(gate)
    local seen
    ex:submit(math.sqrt, 16):add_done_callback(function(f)
      gate:open()
      seen = { f:result(), t:join() }
    end)
    assert.is_true(t:join())
    assert.same({ 4.0, true }, seen)
  end)

  it("waits for what the thread has started", function()
    local gate <close> = fifo.new()
    local told <close> = fifo.new()
    local t = ccpool.Thread{ target = function(to, from)
      require "ccpool".Thread{ target = "spec.support.fifo.tell_and_pass",
        args = { to, from } }:start()
    end, args = { told.path, gate.path } }
    t:start()
    told:await()
    assert.is_false(t:join(0.01))
    gate:open()
    assert.is_true(t:join())
  end)
end)

describe("thread:result", function()
  it("raises the error of the target as it was, and reports it", function()
    local out, code, err = pools.run_script[[
      local ccpool = require "ccpool"
      local function fail() error{ code = 33 } end
      local t = ccpool.Thread{ target = fail, name = "bad" }
      t:start()
      local ok, e = pcall(t.result, t)
      print(ok, e.code, pcall(t.result, t))
      local u = ccpool.Thread{ target = function() local x = nil return x.y end }
      u:start()
      print(pcall(u.result, u))]]
    assert.equal(0, code)
    assert.matches("^false\t33\tfalse\ttable: %S+\nfalse\t[^\n]+attempt to index a nil value", out)
    assert.matches("^ccpool: uncaught error in thread 'bad': table: %S+\nstack traceback:\n", err)
    assert.matches("in function <%S+:2>", err)
    assert.matches("uncaught error in thread 'Thread%-%d+': [^\n]+attempt to index", err)
  end)

  it("raises NotSendableError for a result that cannot travel", function()
    local t = ccpool.Thread{ target = function() return 1, coroutine.create(print) end }
    t:start()
    assert.matches("result 2", fails_with("NotSendableError", t.result, t).path)
  end)

  it("raises TimeoutError when the time is up", function()
    local gate <close> = fifo.new()
    local t = waiting(gate, "late")
    fails_with("TimeoutError", t.result, t, 0)
    gate:open()
    assert.equal("late", t:result(60))
  end)
end)

describe("thread:getfd", function()
  it("is readable once the thread has ended, and stays so", function()
    local gate <close> = fifo.new()
    local t = waiting(gate)
    assert.equal(0, poll.rpoll(t:getfd(), 0))
    gate:open()
    assert.equal(1, poll.rpoll(t:getfd(), 60000))
    assert.is_false(t:is_alive())
    assert.is_true(t:join(0))
    assert.equal(1, poll.rpoll(t:getfd(), 0))
  end)

  it("is readable at once when it has ended before", function()
    local t = ccpool.Thread{ target = math.sqrt, args = { 4 } }
    t:start()
    t:join()
    assert.equal(1, poll.rpoll(t:getfd(), 0))
    t:close()
  end)
end)

describe("a <close> variable with a thread", function()
  it("joins it", function()
    local gate <close> = fifo.new()
    local t = waiting(gate, 5)
    gate:open()
    do local closing <close> = t end -- luacheck: ignore
    assert.is_false(t:is_alive())
    assert.matches("closed%)$", tostring(t))
  end)

  it("interrupts a daemon, and any if the scope is left by an error", function()
    for _, daemon in ipairs{ true, false } do
      local t = ccpool.Thread{ target = function() while true do end end, daemon = daemon }
      t:start()
      pcall(function()
        local closing <close> = t -- luacheck: ignore
        if not daemon then error "leave" end
      end)
      assert.is_false(t:is_alive())
    end
  end)

  it("may hold one that was never started", function()
    local t <close> = ccpool.Thread{ target = print }
    assert.is_false(t:is_alive())
  end)
end)

describe("misuse of a thread", function()
  local function new() return ccpool.Thread{ target = math.sqrt, args = { 4 } } end

  it("names the option", function()
    misuse(function() ccpool.Thread{} end, "target", "Thread", "nil")
    misuse(function() ccpool.Thread() end, "target")
    misuse(function() ccpool.Thread{ target = 5 } end, "target", "5")
    misuse(function() ccpool.Thread{ target = print, args = 5 } end, "args", "array")
    misuse(function() ccpool.Thread{ target = print, name = 5 } end, "name", "string")
    misuse(function() ccpool.Thread{ target = print, daemon = 1 } end, "daemon", "boolean")
    misuse(function() ccpool.Thread{ target = print, deamon = true } end, "deamon", "unknown")
    misuse(function() ccpool.Thread(print) end, "table of options")
  end)

  it("names the state that it is in", function()
    local t = new()
    misuse(function() t:join() end, "join", t.name, "was not started")
    misuse(function() t:result() end, "result", "was not started")
    misuse(function() t:getfd() end, "getfd", "was not started")
    t:start()
    misuse(function() t:start() end, "start", t.name, "started already")
    t:join()
    misuse(function() t:start() end, "started already")
    t:close()
    t:close()
    misuse(function() t:join() end, "join", "closed")
    misuse(function() t:result() end, "result", "closed")
    misuse(function() t:start() end, "start", "closed")
  end)

  it("cannot close a running one", function()
    local gate <close> = fifo.new()
    local t = waiting(gate)
    misuse(function() t:close() end, "close", t.name, "running")
    gate:open()
    t:join()
  end)

  it("names the argument", function()
    local t = new()
    t:start()
    for _, bad in ipairs{ "1", {}, 0 / 0, true } do
      misuse(function() t:join(bad) end, "#1", "join", "seconds")
      misuse(function() t:result(bad) end, "#1", "result", "seconds")
    end
    misuse(function() t.join() end, "join", "colon")
    t:join()
  end)
end)
