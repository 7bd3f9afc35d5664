-- Arrays of which only a beginning lies in the array part of Lua's table, with other keys
-- behind or between: nothing is lost, whatever way they are read.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore
local ccpool = require "ccpool"

local ex = ccpool.SerialExecutor()

local function identity(value) return value end

local function travels(t)
  assert.same(t, ex:submit(identity, t):result())
end

-- A function that makes a table of some items in its array part and some pairs beside it.
local function constructor(items, pairs)
  local fields = {}
  for i = 1, items do fields[#fields + 1] = ("v(%d)"):format(i) end
  for i = 1, pairs do fields[#fields + 1] = ("k%d = %d"):format(i, i) end
  return load("local v = ... return {" .. table.concat(fields, ", ") .. "}")
end

local function use(t, items, pairs, value)
  travels(t)
  for i = items + 1, items + 12 do -- into free places among the pairs
    t[i] = value(i)
    travels(t)
  end
  for i = 1, pairs, 2 do t["k" .. i] = nil end
  travels(t)
  for i = #t, 4, -1 do t[i] = nil end
  travels(t)
  t[2] = nil
  travels(t)
  t[1] = nil
  travels(t)
end

describe("array", function()
  local kinds = {
    integers = function(i) return i * 1001 end,
    floats = function(i) return i / 8 end,
    strings = function(i) return "item " .. i end,
    tables = function(i) return { i } end,
    mixture = function(i) return i % 3 == 0 and i or i % 3 == 1 and i / 4 or i % 2 == 0 end,
  }

  for name, value in pairs(kinds) do
    it("of " .. name .. " travels whole, wherever its items lie", function()
      for _, items in ipairs { 0, 1, 2, 3, 4, 9 } do
        for _, n in ipairs { 0, 1, 3, 5, 20, 33 } do
          use(constructor(items, n)(value), items, n, value)
        end
      end
    end)
  end

  it("of more items than a run holds travels whole, with what stands behind", function()
    for _, n in ipairs { 255, 256, 257, 512, 1000 } do
      local t = { size = n }
      for i = 1, n do t[i] = i * 77 end
      travels(t)
      t[n // 2] = "a string"
      t[n // 3] = 0.5
      t[n // 4] = nil
      travels(t)
    end
  end)
end)
