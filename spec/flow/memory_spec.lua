--- Memory: flat for tasks one after the other, proportional to the futures that are kept,
-- and given back. spec/support/memory.lua does what is measured.

local assert, describe, it, setup, teardown = assert, describe, it, setup, teardown
local _ENV = _G -- luacheck: ignore

local pools = require "spec.support.pools"
local stdlib = require "posix.stdlib"

local KB, MB = 1024, 1024 * 1024
local MEGABYTES = 2 * MB -- what an allocator keeps for itself
local GROWTH = { heap = 64 * KB, worker_heap = 64 * KB, resident = MEGABYTES,
  worker_resident = MEGABYTES, arena = MEGABYTES }

-- How often to warm up, and how often then. What leaks shows: 2 MB are a few bytes of
-- each small task, and two of the large ones.
local WAYS = {
  { "tasks one after the other", 5000, 30000 },
  { "tasks in a steady flow", 100000, 1000000 },
  { "items of a map", 500000, 1000000 },
  { "tasks with options, callbacks and results of every size", 10000, 20000 },
  { "tasks that fail, are cancelled or are not waited for", 3000, 20000 },
  { "functions with upvalues", 1000, 10000 },
  { "large arguments and results", 20, 200 },
  { "large results that are kept, half of them unread", 100, 100 },
  -- the table of those in flight stays as large as it was needed, which chance decides
  { "futures that are kept", 200000, 100000, MB },
}

--- Runs a function of spec.support.memory: name -> by how many bytes it grew.
local function grown(name, ...)
  local args = {}
  for i, arg in ipairs{ ... } do args[i] = ("%q"):format(arg) end
  local out, code, err = pools.run_script(
    ("require 'spec.support.memory'.%s(%s)"):format(name, table.concat(args, ", ")))
  assert.equal(0, code, err)
  local list = {}
  for what, before, after in out:gmatch("(%S+)%s+(%d+)%s+(%d+)") do
    list[what] = math.tointeger(after) - math.tointeger(before)
  end
  for what in pairs(GROWTH) do assert.truthy(list[what], what .. " was not measured") end
  return list
end

local function expect_below(bounds, list)
  for what, bound in pairs(bounds) do
    if list[what] > bound then
      error(("%s grew by %d bytes, more than %d"):format(what, list[what], bound), 2)
    end
  end
end

-- #nosan: a sanitizer keeps what is freed for a while, and its own books beside.
describe("memory #slow #nosan", function()
  -- glibc gives large blocks back at once then; else it learns to keep them.
  setup(function() stdlib.setenv("MALLOC_MMAP_THRESHOLD_", "65536") end)
  teardown(function() stdlib.setenv("MALLOC_MMAP_THRESHOLD_") end)

  for kind in pools.concurrent() do
    for _, way in ipairs(WAYS) do
      local name, warm, n, heap = table.unpack(way)
      it(("stays what it is: %d %s (%s)"):format(n, name, kind), function()
        local bounds = setmetatable({ heap = heap }, { __index = GROWTH })
        local list = grown("flat", kind, name, warm, n)
        for what in pairs(GROWTH) do expect_below({ [what] = bounds[what] }, list) end
      end)
    end

    it("grows with the futures that are kept: 100000 (" .. kind .. ")", function()
      local n = 100000
      expect_below({ heap = 250 * n, resident = 500 * n, worker_heap = 64 * KB,
        worker_resident = MEGABYTES, arena = MEGABYTES }, grown("full", kind, n))
    end)
  end
end)
