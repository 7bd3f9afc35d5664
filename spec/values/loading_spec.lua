-- How modules come into workers: preloads, paths, other loaders, C modules.
local ccpool = require "ccpool"
local modules = require "spec.support.modules"
local pools = require "spec.support.pools"

local assert, describe, it, pending = assert, describe, it, pending
local _ENV = _G -- luacheck: ignore

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

--- A folder of its own, with a function that removes it.
local function folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. path))
  return path, setmetatable({}, { __close = function() os.execute("rm -r " .. path) end })
end

describe("workers", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("have the preloads that are Lua functions, with their upvalues", function()
        local greeting = { "hello" }
        package.preload["spec.preloaded"] = function(name)
          return { name = name, greeting = greeting[1] }
        end
        package.preload["spec.unsendable"] = coroutine.wrap(function() end) -- stays behind
        local ex <close> = make(1)
        package.preload["spec.preloaded"], package.preload["spec.unsendable"] = nil, nil
        local name, greets = ex:submit(function()
          local m = require "spec.preloaded"
          return m.name, m.greeting
        end):result()
        assert.same({ "spec.preloaded", "hello" }, { name, greets })
      end)

      it("have preloads that share what the modules of preloads hold", function()
        local shared = { n = 1 }
        package.preload["spec.first"] = function()
          return { shared = shared, f = function() return shared end }
        end
        package.preload["spec.second"] = function() return { n = shared.n, shared = shared } end
        local first = require "spec.first"
        package.preload["spec.third"] = function() return first end
        local ex <close> = make(1)
        local n, same, third = ex:submit(function()
          local one, two, three = require "spec.first", require "spec.second", require "spec.third"
          return two.n, two.shared == one.shared, three.shared.n
        end):result()
        local back = ex:submit(function(x) return x end, first):result()
        for _, name in ipairs{ "spec.first", "spec.second", "spec.third" } do
          package.preload[name], package.loaded[name] = nil, nil
        end
        assert.same({ 1, true, 1 }, { n, same, third })
        assert.equal(first, back)
      end)

      it("have preloads that hold a module that only the program has", function()
        local own = { f = function() return 7 end, none = {} }
        package.loaded["spec.own"] = own
        package.preload["spec.holds_own"] = function() return own.f() end
        local thread = coroutine.create(print)
        package.loaded["spec.own_thread"] = { thread = thread }
        local stays = package.loaded["spec.own_thread"]
        package.preload["spec.stays"] = function() return stays.thread end
        local ex <close> = make(1)
        package.preload["spec.holds_own"], package.preload["spec.stays"] = nil, nil
        package.loaded["spec.own"], package.loaded["spec.own_thread"] = nil, nil
        assert.equal(7, ex:submit(function() return (require "spec.holds_own") end):result())
        local found = ex:submit(function() return (pcall(require, "spec.stays")) end):result()
        assert.equal(kind == "process", found)
      end)

      it("give back what came by name as the same object, though it be plain data", function()
        ccpool.SerialExecutor():submit(math.sqrt, 4) -- the index of names is there
        package.preload["spec.data"] = function() return { list = { 1, 2 } } end
        local data = require "spec.data"
        local ex <close> = make(1)
        local back, list = ex:submit(function(d) return d, d.list end, data):result()
        package.preload["spec.data"], package.loaded["spec.data"] = nil, nil
        assert.equal(data, back)
        assert.equal(data.list, list)
      end)

      it("find Lua modules by the program's package.path", function()
        local dir, _gone <close> = folder() -- luacheck: ignore _gone
        write(dir .. "/found_here.lua", "return { answer = 42, name = ... }")
        local path, cpath = package.path, package.cpath
        package.path = dir .. "/?.lua;" .. path
        package.cpath = dir .. "/?.so;" .. cpath
        local ex <close> = make(1)
        local expected = package.cpath
        package.path, package.cpath = path, cpath
        local answer, name, their_cpath = ex:submit(function()
          local m = require "found_here"
          return m.answer, m.name, package.cpath
        end):result()
        assert.same({ 42, "found_here" }, { answer, name })
        assert.equal(expected, their_cpath)
      end)

      it("require a loader that the program has, before anything else", function()
        local dir, _gone <close> = folder() -- luacheck: ignore _gone
        assert(os.execute("mkdir " .. dir .. "/luarocks"))
        write(dir .. "/luarocks/loader.lua", [[
          table.insert(package.searchers, 1, function(name)
            local rock = name:match("^rocks%.(.*)$")
            return rock and function() return { rock = rock } end
          end)
          return true]])
        local out, code, err = pools.run_script(([[
          package.path = %q .. "/?.lua;" .. package.path
          require "luarocks.loader"
          local ccpool = require "ccpool"
          local mod = require "rocks.thing"
          local ex <close> = ccpool.%s(1)
          io.write(ex:submit(function() return mod.rock .. require "rocks.other".rock end)
            :result())]]):format(dir, kind == "thread" and "ThreadPoolExecutor"
            or "ProcessPoolExecutor"))
        assert.equal("", err)
        assert.equal("thingother", out)
        assert.equal(0, code)
      end)

      it("say which module they do not find", function()
        local ex <close> = make(1)
        package.loaded["spec.only.here"] = { f = function() end }
        local f = ex:submit(function(g) return g end, package.loaded["spec.only.here"].f)
        package.loaded["spec.only.here"] = nil
        local ok, err = f:presult()
        if kind == "thread" then
          assert.is_false(ok)
          assert.matches("module 'spec.only.here' not found", err, 1, true)
        end
      end)
    end)
  end
end)

local SOURCE = [[
typedef struct lua_State lua_State;
void lua_pushinteger(lua_State *L, long long n);
void lua_createtable(lua_State *L, int narr, int nrec);
void lua_setfield(lua_State *L, int idx, const char *k);
int usleep(unsigned usec);

/* Not safe in several threads at once, on purpose. */
static int inside, overlaps;

static int open(lua_State *L) {
  if (__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST) > 0)
    __atomic_fetch_add(&overlaps, 1, __ATOMIC_SEQ_CST);
  usleep(20000); /* long enough to meet, if they may */
  __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, __atomic_load_n(&overlaps, __ATOMIC_SEQ_CST));
  lua_setfield(L, -2, "overlaps");
  return 1;
}

int luaopen_touchy(lua_State *L) { return open(L); }
int luaopen_touchy_sub(lua_State *L) { return open(L); }
]]

describe("C modules", function()
  local dir, gone = folder()
  local fifo = modules.build_slow(dir, "slow")
  local can_build = fifo and modules.build(dir, "touchy", SOURCE)
    and modules.build(dir, "unhappy", "typedef struct lua_State lua_State;\n"
      .. "int luaL_error(lua_State *L, const char *f, ...);\n"
      .. "int luaopen_unhappy(lua_State *L) { return luaL_error(L, \"never opens\"); }\n")
    and modules.build(dir, "quick", "int luaopen_quick(void *L) { return L == 0; }\n")

  local function with_cpath(f)
    local cpath = package.cpath
    package.cpath = dir .. "/?.so;" .. cpath
    local ok, err = pcall(f)
    package.cpath = cpath
    if not ok then error(err, 0) end
  end

  it("are opened by one thread at a time", function()
    if not can_build then return pending("no C compiler") end
    with_cpath(function()
      local ex <close> = ccpool.ThreadPoolExecutor(4)
      local other <close> = ccpool.ThreadPoolExecutor(4)
      ex:warmup()
      other:warmup()
      local futures = {}
      for i = 1, 8 do
        local pool = i % 2 == 0 and ex or other
        futures[i] = pool:submit(function()
          return require "touchy".overlaps + require "touchy.sub".overlaps
        end)
      end
      for _, f in ipairs(futures) do assert.equal(0, f:result()) end
    end)
  end)

  it("that fail to open leave the others alone", function()
    if not can_build then return pending("no C compiler") end
    with_cpath(function()
      local ex <close> = ccpool.ThreadPoolExecutor(2)
      for _ = 1, 4 do
        local err = ex:submit(function() require "unhappy" end):exception()
        assert.matches("never opens", err, 1, true)
      end
      assert.equal("table", ex:submit(function() return type(require "touchy") end):result())
    end)
  end)

  it("may be loaded in a process that a thread of a worker has forked", function()
    if not can_build then return pending("no C compiler") end
    with_cpath(function()
      local ex <close> = ccpool.ThreadPoolExecutor(4)
      ex:warmup()
      local function load_and_fork(n)
        local inner = require "ccpool".ProcessPoolExecutor(1)
        require "touchy"
        local kind = inner:submit(function()
          return type(require "touchy.sub")
        end):result()
        inner:shutdown()
        return kind, n
      end
      local futures = {}
      for i = 1, 4 do futures[i] = ex:submit(load_and_fork, i) end
      for _, f in ipairs(futures) do assert.equal("table", f:result(60)) end
    end)
  end)

  it("are whole in a process that is forked while another thread opens them", function()
    if not can_build then return pending("no C compiler") end
    with_cpath(function()
      local ex <close> = ccpool.ThreadPoolExecutor(2)
      ex:warmup()
      ex:broadcast(function() require "ccpool" end) -- later, that would wait for "slow"
      local here = ex:submit(function() return require "slow" end)
      local forked = ex:submit(function(path)
        io.open(path):read(1) -- has begun
        local inner <close> = require "ccpool".ProcessPoolExecutor(1)
        return inner:submit(function() return require "slow" end):result()
      end, fifo)
      assert.same({ true, true }, { (here:result(60)), (forked:result(60)) })
    end)
  end)

  -- #nosan: the address sanitizer's allocator does not bear forks while others allocate.
  it("can be opened by processes that are forked while other threads close some #nosan", function()
    if not can_build then return pending("no C compiler") end
    with_cpath(function()
      local stop, threads = ccpool.Event(), {}
      for i = 1, 2 do
        threads[i] = ccpool.Thread{ args = { stop }, target = function(event)
          while not event:is_set() do
            local state <close> = require "ccpool".Thread{ target = function() require "quick" end }
            state:start()
          end
        end }
        threads[i]:start()
      end
      local failed = 0
      for _ = 1, 150 do
        local process = ccpool.Process{ target = function() assert(require "touchy") end }
        process:start()
        local ended = process:join(30)
        if not ended then process:kill() end
        if not ended or process.exitcode ~= 0 then failed = failed + 1 end
        if failed > 0 then break end
      end
      stop:set()
      for _, thread in ipairs(threads) do thread:join() end
      assert.equal(0, failed)
    end)
  end)

  it("are removed", function() getmetatable(gone).__close() end)
end)
