--- What a process worker inherits from the program, and what it does not.

local program = dofile "spec/support/program.lua"

local SIGINT = 2

--- In a program: what the state of a process is, as lines.
local LOOK = [[
local function look()
  local unistd, stat = require "posix.unistd", require "posix.sys.stat"
  local file <close> = assert(io.open("/proc/self/status"))
  local status = file:read("a")
  local umask = stat.umask(0)
  stat.umask(umask)
  local lines = {
    "cwd " .. unistd.getcwd(),
    "umask " .. ("%o"):format(umask),
    "color " .. tostring(os.getenv("COLOR")),
    "taste " .. tostring(os.getenv("TASTE")),
    "blocked " .. status:match("SigBlk:%s*(%x+)"),
    "ignored " .. status:match("SigIgn:%s*(%x+)"),
    "caught " .. status:match("SigCgt:%s*(%x+)"),
    "leader " .. tostring(unistd.getpid() == unistd.getpgrp()),
  }
  return table.concat(lines, "\n")
end
]]

local function parse(text)
  local values = {}
  for name, value in text:gmatch("(%w+) ([^\n]*)") do values[name] = value end
  return values
end

--- The signals of a mask of /proc, but for those that the C library keeps to itself.
local function signals(hex)
  local mask, list = tonumber(hex, 16) & ~(3 << 31), {}
  for sig = 1, 64 do
    if mask >> (sig - 1) & 1 == 1 then list[#list + 1] = sig end
  end
  return list
end

describe("a process worker #crash", function()
  it("has the environment, the directory and the umask of the constructor's time", function()
    local values = parse(program.run(LOOK .. [[
      local stdlib, stat = require "posix.stdlib", require "posix.sys.stat"
      local unistd = require "posix.unistd"
      local ccpool = require "ccpool"
      stdlib.setenv("COLOR", "red")
      stdlib.setenv("TASTE", "sweet")
      unistd.chdir("/usr")
      stat.umask(tonumber("027", 8))
      local ex <close> = ccpool.ProcessPoolExecutor(1)
      stdlib.setenv("COLOR", "blue")
      stdlib.setenv("TASTE")
      unistd.chdir("/")
      stat.umask(tonumber("077", 8))
      print(ex:submit(look):result())]]).out)
    assert.equal("/usr", values.cwd)
    assert.equal("27", values.umask)
    assert.equal("red", values.color)
    assert.equal("sweet", values.taste)
  end)

  it("keeps what it changes to itself", function()
    local result = program.run(LOOK .. [[
      local unistd = require "posix.unistd"
      local ccpool = require "ccpool"
      local function own() return look():match("^(.-)blocked") end
      local before = own()
      local ex <close> = ccpool.ProcessPoolExecutor(2)
      ex:warmup()
      ex:submit(function()
        require "posix.stdlib".setenv("COLOR", "green")
        require "posix.unistd".chdir("/tmp")
        require "posix.sys.stat".umask(0)
      end):result()
      print(own() == before)]])
    assert.equal("true\n", result.out)
  end)

  it("blocks no signal, catches none, and ignores SIGINT alone", function()
    local result = program.run(LOOK .. [[
      local signal = require "posix.signal"
      local ccpool = require "ccpool"
      for _, name in ipairs{ "SIGTERM", "SIGUSR1", "SIGALRM", "SIGINT" } do
        signal.signal(signal[name], function() end)
      end
      for _, name in ipairs{ "SIGHUP", "SIGUSR2", "SIGPIPE", "SIGCHLD" } do
        signal.signal(signal[name], signal.SIG_IGN)
      end
      local ex = ccpool.ProcessPoolExecutor(1)
      print(ex:submit(look):result())
      ex:submit(os.exit, 1):exception() -- the same for a replacement
      print "---"
      print(ex:submit(look):result())]])
    local first, second = result.out:match("^(.*)%-%-%-\n(.*)$")
    for _, text in ipairs{ first, second } do
      local values = parse(text)
      assert.same({}, signals(values.blocked))
      assert.same({}, signals(values.caught))
      assert.same({ SIGINT }, signals(values.ignored))
      assert.equal("true", values.leader)
    end
  end)

  it("made in a thread worker, where signals are blocked, is no different", function()
    local result = program.run(LOOK .. [[
      local ccpool = require "ccpool"
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      print(ex:submit(function()
        local inner <close> = require "ccpool".ProcessPoolExecutor(1)
        return inner:submit(look):result()
      end):result())]])
    local values = parse(result.out)
    assert.equal("", result.err)
    assert.same({}, signals(values.blocked))
    assert.same({ SIGINT }, signals(values.ignored))
  end)
end)

describe("with the standard descriptors closed #crash", function()
  it("none of ccpool's takes their numbers, in program, zygote or worker", function()
    local log = program.new_log()
    program.run([[
      local function standard(pid)
        local open = ""
        for fd = 0, 2 do
          local target = require "posix.unistd".readlink("/proc/" .. pid .. "/fd/" .. fd)
          if target then open = open .. fd .. "=" .. target .. " " end
        end
        return open
      end
      local ccpool = require "ccpool"
      local threads <close> = ccpool.ThreadPoolExecutor(1)
      local ex <close> = ccpool.ProcessPoolExecutor(1)
      local f = threads:submit(math.sqrt, 4)
      f:getfd()
      local unistd = require "posix.unistd"
      local worker, zygote = ex:submit(function()
        local me = require "posix.unistd"
        return me.getpid(), me.getppid()
      end):result()
      local text = "p" .. standard(unistd.getpid()) .. "z" .. standard(zygote) .. "w" ..
        standard(worker) .. tostring(f:result())
      local file <close> = io.open(arg[1], "a")
      file:write(text, "\n")]], { args = { log.path }, closed = { 0, 1, 2 } })
    assert.same({ ["pzw2.0"] = 1 }, log:counts())
    os.remove(log.path)
  end)
end)
