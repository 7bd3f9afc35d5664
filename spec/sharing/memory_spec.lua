--- Value, Array, Dict: in threads, in processes.

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local core = require "ccpool.core"
local pools = require "spec.support.pools"

local PATIENCE = 30 -- seconds; reached only by what is broken

local RANGES = {
  i8 = { -128, 127 }, u8 = { 0, 255 }, i16 = { -32768, 32767 }, u16 = { 0, 65535 },
  i32 = { -2147483648, 2147483647 }, u32 = { 0, 4294967295 },
  i64 = { math.mininteger, math.maxinteger },
}

describe("Array", function()
  for type, range in pairs(RANGES) do
    it("of " .. type .. " keeps its range", function()
      local a = ccpool.Array(type, 3)
      assert.same({ 0, 0, 0 }, a:slice())
      a[1], a[3] = range[1], range[2]
      assert.equal(range[1], a[1])
      assert.equal(range[2], a[3])
      assert.equal("integer", math.type(a[3]))
      a[2] = 5.0
      assert.equal(5, a[2])
      pools.misuse(function() a[2] = 1.5 end, type)
      if type ~= "i64" then
        pools.misuse(function() a[2] = range[1] - 1 end, type)
        pools.misuse(function() a[2] = range[2] + 1 end, type)
        pools.misuse(function() a:add(3, 1) end, type)
        assert.equal(range[2], a[3])
      else
        assert.equal(range[1], a:add(3, 1))
      end
      assert.equal(5, a[2])
      assert.equal(range[1] + 1, a:add(1, 1))
    end)
  end

  it("of floats keeps them bit by bit", function()
    local a = ccpool.Array("f64", { 0.1, -0.0, 1 / 0, 0 / 0 })
    assert.equal(0.1, a[1])
    assert.equal(-math.huge, 1 / a[2])
    assert.equal(math.huge, a[3])
    assert.is_true(a[4] ~= a[4])
    local b = ccpool.Array("f32", { 0.5, 1 })
    assert.equal(0.5, b[1])
    assert.equal("float", math.type(b[2]))
    assert.equal(1.25, b:add(2, 0.25))
  end)

  it("checks its bounds", function()
    local a = ccpool.Array("u8", 10)
    assert.equal(10, #a)
    for _, i in ipairs{ 0, 11, -1, 2 ^ 53 } do
      pools.misuse(function() return a[i] end, "out of range")
      pools.misuse(function() a[i] = 1 end, "out of range")
      pools.misuse(function() a:add(i, 1) end, "out of range")
    end
    pools.misuse(function() return a[1.5] end)
    pools.misuse(function() a:slice(1, 11) end, "out of range")
    pools.misuse(function() a:fill(1, 0) end, "out of range")
    pools.misuse(function() a:tostring(12) end, "out of range")
    pools.misuse(function() a.x = 1 end)
    assert.is_nil(a.no_such_method)
    assert.same({}, a:slice(11))
    assert.same({}, ccpool.Array("i32", 0):slice())
  end)

  it("is made from a length, a list, or bytes, and nothing else", function()
    local a = ccpool.Array("u16", { 1, 2, 513 })
    assert.equal("\1\0\2\0\1\2", a:tostring())
    assert.equal("\2\0", a:tostring(2, 2))
    assert.same({ 1, 2, 513 }, ccpool.Array("u16", a:tostring()):slice())
    pools.misuse(function() ccpool.Array("u16", "abc") end, "#2")
    pools.misuse(function() ccpool.Array("u16", { 1, "2" }) end, "element 2")
    pools.misuse(function() ccpool.Array("u16", { 1, 65536 }) end, "element 2")
    pools.misuse(function() ccpool.Array("u16", -1) end, "#2")
    pools.misuse(function() ccpool.Array("int", 1) end, "#1")
    pools.misuse(function() ccpool.Array("u16") end, "#2")
    pools.fails_with("MemoryLimitError", ccpool.Array, "f64", 1 << 44)
  end)

  it("fills and swaps", function()
    local a = ccpool.Array("i32", 100000)
    a:fill(7)
    a:fill(9, 2, 3)
    assert.same({ 7, 9, 9, 7 }, a:slice(1, 4))
    assert.equal(7, a[100000])
    assert.same({ true, 7 }, { a:cas(1, 7, 8) })
    assert.same({ false, 8 }, { a:cas(1, 7, 1) })
    assert.equal(8, a[1])
  end)

  for kind, Executor in pools.concurrent() do
    it("adds and swaps atomically in " .. kind .. " workers", function()
      local ex <close> = Executor(4)
      local a, f32 = ccpool.Array("u16", 4), ccpool.Value("f32", 0)
      local futures = {}
      for i = 1, 4 do
        futures[i] = ex:submit(function(x, v)
          for k = 1, 2000 do
            x:add(1 + k % 4, 1)
            v:add(1)
          end
        end, a, f32)
      end
      for _, f in ipairs(futures) do f:result(PATIENCE) end
      assert.same({ 2000, 2000, 2000, 2000 }, a:slice())
      assert.equal(8000.0, f32:get())
    end)

    it("has a lock, in " .. kind .. " workers", function()
      local ex <close> = Executor(3)
      local a = ccpool.Array("i32", 2)
      local futures = {}
      for i = 1, 3 do
        futures[i] = ex:submit(function(x)
          for _ = 1, 200 do
            local _ <close> = x:lock()
            x[1] = x[1] + 1
            x[2] = x[1]
          end
        end, a)
      end
      for _, f in ipairs(futures) do f:result(PATIENCE) end
      assert.same({ 600, 600 }, a:slice())
    end)

    it("of 100 million elements is passed to 8 " .. kind .. " workers without a copy", function()
      local ex <close> = Executor(8)
      local a = ccpool.Array("f64", 100000000)
      local _, _, used = core.shared_stats()
      local futures = {}
      for i = 1, 8 do
        futures[i] = ex:submit(function(x, k)
          x[k * 12500000] = k
          return #x
        end, a, i)
      end
      for _, f in ipairs(futures) do assert.equal(100000000, f:result(PATIENCE)) end
      for i = 1, 8 do assert.equal(i, a[i * 12500000]) end
      local _, _, later = core.shared_stats()
      assert.is_true(later - used < 64 << 20)
    end)
  end

  it("lets its memory go with its last handle", function()
    collectgarbage()
    collectgarbage()
    local before = core.shared_stats()
    for _ = 1, 100 do ccpool.Array("u8", 50000000):fill(1, 1, 1000) end
    collectgarbage()
    collectgarbage()
    -- what workers of other specs held may go meanwhile
    assert.is_true(core.shared_stats() <= before)
  end)

  it("used after it was closed is a ClosedError", function()
    local a = ccpool.Array("u8", 1)
    do local _ <close> = a end
    pools.fails_with("ClosedError", function() return a[1] end)
    pools.fails_with("ClosedError", function() return #a end)
    assert.truthy(tostring(a):find("closed"))
  end)
end)

describe("Value", function()
  it("gets, sets, adds, swaps", function()
    local v = ccpool.Value("i32", 5)
    assert.equal(5, v:get())
    v:set(6)
    assert.equal(8, v:add(2))
    assert.is_true((v:cas(8, 1)))
    assert.is_false((v:cas(8, 2)))
    assert.equal(1, v:get())
    assert.equal(0, ccpool.Value("u8"):get())
    pools.misuse(function() v:set("1") end, "number")
    pools.misuse(function() ccpool.Value("i32", 1.5) end, "#2")
    pools.misuse(function() v:set(1 << 31) end, "i32")
  end)
end)

describe("Dict", function()
  it("has strings, numbers, booleans as keys, and anything as values", function()
    local d = ccpool.Dict()
    assert.is_nil(d:get("none"))
    d:set("a", { 1, { 2 } })
    d:set(1, "one")
    d:set(2.5, false)
    d:set(true, print)
    d:set("", "empty")
    assert.same({ 1, { 2 } }, d:get("a"))
    assert.equal("one", d:get(1.0))
    assert.is_nil(d:get("1"))
    assert.is_false(d:get(2.5))
    assert.equal(print, d:get(true))
    assert.equal("empty", d:get(""))
    assert.equal(5, d:size())
    local keys = {}
    for _, k in ipairs(d:keys()) do keys[k] = true end
    assert.same({ a = true, [1] = true, [2.5] = true, [true] = true, [""] = true }, keys)
    assert.is_true(d:delete(1))
    assert.is_false(d:delete(1))
    d:set("a", nil)
    assert.is_nil(d:get("a"))
    assert.equal(3, d:size())
  end)

  it("refuses other keys, and values that cannot travel", function()
    local d = ccpool.Dict()
    pools.misuse(function() d:get(nil) end, "expected")
    pools.misuse(function() d:set({}, 1) end, "expected")
    pools.misuse(function() d:set(0 / 0, 1) end, "NaN")
    pools.misuse(function() d:update("a") end, "function")
    pools.misuse(function() d:incr("a", "x") end, "number")
    pools.fails_with("NotSendableError", d.set, d, "a", coroutine.create(print))
    assert.equal(0, d:size())
  end)

  it("update gives the new value; an error leaves the old one", function()
    local d = ccpool.Dict()
    assert.equal(1, d:update("n", function(old) return (old or 0) + 1 end))
    assert.is_false((pcall(d.update, d, "n", function() error("no") end)))
    assert.is_false((pcall(d.update, d, "n", function() return coroutine.create(print) end)))
    assert.equal(1, d:get("n"))
    assert.equal(2, d:update("n", function(old)
      d:set("inside", true)
      return old + 1
    end))
    assert.is_true(d:get("inside"))
    assert.is_nil(d:update("n", function() end))
    assert.is_nil(d:get("n"))
    assert.equal(1, d:incr("i"))
    assert.equal(3.5, d:incr("i", 2.5))
  end)

  for kind, Executor in pools.concurrent() do
    it("update is atomic in " .. kind .. " workers", function()
      local ex <close> = Executor(4)
      local d = ccpool.Dict()
      local futures = {}
      for i = 1, 4 do
        futures[i] = ex:submit(function(x, me)
          for k = 1, 250 do
            x:update("sum", function(old) return (old or 0) + 1 end)
            x:incr("count")
            x:set(me * 1000 + k, { k })
          end
        end, d, i)
      end
      for _, f in ipairs(futures) do f:result(PATIENCE) end
      assert.equal(1000, d:get("sum"))
      assert.equal(1000, d:get("count"))
      assert.equal(1002, d:size())
      assert.equal(1002, #d:keys())
      assert.equal(250, d:get(4250)[1])
    end)
  end

  it("gives memory back when it shrinks", function()
    local d = ccpool.Dict()
    local function fill(n)
      for i = 1, n do d:set(i, ("v"):rep(200)) end
      for i = 1, n do d:delete(i) end
    end
    fill(5000)
    local _, _, used = core.shared_stats()
    for _ = 1, 5 do fill(5000) end
    local _, _, later = core.shared_stats()
    assert.equal(0, d:size())
    assert.is_true(later <= used + (1 << 20))
  end)

  it("keeps objects for as long as it has them", function()
    local d = ccpool.Dict()
    local q = ccpool.Queue()
    q:put("kept")
    d:set("q", q)
    q = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal("kept", d:get("q"):get(0))
    assert.equal(0, d:get("q"):qsize())
  end)
end)
