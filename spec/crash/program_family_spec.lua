local program = require "spec.support.program"

local KINDS = { "Thread", "Process" }

--- Counts what a program holds; the same in the program's text.
local HELD = [[
local ccpool = require "ccpool"
local dirent = require "posix.dirent"
local function count(path) return #dirent.dir(path) end
local function held()
  local children = 0
  for _, tid in ipairs(dirent.dir("/proc/self/task")) do
    local file = tid:match("%d") and io.open("/proc/self/task/" .. tid .. "/children")
    if file then
      for _ in file:read("a"):gmatch("%d+") do children = children + 1 end
      file:close()
    end
  end
  return count("/proc/self/fd"), count("/proc/self/task"), children
end
]]

for _, kind in ipairs { "Thread", "Process", "Serial" } do
  describe("a hundred pools: " .. kind .. " #crash", function()
    local class = kind == "Serial" and "SerialExecutor" or kind .. "PoolExecutor"
    local ENDS = {
      { "shut down", "ex:shutdown()" },
      { "closed", "local e <close> = ex" },
      { "killed", "ex:kill() ex:shutdown()" },
      { "shut down after a crash", [[
        if ex.kind == "process" then ex:submit(function() os.exit(1) end):exception() end
        ex:shutdown()]] },
      { "unused, shut down", "ex:shutdown()", true },
    }
    for _, ending in ipairs(ENDS) do
      -- #nosan: the thread sanitizer's own memory does not outlast so many mappings
      it("leave no descriptor, thread, child or zombie: " .. ending[1] .. " #nosan", function()
        local result = program.run(HELD .. ([[
          local function once()
            local ex = ccpool.%s(2)
            %s
            %s
          end
          -- what is closed and collected is freed when the next pool is made
          local function settled()
            collectgarbage() collectgarbage()
            once()
            print(held())
          end
          once()
          settled()
          for _ = 1, 100 do once() end
          settled()]]):format(class,
          ending[3] and "" or "assert(ex:submit(math.sqrt, 4):result() == 2)", ending[2]))
        assert.equal("", result.err)
        local n = {}
        for number in result.out:gmatch("%d+") do n[#n + 1] = tonumber(number) end
        assert.equal(6, #n)
        assert.is_true(n[4] <= n[1] + 2, result.out) -- descriptors
        assert.is_true(n[5] <= n[2] + 1, result.out) -- threads: one may be ending
        assert.equal(0, n[6])
      end)
    end

    it("leave nothing, dropped and collected", function()
      local result = program.run(HELD .. ([[
        for _ = 1, 100 do
          local ex = ccpool.%s(2)
          ex:submit(math.sqrt, 4)
          ex = nil
          collectgarbage()
        end
        local limit = require "ccpool.core".now() + 10
        local fds, threads, children
        repeat -- the last ones may still be ending
          collectgarbage()
          ccpool.%s(1):shutdown()
          fds, threads, children = held()
        until fds <= 14 and threads <= 4 and children == 0 or require "ccpool.core".now() > limit
        print(fds, threads, children)]]):format(class, class))
      assert.equal("", result.err)
      local fds, threads, children = result.out:match("^(%d+)\t(%d+)\t(%d+)\n$")
      assert.is_true(tonumber(threads) <= 4, result.out) -- ".", "..", one or two threads
      assert.equal("0", children)
      assert.is_true(tonumber(fds) <= 14, result.out)
    end)
  end)
end

describe("a program that meddles with its children #crash", function()
  it("may ignore SIGCHLD", function()
    local result = program.run [[
      local signal = require "posix.signal"
      signal.signal(signal.SIGCHLD, signal.SIG_IGN)
      local ccpool = require "ccpool"
      local ex = ccpool.ProcessPoolExecutor(2)
      print(ex:submit(math.sqrt, 4):result())
      print(ex:submit(function() os.exit(3) end):exception().exitcode)
      print(ex:submit(math.sqrt, 16):result())
      print(ex:submit(function() return io.popen("echo hello"):read("a") end):result())
      ex:shutdown()
      print(ccpool.ProcessPoolExecutor(1):submit(math.sqrt, 25):result())]]
    assert.same({ code = 0, out = "2.0\n3\n4.0\nhello\n\n5.0\n", err = "" }, result)
  end)

  it("may have inherited an ignored SIGCHLD and blocked signals", function()
    local result = program.run([[
      local ccpool = require "ccpool"
      local ex = ccpool.ProcessPoolExecutor(2)
      print(ex:submit(function() os.exit(3) end):exception().exitcode)
      print(ex:submit(math.sqrt, 16):result())]],
      { before = function()
        local signal = require "posix.signal"
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
      end })
    assert.same({ code = 0, out = "3\n4.0\n", err = "" }, result)
  end)

  it("may reap whatever there is, again and again", function()
    local result = program.run [[
      local wait = require "posix.sys.wait"
      local ccpool = require "ccpool"
      local ex = ccpool.ProcessPoolExecutor(2)
      local fs = {}
      for i = 1, 100 do
        fs[i] = ex:submit(function(n) if n % 10 == 0 then os.exit(1) end return n end, i)
        wait.wait(-1, wait.WNOHANG)
      end
      local sum, crashes = 0, 0
      for _, f in ipairs(fs) do
        local ok, value = f:presult()
        wait.wait(-1, wait.WNOHANG)
        if ok then sum = sum + value else crashes = crashes + 1 end
      end
      print(sum, crashes)
      ex:shutdown()
      print(wait.wait(-1, wait.WNOHANG) == nil)]]
    assert.same({ code = 0, out = "4500\t10\ntrue\n", err = "" }, result)
  end)

  it("may have taken the zygote's end for itself", function()
    local result = program.run [[
      local wait, signal = require "posix.sys.wait", require "posix.signal"
      local ccpool = require "ccpool"
      local ex = ccpool.ProcessPoolExecutor(1)
      local worker = ex:submit(function()
        return require "posix.unistd".getppid()
      end):result()
      signal.kill(worker, signal.SIGKILL)
      print(wait.wait(-1) == worker)
      local ok, f = pcall(ex.submit, ex, math.sqrt, 1)
      print(((ok and f:exception() or f) or {}).kind)
      print(ex:shutdown())]]
    -- the pool may reap it first
    assert.equal("", result.err)
    assert.equal(0, result.code)
    assert.matches("\nBrokenExecutorError\ntrue\n$", result.out)
  end)

  it("gets its own children's ends, not ccpool's", function()
    local result = program.run [[
      local wait, unistd = require "posix.sys.wait", require "posix.unistd"
      local ccpool = require "ccpool"
      local ex = ccpool.ProcessPoolExecutor(2)
      ex:submit(function() os.exit(3) end):exception()
      local pid = unistd.fork()
      if pid == 0 then unistd._exit(7) end
      ex:submit(function() os.exit(3) end):exception()
      ex:submit(math.sqrt, 4):result()
      local got, how, code = wait.wait(pid)
      print(got == pid, how, code)]]
    assert.same({ code = 0, out = "true\texited\t7\n", err = "" }, result)
  end)
end)

for _, kind in ipairs(KINDS) do
  describe("a child forked by the program beside a " .. kind .. "PoolExecutor #crash", function()
    local ENDS = { "os.exit(5)", "os.exit(5, true)", "unistd._exit(5)",
      "ex = nil collectgarbage() os.exit(5)", "ex = nil collectgarbage() os.exit(5, true)" }
    for _, ending in ipairs(ENDS) do
      for _, state in ipairs { "idle", "busy", "watched" } do
        it(("may end by %s, %s pool"):format(ending, state), function()
          local result = program.run(([[
            local wait, unistd = require "posix.sys.wait", require "posix.unistd"
            local ccpool = require "ccpool"
            local ex = ccpool.%sPoolExecutor(2)
            local fs = {}
            local state = %q
            if state == "idle" then ex:submit(math.sqrt, 4):result() end
            for i = 1, state == "idle" and 0 or 50 do
              fs[i] = ex:submit(function(n)
                local s = 0
                for k = 1, 20000 do s = s + k end
                return n
              end, i)
              if state == "watched" then fs[i]:add_done_callback(function() end) end
            end
            local pid = unistd.fork()
            if pid == 0 then
              %s
            end
            local got, how, code = wait.wait(pid)
            print(got == pid, how, code)
            local sum = 0
            for _, f in ipairs(fs) do sum = sum + f:result() end
            print(sum)
            print(ex:submit(math.sqrt, 4):result())
            ex:shutdown()]]):format(kind, state, ending))
          local sum = state == "idle" and 0 or 1275
          assert.same({ code = 0, out = ("true\texited\t5\n%d\n2.0\n"):format(sum), err = "" },
            result)
        end)
      end
    end

    it("is told that executor and futures are not its own", function()
      local result = program.run(([[
        local wait, unistd = require "posix.sys.wait", require "posix.unistd"
        local ccpool = require "ccpool"
        local ex = ccpool.%sPoolExecutor(2)
        local f = ex:submit(function() local x = 0 for i = 1, 1e6 do x = x + i end return 8 end)
        local step = ex:map(math.sqrt, { 1, 4 })
        local pid = unistd.fork()
        if pid == 0 then
          for _, action in ipairs {
            function() ex:submit(math.sqrt, 1) end,
            function() ex:map(math.sqrt, { 1 }) end,
            function() ex:shutdown() end,
            function() ex:stats() end,
            function() ex:warmup() end,
            function() ex:kill() end,
            function() f:result(1) end,
            function() step() end,
          } do
            local ok, err = pcall(action)
            print(ok, tostring(err):match("belongs to the process") or err)
          end
          os.exit(0, true)
        end
        wait.wait(pid)
        print(f:result(), step())]]):format(kind))
      assert.same({ code = 0, err = "",
        out = ("false\tbelongs to the process\n"):rep(8) .. "8\t1\t1.0\n" }, result)
    end)

    -- #nosan: the sanitizers' own locks do not survive a fork beside running threads
    it("may make and use pools of its own #nosan", function()
      local result = program.run(([[
        local wait, unistd = require "posix.sys.wait", require "posix.unistd"
        local ccpool = require "ccpool"
        local ex = ccpool.%sPoolExecutor(2)
        local f = ex:submit(math.sqrt, 4)
        local pid = unistd.fork()
        if pid == 0 then
          local mine = ccpool.%sPoolExecutor(2)
          print("child", mine:submit(math.sqrt, 16):result())
          os.exit(0)
        end
        wait.wait(pid)
        print("parent", f:result())]]):format(kind, kind))
      assert.same({ code = 0, out = "child\t4.0\nparent\t2.0\n", err = "" }, result)
    end)

    it("does not keep the pool alive when the program is killed", function()
      local p <close> = program.start(([[
        local unistd = require "posix.unistd"
        local ccpool = require "ccpool"
        local ex = ccpool.%sPoolExecutor(2)
        ex:warmup()
        local pid = unistd.fork()
        if pid == 0 then
          unistd.execp("sleep", { "1000" })
          unistd._exit(1)
        end
        print(pid)
        io.stdout:flush()
        while true do ccpool.poll(1) end]]):format(kind))
      local child = tonumber(p:line())
      p:kill(9)
      assert.is_true(program.within(1, function() return #p:family() == 1 end), p:picture())
      assert.equal(child, p:family()[1])
    end)
  end)
end
