local ccpool = require "ccpool"
local pools = require "spec.support.pools"

describe("ccpool", function()
  it("has what section by section the contract names, as far as it goes", function()
    for _, name in ipairs{ "ThreadPoolExecutor", "ProcessPoolExecutor", "SerialExecutor", "wait",
      "as_completed", "all", "any", "poll", "current", "cpu_count", "is_error",
      "on_callback_error" } do
      assert.is_function(ccpool[name], name)
    end
    assert.matches("^%d+%.%d+%.%d+", ccpool.VERSION)
  end)

  it("gives executors every method", function()
    local ex <close> = ccpool.SerialExecutor()
    for _, name in ipairs{ "submit", "map", "starmap", "shutdown", "terminate", "kill", "warmup",
      "stats" } do
      assert.is_function(ex[name], name)
    end
  end)

  it("gives futures every method", function()
    local ex <close> = ccpool.SerialExecutor()
    local f = ex:submit(math.sqrt, 1)
    for _, name in ipairs{ "result", "presult", "exception", "traceback", "done", "running",
      "cancelled", "state", "cancel", "add_done_callback", "getfd", "pollfd", "events",
      "timeout" } do
      assert.is_function(f[name], name)
    end
  end)
end)

describe("cpu_count", function()
  it("is a positive integer", function()
    assert.equal("integer", math.type(ccpool.cpu_count()))
    assert.is_true(ccpool.cpu_count() >= 1)
  end)

  it("is no more than the CPUs this process may run on", function()
    local pipe = assert(io.popen("nproc 2>/dev/null"))
    local n = tonumber(pipe:read("a"))
    pipe:close()
    if n then assert.is_true(ccpool.cpu_count() <= n) end
  end)

  it("respects the affinity mask", function()
    local out = pools.run_script[[
      local pipe = io.popen("taskset -c 0 " .. (os.getenv("LUA") or "lua5.4")
        .. " -e 'print(require(\"ccpool\").cpu_count())' 2>/dev/null || echo none")
      io.write(pipe:read("a"))]]
    if not out:find("none", 1, true) then assert.equal("1\n", out) end
  end)
end)
