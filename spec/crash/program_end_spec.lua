local program = require "spec.support.program"
local signal = require "posix.signal"

local KINDS = { "Thread", "Process" }

--- A program with `ccpool`, `ex` (two workers of that kind) and `slow(path, n)`, which
-- takes a while and then appends n to the file.
local function with_pool(kind, text)
  return ([[
local ccpool = require "ccpool"
local ex = ccpool.%sPoolExecutor(2)
local function slow(path, n)
  local s = 0
  for i = 1, 300000 do s = s + i end
  local file = io.open(path, "a")
  file:write(n, "\n")
  file:close()
  return n
end
local log = arg[1]
%s]]):format(kind, text)
end

--- Runs it; all of `items` must have been logged once, and nothing been printed.
local function finishes(source, items, code)
  local log <close> = program.new_log()
  local result = program.run(source, { args = { log.path } })
  assert.same({ code = code or 0, out = "", err = "" }, result)
  local counts = log:counts()
  for i = 1, items do assert.equal(1, counts[tostring(i)], "runs of task " .. i) end
end

local SUBMIT = "local fs = {} for i = 1, 20 do fs[i] = ex:submit(slow, log, i) end\n"

local ENDS = {
  { "the end of the script", "" },
  { "os.exit()", "os.exit()" },
  { "os.exit(0)", "os.exit(0)" },
  { "os.exit(true, true)", "os.exit(true, true)" },
  { "os.exit(0, true)", "os.exit(0, true)" },
  { "os.exit(3)", "os.exit(3)", 3 },
  { "os.exit(3, true)", "os.exit(3, true)", 3 },
  { "os.exit(false)", "os.exit(false)", 1 },
  { "a shutdown without waiting", "ex:shutdown{ wait = false }" },
  { "a shutdown without waiting, os.exit", "ex:shutdown{ wait = false } os.exit(0)" },
  { "a dropped executor", "ex, fs = nil collectgarbage() collectgarbage()" },
  { "a dropped executor, os.exit", "ex, fs = nil collectgarbage() os.exit(0)" },
  { "os.exit inside a coroutine", "coroutine.wrap(function() os.exit(0, true) end)()" },
  { "os.exit inside a pcall", "pcall(os.exit, 0)" },
  { "os.exit in a finalizer", [[
      setmetatable({}, { __gc = function() os.exit(0) end })
      collectgarbage() collectgarbage()]] },
  { "os.exit inside a done callback", [[
      fs[1]:add_done_callback(function() os.exit(0) end)
      ccpool.wait(fs)]] },
  { "os.exit(0, true) inside a done callback", [[
      fs[1]:add_done_callback(function() os.exit(0, true) end)
      ccpool.wait(fs)]] },
  { "an executor in an upvalue of a global", "function keep() return ex end" },
  { "an executor in package.loaded", "package.loaded.keep = ex" },
  { "an executor that is a to-be-closed variable", "local e <close> = ex" },
}

for _, kind in ipairs(KINDS) do
  describe("the end of a program with a " .. kind .. "PoolExecutor #crash", function()
    for _, ending in ipairs(ENDS) do
      it("finishes what is pending: " .. ending[1], function()
        finishes(with_pool(kind, SUBMIT .. ending[2]), 20, ending[3])
      end)
    end

    it("finishes what is pending: an error at top level", function()
      local log <close> = program.new_log()
      local result = program.run(with_pool(kind, SUBMIT .. "error('oops')"),
        { args = { log.path } })
      assert.equal(1, result.code)
      assert.equal("", result.out)
      assert.matches("^[^\n]*oops\nstack traceback:\n", result.err)
      local _, errors = result.err:gsub("oops", "")
      assert.equal(1, errors)
      local counts = log:counts()
      for i = 1, 20 do assert.equal(1, counts[tostring(i)]) end
    end)

    it("finishes items of a map that nobody read", function()
      finishes(with_pool(kind, [[
        local list = {}
        for i = 1, 20 do list[i] = { log, i } end
        step = ex:starmap(slow, list, { chunksize = 4 })
        os.exit(0)]]), 20)
    end)

    it("needs no task at all", function()
      for _, text in ipairs { "", "os.exit(0)", "os.exit(0, true)", "ex:warmup() os.exit(0)",
        "ex:warmup()", "ex:kill() os.exit(0)", "ex:terminate()" } do
        finishes(with_pool(kind, text), 0)
      end
    end)

    it("does not wait for what was killed", function()
      finishes(with_pool(kind, [[
        ex:submit(function() while true do end end)
        ex:warmup()
        ex:kill()
        os.exit(0)]]), 0)
    end)

    it("ends with os.exit in a wait of another pool's callback", function()
      finishes(with_pool(kind, [[
        local other = ccpool.ThreadPoolExecutor(1)
        local f = other:submit(math.sqrt, 4)
        f:add_done_callback(function()
          ex:submit(slow, log, 1):result()
          os.exit(0)
        end)
        while true do ccpool.poll() end]]), 1)
    end)

    it("leaves nothing one second after SIGKILL", function()
      local p <close> = program.start(with_pool(kind, [[
        local fs = {}
        for i = 1, 8 do
          fs[i] = ex:submit(function() while true do end end)
        end
        ex:warmup()
        print "up"
        io.stdout:flush()
        fs[1]:result()]]))
      assert.equal("up", p:line())
      assert.is_true(#p:family() >= (kind == "Process" and 4 or 1), p:picture())
      p:kill(signal.SIGKILL)
      assert.is_true(p:gone(), p:picture())
      assert.equal(signal.SIGKILL, p:finish().signal)
    end)
  end)
end

describe("the end of a program #crash", function()
  it("leaves nothing one second after SIGKILL, children of workers included", function()
    local p <close> = program.start(with_pool("Process", [[
      for i = 1, 2 do
        ex:submit(function()
          local pipe = io.popen("exec sleep 1000 </dev/null >/dev/null 2>&1", "r")
          print "up"
          io.stdout:flush()
          while true do end
        end)
      end
      ex:submit(math.sqrt, 1):result()]]))
    assert.equal("up", p:line())
    assert.equal("up", p:line())
    p:kill(signal.SIGKILL)
    assert.is_true(p:gone(), p:picture())
  end)

  it("leaves nothing one second after SIGKILL of an idle program with many pools", function()
    local p <close> = program.start([[
      local ccpool = require "ccpool"
      local pools = {}
      for i = 1, 10 do
        pools[i] = ccpool.ProcessPoolExecutor(2)
        pools[i]:warmup()
      end
      print "up"
      io.stdout:flush()
      io.read("l")
      while true do end]])
    assert.equal("up", p:line())
    p:kill(signal.SIGKILL)
    assert.is_true(p:gone(), p:picture())
  end)

  it("leaves nothing after SIGTERM and SIGHUP either", function()
    for _, sig in ipairs { signal.SIGTERM, signal.SIGHUP } do
      local p <close> = program.start(with_pool("Process", [[
        local f = ex:submit(function() while true do end end)
        ex:warmup()
        print "up"
        io.stdout:flush()
        f:result()]]))
      assert.equal("up", p:line())
      p:kill(sig)
      assert.equal(sig, p:finish().signal)
      assert.is_true(p:gone(), p:picture())
    end
  end)

  it("ends the children that a task left running in a worker", function()
    local result = program.run(with_pool("Process", [[
      ex:submit(function()
        keep = io.popen("exec sleep 1000 </dev/null >/dev/null 2>&1", "r")
      end):result()
      os.exit(0)]]))
    assert.equal(0, result.code)
  end)

  it("with a mixture of open pools finishes them all", function()
    finishes([[
      local ccpool = require "ccpool"
      local n = 0
      local function slow(path, i)
        local file = io.open(path, "a")
        file:write(i, "\n")
        file:close()
      end
      for _ = 1, 3 do
        for _, class in ipairs { "ThreadPoolExecutor", "ProcessPoolExecutor" } do
          local ex = ccpool[class](2)
          for _ = 1, 5 do
            n = n + 1
            ex:submit(slow, arg[1], n)
          end
        end
      end]], 30)
  end)

  it("runs the top level once, whatever the backend", function()
    for _, class in ipairs { "ThreadPoolExecutor(2)", "ProcessPoolExecutor(2)",
      "SerialExecutor()" } do
      local log <close> = program.new_log()
      local result = program.run(([[
        local file = io.open(arg[1], "a")
        file:write("top\n")
        file:close()
        local ex = require "ccpool".%s
        local list = ex:map(function(x) return x * x end, { 1, 2, 3, 4 }):collect()
        print(table.unpack(list))]]):format(class), { args = { log.path } })
      assert.same({ code = 0, out = "1\t4\t9\t16\n", err = "" }, result)
      assert.same({ top = 1 }, log:counts())
    end
  end)
end)
