local program = require "spec.support.program"

local KINDS = { "Thread", "Process" }

local function lines_of(text)
  local counts = {}
  for line in text:gmatch("([^\n]*)\n") do counts[line] = (counts[line] or 0) + 1 end
  return counts
end

for _, kind in ipairs(KINDS) do
  describe("output of a program with a " .. kind .. "PoolExecutor #crash", function()
    local ENDS = { "", "os.exit(0)", "os.exit(0, true)", "ex:shutdown()", "ex:kill()",
      "ex = nil collectgarbage()" }
    for _, ending in ipairs(ENDS) do
      it("is not doubled: " .. (ending == "" and "at the end" or ending), function()
        local source = ([[
          local ccpool = require "ccpool"
          io.stdout:setvbuf("full")
          io.stderr:setvbuf("full")
          io.write("before ")
          io.stderr:write("error ")
          local ex = ccpool.%sPoolExecutor(2)
          io.write("made ")
          ex:submit(math.sqrt, 4):result()
          ex:warmup()
          io.write("used ")
          %s
        ]]):format(kind, ending)
        assert.same({ code = 0, out = "before made used ", err = "error " }, program.run(source))
      end)
    end

    it("is not doubled in a file of the program's own", function()
      local log <close> = program.new_log()
      program.run(([[
        local file = io.open(arg[1], "w")
        file:write("once\n")
        local ex = require "ccpool".%sPoolExecutor(2)
        file:write("twice\n")
        ex:submit(math.sqrt, 4):result()
        file:write("thrice\n")]]):format(kind), { args = { log.path } })
      assert.same({ once = 1, twice = 1, thrice = 1 }, log:counts())
    end)

    it("of workers arrives, each line whole", function()
      local result = program.run(([[
        local ex = require "ccpool".%sPoolExecutor(4)
        local fs = {}
        for i = 1, 500 do fs[i] = ex:submit(%s, "line " .. i .. ("x"):rep(50) .. "%s") end
      ]]):format(kind, kind == "Process" and "print" or "io.write",
        -- C has no lock around the two writes of a print, so lines of threads may mix
        kind == "Process" and "" or "\\n"))
      assert.equal(0, result.code)
      local counts = lines_of(result.out)
      for i = 1, 500 do assert.equal(1, counts["line " .. i .. ("x"):rep(50)]) end
    end)

    it("of a task is there when its result is", function()
      local log <close> = program.new_log()
      local result = program.run(([[
        local ex = require "ccpool".%sPoolExecutor(1)
        for i = 1, 20 do
          ex:submit(io.write, "task " .. i .. "\n"):exception()
          io.stdout:flush()
          local n = 0
          for _ in io.lines(arg[1]) do n = n + 1 end
          io.stderr:write(n, " ")
        end
      ]]):format(kind), { args = { log.path }, before = function()
        local fcntl = require "posix.fcntl"
        local fd = fcntl.open(log.path, fcntl.O_WRONLY | fcntl.O_APPEND)
        require "posix.unistd".dup2(fd, 1)
      end })
      assert.equal("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 ", result.err)
    end)

    for _, closed in ipairs { { 0 }, { 1 }, { 2 }, { 0, 1 }, { 1, 2 }, { 0, 1, 2 } } do
      it("may have nowhere to go: closed " .. table.concat(closed, ", "), function()
        local log <close> = program.new_log()
        local result = program.run(([[
          local ccpool = require "ccpool"
          local ex = ccpool.%sPoolExecutor(2)
          local list = {}
          for i = 1, 20 do list[i] = i end
          local ok, got = pcall(function()
            local sum = 0
            for _, square in ex:map(function(x) print "noise" return x * x end, list) do
              sum = sum + square
            end
            if ex.kind == "process" then
              local f = ex:submit(function() os.exit(3) end)
              if f:exception().kind ~= "WorkerCrashedError" then sum = -1 end
            end
            return sum + ex:submit(function() return 1 end):result()
          end)
          local file = io.open(arg[1], "a")
          file:write(tostring(got), "\n")
          file:close()]]):format(kind), { args = { log.path }, closed = closed })
        assert.equal(0, result.code)
        assert.same({ ["2871"] = 1 }, log:counts())
      end)
    end
  end)
end

describe("files opened with standard descriptors closed #crash", function()
  it("do not get what ccpool sends", function()
    local log <close> = program.new_log()
    local result = program.run([[
      local ccpool = require "ccpool"
      local ex = ccpool.ProcessPoolExecutor(2)
      local file = io.open(arg[1], "a") -- takes the lowest free descriptor
      print "print goes there, if anywhere"
      io.stdout:flush()
      for _ = 1, 10 do ex:submit(math.sqrt, 4):result() end
      ex:submit(function() os.exit(1) end):exception()
      file:write("mine\n")
      file:close()]], { args = { log.path }, closed = { 0, 1, 2 } })
    assert.equal(0, result.code)
    local counts = log:counts()
    assert.equal(1, counts.mine)
    counts.mine, counts["print goes there, if anywhere"] = nil, nil
    assert.same({}, counts)
  end)
end)
