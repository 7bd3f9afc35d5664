--- Printing from many workers at once.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"
local pools = require "spec.support.pools"
local fcntl = require "posix.fcntl"
local program = dofile "spec/support/program.lua"
local unistd = require "posix.unistd"

local WORKERS, LINES = 4, 500
local NAMES = { thread = "ThreadPoolExecutor", process = "ProcessPoolExecutor" }

--- A program whose workers print lines of very different lengths, and its own text
-- besides. Every line tells its length.
local function source(kind, longest)
  return ([[
    local ccpool = require "ccpool"
    local ex <close> = ccpool.%s(%d)
    ex:warmup()
    local function chatter(id, lines, longest)
      for i = 1, lines do
        local text = tostring(id):rep(i * 7919 %% longest + 1)
        print(i, #text, text)
      end
    end
    local futures = {}
    for id = 1, %d do futures[id] = ex:submit(chatter, id, %d, %d) end
    for i = 1, %d do ccpool.print(i, 4, "main") end
    for _, f in ipairs(futures) do f:result() end
  ]]):format(NAMES[kind], WORKERS, WORKERS, LINES, longest, LINES)
end

--- Every line as it was printed, in order for each worker?
local function check(text)
  local last, n = {}, 0
  for line in text:gmatch("([^\n]*)\n") do
    local i, len, rest = line:match("^(%d+)\t(%d+)\t(%w+)$")
    assert.is_truthy(i, "torn line: " .. line:sub(1, 100))
    assert.equal(tonumber(len), #rest)
    local who = rest:sub(1, 1)
    assert.is_truthy(rest == "main" or rest == who:rep(#rest))
    assert.equal((last[who] or 0) + 1, tonumber(i))
    last[who] = tonumber(i)
    n = n + 1
  end
  assert.equal((WORKERS + 1) * LINES, n)
end

describe("print", function()
  it("writes whole lines to a pipe, from threads of any length", function()
    check(program.run(source("thread", 20000)).out)
  end)

  it("writes whole lines to a pipe, from processes as long as the system lets it", function()
    check(program.run(source("process", 4000)).out)
  end)

  for kind in pools.concurrent() do
    it("writes whole lines of any length to a file (" .. kind .. ")", function()
      local path = os.tmpname()
      local result = program.run(source(kind, 20000), { before = function()
        local fd = fcntl.open(path, fcntl.O_WRONLY)
        unistd.dup2(fd, 1)
        unistd.close(fd)
      end })
      assert.equal(0, result.code)
      check(program.slurp(path))
      os.remove(path)
    end)
  end

  it("prints as Lua's does", function()
    local result = program.run([[
      local ccpool = require "ccpool"
      local object = setmetatable({}, { __tostring = function() return "object" end })
      local named = setmetatable({}, { __name = "Named" })
      for _, make in ipairs{ ccpool.ThreadPoolExecutor, ccpool.ProcessPoolExecutor } do
        local ex <close> = make(1)
        ex:submit(function(o)
          io.write("before ")
          print()
          print(nil, true, 1, 1.0, "a\0b", o)
          print("no arguments follow")
          io.write("after")
          print(select("#", print()))
        end, object):result()
        print(ex:submit(function(n) return pcall(print, n) end, named):result())
        print(ex:submit(function(o) return select(2, pcall(print, o)) end,
          setmetatable({}, { __tostring = function() return {} end })):result())
      end
    ]])
    local once = "before \nnil\ttrue\t1\t1.0\ta\0b\tobject\nno arguments follow\nafter\n0\n"
    local out = result.out:gsub("Named: 0x%x+", "Named")
    local rest = "Named\ntrue\n'__tostring' must return a string\n"
    assert.equal((once .. rest):rep(2), out)
    assert.equal("", result.err)
  end)

  it("travels by its name, both ways", function()
    for _, make in pools.concurrent() do
      local ex <close> = make(1)
      local same, back = ex:submit(function(f) return f == print, print end, print):result()
      assert.is_true(same)
      assert.equal(print, back)
      assert.is_true(ex:submit(function(f) return f == require("ccpool").print end,
        ccpool.print):result())
    end
  end)

  it("is the program's own in processes, if it has one", function()
    local result = program.run([[
      local ccpool = require "ccpool"
      local write = print
      function print(...) write("mine", ...) end
      local ex <close> = ccpool.ProcessPoolExecutor(1)
      ex:submit(function() print(1) end):result()
    ]])
    assert.equal("mine\t1\n", result.out)
  end)
end)
