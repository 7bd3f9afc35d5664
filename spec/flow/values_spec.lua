local pools = require "spec.support.pools"

local task = pools.task

local function echo(...) return ... end

local function pattern(n)
  local bytes = {}
  for i = 0, 255 do bytes[i + 1] = string.char(i) end
  local all = table.concat(bytes)
  return all:rep(n // 256) .. all:sub(1, n % 256)
end

describe("values", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      local ex

      setup(function() ex = make(2) end)
      teardown(function() ex:shutdown() end)

      local function travel(...) return ex:submit(echo, ...):result() end

      for _, size in ipairs{ 0, 1, 1024, 4095, 4096, 65535, 65536, 65537, 100 * 1024, 5 << 20 } do
        it("carries a string of " .. size .. " bytes there and back", function()
          local s = pattern(size)
          assert.is_true(travel(s) == s)
        end)

        it("carries a string of " .. size .. " bytes as argument only", function()
          local s = pattern(size)
          local length, last = ex:submit(task(function(x) return #x, x:byte(-1) end), s):result()
          assert.equal(size, length)
          assert.equal(s:byte(-1), last)
        end)

        it("carries a string of " .. size .. " bytes as upvalue", function()
          local s = pattern(size)
          assert.equal(size, ex:submit(function() return #s end):result())
        end)

        it("carries a string of " .. size .. " bytes as result only", function()
          local s = ex:submit(string.rep, "ab", size // 2):result()
          assert.is_true(s == ("ab"):rep(size // 2))
        end)

        it("carries a string of " .. size .. " bytes as error", function()
          local s = ("e"):rep(size)
          local ok, err = ex:submit(task(function(n) error(("e"):rep(n), 0) end), size):presult()
          assert.is_false(ok)
          assert.is_true(err == s)
        end)
      end

      it("carries many large strings, more than the parent has taken yet", function()
        local futures = {}
        for i = 1, 40 do futures[i] = ex:submit(string.rep, string.char(64 + i), 300000) end
        for i = 40, 1, -1 do
          assert.is_true(futures[i]:result() == string.char(64 + i):rep(300000))
        end
      end)

      it("carries a thousand results that nobody has taken yet", function()
        local futures = {}
        for i = 1, 1000 do futures[i] = ex:submit(string.rep, "x", i) end
        for i = 1000, 1, -1 do assert.equal(i, #futures[i]:result()) end
      end)

      it("forgets large results that nobody asks for", function()
        for _ = 1, 30 do ex:submit(string.rep, "x", 1 << 20) end
        collectgarbage()
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
      end)

      it("carries nil and booleans", function()
        assert.same({ n = 4, nil, true, false, nil }, table.pack(travel(nil, true, false, nil)))
      end)

      it("carries integers exactly", function()
        for _, i in ipairs{ 0, 1, -1, 127, 128, 255, 256, -128, -129, 65535, 1 << 31, 1 << 32,
          -(1 << 31), 1 << 53, (1 << 53) + 1, math.maxinteger, math.mininteger } do
          local got = travel(i)
          assert.equal("integer", math.type(got))
          assert.equal(i, got)
        end
      end)

      it("carries floats bit by bit", function()
        for _, x in ipairs{ 0.0, -0.0, 1.0, 0.1, -1 / 3, 1e308, 5e-324, math.huge, -math.huge,
          2.0 ^ 53, math.pi } do
          local got = travel(x)
          assert.equal("float", math.type(got))
          assert.equal(string.pack("d", x), string.pack("d", got))
        end
        local nan = travel(0 / 0)
        assert.is_true(nan ~= nan)
      end)

      it("carries tables with all kinds of keys", function()
        local t = { 1, 2, nil, 4, a = "b", [1.5] = "f", [true] = false, [-1] = "neg",
          [math.maxinteger] = "max", [""] = "empty" }
        assert.same(t, travel(t))
        local inner = {}
        local got = travel({ [inner] = inner })
        local k, v = next(got)
        assert.equal(k, v)
      end)

      it("keeps shared references shared, also between arguments", function()
        local shared = { 1 }
        local t, u = travel({ shared, shared, x = { shared } }, shared)
        assert.equal(t[1], t[2])
        assert.equal(t[1], t.x[1])
        assert.equal(t[1], u)
      end)

      it("keeps cycles", function()
        local t = { name = "t" }
        t.self = t
        t.child = { parent = t }
        local got = travel(t)
        assert.equal(got, got.self)
        assert.equal(got, got.child.parent)
        assert.not_equal(t, got)
      end)

      it("carries tables as deep as memory allows", function()
        local depth = 200000
        local t = {}
        for _ = 1, depth do t = { t } end
        local got, n = travel(t), 0
        while got[1] do
          got = got[1]
          n = n + 1
        end
        assert.equal(depth, n)
      end)

      it("carries wide tables", function()
        local t = {}
        for i = 1, 100000 do t[i] = i end
        local got = travel(t)
        assert.equal(100000, #got)
        for i = 1, 100000 do if got[i] ~= i then error("wrong at " .. i) end end
      end)

      it("carries metatables", function()
        local Point = {}
        Point.__index = Point
        function Point:sum() return self.x + self.y end
        local p = setmetatable({ x = 1, y = 2 }, Point)
        assert.equal(3, ex:submit(function(q) return q:sum() end, p):result())
        assert.equal(3, travel(p):sum())
      end)

      it("knows the metatable of a module's class again", function()
        local errors = require "ccpool.errors"
        local err = travel(errors.new("ClosedError", "closed"))
        assert.equal(errors.Error, getmetatable(err))
      end)

      it("carries named objects as themselves", function()
        assert.equal(math, travel(math))
        assert.equal(string.format, travel(string.format))
        assert.equal(io.stdout, travel(io.stdout))
        assert.equal("file", ex:submit(io.type, io.stdout):result())
      end)

      it("gives a table of its own to each result", function()
        local t = { 1 }
        local a, b = ex:submit(echo, t), ex:submit(echo, t)
        assert.not_equal(a:result(), b:result())
        assert.same(a:result(), b:result())
      end)

      it("takes many arguments", function()
        local list = {}
        for i = 1, 5000 do list[i] = i end
        local n, last = ex:submit(task(function(...)
          return select("#", ...), (select(-1, ...))
        end), table.unpack(list)):result()
        assert.equal(5000, n)
        assert.equal(5000, last)
      end)

      it("refuses more than fits in the path too: every refusal says where", function()
        local co = coroutine.create(print)
        local cases = {
          { "argument 1", co },
          { "argument 2", 1, co },
          { "argument 1[3]", { 1, 2, co } },
          { "argument 1.a.b", { a = { b = co } } },
          { "argument 1", { [co] = 1 } },
          { "upvalue 'co'", function() return co end },
          { "argument 1", setmetatable({}, { __index = { co } }) },
        }
        for _, case in ipairs(cases) do
          local err = pools.fails_with("NotSendableError", ex.submit, ex, echo,
            table.unpack(case, 2))
          assert.matches(case[1], err.path, 1, true)
          assert.matches("thread", err.path, 1, true)
        end
      end)
    end)
  end
end)
