local ccpool = require "ccpool"
local dirent = require "posix.dirent"
local fifo = require "spec.support.fifo"
local loops = require "spec.support.loops"
local poll = require "posix.poll"
local pools = require "spec.support.pools"

local fails_with, misuse, task = pools.fails_with, pools.misuse, pools.task

local fail = task(function(value) error(value, 0) end)

local function count_descriptors()
  local n = 0
  for _ in dirent.files("/proc/self/fd") do n = n + 1 end
  return n
end

--- Lets the other threads of the loop run until the condition holds.
local function let_others(condition)
  local ex <close> = ccpool.ThreadPoolExecutor(1)
  for _ = 1, 20000 do
    if condition() then return end
    ex:submit(math.abs, -1):await()
  end
  error("the other threads do not get on", 2)
end

for name, run in loops.all() do
  describe("await in " .. name, function()
    if not run then
      it("works", function() pending(name .. " is not installed") end)
      return
    end
    local before, after = pools.unheard()
    setup(before)
    teardown(after)

    for kind, make in pools.concurrent() do
      describe("(" .. kind .. ")", function()
        it("gives every value of the task, nils included", function()
          local ex <close> = make(1)
          run(function()
            local f = ex:submit(function() return 1, nil, "x", nil end)
            assert.same({ n = 4, 1, nil, "x", nil }, table.pack(f:await()))
            assert.same({ n = 4, 1, nil, "x", nil }, table.pack(f:await(1)))
            assert.same({ n = 0 }, table.pack(ex:submit(function() end):await(30)))
          end)
        end)

        it("lets the other threads of the loop go on", function()
          local ex <close> = make(2)
          local gate <close>, futures = pools.occupy(ex)
          local began, got = 0, {}
          local function awaits(i)
            return function()
              began = began + 1
              got[i] = futures[i]:await(30)
            end
          end
          run(awaits(1), awaits(2), function()
            let_others(function() return began == 2 end)
            assert.same({}, got)
            gate:open()
          end)
          assert.same({ 1, 2 }, got)
        end)

        it("wakes each when its own task is done, in whatever order", function()
          local ex <close> = make(2)
          local gates, futures, log = {}, {}, {}
          for i = 1, 2 do
            gates[i] = fifo.new()
            futures[i] = ex:submit("spec.support.fifo.pass", gates[i].path, i)
          end
          local began = 0
          run(function()
            began = began + 1
            log[1] = futures[1]:await()
          end, function()
            began = began + 1
            assert.equal(2, futures[2]:await())
            assert.is_nil(log[1])
            gates[1]:open()
          end, function()
            let_others(function() return began == 2 end)
            gates[2]:open()
          end)
          assert.equal(1, log[1])
          for i = 1, 2 do gates[i]:close() end
        end)

        it("wakes all that wait for the same future", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          local began, n = 0, 0
          local function wait_for_it()
            began = began + 1
            assert.equal(1, futures[1]:await())
            n = n + 1
          end
          run(wait_for_it, wait_for_it, wait_for_it, function()
            let_others(function() return began == 3 end)
            gate:open()
          end)
          assert.equal(3, n)
        end)

        it("raises what the task raised", function()
          local ex <close> = make(1)
          run(function()
            for _, value in ipairs{ "short", { "a table" }, ("long "):rep(2000) } do
              local f = ex:submit(fail, value)
              local ok, err = pcall(f.await, f)
              assert.is_false(ok)
              assert.same(value, err)
            end
          end)
        end)

        it("times out without touching the task", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          local f = futures[1]
          run(function()
            for _ = 1, 3 do fails_with("TimeoutError", f.await, f, 0.001) end
            fails_with("TimeoutError", f.await, f, 0)
            fails_with("TimeoutError", f.await, f, -1)
            assert.equal("running", f:state())
            gate:open()
            assert.equal(1, f:await(math.huge))
          end)
        end)

        it("keeps the loop from ending no longer than somebody waits", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          assert(gate)
          for _ = 1, 2 do
            run(function() fails_with("TimeoutError", futures[1].await, futures[1], 0.001) end)
          end
        end)

        it("raises CancelledError when another thread cancels", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          local f = ex:submit(math.sqrt, 16)
          local began
          run(function()
            began = true
            fails_with("CancelledError", f.await, f)
          end, function()
            let_others(function() return began end)
            assert.is_true(f:cancel())
          end)
          gate:open()
          assert.equal(1, futures[1]:result())
        end)

        it("raises CancelledError when the pool is killed", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          assert(gate)
          local began
          run(function()
            began = true
            fails_with("CancelledError", futures[1].await, futures[1])
          end, function()
            let_others(function() return began end)
            ex:kill()
          end)
        end)

        it("serves many threads and leaves no descriptor behind", function()
          local ex <close> = make(2)
          local sum, threads = 0, {}
          for i = 1, 20 do
            threads[i] = function()
              for j = 1, 50 do
                local x = ex:submit(math.abs, -j):await(30)
                sum = sum + x
              end
            end
          end
          run(threads[1])
          collectgarbage() -- what the loop itself has left
          local descriptors = count_descriptors()
          run(table.unpack(threads))
          collectgarbage()
          assert.equal(21 * 1275, sum)
          assert.equal(descriptors, count_descriptors())
        end)

        it("gets on with the future's own descriptor", function()
          local ex <close> = make(1)
          local gate <close>, futures = pools.occupy(ex)
          local early, late = futures[1], ex:submit(math.sqrt, 16)
          early:getfd()
          run(function() assert.equal(1, early:await()) end,
            function() assert.equal(4.0, late:await()) end,
            function()
              late:getfd()
              gate:open()
            end)
          for _, f in ipairs{ early, late } do
            assert.equal(1, poll.rpoll(f:getfd(), 0))
          end
        end)

        it("runs done callbacks", function()
          local ex <close> = make(1)
          local seen
          run(function()
            local f = ex:submit(math.sqrt, 16)
            f:add_done_callback(function(done) seen = done:await() end)
            f:await()
          end)
          assert.equal(4.0, seen)
        end)
      end)
    end

    it("receives the replies of several executors", function()
      local a <close> = ccpool.ThreadPoolExecutor(1)
      local b <close> = ccpool.ProcessPoolExecutor(1)
      local c <close> = ccpool.SerialExecutor{}
      local log = {}
      local function from(ex)
        return function()
          for i = 1, 20 do
            local x = ex:submit(math.sqrt, i * i):await()
            log[#log + 1] = x
          end
        end
      end
      run(from(a), from(b), from(c))
      local sum = 0
      for _, x in ipairs(log) do sum = sum + x end
      assert.equal(3 * 210, sum)
    end)

    it("blocks where nobody can yield", function()
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      run(function()
        local f = ex:submit(math.sqrt, 16)
        local got = (("x"):gsub("x", function() return f:await() end))
        assert.equal("4.0", got)
      end)
    end)
  end)
end

--- Task: awaits in a loop of the worker's own.
local in_worker = task(function(name)
  local loops_there = require "spec.support.loops"
  local there = require "ccpool"
  local sum = 0
  for found, run in loops_there.all() do
    if found == name then
      local ex <close> = there.ThreadPoolExecutor(2)
      local function add()
        for i = 1, 10 do
          local x = ex:submit(math.abs, -i):await()
          sum = sum + x
        end
      end
      run(add, add)
    end
  end
  return sum
end)

--- Task: awaits a task of the executor that runs it.
local nested = task(function(ex)
  local cqueues = require "cqueues"
  local controller, got = cqueues.new(), nil
  controller:wrap(function() got = ex:submit(math.sqrt, 16):await() end)
  assert(controller:loop())
  return got
end)

describe("await", function()
  for name, run in loops.all() do
    for kind, make in pools.concurrent() do
      it(("works in a loop of %s of a %s worker"):format(name, kind), function()
        if not run then return pending(name .. " is not installed") end
        run(function() end) -- the program has one, too
        local ex <close> = make(1)
        assert.equal(110, ex:submit(in_worker, name):result(60))
      end)
    end
  end

  for kind, make in pools.all() do
    it("blocks outside of a loop (" .. kind .. ")", function()
      local ex <close> = make(1)
      assert.equal(4.0, ex:submit(math.sqrt, 16):await())
      assert.equal(4.0, coroutine.wrap(function() return ex:submit(math.sqrt, 16):await(30) end)())
      local f = ex:submit(fail, "no")
      local ok, err = pcall(f.await, f)
      assert.is_false(ok)
      assert.equal("no", err)
    end)
  end

  it("times out outside of a loop", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local gate <close>, futures = pools.occupy(ex)
    assert(gate)
    fails_with("TimeoutError", futures[1].await, futures[1], 0.001)
  end)

  it("refuses what is no future and what is no timeout", function()
    local ex <close> = ccpool.SerialExecutor{}
    local f = ex:submit(math.sqrt, 16)
    misuse(function() f:await("soon") end, "#1 to 'await'", "timeout in seconds", "string")
    misuse(function() f:await(0 / 0) end, "#1 to 'await'", "NaN")
    misuse(function() f.await({}) end, "'await'", "ccpool.Future expected", "table")
    misuse(function() f.await() end, "'await'", "ccpool.Future expected", "nil")
  end)

  describe("in cqueues", function()
    local ok, cqueues = pcall(require, "cqueues")

    it("never yields out of a coroutine of the program's own", function()
      if not ok then return pending("cqueues is not installed") end
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local controller, got = cqueues.new(), {}
      controller:wrap(function()
        for x in coroutine.wrap(function()
          coroutine.yield(ex:submit(math.sqrt, 16):await())
          coroutine.yield(ex:submit(math.sqrt, 25):await())
        end) do
          got[#got + 1] = x
        end
      end)
      assert(controller:loop())
      assert.same({ 4.0, 5.0 }, got)
    end)

    it("yields through coroutines that pass it on, once told to", function()
      if not ok then return pending("cqueues is not installed") end
      local wrap = require "cqueues.auxlib".wrap
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local gate <close>, futures = pools.occupy(ex)
      local controller, began, got = cqueues.new(), false, nil
      ccpool.use "cqueues"
      controller:wrap(function()
        got = wrap(function()
          began = true
          return futures[1]:await()
        end)()
      end)
      controller:wrap(function()
        let_others(function() return began end)
        gate:open()
      end)
      assert(controller:loop())
      ccpool.use(nil)
      assert.equal(1, got)
    end)

    it("works in loops inside of loops, which all end", function()
      if not ok then return pending("cqueues is not installed") end
      local ex <close> = ccpool.ThreadPoolExecutor(2)
      local n = 0
      local function wait_often()
        for i = 1, 50 do
          assert.equal(i, ex:submit(math.abs, -i):await())
          n = n + 1
        end
      end
      local outer = cqueues.new()
      outer:wrap(wait_often)
      outer:wrap(function()
        local inner = cqueues.new()
        inner:wrap(wait_often)
        inner:wrap(wait_often)
        assert(inner:loop())
      end)
      assert(outer:loop())
      assert.equal(150, n)
    end)

    it("does not deadlock on a task of the executor that runs the loop", function()
      if not ok then return pending("cqueues is not installed") end
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      assert.equal(4.0, ex:submit(nested, ex):result(60))
    end)
  end)

  describe("in luv", function()
    local ok, uv = pcall(require, "luv")

    it("is given up when its coroutine is closed", function()
      if not ok then return pending("luv is not installed") end
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      local gate <close>, futures = pools.occupy(ex)
      assert(gate)
      ccpool.use "luv"
      local co = coroutine.create(function() futures[1]:await(60) end)
      assert.is_true(coroutine.resume(co))
      assert.is_true(coroutine.close(co))
      uv.run()
      ccpool.use(nil)
    end)
  end)
end)

describe("ccpool.use", function()
  it("refuses loops that it does not know", function()
    misuse(function() ccpool.use("merry-go-round") end, "#1 to 'use'", "merry-go-round")
    misuse(function() ccpool.use(1) end, "#1 to 'use'", "number")
    misuse(function() ccpool.use({}) end, "#1 to 'use'", "table")
  end)

  it("refuses a loop that cannot be loaded, and changes nothing", function()
    local before = package.path
    local loaded = { copas = package.loaded.copas }
    package.path, package.loaded.copas = "./lua/?.lua", nil
    misuse(function() ccpool.use("copas") end, "#1 to 'use'", "'copas'")
    package.path, package.loaded.copas = before, loaded.copas
    assert.is_nil(ccpool.use(nil))
  end)

  it("gives what was in use before", function()
    if not pcall(require, "luv") then return pending("luv is not installed") end
    assert.is_nil(ccpool.use "luv")
    assert.equal("luv", ccpool.use(nil))
    assert.is_nil(ccpool.use(nil))
  end)
end)
