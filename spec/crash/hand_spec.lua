-- Threads and processes by hand at the end of a program, under signals, and beside busy
-- threads.
local program = require "spec.support.program"
local signal = require "posix.signal"

local KINDS = { "Thread", "Process" }
local ENDS = { "", "os.exit()", "os.exit(0, true)", "os.exit(3)", "error('oh', 0)" }

local HEAD = [[
local ccpool = require "ccpool"
local function slow(path, line)
  local s = 0
  for i = 1, 3000000 do s = s + i end
  local file = io.open(path, "a")
  file:write(line, "\n")
  file:close()
end
local function forever() while true do end end
local log = arg[1]
]]

for _, kind in ipairs(KINDS) do
  describe("at the end of a program, a " .. kind .. " #crash", function()
    for _, ending in ipairs(ENDS) do
      it("is joined: " .. (ending == "" and "the end of the script" or ending), function()
        local log <close> = program.new_log()
        local result = program.run(HEAD .. ([[
          for i = 1, 3 do ccpool.%s{ target = slow, args = { log, i } }:start() end
          collectgarbage()
          %s]]):format(kind, ending), { args = { log.path } })
        assert.equal(ending:find("3", 1, true) and 3 or ending:find("oh", 1, true) and 1 or 0,
          result.code)
        assert.same({ ["1"] = 1, ["2"] = 1, ["3"] = 1 }, log:counts())
      end)

      it("is ended if it is a daemon: " .. (ending == "" and "the end of the script" or ending),
        function()
          local result = program.run(HEAD .. ([[
            for i = 1, 3 do ccpool.%s{ target = forever, daemon = true }:start() end
            print "up"
            %s]]):format(kind, ending))
          assert.equal("up\n", result.out)
          assert.not_matches("uncaught", result.err)
        end)
    end

    it("is killed or left alone if it is a daemon that does not want to end", function()
      local stubborn = kind == "Thread" and 'function() os.execute "exec sleep 15" end' or
        [[function()
          require "posix.signal".signal(15, function() end)
          while true do end
        end]]
      local result = program.run(HEAD .. ([[
        local d = ccpool.%s{ target = %s, daemon = true }
        d:start()
        print(d:join(0.3))]]):format(kind, stubborn:gsub("15\"", "2\"")))
      assert.same({ code = 0, out = "false\n", err = "" }, result)
    end)

    it("that a daemon serves is joined first", function()
      local log <close> = program.new_log()
      local result = program.run(HEAD .. ([[
        ccpool.Process{ target = forever, daemon = true }:start()
        ccpool.%s{ target = slow, args = { log, "done" } }:start()]]):format(kind),
        { args = { log.path } })
      assert.equal(0, result.code)
      assert.same({ done = 1 }, log:counts())
    end)
  end)

  describe("a " .. kind .. " of a program that is killed #crash", function()
    it("is gone within a second, and what it has started", function()
      local p <close> = program.start(HEAD .. ([[
        local function nest()
          local ccpool = require "ccpool"
          local function forever() while true do end end
          ccpool.Process{ target = forever }:start()
          ccpool.ProcessPoolExecutor(1):submit(forever)
          io.stdout:write("up\n")
          io.stdout:flush()
          forever()
        end
        for _ = 1, 2 do ccpool.%s{ target = nest }:start() end
        forever()]]):format(kind))
      assert.equal("up", p:line())
      assert.equal("up", p:line())
      p:kill(signal.SIGKILL)
      assert.is_true(p:gone(), p:picture())
    end)
  end)

  describe("SIGINT to a program that joins a " .. kind .. " #crash", function()
    for _, wait in ipairs{ "h:join()", "h:join(1000)", "local c <close> = h" } do
      it("interrupts " .. wait, function()
        local p <close> = program.start(HEAD .. ([[
          local h = ccpool.%s{ target = forever, daemon = true }
          h:start()
          local ok, err = pcall(function()
            print "up"
            io.stdout:flush()
            %s
          end)
          print(ok, err)]]):format(kind, wait:gsub("local c", "h.daemon = false local c")))
        assert.equal("up", p:line())
        p:kill_group(signal.SIGINT)
        local result = p:finish()
        assert.equal("", result.err)
        assert.equal(0, result.code)
        assert.matches("^up\nfalse\t[^\n]*interrupted!\n$", result.out)
        assert.is_true(p:gone(), p:picture())
      end)
    end
  end)
end

describe("a signal while a program joins #crash", function()
  it("has its handler run, and the wait goes on", function()
    for _, kind in ipairs(KINDS) do
      local result = program.run(([[
        local ccpool = require "ccpool"
        local signal, unistd = require "posix.signal", require "posix.unistd"
        local gate = os.tmpname()
        local function wait(path)
          repeat
            local file = io.open(path)
            if file then file:close() end
          until not file
        end
        local h = ccpool.%s{ target = wait, args = { gate } }
        h:start()
        local n = 0
        signal.signal(signal.SIGALRM, function()
          n = n + 1
          if n == 2 then os.remove(gate) else unistd.alarm(1) end
        end)
        unistd.alarm(1)
        print(h:join(), n)]]):format(kind))
      assert.same({ code = 0, out = "true\t2\n", err = "" }, result)
    end
  end)
end)

describe("output of processes by hand #crash", function()
  it("is not doubled, and whole at their end", function()
    local result = program.run[[
      local ccpool = require "ccpool"
      io.stdout:setvbuf("full")
      io.write("before\n")
      for i = 1, 3 do
        local p = ccpool.Process{ target = function() io.write("child ", i, "\n") end }
        p:start()
        p:join()
      end
      io.write("after\n")]]
    assert.equal("before\nchild 1\nchild 2\nchild 3\nafter\n", result.out)
  end)

  it("is that of the child alone, whatever threads write meanwhile", function()
    local result = program.run[[
      local ccpool = require "ccpool"
      io.stdout:setvbuf("full")
      local stop = os.tmpname()
      local function chatter(path)
        local n = 0
        repeat
          local file = io.open(path)
          if file then file:close() end
          for _ = 1, 50 do
            n = n + 1
            io.write("t", n, "\n")
          end
        until not file
        return n
      end
      local t = ccpool.Thread{ target = chatter, args = { stop } }
      t:start()
      for i = 1, 200 do
        local p = ccpool.Process{ target = function() io.write("c\n") end }
        p:start()
        p:join()
      end
      os.remove(stop)
      local n = t:result()
      io.write("n ", n, "\n")]]
    -- full buffers are written out in the middle of lines, so lines may be torn
    local function count(character) return select(2, result.out:gsub(character, "")) end
    assert.equal("", result.err)
    assert.equal(200, count "c")
    assert.equal(tonumber(result.out:match("n (%d+)\n$")) + 201, count "\n")
  end)
end)

describe("a hundred of them #crash", function()
  for _, kind in ipairs(KINDS) do
    it("leave no descriptor, thread, child or zombie: " .. kind, function()
      local result = program.run(([[
        local ccpool = require "ccpool"
        local dirent = require "posix.dirent"
        local function held()
          local children = io.open("/proc/self/task/" .. require "posix.unistd".getpid()
            .. "/children"):read("a")
          return #dirent.dir("/proc/self/fd"), #dirent.dir("/proc/self/task"), children
        end
        local function once(close)
          local h = ccpool.%s{ target = math.max, args = { 1, 2 } }
          h:start()
          h:getfd()
          h:join()
          if close then h:close() end
        end
        local function settle()
          collectgarbage()
          collectgarbage()
          once(true) -- frees what has ended
          print(held())
        end
        once(true)
        settle()
        for i = 1, 100 do once(i %% 2 == 0) end
        settle()]]):format(kind))
      assert.equal("", result.err)
      local before, after = result.out:match("^([^\n]*)\n([^\n]*)\n$")
      assert.equal(before, after)
    end)
  end
end)

describe("forking beside busy threads #crash", function()
  local BUSY = [[
    local ccpool = require "ccpool"
    local threads = ccpool.ThreadPoolExecutor(4)
    local function churn()
      local list = {}
      for i = 1, 2000 do list[i % 50] = ("x"):rep(i) .. i end
      return list
    end
    local running = true
    local pending = {}
    local function feed()
      for i = 1, 8 do
        if not pending[i] or pending[i]:done() then pending[i] = threads:submit(churn) end
      end
    end
    local failed = 0
    for i = 1, tonumber(arg[1]) do
      feed()
      local p = ccpool.Process{ target = function()
        local t = {}
        for k = 1, 200 do t[k] = ("y"):rep(k * 10) end
        if arg[2] and i % 20 == 0 then
          local ex <close> = ccpool.ThreadPoolExecutor(2)
          assert(ex:submit(math.sqrt, 16):result() == 4)
        end
        os.exit(i % 100)
      end }
      p:start()
      if not p:join(20) or p.exitcode ~= i % 100 then failed = failed + 1 end
    end
    print(failed)]]

  -- #nosan: threads may hold the thread sanitizer's own locks when it forks
  it("never hangs and loses nothing #nosan", function()
    local result = program.run(BUSY, { args = { 200 }, bound = 60 })
    assert.same({ code = 0, out = "0\n", err = "" }, result)
  end)

  -- #nosan: the thread sanitizer does not know that a child begins with one thread
  it("lets the children make threads of their own #nosan", function()
    local result = program.run(BUSY, { args = { 100, "pools" }, bound = 60 })
    assert.same({ code = 0, out = "0\n", err = "" }, result)
  end)

  it("never hangs, 1000 times #slow #nosan", function()
    local result = program.run(BUSY, { args = { 1000, "pools" }, bound = 200 })
    assert.same({ code = 0, out = "0\n", err = "" }, result)
  end)
end)

describe("processes that are killed at random moments #crash", function()
  it("are all joined, with the exit code of the signal or their own", function()
    local result = program.run([[
      local ccpool = require "ccpool"
      local counts = { killed = 0, own = 0 }
      for i = 1, 150 do
        local p = ccpool.Process{ target = function()
          local q = ccpool.Process{ target = function() return {} end }
          q:start()
          q:join()
          os.exit(5)
        end }
        p:start()
        for _ = 1, i * 300 do end
        p:kill()
        p:join()
        local how = p.exitcode == -9 and "killed" or p.exitcode == 5 and "own"
        counts[how] = counts[how] + 1
        if i % 2 == 0 then p:close() end
      end
      print(counts.killed + counts.own)]], { bound = 60 })
    assert.same({ code = 0, out = "150\n", err = "" }, result)
  end)
end)
