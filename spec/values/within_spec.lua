-- While a message is put together, a `save` or a finalizer may send others.
local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local assert, describe, it, before_each = assert, describe, it, before_each
local _ENV = _G -- luacheck: ignore

-- What `save` does besides saving; not an upvalue, for it need not travel.
local function set_within(f) rawset(_G, "spec_within", f) end

local Value = {}
local function value(v) return setmetatable({ v = v }, Value) end

local LONG = ("long"):rep(1000)

describe("a save that sends something", function()
  before_each(function()
    set_within(nil)
    ccpool.register("spec.within", {
      metatable = Value,
      save = function(o)
        local within = rawget(_G, "spec_within")
        if within then within(o.v) end
        return o.v
      end,
      load = function(v) return value(v) end,
    })
  end)

  for kind, make in pools.all() do
    local function check(ex)
      local echo = function(a, x, text, y) return a, x.v, #text, y.v end
      assert.same({ "a", 1, 4000, 2 }, { ex:submit(echo, "a", value(1), LONG, value(2)):result() })
      local list = ex:map(function(x) return x.v end, { value(3), value(4) }):collect()
      assert.same({ 3, 4 }, { list[1], list[2] })
      local queue, dict = ccpool.Queue(), ccpool.Dict()
      queue:put{ "q", value(5), LONG }
      dict:set("k", { "d", value(6), LONG })
      local q, d = queue:get(), dict:get("k")
      assert.same({ "q", 5, LONG, "d", 6, LONG }, { q[1], q[2].v, q[3], d[1], d[2].v, d[3] })
    end

    it("leaves the message around it as it is: by submit (" .. kind .. ")", function()
      local ex <close> = make(1)
      set_within(function(v)
        assert.equal(2 * v, ex:submit(function(x) return 2 * x end, v):result())
        assert.equal(3000, #ex:submit(string.rep, "abc", 1000):result())
      end)
      check(ex)
      set_within(nil)
    end)

    it("leaves the message around it as it is: by queues and dicts (" .. kind .. ")", function()
      local ex <close> = make(1)
      local queue, dict = ccpool.Queue(), ccpool.Dict()
      set_within(function(v)
        queue:put{ v, queue, ("x"):rep(500) }
        assert.equal(v, queue:get()[1])
        dict:set("k", { v })
        assert.equal(v, dict:get("k")[1])
      end)
      check(ex)
      set_within(nil)
    end)

    it("leaves the message around it as it is: by map, and with saves within (" .. kind .. ")",
      function()
        local ex <close> = make(1)
        local depth = 0
        set_within(function(v)
          depth = depth + 1
          if depth < 4 then
            assert.equal(v, ex:map(function(x) return x.v end, { value(v) }):collect()[1])
            assert.equal(v, ex:submit(function(x) return x.v end, value(v)):result())
          end
          depth = depth - 1
        end)
        check(ex)
        set_within(nil)
      end)

    it("fails in words if it sends itself without end (" .. kind .. ")", function()
      local ex <close> = make(1)
      set_within(function(v) ex:submit(math.sqrt, value(v)) end)
      local err = pools.fails_with("NotSendableError", ex.submit, ex, math.sqrt, value(1))
      assert.matches("^cannot send argument 1 %(", err.message)
      set_within(nil)
      assert.equal(3.0, ex:submit(math.sqrt, 9):result())
      check(ex)
    end)

    it("is what a finalizer may be as well (" .. kind .. ")", function()
      local ex <close> = make(1)
      local queue, left = ccpool.Queue(), 3000
      local function litter()
        if left == 0 then return end
        left = left - 1
        setmetatable({}, { __gc = function()
          ex:submit(math.sqrt, 4)
          queue:put{ "litter", left }
          litter()
        end })
      end
      for _ = 1, 10 do litter() end
      for i = 1, 1000 do
        local n, text = ex:submit(function(x, s) return x.n, s end, { n = i }, "t" .. i):result()
        assert.same({ i, "t" .. i }, { n, text })
        if i % 50 == 0 then collectgarbage("step", 1) end
      end
      left = 0
      for _ = 1, queue:qsize() do assert.equal("litter", queue:get()[1]) end
    end)

    it("fails in words if a finalizer closes what is sent (" .. kind .. ")", function()
      local ex <close> = make(1)
      local lock, left = nil, 500
      local function litter()
        if left == 0 then return end
        setmetatable({}, { __gc = function()
          if lock then getmetatable(lock).__close(lock) end
          litter()
        end })
      end
      collectgarbage("incremental", 10, 1000, 3)
      litter()
      while left > 0 do
        left = left - 1
        lock = ccpool.Lock()
        local ok, err = pcall(ex.submit, ex, rawlen, { lock })
        assert.is_true(ok or err.kind == "NotSendableError" or err.kind == "ClosedError", err)
      end
      collectgarbage("incremental", 200, 100, 13)
    end)
  end
end)
