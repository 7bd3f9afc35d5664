local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

--- A class of a program: its instances hold what cannot travel.
local function new_class(name, save, load_)
  local Class = { __name = name }
  Class.__index = Class
  function Class.new(v) return setmetatable({ v = v, no = coroutine.create(print) }, Class) end
  function Class:double() return 2 * self.v end
  ccpool.register(name, {
    metatable = Class,
    save = save or function(o) return o.v end,
    load = load_ or function(v) return Class.new(v) end,
  })
  return Class
end

describe("ccpool.register", function()
  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("makes a type sendable in executors made later", function()
        local Class = new_class("spec.later." .. kind)
        local ex <close> = make(1)
        assert.equal(42, ex:submit(function(o) return o:double() end, Class.new(21)):result())
      end)

      it("makes a type sendable in an executor that runs already", function()
        local ex <close> = make(1)
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
        local Class = new_class("spec.running." .. kind)
        assert.equal(42, ex:submit(function(o) return o:double() end, Class.new(21)):result())
        assert.equal(44, ex:submit(function(o) return o:double() end, Class.new(22)):result())
      end)

      it("makes a type sendable whose class is in a module that only the program has", function()
        local name = "spec.app." .. kind
        local Class = new_class(name)
        package.loaded[name] = { Class = Class, double = Class.double }
        local ex <close> = make(1)
        local root = ex:submit(math.sqrt, 16):result()
        local double, back = ex:submit(function(o) return o:double(), o end, Class.new(21)):result()
        package.loaded[name] = nil
        assert.same({ 4.0, 42 }, { root, double })
        assert.equal(Class, getmetatable(back))
      end)

      it("makes a type sendable whose class is in the module of a preload", function()
        local name = "spec.preloaded_class." .. kind
        local Class = new_class(name)
        package.preload[name] = function() return { Class = Class } end
        package.loaded[name] = package.preload[name]()
        local ex <close> = make(1)
        local double, back = ex:submit(function(o) return o:double(), o end, Class.new(21)):result()
        package.loaded[name], package.preload[name] = nil, nil
        assert.equal(42, double)
        assert.equal(Class, getmetatable(back))
      end)

      for _, when in ipairs{ "before", "after" } do
        it("keeps the class's identity both ways, registered " .. when, function()
          local Class, ex
          if when == "before" then Class = new_class("spec.id.before." .. kind) end
          ex = make(1)
          if when == "after" then
            ex:submit(math.sqrt, 4):result()
            Class = new_class("spec.id.after." .. kind)
          end
          for _ = 1, 2 do
            local same, back, class = ex:submit(function(o)
              return getmetatable(o) == Class, Class.new(o.v + 1), Class
            end, Class.new(1)):result()
            assert.is_true(same)
            assert.equal(2, back.v)
            assert.equal("thread", type(back.no))
            assert.equal(Class, getmetatable(back))
            assert.equal(Class, class)
          end
          ex:shutdown()
        end)
      end

      it("keeps values shared and lets them hold each other", function()
        local Class = new_class("spec.shared." .. kind)
        local ex <close> = make(1)
        local inner = Class.new(1)
        local list, again = ex:submit(function(l) return l, l[1] end,
          { inner, inner, Class.new({ inner }) }):result()
        assert.equal(list[1], list[2])
        assert.equal(list[1], again)
        assert.equal(list[1], list[3].v[1])
      end)

      for _, when in ipairs{ "before", "after" } do
        it("carries a class that holds values of its own type, registered " .. when, function()
          local Class, zero, one
          local function define()
            Class = new_class("spec.own." .. when .. kind)
            zero, one = Class.new(0), Class.new(1)
            Class.ZERO, Class.list = zero, { zero, false, Class.new(2), deep = { again = zero } }
            for _ = 1, 50 do Class.list.deep = { Class.list.deep, [zero.v] = one } end
            function Class.first() return zero, one end
          end
          if when == "before" then define() end
          local ex <close> = make(1)
          if when == "after" then
            ex:submit(math.sqrt, 4):result()
            define()
          end
          local function look(o)
            local C = getmetatable(o)
            local z, u = C.first()
            local deep = C.list.deep
            while deep[1] do deep = deep[1] end
            SEEN = SEEN or C.ZERO -- luacheck: ignore
            return o.v, C.ZERO.v, z == C.ZERO and z == C.list[1] and z == deep.again,
              getmetatable(C.list[3]) == C and C.list[3].v, C.list[2], u.v,
              u == C.list.deep[0], o.double and u:double(), SEEN == C.ZERO -- luacheck: ignore
          end
          for _, v in ipairs{ 7, 8 } do
            assert.same({ v, 0, true, 2, false, 1, true, 2, true },
              { ex:submit(look, Class.new(v)):result() })
          end
          -- where values are no values of the class, but its parts are sent
          assert.same({ 0, 1 }, { ex:submit(function(f)
            local z, u = f()
            return z.v, u.v
          end, Class.first):result() })
          assert.equal(Class, getmetatable(ex:submit(function(o) return o end, zero):result()))
          SEEN = nil -- luacheck: ignore
        end)
      end

      it("carries classes that hold each other's values", function()
        local ex <close> = make(1)
        ex:submit(math.sqrt, 4):result()
        local A, B = new_class("spec.a." .. kind), new_class("spec.b." .. kind)
        A.a, A.b, B.a, B.b = A.new("aa"), B.new("ab"), A.new("ba"), B.new("bb")
        for _, o in ipairs{ A.new("first"), B.new("first") } do
          assert.same({ "first", "aa", "ab", "ba", "bb", true }, { ex:submit(function(x)
            local X = getmetatable(x)
            local Y = getmetatable(getmetatable(X.a) == X and X.b or X.a)
            if X.a.v ~= "aa" then X, Y = Y, X end
            return x.v, X.a.v, X.b.v, Y.a.v, Y.b.v,
              getmetatable(X.b) == Y and getmetatable(Y.a) == X and getmetatable(X.a) == X
          end, o):result() })
        end
      end)

      it("refuses a class whose value another value's load would need at once", function()
        if kind == "serial" then return end -- it need not send the class
        local ex <close> = make(1)
        ex:submit(math.sqrt, 4):result()
        local Inner = new_class("spec.inner." .. kind)
        local Outer = new_class("spec.outer." .. kind)
        Outer.BOX = Inner.new({ Outer.new(1) })
        local err = pools.fails_with("NotSendableError", ex.submit, ex, print, Outer.new(2))
        assert.matches("needs itself to be loaded", err.path, 1, true)
        assert.matches("saved value 1[1]", err.path, 1, true)
      end)

      it("brings values of types that were made in a task and hold their own", function()
        local ex <close> = make(1)
        local o, same = ex:submit(function()
          local C = { __name = "C" }
          require "ccpool".register("spec.own.inside", { metatable = C,
            save = function(x) return x.v end,
            load = function(v) return setmetatable({ v = v }, C) end })
          C.ZERO = setmetatable({ v = 0, no = coroutine.create(print) }, C)
          return setmetatable({ v = 7 }, C), C.ZERO
        end):result()
        assert.equal(7, o.v)
        assert.equal(0, getmetatable(o).ZERO.v)
        if kind ~= "serial" then assert.equal(same, getmetatable(o).ZERO) end
      end)

      it("carries them as upvalues and in errors", function()
        local Class = new_class("spec.up." .. kind)
        local ex <close> = make(1)
        local o = Class.new(5)
        assert.equal(10, ex:submit(function() return o:double() end):result())
        local _, err = ex:submit(function(x) error(x) end, o):presult()
        assert.equal(Class, getmetatable(err))
        assert.equal(5, err.v)
      end)

      it("carries userdata", function()
        local path = os.tmpname()
        local file <close> = assert(io.open(path, "w"))
        ccpool.register("spec.file", { metatable = getmetatable(file),
          save = function() return path end,
          load = function(p) return (assert(io.open(p))) end })
        local ex <close> = make(1)
        file:write("hello")
        file:flush()
        assert.equal("hello", ex:submit(function(f) return f:read("a") end, file):result())
        assert.equal(io.stdout, ex:submit(function(f) return f end, io.stdout):result())
        os.remove(path)
      end)

      it("carries userdata whose save looks them up in a table, as a key", function()
        local ex <close> = make(1)
        ex:submit(math.sqrt, 4):result()
        for round = 1, 2 do -- the second registration replaces the first
          local paths = setmetatable({}, { __mode = "k" })
          local function open(path)
            local file = io.open(path)
            paths[file] = path .. round
            return file
          end
          local file, other = open("/dev/null"), open("/dev/zero")
          ccpool.register("spec.keys" .. kind, { metatable = getmetatable(file),
            save = function(f) return (paths[f]:gsub("%d$", "")) end, load = open })
          local known, n, back = ex:submit(function(f, _)
            local files = 0
            for k, path in pairs(paths) do
              if io.type(k) == "file" and path:find("^/dev/%a+" .. round .. "$") then
                files = files + 1
              end
            end
            return paths[f], files, f
          end, file, other):result()
          assert.equal("/dev/null" .. round, known)
          assert.equal(2, n)
          assert.equal("/dev/null" .. round, paths[back])
          file:close()
          other:close()
        end
      end)

      it("carries functions whose upvalues hold what they themselves load", function()
        local kept, log = {}, {}
        local Class
        local ex <close> = make(1)
        ex:submit(math.sqrt, 4):result()
        local function get(v)
          log[#log + 1] = v
          kept[v] = kept[v] or Class.new(v)
          return kept[v]
        end
        Class = new_class("spec.kept" .. kind, nil, get)
        get(1)
        for _ = 1, 2 do -- new to the worker, and known
          local v, same = ex:submit(function(v)
            local o = get(v)
            return o:double(), o == kept[v]
          end, 1):result()
          assert.same({ 2, true }, { v, same })
        end
        assert.equal(1, ex:submit(function(f) return f(1).v end, get):result())
      end)

      for _, when in ipairs{ "before", "after" } do
        it("carries a class beside its values, any number of times, registered " .. when, function()
          local before <close> = make(1)
          before:submit(math.sqrt, 4):result()
          local Class = new_class("spec.beside" .. when .. kind)
          local after <close> = make(1)
          local ex, o = when == "before" and after or before, Class.new(1)
          for _ = 1, 2 do
            assert.is_true(ex:submit(function(x, a, b, list)
              local meta = getmetatable(x)
              return meta == a and a == b and a == list[1] and a == list[2]
            end, o, Class, Class, { Class, Class }):result())
          end
        end)
      end

      it("makes whole what other values refer to in the parts of a type that is known", function()
        local ex <close> = make(1)
        ex:submit(math.sqrt, 4):result()
        local Class = new_class("spec.parts" .. kind)
        local zero = Class.new(0)
        function Class.zero() return zero end
        for _ = 1, 2 do
          assert.equal(0, ex:submit(function(_, f) return f().v end, zero, Class.zero):result())
          local o, new = zero, Class.new
          assert.is_true(ex:submit(function()
            local meta = getmetatable(o)
            return meta == Class and meta == getmetatable(new(1)) and meta.__index == Class
          end):result())
        end
      end)

      it("carries values made in a task and types registered in one", function()
        local ex <close> = make(1)
        local o = ex:submit(function()
          local C = { __name = "C" }
          require "ccpool".register("spec.inside", { metatable = C,
            save = function(x) return x.v end,
            load = function(v) return setmetatable({ v = -v }, C) end })
          return setmetatable({ v = 7, no = coroutine.create(print) }, C)
        end):result()
        assert.equal(-7, o.v)
        assert.equal("C", getmetatable(o).__name)
      end)

      it("knows types that a module registered while it was loaded", function()
        package.preload["spec.values.vector"] = function()
          local Vector = {}
          Vector.__index = Vector
          function Vector.new(x, y) return setmetatable({ x = x, y = y, f = coroutine.wrap(print) },
            Vector) end
          require "ccpool".register("vector", { metatable = Vector,
            save = function(v) return v.x, v.y end, load = Vector.new })
          return Vector
        end
        package.loaded["spec.values.vector"] = nil
        local ex <close> = make(1)
        if kind == "process" then ex:warmup() end
        local Vector = require "spec.values.vector"
        local v = ex:submit(function(v) v.x = v.x + 1 return v end, Vector.new(1, 2)):result()
        assert.equal(2, v.x)
        assert.equal(Vector, getmetatable(v))
        package.preload["spec.values.vector"], package.loaded["spec.values.vector"] = nil, nil
      end)

      it("fails that submit if save fails, and nothing else", function()
        local broken = true
        local Class = new_class("spec.save." .. kind, function(o)
          if broken then error("no saving today", 0) end
          return o.v
        end)
        local ex <close> = make(1)
        local err = pools.fails_with("NotSendableError", ex.submit, ex, print, { x = Class.new(1) })
        assert.equal("argument 1.x (no saving today)", err.path)
        assert.equal(0, ex:stats().queued)
        broken = false
        assert.equal(2, ex:submit(function(o) return o:double() end, Class.new(1)):result())
      end)

      it("tells what save raised as the error's cause, of arguments and of results", function()
        local raised = { code = 5 }
        local Class = new_class("spec.cause." .. kind, function(o) error(o.v or raised, 0) end)
        local ex <close> = make(1)
        local err = pools.fails_with("NotSendableError", ex.submit, ex, print, Class.new())
        assert.equal(raised, err.cause)
        assert.equal("argument 1 (its save failed)", err.path)
        err = pools.fails_with("NotSendableError", ex.submit, ex, print, Class.new("in words"))
        assert.equal("in words", err.cause)
        err = pools.fails_with("NotSendableError", ex.submit, ex, print, coroutine.create(print))
        assert.is_nil(err.cause)
        local task = function(c, v, how)
          local o = setmetatable({ v = v }, c)
          if how then error(o) end
          return o
        end
        for _, how in ipairs{ false, true } do
          for _, v in ipairs{ "in words", { deep = { 1 } }, 17 } do
            err = ex:submit(task, Class, v, how):exception()
            assert.is_true(ccpool.is_error(err, "NotSendableError"))
            assert.same(v, err.cause)
            assert.matches(how and "^error %(" or "^result 1 %(", err.path)
          end
        end
        err = ex:submit(task, Class, print, true):exception()
        assert.equal(print, err.cause)
        err = ex:submit(function(c)
          return setmetatable({ v = { coroutine.create(print) } }, c)
        end, Class):exception()
        assert.equal("result 1 (its save failed)", err.path)
        if kind ~= "serial" then assert.is_nil(err.cause) end -- it cannot travel either
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
      end)

      it("fails that task if load fails, and nothing else", function()
        local Class = new_class("spec.load." .. kind, nil, function(v)
          if v < 0 then error("negative", 0) end
          return { v = v }
        end)
        local ex <close> = make(1)
        local bad = ex:submit(function(o) return o.v end, Class.new(-1))
        local good = ex:submit(function(o) return o.v end, Class.new(1))
        local ok, err = bad:presult()
        assert.is_false(ok)
        assert.matches("negative", tostring(err), 1, true)
        assert.equal(1, good:result())
      end)

      it("fails that result if load fails in the program", function()
        local main = true
        local Class = new_class("spec.back." .. kind, nil, function(v)
          if main then error("not here", 0) end
          return v
        end)
        if kind ~= "serial" then main = false end
        local ex <close> = make(1)
        local f = ex:submit(function(c, v) return setmetatable({ v = v }, c) end, Class, 3)
        main = true
        local ok, err = f:presult()
        assert.is_false(ok)
        assert.matches("not here", tostring(err), 1, true)
        assert.equal(4.0, ex:submit(math.sqrt, 16):result())
      end)

      it("names the part of a registration that cannot travel", function()
        if kind == "process" then return end -- its workers have it by fork
        local ex <close> = make(1)
        local co = coroutine.create(print)
        local Class = new_class("spec.unsendable." .. kind, function(o) return o.v, co and nil end)
        if kind == "serial" then
          assert.equal(1, ex:submit(function(o) return o.v end, Class.new(1)):result())
          return
        end
        local err = pools.fails_with("NotSendableError", ex.submit, ex, print, Class.new(1))
        assert.equal("argument 1 type 'spec.unsendable.thread' save upvalue 'co' (thread)",
          err.path)
      end)
    end)
  end

  it("may replace an earlier registration, for running workers too", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local One = new_class("spec.replaced")
    assert.equal(2, ex:submit(function(o) return o:double() end, One.new(1)):result())
    local Two = new_class("spec.replaced", nil, function(v) return { v = -v } end)
    assert.equal(-1, ex:submit(function(o) return o.v end, Two.new(1)):result())
  end)

  it("refuses what is no registration, and says why", function()
    local mt, f = {}, function() end
    local function def(m, s, l) return { metatable = m, save = s, load = l } end
    pools.misuse(function() ccpool.register(nil, def(mt, f, f)) end, "#1", "register", "nil")
    pools.misuse(function() ccpool.register("", def(mt, f, f)) end, "#1", "name expected")
    pools.misuse(function() ccpool.register("a\0b", def(mt, f, f)) end, "#1", "name expected")
    pools.misuse(function() ccpool.register("x") end, "#2", "table expected, got nil")
    pools.misuse(function() ccpool.register("x", def(1, f, f)) end, "'metatable'", "got number")
    pools.misuse(function() ccpool.register("x", def(mt, nil, f)) end, "'save'", "got nil")
    pools.misuse(function() ccpool.register("x", def(mt, f, "f")) end, "'load'", "got string")
    pools.misuse(function()
      ccpool.register("x", { metatable = mt, save = f, load = f, sav = f })
    end, "'sav'", "unknown field")
    local ex <close> = ccpool.SerialExecutor(1)
    assert.same({ "plain" }, ex:submit(function(t) return t end,
      setmetatable({ "plain" }, mt)):result())
  end)
end)
