local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"
local poll = require "posix.poll"
local signal = require "posix.signal"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"
local fifo = require "spec.support.fifo"
local pools = require "spec.support.pools"
local program = require "spec.support.program"

local misuse = pools.misuse

local function started(target, ...)
  local p = ccpool.Process{ target = target, args = table.pack(...) }
  p:start()
  return p
end

--- Its exit code, once it has ended.
local function exitcode(target, ...)
  local p = started(target, ...)
  p:join()
  return p.exitcode
end

local function forever() while true do end end

describe("ccpool.Process", function()
  it("forks: any upvalue and argument is there, and what it changes is its own", function()
    local file <close> = io.tmpfile()
    local co = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end)
    co()
    local n = 0
    local p = started(function(...)
      n = n + 1
      file:write(select("#", ...), " ", co(), " ", n, " ", type((...)))
    end, file, nil, nil)
    p:join()
    assert.equal(0, p.exitcode)
    file:seek("set")
    assert.equal("3 2 1 userdata", file:read("a"))
    assert.equal(0, n)
    assert.equal(2, co())
  end)

  it("sees the program as it stands at start", function()
    local value = "made"
    local p = ccpool.Process{ target = function() os.exit(value == "started" and 3 or 4) end }
    value = "started"
    p:start()
    value = "later"
    p:join()
    assert.equal(3, p.exitcode)
  end)

  it("takes the name of a function", function()
    local told <close> = fifo.new()
    local p = started("spec.support.fifo.tell", told.path, "y")
    assert.equal("y", told:await())
    p:join()
    assert.equal(0, p.exitcode)
  end)

  it("has a pid, which is its ident, and a name", function()
    local gate <close> = fifo.new()
    local p = ccpool.Process{ target = fifo.pass, args = { gate.path }, name = "child" }
    assert.is_nil(p.pid)
    p:start()
    assert.equal(p.pid, p.ident)
    assert.is_true(program.within(10, function()
      return program.slurp(("/proc/%d/comm"):format(p.pid)) == "child\n"
    end))
    assert.matches("^ccpool.Process: %S+ %(child, running%)$", tostring(p))
    gate:open()
    p:join()
    assert.matches("%(child, ended%)$", tostring(p))
    assert.matches("^Process%-%d+$", ccpool.Process{ target = print }.name)
  end)

  it("knows who it is", function()
    assert.equal(0, exitcode(function()
      local me = ccpool.current()
      os.exit(me.kind == "process" and me.pid == unistd.getpid() and me.id == nil
        and me.name:match("^Process") and 0 or 1)
    end))
    assert.is_nil(ccpool.current())
  end)

  -- #nosan: the thread sanitizer does not know that a child begins with one thread
  it("may make pools, threads and processes of its own #nosan", function()
    assert.equal(36, exitcode(function()
      local threads <close> = ccpool.ThreadPoolExecutor(2)
      local processes <close> = ccpool.ProcessPoolExecutor(2)
      local t = ccpool.Thread{ target = math.max, args = { 1, 10 } }
      t:start()
      os.exit(threads:submit(math.max, 1, 20):result() + processes:submit(math.max, 1, 5):result()
        + t:result() + exitcode(function() os.exit(1) end))
    end))
  end)

  -- #nosan: as above
  it("may be started by a worker, and by a thread #nosan", function()
    local function nested(n)
      local p = require "ccpool".Process{ target = function() os.exit(n) end }
      p:start()
      p:join()
      return p.exitcode
    end
    local t = ccpool.Thread{ target = nested, args = { 5 } }
    t:start()
    assert.equal(5, t:result())
    for _, make in pools.concurrent() do
      local ex <close> = make(1)
      assert.equal(6, ex:submit(nested, 6):result())
    end
  end)

  it("seeds math.random anew", function()
    local told <close> = fifo.new()
    local function draw()
      fifo.tell(told.path, string.char(math.random(0, 255), math.random(0, 255),
        math.random(0, 255), math.random(0, 255)))
    end
    local seen = {}
    math.randomseed(42)
    for _ = 1, 3 do
      started(draw):join()
      local bytes = told:await(4)
      assert.is_nil(seen[bytes])
      seen[bytes] = true
    end
  end)

  it("leads a process group of its own and ignores SIGINT", function()
    local gate <close> = fifo.new()
    local told <close> = fifo.new()
    local p = started(fifo.tell_and_pass, told.path, gate.path)
    told:await()
    assert.equal(p.pid, tonumber(program.slurp(
      ("/proc/%d/stat"):format(p.pid)):match("%) %a %d+ (%d+)")))
    signal.kill(p.pid, signal.SIGINT)
    assert.is_false(p:join(0.01))
    gate:open()
    p:join()
    assert.equal(0, p.exitcode)
  end)

  it("cannot be sent itself", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    pools.fails_with("NotSendableError", ex.submit, ex, print, ccpool.Process{ target = print })
  end)

  it("cannot use what belongs to its parent", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local f = ex:submit(math.sqrt, 4)
    local p, other
    p = ccpool.Process{ target = function()
      local n = 0
      for _, try in ipairs{
        function() ex:submit(math.sqrt, 4) end,
        function() if f:state() == "pending" then f:result() else error() end end,
        function() other:join() end,
        function() other:kill() end,
        function() p:join() end,
        function() p:start() end,
      } do
        if not pcall(try) then n = n + 1 end
      end
      os.exit(n)
    end }
    local gate <close> = fifo.new()
    other = started(fifo.pass, gate.path)
    p:start()
    p:join()
    assert.equal(6, p.exitcode)
    assert.is_true(other:is_alive())
    gate:open()
    other:join()
    assert.equal(2.0, f:result())
  end)
end)

describe("process.exitcode", function()
  it("is nil before the end and 0 after the target has returned", function()
    local gate <close> = fifo.new()
    local p = started(fifo.pass, gate.path)
    assert.is_nil(p.exitcode)
    gate:open()
    p:join()
    assert.equal(0, p.exitcode)
  end)

  it("is what os.exit was called with", function()
    assert.equal(0, exitcode(function() os.exit() end))
    assert.equal(7, exitcode(function() os.exit(7) end))
    assert.equal(0, exitcode(function() os.exit(true, true) end))
    assert.equal(1, exitcode(function() os.exit(false) end))
    assert.equal(255, exitcode(function() os.exit(255) end))
    assert.equal(9, exitcode(function() unistd._exit(9) end))
  end)

  it("is -N for signal N", function()
    for _, sig in ipairs{ signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1 } do
      assert.equal(-sig, exitcode(function() signal.kill(unistd.getpid(), sig) end))
    end
  end)

  it("is 1 after an uncaught error, which is reported", function()
    local out, code, err = pools.run_script[[
      local ccpool = require "ccpool"
      local function fail() error "oh" end
      for _, target in ipairs{ fail, function() error{} end, function() error() end,
        function() error(setmetatable({}, { __tostring = error })) end, "no.such.target" } do
        local p = ccpool.Process{ target = target, name = "bad" }
        p:start()
        p:join()
        print(p.exitcode)
      end]]
    assert.equal(0, code)
    assert.equal("1\n1\n1\n1\n1\n", out)
    assert.matches("^ccpool: uncaught error in process 'bad': %S+:2: oh\nstack traceback:\n", err)
    assert.matches("in function <%S+:2>", err)
    assert.equal(5, select(2, err:gsub("ccpool: uncaught error", "")))
  end)

  it("is known even if the program reaps it itself, unless a signal ended it", function()
    local function reaped(target)
      local p = started(target)
      local pid
      repeat pid = wait.wait(-1) until pid == p.pid or pid == nil
      assert.is_true(p:join(60))
      return p.exitcode
    end
    assert.equal(0, reaped(function() end))
    assert.equal(3, reaped(function() os.exit(3) end))
    local killed = reaped(function() signal.kill(unistd.getpid(), signal.SIGKILL) end)
    assert.is_true(killed == nil or killed == -9)
  end)

  it("is known even if the program ignores SIGCHLD", function()
    local out, code, err = pools.run_script[[
      local ccpool = require "ccpool"
      local signal = require "posix.signal"
      signal.signal(signal.SIGCHLD, signal.SIG_IGN)
      local p = ccpool.Process{ target = function() os.exit(3) end }
      p:start()
      print(p:join(), p.exitcode, p:is_alive())
      local q = ccpool.Process{ target = function() while true do end end }
      q:start()
      q:kill()
      print(q:join(), q.exitcode, q:is_alive())]]
    assert.same({ "true\t3\tfalse\ntrue\tnil\tfalse\n", 0, "" }, { out, code, err })
  end)
end)

describe("process:join", function()
  it("gives false when the time is up and true after the end", function()
    local gate <close> = fifo.new()
    local p = started(fifo.pass, gate.path)
    assert.is_false(p:join(0))
    assert.is_false(p:join(0.01))
    assert.is_true(p:is_alive())
    gate:open()
    assert.is_true(p:join())
    assert.is_true(p:join(0))
    assert.is_false(p:is_alive())
  end)

  it("runs done callbacks meanwhile", function()
    local gate <close> = fifo.new()
    local ex <close> = ccpool.ProcessPoolExecutor(1)
    local p = started(fifo.pass, gate.path)
    ex:submit(math.sqrt, 16):add_done_callback(function() gate:open() end)
    assert.is_true(p:join())
  end)

  -- #nosan: as above
  it("waits for what the process has started #nosan", function()
    local gate <close> = fifo.new()
    local told <close> = fifo.new()
    local p = started(function() started(fifo.tell_and_pass, told.path, gate.path) end)
    told:await()
    assert.is_false(p:join(0.01))
    gate:open()
    assert.is_true(p:join())
  end)
end)

describe("process:terminate and kill", function()
  it("end it by SIGTERM and SIGKILL", function()
    local p, q = started(forever), started(forever)
    p:terminate()
    q:kill()
    assert.is_true(p:join() and q:join())
    assert.same({ -15, -9 }, { p.exitcode, q.exitcode })
    p:terminate() -- do nothing after the end
    q:kill()
  end)

  it("reach a stopped process", function()
    local p = started(forever)
    signal.kill(p.pid, signal.SIGSTOP)
    p:terminate()
    assert.is_true(p:join())
    assert.equal(-15, p.exitcode)
  end)

  it("kill its process group, too", function()
    local told <close> = fifo.new()
    local p = started(function()
      os.execute(("sh -c 'echo $$ >%s; exec sleep 100'"):format(told.path))
    end)
    local digits = ""
    repeat digits = digits .. told:await() until digits:sub(-1) == "\n"
    p:kill()
    p:join()
    assert.is_true(program.within(10, function() return not program.alive(tonumber(digits)) end))
  end)
end)

describe("process:getfd", function()
  it("is readable once the process has ended", function()
    local gate <close> = fifo.new()
    local p = started(fifo.pass, gate.path)
    assert.equal(0, poll.rpoll(p:getfd(), 0))
    gate:open()
    assert.equal(1, poll.rpoll(p:getfd(), 60000))
    assert.is_false(p:is_alive())
    assert.equal(0, p.exitcode)
    p:close()
  end)
end)

describe("a <close> variable with a process", function()
  it("joins it", function()
    local gate <close> = fifo.new()
    local p = started(fifo.pass, gate.path)
    gate:open()
    do local closing <close> = p end -- luacheck: ignore
    assert.equal(0, p.exitcode)
  end)

  it("ends a daemon, and any if the scope is left by an error", function()
    for _, daemon in ipairs{ true, false } do
      local p = ccpool.Process{ target = forever, daemon = daemon }
      p:start()
      pcall(function()
        local closing <close> = p -- luacheck: ignore
        if not daemon then error "leave" end
      end)
      assert.equal(-15, p.exitcode)
    end
  end)
end)

describe("misuse of a process", function()
  it("names the option", function()
    misuse(function() ccpool.Process{} end, "target", "Process", "nil")
    misuse(function() ccpool.Process{ target = print, arg = {} } end, "arg", "unknown")
  end)

  it("names the state that it is in", function()
    local p = ccpool.Process{ target = math.sqrt, args = { 4 } }
    misuse(function() p:join() end, "join", p.name, "was not started")
    misuse(function() p:kill() end, "kill", "was not started")
    misuse(function() p:terminate() end, "terminate", "was not started")
    p:start()
    misuse(function() p:start() end, "start", p.name, "started already")
    p:join()
    p:close()
    misuse(function() p:join() end, "join", "closed")
    misuse(function() p:terminate() end, "terminate", "closed")
  end)

  it("cannot close a running one", function()
    local gate <close> = fifo.new()
    local p <close> = started(fifo.pass, gate.path)
    misuse(function() p:close() end, "close", p.name, "running")
    gate:open()
  end)
end)
