local pools = require "spec.support.pools"

local LOOK = [[
  local function list(dir)
    local names = {}
    for name in require("posix.dirent").files(dir) do names[#names + 1] = name end
    table.sort(names)
    return table.concat(names, " ")
  end
  local function children()
    local all = ""
    for tid in require("posix.dirent").files("/proc/self/task") do
      local file = tonumber(tid) and io.open("/proc/self/task/" .. tid .. "/children")
      if file then
        all = all .. file:read("a")
        file:close()
      end
    end
    return all
  end
  local function look()
    return list("/proc/self/task") .. "|" .. children() .. "|" .. list("/proc/self/fd")
  end
  look()
]]

describe("require 'ccpool'", function()
  it("starts no thread, forks no process and opens no file", function()
    local out, code, err = pools.run_script(LOOK .. [[
      local before = look()
      local ccpool = require "ccpool"
      assert(look() == before, look() .. " instead of " .. before)
      ccpool.cpu_count()
      ccpool.current()
      ccpool.poll(0)
      assert(look() == before, look() .. " instead of " .. before)
      io.write("nothing")]])
    assert.equal("", err)
    assert.equal("nothing", out)
    assert.equal(0, code)
  end)

  it("sees what an executor starts: this spec is able to fail", function()
    local out, code, err = pools.run_script(LOOK .. [[
      local before = look()
      local ccpool = require "ccpool"
      local ex <close> = ccpool.ThreadPoolExecutor(1)
      assert(look() ~= before)
      io.write("something")]])
    assert.equal("", err)
    assert.equal("something", out)
    assert.equal(0, code)
  end)

  it("defines no global", function()
    local out = pools.run_script[[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      require "ccpool"
      for name in pairs(_G) do if not before[name] then io.write(name, " ") end end
      io.write("done")]]
    assert.equal("done", out)
  end)

  it("may happen again after package.loaded was cleared, as test runners do", function()
    local out, code, err = pools.run_script[[
      local function load_anew()
        for name in pairs(package.loaded) do
          if name:find("^ccpool") then package.loaded[name] = nil end
        end
        return require "ccpool"
      end
      local function use(ccpool, ex)
        local seen
        ex:submit(math.abs, -4):add_done_callback(function(f) seen = f:result() end)
        for _ = 1, 100 do
          if seen then break end
          ccpool.poll(1)
        end
        local long = ex:submit(string.rep, "x", 100)
        local fails = ex:submit(error, { code = 7 })
        io.write(seen, " ", #long:result(), " ", fails:exception().code, " ",
          #ccpool.wait{ long, fails }, " ", ex:map(math.abs, { -1, -2 }):collect().n, "\n")
      end
      local first = load_anew()
      local a <close> = first.ThreadPoolExecutor(1)
      use(first, a)
      local f = a:submit(string.rep, "y", 50)
      local second = load_anew()
      assert(first ~= second)
      local b <close> = second.ThreadPoolExecutor(1)
      use(second, b)
      use(first, a)
      io.write(#f:result())]]
    assert.equal("", err)
    assert.equal(("4 100 7 2 2\n"):rep(3) .. "50", out)
    assert.equal(0, code)
  end)

  it("returns the same table each time", function()
    assert.equal(require "ccpool", require "ccpool")
  end)
end)
