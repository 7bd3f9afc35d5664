--- What a forked process does with what it inherited, and what of the program's threads it
-- has nothing to do with.

local ccpool = require "ccpool"
local modules = require "spec.support.modules"
local pools = require "spec.support.pools"

local assert, describe, it, pending = assert, describe, it, pending
local _ENV = _G -- luacheck: ignore

local task = pools.task

local PATIENCE = 30 -- seconds; reached only by what is broken

--- Runs f in a process by hand; gives its exit code, nil if it had to be killed.
local function exit_code_of(f)
  local process = ccpool.Process{ target = f }
  process:start()
  if process:join(PATIENCE) then return process.exitcode end
  process:kill()
  process:join()
  return nil
end

describe("a forked process", function()
  -- #nosan: the thread sanitizer cannot bear a forked child that makes threads.
  it("knows nothing of what the program's threads wait for #nosan", function()
    assert.equal("fine\nfine\n", pools.output_of [[
      local ccpool = require "ccpool"
      local unistd = require "posix.unistd"
      local gate, waits = ccpool.Event(), ccpool.Semaphore(0)
      local inner, outer = ccpool.ThreadPoolExecutor(1), ccpool.ThreadPoolExecutor(4)
      local blocked = inner:submit(function(e) e:wait() end, gate)
      local futures = {}
      for i = 1, 4 do
        futures[i] = outer:submit(function(f, sem)
          sem:release()
          f:result()
        end, blocked, waits)
      end
      for _ = 1, 4 do waits:acquire() end
      for _, f in ipairs(futures) do -- most of them sleep by then
        assert(not f:presult(0.1))
      end
      local function nested()
        local a, b = ccpool.ThreadPoolExecutor(2), ccpool.ThreadPoolExecutor(4)
        for _ = 1, 20 do
          local list = {}
          for i = 1, 4 do
            local f = a:submit(function(n)
              local until_ = os.clock() + 0.002
              while os.clock() < until_ do end
              return n
            end, i)
            list[i] = b:submit(function(g) return g:result() end, f)
          end
          for i = 1, 4 do assert(list[i]:result(20) == i) end
        end
        return "fine"
      end
      _G.nested = nested
      local processes = ccpool.ProcessPoolExecutor(1)
      print(processes:submit(function() return nested() end):result(50))
      io.flush()
      local pid = unistd.fork() -- not ccpool's own
      if pid == 0 then
        print(nested())
        io.flush()
        unistd._exit(0)
      end
      require "posix.sys.wait".wait(pid)
      gate:set()
    ]])
  end)

  -- #nosan: the address sanitizer's allocator does not bear forks while others allocate.
  it("may look at an executor that a thread of the program uses #nosan", function()
    local ex <close> = ccpool.ThreadPoolExecutor(2)
    local stop = ccpool.Event()
    local busy = ccpool.Thread{ args = { ex, stop }, target = task(function(shared, event)
      while not event:is_set() do
        local f
        for _ = 1, 50 do f = shared:submit(math.sqrt, 4) end
        f:result()
      end
    end) }
    busy:start()
    for _ = 1, 60 do
      assert.equal(0, exit_code_of(function()
        assert(ex.max_workers == 2 and tostring(ex):find("2 workers", 1, true))
      end))
    end
    stop:set()
    busy:join()
  end)

  -- #nosan: the thread sanitizer, as above
  for _, what in ipairs{ "executor", "future" } do
    it(("is told from its siblings by the %s of one #nosan"):format(what), function()
      local ex <close> = ccpool.ProcessPoolExecutor(2)
      local queue, meeting = ccpool.Queue(), ccpool.Barrier(2)
      local give = task(function(kind, q, both)
        local own <close> = require "ccpool".ThreadPoolExecutor(1)
        local gate = require "ccpool".Event()
        local f = own:submit(function(e) e:wait() end, gate)
        q:put(kind == "future" and f or own)
        both:wait()
        both:wait()
        gate:set()
      end)
      local get = task(function(q, both)
        local own <close> = require "ccpool".ThreadPoolExecutor(1)
        local gate, mine = require "ccpool".Event(), require "ccpool".Queue()
        local f = own:submit(function(e) e:wait() end, gate)
        mine:put(f) -- as many as its sibling has sent
        mine:get()
        both:wait()
        local ok, err = pcall(q.get, q)
        both:wait()
        gate:set()
        return ok, tostring(err)
      end)
      local giver = ex:submit(give, what, queue, meeting)
      local ok, err = ex:submit(get, queue, meeting):result(PATIENCE)
      giver:result(PATIENCE)
      assert.is_false(ok)
      assert.equal(("NotSendableError: cannot send the %s (it travels to threads of its own "
        .. "process only)"):format(what), err)
    end)
  end

  it("leaves no scope that its parent has entered", function()
    local semaphore, value = ccpool.Semaphore(1), ccpool.Value("i64")
    local scope = coroutine.wrap(function()
      local queue <close> = ccpool.Queue()
      local _ <close> = semaphore:guard()
      local _ <close> = value:lock()
      coroutine.yield(queue)
    end)
    local queue = scope()
    assert.equal(0, exit_code_of(scope))
    assert.is_false(queue:closed())
    assert.equal(0, semaphore:value())
    scope()
    assert.is_true(queue:closed())
    assert.equal(1, semaphore:value())
  end)

  it("knows who it is until its state is closed", function()
    assert.equal("somebody with a name\n", pools.output_of [[
      local ccpool, exit = require "ccpool", os.exit -- its own os.exit leaves the state open
      local last = setmetatable({}, { __gc = function()
        local who = ccpool.current()
        if who then print(who.name) end
      end })
      local process = ccpool.Process{ name = "somebody with a name", target = function()
        exit(last and 0, true)
      end }
      process:start()
      process:join()
      assert(process.exitcode == 0)
    ]])
  end)

  it("is another one than its own workers", function()
    local process
    process = ccpool.Process{ target = function()
      assert(process.pid == ccpool.current().pid)
      _G.inherited = process
      local ex <close> = ccpool.ProcessPoolExecutor(1)
      local pid, ok, err = ex:submit(task(function()
        local p = _G.inherited
        return p.pid, pcall(p.join, p)
      end)):result(PATIENCE)
      assert(pid == nil and not ok and err:find("belongs to the process that made it", 1, true))
    end }
    process:start()
    process:join()
    assert.equal(0, process.exitcode)
  end)
end)

-- While a module loads, forks wait, and other threads write.
local WRITES = [[
  local dir = %q
  package.cpath = dir .. "/?.so;" .. package.cpath
  local ccpool = require "ccpool"
  local stop, loader = ccpool.Event(), ccpool.ThreadPoolExecutor(1)
  loader:warmup()
  local traced = ccpool.ThreadPoolExecutor(1)
  traced:trace(dir .. "/trace")
  local writer = ccpool.Thread{ args = { traced, stop }, target = function(ex, event)
    local n = 0
    while not event:is_set() do
      n = n + 1
      io.write("line ", n, "\n")
      for _ = 1, 20 do ex:submit(math.sqrt, n) end
      ex:submit(math.sqrt, n):result()
    end
    io.flush()
  end }
  writer:start()
  for i = 1, 2 do
    local loaded = loader:submit(function(name) return require(name) end, "slow" .. i)
    io.open(dir .. "/slow" .. i .. ".begun"):read(1)
    if i == 1 then
      local ex <close> = ccpool.ProcessPoolExecutor(2)
      assert(ex:submit(math.sqrt, 4):result() == 2)
    else
      local process <close> = ccpool.Process{ target = math.sqrt, args = { 4 } }
      process:start()
    end
    loaded:result()
  end
  stop:set()
  writer:join()
  traced:trace(nil)
]]

describe("a forked process", function()
  local dir = os.tmpname()

  local function each_once(lines)
    local seen = {}
    for line in lines do
      assert.is_nil(seen[line])
      seen[line] = true
    end
    return next(seen) ~= nil
  end

  -- #nosan: the address sanitizer, as above
  it("writes nothing that the program's threads have written #nosan", function()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir))
    if not (modules.build_slow(dir, "slow1") and modules.build_slow(dir, "slow2")) then
      return pending("no C compiler")
    end
    assert.is_true(each_once(pools.output_of(WRITES:format(dir)):gmatch("[^\n]*\n")))
    assert.is_true(each_once(io.lines(dir .. "/trace")))
  end)

  it("is through with its files", function() os.execute("rm -rf " .. dir) end)
end)
