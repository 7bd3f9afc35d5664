-- Real libraries in workers: their modules, functions and objects as upvalues, arguments
-- and results. Where one is not installed, its specs are pending; tools/deps.sh test
-- installs them all.
local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local assert, describe, it, pending = assert, describe, it, pending
local _ENV = _G -- luacheck: ignore

local function echo(...) return ... end

--- For each kind of executor, a spec with one and with the modules named.
local function with(modules, title, body)
  for kind, make in pools.all() do
    it(("%s (%s)"):format(title, kind), function()
      local found = {}
      for i, name in ipairs(modules) do
        local ok, m = pcall(require, name)
        if not ok then return pending(name .. " is not installed") end
        found[i] = m
      end
      local ex <close> = make(1)
      body(ex, kind, table.unpack(found))
    end)
  end
end

--- What every module can do: travel in each role and still be itself.
local function travels(name, fields)
  with({ name }, "is itself as argument, upvalue, result and error", function(ex, _, m)
    assert.equal(m, (ex:submit(echo, m):result()))
    assert.is_true(ex:submit(function(x) return x == m and x == require(name) end, m):result())
    assert.equal(m, ex:submit(function() return m end):result())
    assert.equal(m, ex:submit(function() error(m) end):exception())
    for _, field in ipairs(fields) do
      local f = m[field]
      assert.is_not_nil(f)
      assert.equal(f, (ex:submit(echo, f):result()))
      assert.is_true(ex:submit(function(x) return x == f and x == require(name)[field] end, f)
        :result())
      assert.equal(f, ex:submit(function() return { require(name)[field] } end):result()[1])
    end
  end)
end

describe("luaposix", function()
  travels("posix", { "getpid" })
  travels("posix.unistd", { "getpid", "write" })

  with({ "posix.unistd", "posix.sys.stat" }, "serves as upvalue", function(ex, kind, unistd, stat)
    local pid, is_dir = ex:submit(function(path)
      return unistd.getpid(), stat.S_ISDIR(stat.stat(path).st_mode) ~= 0
    end, "/"):result()
    assert.equal(kind ~= "process", pid == unistd.getpid())
    assert.is_true(is_dir)
  end)

  with({ "posix.unistd" }, "is called directly, by function and by name", function(ex, _, unistd)
    assert.equal(ex:submit(unistd.getppid):result(),
      ex:submit("posix.unistd.getppid"):result())
  end)
end)

describe("lua-cjson", function()
  travels("cjson", { "encode", "decode", "null" })

  with({ "cjson" }, "serves as upvalue", function(ex, _, json)
    local t = { list = { 1, 2, { x = "y" } }, none = json.null }
    local text, back = ex:submit(function(v)
      local s = json.encode(v)
      return s, json.decode(s)
    end, t):result()
    assert.same(t, back)
    assert.equal(json.null, back.none)
    assert.same(t, json.decode(text))
  end)

  with({ "cjson" }, "maps its functions", function(ex, _, json)
    for i, t in ex:map(json.decode, { "[1]", "[2]", "[3]" }) do assert.same({ i }, t) end
  end)

  with({ "cjson" }, "fails a task as it fails here", function(ex, _, json)
    local err = ex:submit(json.decode, "{"):exception()
    assert.matches("Expected object key", err, 1, true)
  end)
end)

describe("Penlight", function()
  travels("pl.List", { "new", "range", "reverse" })

  with({ "pl.List" }, "keeps the class of its objects", function(ex, _, List)
    local list = List{ 3, 1, 2 }
    local same, sorted, class = ex:submit(function(l)
      return getmetatable(l) == List and List:class_of(l), l:sorted(), getmetatable(l)
    end, list):result()
    assert.is_true(same)
    assert.equal(List, getmetatable(sorted))
    assert.equal(List, class)
    assert.equal("{1,2,3}", tostring(sorted))
  end)

  with({ "pl.OrderedMap", "pl.Set" }, "keeps those of others, nested", function(ex, _, Map, Set)
    local map = Map()
    map:set("one", Set{ 1 })
    map:set("two", Set{ 1, 2 })
    local back, union = ex:submit(function(m) return m, m:get("one") + m:get("two") end, map)
      :result()
    assert.equal(Map, getmetatable(back))
    assert.equal(Set, getmetatable(back:get("one")))
    assert.equal(Set{ 1, 2 }, union)
    assert.same({ "one", "two" }, { back:keys()[1], back:keys()[2] })
  end)

  with({ "pl.class", "pl.List" }, "carries a class of the program that is made with it",
    function(ex, _, class, List)
      local Stack = class(List)
      function Stack:push(x) self:append(x) return self end
      local s = Stack{ 1 }
      local size, top = ex:submit(function(q) q:push(7) return q:len(), q[#q] end, s):result()
      assert.same({ 2, 7 }, { size, top })
    end)
end)

describe("lpeg", function()
  travels("lpeg", { "match", "P", "C" })

  with({ "lpeg" }, "serves as upvalue", function(ex, _, lpeg)
    local words = ex:submit(function(s)
      local word = lpeg.C(lpeg.R("az")^1)
      return lpeg.Ct((word + 1)^0):match(s)
    end, "one, two"):result()
    assert.same({ "one", "two" }, words)
  end)

  with({ "lpeg" }, "says where a pattern is, which cannot travel", function(ex, _, lpeg)
    local grammar = { word = lpeg.R("az")^1 }
    local err = pools.fails_with("NotSendableError", ex.submit, ex, function() return grammar end)
    assert.matches("^function upvalue 'grammar'%.word %(userdata: ", err.path)
    local ok, result = ex:submit(function() return 1, { lpeg.P(1) } end):presult()
    assert.is_false(ok)
    assert.matches("^result 2%[1%] %(userdata: ", result.path)
  end)

  with({ "lpeg", "re" }, "carries patterns whose type is registered", function(ex, _, lpeg, re)
    -- in the globals of each state: save and load must not hold the values themselves
    local function sources()
      local G = _ENV
      G.SOURCES = G.SOURCES or setmetatable({}, { __mode = "k" })
      return G.SOURCES
    end
    local function compile(text)
      local p = re.compile(text)
      sources()[p] = text
      return p
    end
    ccpool.register("lpeg.pattern", { metatable = getmetatable(lpeg.P(1)),
      save = function(p) return sources()[p] end, load = compile })
    local p = compile("{[a-z]+}")
    assert.equal("abc", ex:submit(function(q) return q:match("abc1") end, p):result())
    local back = ex:submit(echo, p):result()
    assert.equal("xyz", back:match("xyz9"))
    _G.SOURCES = nil
  end)
end)

describe("argparse", function()
  travels("argparse", {})

  with({ "argparse" }, "serves as upvalue", function(ex, _, argparse)
    local args = ex:submit(function(list)
      local parser = argparse("prog")
      parser:argument("input")
      parser:option("-n --count"):convert(tonumber)
      return parser:parse(list)
    end, { "file", "-n", "3" }):result()
    assert.same({ input = "file", count = 3 }, args)
  end)

  with({ "argparse" }, "carries a parser", function(ex, _, argparse)
    local parser = argparse("prog", "about")
    parser:flag("-v --verbose"):count("*")
    parser:command("run"):argument("what")
    local args = ex:submit(function(list) return parser:parse(list) end,
      { "-vv", "run", "it" }):result()
    assert.equal(2, args.verbose)
    assert.equal("it", args.what)
  end)
end)

describe("luasocket", function()
  travels("socket", { "gettime", "bind", "sleep" })
  travels("socket.url", { "parse", "build" })

  with({ "socket" }, "serves as upvalue", function(ex, _, socket)
    local text = ex:submit(function()
      local server <close> = setmetatable({ s = assert(socket.bind("127.0.0.1", 0)) },
        { __close = function(t) t.s:close() end })
      local _, port = server.s:getsockname()
      local client = assert(socket.connect("127.0.0.1", port))
      local peer = assert(server.s:accept())
      peer:send("hello\n")
      local line = client:receive("*l")
      client:close()
      peer:close()
      return line
    end):result()
    assert.equal("hello", text)
  end)

  with({ "socket" }, "says where a socket is, which cannot travel", function(ex, _, socket)
    local cfg = { server = assert(socket.tcp()) }
    local err = pools.fails_with("NotSendableError", ex.submit, ex, echo, 1, cfg)
    cfg.server:close()
    assert.matches("^argument 2%.server %(userdata: ", err.path)
  end)
end)
