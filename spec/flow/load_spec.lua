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

  it("returns the same table each time", function()
    assert.equal(require "ccpool", require "ccpool")
  end)
end)
