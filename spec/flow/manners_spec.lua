--- Manners that all executors have: how misuse is told, and by whose line; what counts as a
-- number; what is there after the end; views.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local misuse, fails_with = pools.misuse, pools.fails_with

local METHODS = { "with", "map", "starmap", "shutdown", "terminate", "kill", "warmup", "stats",
  "trace", "resize", "broadcast" }

for kind, make in pools.all() do
  describe("an executor (" .. kind .. ")", function()
    it("tells the caller of a method without a colon", function()
      local ex <close> = make(1)
      for _, name in ipairs(METHODS) do
        for _, self in ipairs{ {}, print, "a.b", 1, io.stdout } do
          misuse(function() local _ = ex[name](self) end, name, type(self))
        end
        misuse(function() local _ = ex[name]() end, name, "nil")
      end
      misuse(function() local _ = ex.submit(print) end, "function")
      misuse(function() local _ = ex:submit() end, "submit", "got no value")
    end)

    it("takes whole floats for integers", function()
      local ex <close> = make{ max_workers = 4 / 2 }
      assert.equal(2, ex.max_workers)
      assert.equal("integer", math.type(ex.max_workers))
      ex:resize(6 / 2)
      assert.equal(3, ex.max_workers)
      local opts = { chunksize = 2.0, buffersize = 2.0 }
      assert.equal(2, ex:map(math.sqrt, { 4, 9 }, opts):collect().n)
      assert.equal(2.0, ex:with{ priority = 1.0, retries = 2.0 }:submit(math.sqrt, 4):result())
    end)

    it("takes no large number for a small one", function()
      local ex <close> = make{ max_workers = 1, max_queue = (1 << 32) + 1, overflow = "error",
        max_tasks_per_worker = (1 << 32) + 1 }
      local futures = {}
      for i = 1, 10 do futures[i] = ex:submit(math.abs, -i) end
      assert.equal(10, ccpool.all(futures)[10])
      assert.equal(0, ex:stats().recycled)
      local n = 0
      for _ in ex:map(math.abs, { 1, 2, 3 }, { chunksize = (1 << 32) + 1 }) do n = n + 1 end
      assert.equal(3, n)
      if kind == "serial" then return end -- it would try for as long as that
      local f = ex:with{ timeout = 0.01, retries = 1 << 32 }:submit(function()
        while true do end
      end)
      while ex:stats().retries < 2 and not f:done() do ccpool.poll(0.01) end
      assert.is_false(f:done())
      f:cancel{ force = true }
    end)

    it("submits nothing after its end, maps without items included", function()
      for _, finish in ipairs{ "shutdown", "terminate", "kill" } do
        local ex = make(1)
        ex[finish](ex)
        fails_with("ShutdownError", ex.submit, ex, math.sqrt, 1)
        fails_with("ShutdownError", ex.map, ex, math.sqrt, {})
        fails_with("ShutdownError", ex.map, ex, math.sqrt, function() end)
        fails_with("ShutdownError", ex.starmap, ex, math.sqrt, {})
        fails_with("ShutdownError", ex.warmup, ex)
        fails_with("ShutdownError", ex.resize, ex, 3)
        assert.equal(1, ex.max_workers)
        ex:shutdown()
      end
    end)

    it("says which task was late, and how", function()
      local ex <close> = make{ max_workers = 1, grace = 0.1 }
      local function spin() while true do end end
      local named = ex:with{ timeout = 0.02, name = "spin" }:submit(spin):exception()
      assert.equal("task 'spin' ran longer than 0.02 s", named.message)
      local plain = ex:with{ timeout = 0.02 }:submit(spin):exception()
      assert.equal("the task ran longer than 0.02 s", plain.message)
      local late = ex:with{ deadline = 0.02, name = "spin" }:submit(spin):exception()
      assert.equal("the deadline of task 'spin' has passed", late.message)
      assert.equal("the task's deadline has passed",
        ex:with{ deadline = 0 }:submit(math.abs, 1):exception().message)
    end)

    it("starts nothing that has no time", function()
      local ex <close> = make(1)
      for _, timeout in ipairs{ 0, -1, -math.huge } do
        local f = ex:with{ timeout = timeout, retries = 3 }:submit(math.abs, -1)
        assert.equal("the task ran longer than 0 s", f:exception().message)
        assert.same({}, f:attempts())
        for i, ok, err in ex:with{ timeout = timeout }:map(math.abs, { 1, 2 },
            { on_error = "return" }) do
          assert.is_true(i <= 2 and not ok and ccpool.is_error(err, "TimeoutError"))
        end
      end
      assert.equal(0, ex:stats().done)
      assert.equal(9, ex:stats().timeouts)
    end)

    it("says where an error object was raised", function()
      local ex <close> = make(1)
      local err, traceback = ex:submit(function()
        local cc = require "ccpool"
        local q = cc.Queue(1)
        error(select(2, q:get(0)))
      end):exception()
      assert.equal("TimeoutError", err.kind)
      assert.equal(traceback, err.traceback)
      assert.matches("manners_spec.lua", err.traceback, 1, true)
      local plain = { kind = "mine" }
      assert.is_nil(ex:submit(function(e) error(e) end, plain):exception().traceback)
    end)

    it("is broken everywhere if its initializer fails", function()
      local ex = make{ max_workers = 1, initializer = function() error "no start" end }
      pcall(function() ex:submit(math.abs, 1):result() end)
      for _, call in ipairs{
        function() ex:submit(math.abs, 1) end,
        function() local _ = ex:map(math.abs, {}) end,
        function() ex:warmup() end,
        function() ex:broadcast(math.abs, 1) end,
      } do
        assert.matches("no start", fails_with("BrokenExecutorError", call).cause, 1, true)
      end
      if kind ~= "serial" then
        local err = fails_with("BrokenExecutorError", ex.submit, ex, math.abs, 1)
        assert.matches("no start\nstack traceback:", err.traceback, 1, true)
      end
      ex:shutdown()
    end)

    it("collects into an array as long as it says", function()
      local ex <close> = make(1)
      local step = ex:map(math.abs, { -1, -2, -3 })
      assert.equal(1, (step()))
      assert.same({ nil, 2, 3, n = 3 }, (step:collect()))
      local list, errors = ex:map(math.abs, {}, { on_error = "return" }):collect()
      assert.same({ n = 0 }, list)
      assert.same({}, errors)
    end)

    it("names starmap where starmap was called", function()
      local ex <close> = make(1)
      misuse(function() local _ = ex:starmap(math.max, { { 1 }, nil, { 2 } }) end, "'starmap'")
      misuse(function() local _ = ex:starmap(math.max, { { n = -1 } }) end, "starmap",
        "-1 arguments")
    end)
  end)

  describe("a view (" .. kind .. ")", function()
    it("has its executor's kind, name and size", function()
      local ex <close> = make{ max_workers = 2, name = "seen" }
      local view = ex:with{ priority = 1 }
      assert.equal(kind, view.kind)
      assert.equal("seen", view.name)
      assert.equal(2, view.max_workers)
      ex:resize(3)
      assert.equal(3, view.max_workers)
      assert.is_nil(view.no_such_field)
    end)

    it("may be a <close> variable, and ends nothing", function()
      local ex <close> = make(1)
      local view = ex:with{ priority = 1 }
      for _ = 1, 2 do
        local _ <close> = view
      end
      assert.equal(2.0, view:submit(math.sqrt, 4):result())
      assert.equal(3.0, ex:submit(math.sqrt, 9):result())
    end)
  end)
end

describe("the serial executor's trace", function()
  it("has a row, and a slice for each run of a task", function()
    local path = os.tmpname()
    local ex <close> = ccpool.SerialExecutor{ name = "inline" }
    ex:trace(path)
    ex:submit(math.abs, 1)
    ex:with{ name = "named" }:map(math.abs, { 1, 2, 3 }):collect()
    ex:with{ timeout = 0.01, retries = 1, name = "late" }:submit(function() while true do end end)
      :exception()
    ex:trace(nil)
    ex:submit(math.abs, 1)
    local file <close> = io.open(path)
    local text = file:read("a")
    os.remove(path)
    assert.matches("^%[\n", text)
    assert.matches("\n%]\n$", text)
    local function count(what) return select(2, text:gsub(what, "")) end
    assert.equal(1, count("inline_1"))
    assert.equal(1, count('"task 1"'))
    assert.equal(3, count('"named"'))
    assert.equal(2, count('"late"'))
    assert.equal(6, count('"ph":"X"'))
    assert.is_true(ccpool.is_error(select(2, pcall(ex.trace, ex, "/no/such/place")), "SystemError"))
  end)
end)

describe("an executor in its own tasks", function()
  it("may be a <close> variable there, and is not ended by it", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    ex:submit(function(e) local _ <close> = e end, ex):result()
    assert.equal(2.0, ex:submit(math.sqrt, 4):result())
  end)

  it("blames the task's line when it is not theirs to end", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local err = ex:submit(function(e)
      local _, why = pcall(function() e:shutdown() end)
      return why
    end, ex):result()
    assert.matches("manners_spec.lua:%d+: cannot call 'shutdown'", err)
  end)

  it("takes their resize for its own", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    ex:submit(function(e) e:resize(3) end, ex):result()
    assert.equal(3, ex.max_workers)
    ex:warmup()
    assert.equal(3, #ex:stats().workers)
    assert.equal(3, ex:submit(function(e) return e.max_workers end, ex):result())
  end)

  it("refuses a broadcast that would wait for its own task", function()
    local ex <close> = ccpool.ThreadPoolExecutor(2)
    local err = ex:submit(function(e) e:broadcast(math.abs, 1) end, ex):exception(60)
    assert.is_true(ccpool.is_error(err, "DeadlockError"), tostring(err))
    ex:broadcast(math.abs, 1)
    local other <close> = ccpool.ThreadPoolExecutor(1)
    other:submit(function(e) e:broadcast(math.abs, 1) end, ex):result()
  end)

  it("comes with its views", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1, grace = 0.1 }
    local other <close> = ccpool.ThreadPoolExecutor(1)
    local view = ex:with{ timeout = 0.05, name = "sent", retries = 1 }
    local message, attempts, name = other:submit(function(v)
      local f = v:submit(function() while true do end end)
      return f:exception().message, #f:attempts(), v.name
    end, view):result()
    assert.equal("task 'sent' ran longer than 0.05 s", message)
    assert.equal(2, attempts)
    assert.equal(ex.name, name)
    assert.equal(2.0, other:submit(function(v)
      return (v:with{ deadline = 60 }:submit(math.sqrt, 4):result())
    end, ex:with{ deadline = 60, priority = -3 }):result())
  end)
end)

describe("an executor in a forked child", function()
  it("leaves the parent's alone at the end of a scope", function()
    local out, code, err = pools.run_script[[
      local ccpool = require "ccpool"
      local unistd = require "posix.unistd"
      local function run()
        local ex <close> = ccpool.ThreadPoolExecutor(1)
        local f = ex:submit(math.sqrt, 4)
        io.stdout:flush()
        local pid = unistd.fork()
        if pid == 0 then return "child" end
        require "posix.sys.wait".wait(pid)
        return "parent", f:result()
      end
      print(run())
    ]]
    assert.equal("", err)
    assert.equal(0, code)
    assert.equal("child\nparent\t2.0\n", out)
  end)
end)

describe("futures with a hole between them", function()
  for _, name in ipairs{ "wait", "as_completed", "all", "any" } do
    it("are misuse of " .. name, function()
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local list = { ex:submit(math.abs, 1), [3] = ex:submit(math.abs, 2) }
      misuse(function() local _ = ccpool[name](list) end, name, "nil at 2")
    end)
  end

  it("may have other fields beside them", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local list = table.pack(ex:submit(math.abs, 1), ex:submit(math.abs, 2))
    assert.equal(2, #ccpool.wait(list))
  end)
end)

describe("shared objects", function()
  it("tell the caller of a method without a colon", function()
    local lock, queue, dict = ccpool.Lock(), ccpool.Queue(), ccpool.Dict()
    local changed, value = ccpool.Condition(), ccpool.Value("i32")
    misuse(function() local _ = lock.guard() end, "guard")
    misuse(function() lock.with(print) end, "with")
    misuse(function() local _ = queue.iter({}) end, "iter")
    misuse(function() dict.incr("k") end, "incr")
    misuse(function() changed.wait_for(print) end, "wait_for")
    misuse(function() changed.acquire(queue) end, "acquire")
    misuse(function() changed.release() end, "release")
    misuse(function() changed:release() end, "release")
    misuse(function() changed:wait_for(function() end) end, "not held")
    misuse(function() ccpool.Lock():guard().release() end, "release")
    misuse(function()
      local guard = lock:guard()
      lock:release()
      guard:release()
    end, "not held")
    misuse(function() changed:acquire("1") end, "#1", "acquire")
    misuse(function() ccpool.Thread{ target = print }.start(ccpool.ThreadPoolExecutor(1)) end,
      "'start'")
    misuse(function() local _ = value.lock() end, "lock")
  end)

  it("tell what is no function before they are acquired", function()
    local lock, changed = ccpool.Lock(), ccpool.Condition()
    misuse(function() lock:with(nil) end, "#1", "'with'", "nil")
    misuse(function() lock:with(5) end, "#1", "'with'", "number")
    assert.is_false(lock:locked())
    assert.equal(7, (lock:with(setmetatable({}, { __call = function() return 7 end }))))
    misuse(function() changed:wait_for(nil) end, "#1", "'wait_for'")
    misuse(function() changed:wait_for(print, "1") end, "#2", "'wait_for'")
    misuse(function() changed:wait_for(print, 0 / 0) end, "#2", "'wait_for'")
  end)

  it("tell what cannot be counted", function()
    local dict = ccpool.Dict()
    dict:set("k", "text")
    misuse(function() dict:incr("k") end, "incr", "string")
    misuse(function() dict:incr({}) end, "#1", "incr", "table")
    misuse(function() dict:incr(0 / 0) end, "#1", "incr", "NaN")
    assert.equal("text", dict:get("k"))
  end)
end)
