-- Futures that are sent: to tasks, through queues, and back.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local function threads(n) return ccpool.ThreadPoolExecutor(n) end
-- Ends when the gate is opened, with the values that follow.
local function behind(gate, ...) gate:wait() return ... end
local function result_of(f) return f:result() end

describe("a future that travels to a thread", function()
  it("is done there if it was done", function()
    local ex <close> = threads(2)
    for _, list in ipairs{ { n = 0 }, { 1, n = 1 }, { nil, 2, nil, n = 3 },
      { ("x"):rep(100), n = 1 }, { ("y"):rep(1 << 20), n = 1 }, { { a = { 1, 2 } }, n = 1 } } do
      local f = ex:submit(function(...) return ... end, table.unpack(list, 1, list.n))
      ccpool.wait{ f }
      for _ = 1, 2 do -- its bytes, and then its values
        local got = table.pack(ex:submit(function(g)
          assert(g:done() and g:state() == "finished" and not g:running() and not g:cancelled())
          return g:result()
        end, f):result())
        assert.same(list, got)
        f:result()
      end
    end
  end)

  it("becomes done there when it does here", function()
    local ex <close> = threads(2)
    local gate = ccpool.Event()
    local f = ex:submit(behind, gate, "late", 2)
    local g = ex:submit(function(h, e)
      local before = h:done()
      e:set()
      return before, h:result()
    end, f, gate)
    assert.same({ false, "late", 2 }, { g:result() })
    assert.same({ "late", 2 }, { f:result() })
  end)

  it("brings large results to several receivers", function()
    local ex <close> = threads(4)
    local gate = ccpool.Event()
    local f = ex:submit(function(e) e:wait() return ("z"):rep(3000000) end, gate)
    local lengths = {}
    for i = 1, 3 do lengths[i] = ex:submit(function(h) return #h:result() end, f) end
    gate:set()
    for i = 1, 3 do assert.equal(3000000, lengths[i]:result()) end
    assert.equal(3000000, #f:result())
  end)

  it("travels as an upvalue, in a table, as a result, and on from there", function()
    local ex <close> = threads(2)
    local gate = ccpool.Event()
    local f = ex:submit(behind, gate, 7)
    local up = ex:submit(function() return f:result() end)
    local packed = ex:submit(function(t) return t.deep.future:result() end,
      { deep = { future = f } })
    local back = ex:submit(function(h) return h end, f):result()
    assert.is_false(back:done())
    local again = ex:submit(function(h) return h end, back):result()
    gate:set()
    assert.same({ 7, 7, 7, 7, 7 }, { f:result(), up:result(), packed:result(), back:result(),
      again:result() })
  end)

  it("brings errors and their traceback", function()
    local ex <close> = threads(2)
    local gate = ccpool.Event()
    local f = ex:submit(function(e) e:wait() error({ code = 7 }) end, gate)
    local function look(h)
      local ok, err = h:presult()
      local caught, raised = pcall(h.result, h)
      return ok, err.code, caught, raised.code, h:exception().code, type(h:traceback())
    end
    local g = ex:submit(look, f)
    gate:set()
    local expected = { false, 7, false, 7, 7, "string" }
    assert.same(expected, { g:result() })
    assert.same(expected, { ex:submit(look, f):result() }) -- done, not decoded
    assert.equal(7, f:exception().code)
    assert.same(expected, { ex:submit(look, f):result() }) -- decoded
  end)

  it("is waited for on one worker without a deadlock", function()
    local ex <close> = threads(1)
    local gate, box = ccpool.Event(), ccpool.Queue()
    local first = ex:submit(function(e, q) e:wait() return q:get():result() end, gate, box)
    local later = ex:submit(math.sqrt, 16) -- behind the one that waits for it
    box:put(later)
    gate:set()
    assert.equal(4.0, first:result())
  end)

  it("works in wait and as_completed", function()
    local ex <close> = threads(1)
    local box = ccpool.Queue()
    local g = ex:submit(function(q)
      local pool = require "ccpool"
      local list = q:get()
      local done, pending = pool.wait(list)
      local sum = 0
      for f in pool.as_completed(q:get()) do sum = sum + f:result() end
      return #done, #pending, sum
    end, box)
    local function some()
      local fs = {}
      for i = 1, 5 do fs[i] = ex:submit(math.abs, -i) end
      return fs
    end
    box:put(some())
    box:put(some())
    assert.same({ 5, 0, 15 }, { g:result() })
  end)

  it("can be cancelled there", function()
    local ex <close> = threads(1)
    local gate, box, other = ccpool.Event(), ccpool.Queue(), threads(1)
    local busy = ex:submit(behind, gate)
    local f = ex:submit(math.abs, -1)
    box:put(f)
    local g = other:submit(function(q)
      local h = q:get()
      return h:cancel{ reason = "no more" }, h:cancelled(), h:state()
    end, box)
    assert.same({ true, true, "cancelled" }, { g:result() })
    assert.is_true(ccpool.is_error(f:exception(), "CancelledError"))
    assert.is_true(f:cancelled())
    assert.is_true(ex:submit(function(h) return h:cancelled() end, f):cancel())
    assert.is_true(other:submit(function(h) return h:cancelled() end, f):result())
    gate:set()
    busy:result()
    other:shutdown()
  end)

  it("is told of a cancelling here", function()
    local a <close> = threads(1)
    local b <close> = threads(1)
    local gate, ready = ccpool.Event(), ccpool.Event()
    local busy = a:submit(behind, gate)
    local f = a:submit(math.abs, -1)
    local g = b:submit(function(h, e) e:set() return select(2, h:presult()) end, f, ready)
    ready:wait()
    f:cancel()
    assert.is_true(ccpool.is_error(g:result(), "CancelledError"))
    gate:set()
    busy:result()
  end)

  it("outlives the sender's future", function()
    local ex <close> = threads(1)
    local box = ccpool.Queue()
    box:put(ex:submit(math.sqrt, 16))
    ex:submit(function() end):result() -- so that the other one is through
    ccpool.poll(0)
    collectgarbage()
    collectgarbage()
    assert.equal(4.0, ex:submit(function(q) return q:get():result() end, box):result())
  end)

  it("outlives its executor", function()
    local box = ccpool.Queue()
    do
      local ex <close> = threads(1)
      box:put(ex:submit(math.sqrt, 16))
    end
    local other <close> = threads(1)
    assert.equal(4.0, other:submit(function(q) return q:get():result() end, box):result())
    box:put(other:submit(math.sqrt, 25))
    assert.equal(5.0, box:get():result())
  end)

  it("is cancelled when the thread that submitted it ends first", function()
    local ex <close> = ccpool.ThreadPoolExecutor{ max_workers = 1 }
    local gate, box = ccpool.Event(), ccpool.Queue()
    local busy = ex:submit(behind, gate)
    local function submit(e, q) q:put(e:submit(math.abs, -1)) end
    local t = ccpool.Thread{ target = submit, args = { ex, box } }
    t:start()
    local f = box:get()
    t:join()
    assert.is_true(ccpool.is_error(f:exception(10), "CancelledError"))
    gate:set()
    busy:result()
  end)

  it("is no submitted task", function()
    local ex <close> = threads(1)
    local f = ex:submit(math.sqrt, 16)
    assert.equal(4.0, ex:submit(result_of, f):result())
    ex:shutdown()
    local stats = ex:stats()
    assert.same({ 2, 2, 0 }, { stats.submitted, stats.done, stats.queued })
  end)

  it("calls back and rings there", function()
    local ex <close> = threads(2)
    local gate = ccpool.Event()
    local f = ex:submit(behind, gate, 3)
    local got = ex:submit(function(h, e)
      local seen
      h:add_done_callback(function(x) seen = x:result() end)
      local fd = h:getfd()
      e:set()
      local poll = require("ccpool").poll
      while not seen do poll(1) end
      return seen, fd >= 0
    end, f, gate)
    assert.same({ 3, true }, { got:result() })
  end)
end)

describe("tasks that wait for each other's futures", function()
  it("are none if each waits for the one before", function()
    local ex <close> = threads(4)
    for _ = 1, 5 do
      local last = ex:submit(math.abs, -1)
      for _ = 1, 200 do last = ex:submit(function(f) return f:result() + 1 end, last) end
      assert.equal(201, last:result())
    end
  end)

  it("are told so, and one of them goes on", function()
    local ex <close> = threads(2)
    local a_box, b_box = ccpool.Queue(), ccpool.Queue()
    local function wait_for(q)
      local ok, err = q:get():presult()
      if ok then return "went on" end
      return tostring(err)
    end
    local a, b = ex:submit(wait_for, a_box), ex:submit(wait_for, b_box)
    a_box:put(b)
    b_box:put(a)
    local texts = { a:result(), b:result() }
    table.sort(texts)
    assert.equal("DeadlockError: the tasks wait for each other", texts[1])
    assert.equal("went on", texts[2])
  end)

  it("may run inside of another that waits", function()
    local ex <close> = threads(2)
    local to_inner, to_other = ccpool.Queue(), ccpool.Queue()
    local other = ex:submit(function(q)
      local ok, err = q:get():presult()
      return ok and "went on" or tostring(err)
    end, to_other)
    local outer = ex:submit(function(e, q, box)
      local inner = e:submit(function(r)
        local ok, err = r:get():presult()
        return ok and "went on" or tostring(err)
      end, q)
      box:put(inner)
      return inner:result()
    end, ex, to_inner, to_other)
    to_inner:put(other)
    local texts = { outer:result(), other:result() }
    table.sort(texts)
    assert.equal("DeadlockError: the tasks wait for each other", texts[1])
    assert.equal("went on", texts[2])
  end)

  it("may be one and the same", function()
    local ex <close> = threads(1)
    local box = ccpool.Queue()
    local f = ex:submit(function(q) return q:get():result() end, box)
    box:put(f)
    assert.is_true(ccpool.is_error(f:exception(), "DeadlockError"))
  end)
end)

describe("a future", function()
  it("does not travel to processes", function()
    local ex <close> = threads(1)
    local processes <close> = ccpool.ProcessPoolExecutor(1)
    local gate = ccpool.Event()
    for _, f in ipairs{ ex:submit(behind, gate), processes:submit(math.abs, -1) } do
      local err = pools.fails_with("NotSendableError", processes.submit, processes, type, { f })
      assert.equal("argument 1[1] (a future travels to threads of its own process only)", err.path)
    end
    gate:set()
  end)

  it("of a process pool travels to threads", function()
    local ex <close> = threads(1)
    local processes <close> = ccpool.ProcessPoolExecutor(1)
    assert.equal(4.0, ex:submit(result_of, processes:submit(math.sqrt, 16)):result())
  end)
end)
