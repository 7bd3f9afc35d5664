-- Odd and large values: they travel, or there is a clear error.
local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local function echo(...) return ... end

--- A function with n upvalues that returns their sum.
local function with_upvalues(n)
  local names, values = {}, {}
  for i = 1, n do names[i], values[i] = "u" .. i, tostring(i) end
  -- at most 200 locals in one function: half of them in an outer one
  local half = n // 2
  local text = [[
    local %s = %s
    return (function()
      local %s = %s
      return function() return %s end
    end)()]]
  text = text:format(table.concat(names, ",", 1, half), table.concat(values, ",", 1, half),
    table.concat(names, ",", half + 1), table.concat(values, ",", half + 1),
    table.concat(names, "+"))
  return load(text)()
end

local function no_memory(err)
  return ccpool.is_error(err, "MemoryLimitError") or
    type(err) == "string" and err:find("not enough memory", 1, true)
end

describe("limits", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("functions with an _ENV of their own", function()
        local ex <close> = make(1)
        local env = { x = 20, print = print }
        local f = load("x = x + 1 return x, _ENV.print == print", "=f", "t", env)
        for _ = 1, 2 do assert.same({ 21, true }, { ex:submit(f):result() }) end
        assert.equal(20, env.x)
        local g = load("return _ENV", "=g", "t", nil)
        assert.equal("no table", ex:submit(load("return _ENV or 'no table'", "=h", "t", false))
          :result())
        assert.equal(_G, ex:submit(load("return _ENV")):result())
        assert.is_function(g)
      end)

      it("stripped functions", function()
        local ex <close> = make(1)
        local up = { 4 }
        local f = load(string.dump(function(x) return x * up[1], _ENV == nil end, true))
        debug.setupvalue(f, 1, up)
        assert.equal(12, (ex:submit(f, 3):result()))
        local g = load(string.dump(function() local a = nil return a.b end, true))
        local err = ex:submit(g):exception()
        assert.matches("attempt to index a nil value", err, 1, true)
        local h = load(string.dump(function() return tostring(1) end, true))
        assert.equal("1", ex:submit(h):result())
      end)

      it("functions with 255 upvalues", function()
        local ex <close> = make(1)
        local f = with_upvalues(255)
        assert.equal(255 * 128, ex:submit(f):result())
        local g = ex:submit(echo, f):result()
        assert.equal(255 * 128, g())
      end)

      it("two functions that share 255 upvalues", function()
        local ex <close> = make(1)
        local f, g = with_upvalues(255), with_upvalues(255)
        for i = 1, 255 do debug.upvaluejoin(g, i, f, i) end
        local a, b = ex:submit(echo, f, g):result()
        for i = 1, 255 do assert.equal(debug.upvalueid(a, i), debug.upvalueid(b, i)) end
      end)

      it("arguments and results with holes", function()
        local ex <close> = make(1)
        local got = table.pack(ex:submit(echo, nil, 1, nil, nil, 2, nil):result())
        assert.same({ n = 6, nil, 1, nil, nil, 2, nil }, got)
        assert.equal(0, select("#", ex:submit(echo):result()))
        assert.same({ n = 1 }, table.pack(ex:submit(echo, nil):result()))
      end)

      it("100 000 results", function()
        local ex <close> = make(1)
        local f = ex:submit(function(n)
          local t = {}
          for i = 1, n do t[i] = i % 3 > 0 and i or nil end
          return table.unpack(t, 1, n)
        end, 100000)
        for _ = 1, 2 do
          local got = table.pack(f:result())
          assert.equal(100000, got.n)
          for i = 1, got.n do if got[i] ~= (i % 3 > 0 and i or nil) then error(i) end end
        end
      end)

      it("more results than a Lua stack holds", function()
        local ex <close> = make(1)
        local err = ex:submit(function() return table.unpack({}, 1, 2000000) end):exception()
        assert.matches("too many results to unpack", err, 1, true)
      end)

      it("100 000 arguments", function()
        local ex <close> = make(1)
        local list = {}
        for i = 1, 100000 do list[i] = i end
        local n, last = ex:submit(function(...) return select("#", ...), (select(-1, ...)) end,
          table.unpack(list)):result()
        assert.same({ 100000, 100000 }, { n, last })
      end)

      for _, role in ipairs{ "argument", "upvalue", "result", "error" } do
        it("nesting of a million as " .. role .. " #slow", function()
          local ex <close> = make(1)
          local depth = 1000000
          local function build(n)
            local t = { "core" }
            for _ = 1, n do t = { t } end
            return t
          end
          local function measure(t)
            local n = 0
            while type(t[1]) == "table" do t, n = t[1], n + 1 end
            return n, t[1]
          end
          local n, core
          if role == "argument" then
            n, core = ex:submit(measure, build(depth)):result()
          elseif role == "upvalue" then
            local t = build(depth)
            n, core = ex:submit(function() return measure(t) end):result()
          elseif role == "result" then
            n, core = measure(ex:submit(build, depth):result())
          else
            n, core = measure(ex:submit(function() error(build(depth)) end):exception())
          end
          assert.same({ depth, "core" }, { n, core })
        end)
      end

      it("tables of ten million entries #slow", function()
        local ex <close> = make(1)
        local n = 10000000
        local t = {}
        for i = 1, n do t[i] = i end
        local len, last = ex:submit(function(x) return #x, x[#x] end, t):result()
        assert.same({ n, n }, { len, last })
        t = nil -- luacheck: ignore
        collectgarbage()
        local back = ex:submit(function(k)
          local x = {}
          for i = 1, k do x[i] = i end
          return x
        end, n):result()
        assert.same({ n, n }, { #back, back[n] })
      end)

      it("tables of many keys", function()
        local ex <close> = make(1)
        local back = ex:submit(function(k)
          local x = {}
          for i = 1, k do x["k" .. i] = i end
          return x
        end, 200000):result()
        local n = 0
        for k, v in pairs(back) do
          n = n + 1
          if k ~= "k" .. v then error(k) end
        end
        assert.equal(200000, n)
      end)

      it("strings of a gigabyte, or no memory #slow #nosan", function() -- their shadow is as large
        local ex <close> = make(1)
        local size = 1 << 30
        for _, f in ipairs{
          function() return ex:submit(string.len, ("x"):rep(size)) end,
          function() return ex:submit(function(n) return #(("x"):rep(n)) end, size) end,
        } do
          local ok, future = pcall(f)
          if ok then
            local fine, n = future:presult()
            assert.is_true(fine and n == size or no_memory(n))
          else
            assert.is_true(no_memory(future))
          end
          collectgarbage()
        end
        local fine, s = ex:submit(string.rep, "y", size):presult()
        assert.is_true(fine and #s == size or no_memory(s))
        s = nil -- luacheck: ignore
        collectgarbage()
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
      end)
    end)
  end

  for _, kind in ipairs{ "Thread", "Process" } do
    it("say MemoryLimitError where the arena is too small, each way (" .. kind .. ")", function()
      local out, code, err = pools.run_script(([[
        require("posix.stdlib").setenv("CCPOOL_ARENA", "16M")
        local ccpool = require "ccpool"
        local ex <close> = ccpool.%sPoolExecutor(1)
        local big = ("x"):rep(40 << 20)
        local ok, e = pcall(ex.submit, ex, string.len, big)
        io.write(tostring(ok), " ", e.kind, "\n")
        ok, e = pcall(ex.submit, ex, function() return #big end)
        io.write(tostring(ok), " ", e.kind, "\n")
        big = nil
        ok, e = ex:submit(string.rep, "x", 40 << 20):presult()
        io.write(tostring(ok), " ", e.kind, "\n")
        ok, e = ex:submit(function() error(("x"):rep(40 << 20), 0) end):presult()
        io.write(tostring(ok), " ", e.kind, "\n")
        io.write(ex:submit(math.abs, -4):result())]]):format(kind))
      assert.equal("", err)
      assert.equal(("false MemoryLimitError\n"):rep(4) .. "4", out)
      assert.equal(0, code)
    end)
  end
end)
