local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local misuse = pools.misuse

local NAMES = {
  thread = "ThreadPoolExecutor",
  process = "ProcessPoolExecutor",
  serial = "SerialExecutor",
}

describe("an executor", function()
  for kind, make in pools.all() do
    local name = NAMES[kind]

    describe("(" .. kind .. ")", function()
      it("knows its kind, its name and how many workers it may have", function()
        local ex <close> = make{ max_workers = 3, name = "mill" }
        assert.equal(kind, ex.kind)
        assert.equal("mill", ex.name)
        assert.equal(3, ex.max_workers)
      end)

      it("takes a number for max_workers", function()
        local ex <close> = make(2)
        assert.equal(2, ex.max_workers)
      end)

      it("needs no options", function()
        for _, arguments in ipairs{ {}, { {} } } do
          local ex <close> = make(table.unpack(arguments))
          assert.equal(4, ex:submit(math.sqrt, 16):result())
        end
      end)

      it("gets a name of its own", function()
        local a <close> = make(1)
        local c <close> = make(1)
        assert.matches("^ccpool%-%d+$", a.name)
        assert.matches("^ccpool%-%d+$", c.name)
        assert.not_equal(a.name, c.name)
      end)

      it("says what it is", function()
        local ex <close> = make(1)
        assert.matches("^ccpool%." .. name, tostring(ex))
        assert.equal("ccpool." .. name, getmetatable(ex).__name)
      end)

      for _, n in ipairs{ 0, -1, 1.5, 0 / 0, math.huge, "2", true, 1 << 40 } do
        it("refuses max_workers = " .. tostring(n) .. " (" .. type(n) .. ")", function()
          misuse(function() local _ = make{ max_workers = n } end, "max_workers", name)
        end)
      end

      it("refuses 0, -1 and 1.5 in place of options", function()
        for _, n in ipairs{ 0, -1, 1.5 } do
          misuse(function() local _ = make(n) end, "max_workers", name)
        end
      end)

      it("refuses what are no options at all", function()
        for _, value in ipairs{ "4", true, print } do
          misuse(function() local _ = make(value) end, name)
        end
      end)

      it("refuses options that it does not know, by name", function()
        misuse(function() local _ = make{ workers = 2 } end, "workers", "unknown", name)
        misuse(function() local _ = make{ max_workers = 1, [1] = 2 } end, "1", "unknown", name)
      end)

      it("refuses a name, an initializer or initargs of a wrong type, by name", function()
        misuse(function() local _ = make{ name = 7 } end, "'name'", name, "string")
        misuse(function() local _ = make{ initializer = 7 } end, "'initializer'", name, "function")
        misuse(function() local _ = make{ initargs = 7 } end, "'initargs'", name, "array")
      end)

      it("does not change the table of options", function()
        local opts = { max_workers = 2 }
        local ex <close> = make(opts)
        assert.same({ max_workers = 2 }, opts)
        assert.equal(2, ex.max_workers)
      end)

      it("keeps its methods to itself: other objects are refused", function()
        local ex <close> = make(1)
        assert.has_error(function() ex.submit({}, math.sqrt, 1) end)
        assert.has_error(function() ex.submit(nil, math.sqrt, 1) end)
        assert.has_error(function() ex.submit({ io.stdout }, math.sqrt, 1) end)
        assert.has_error(function() ex.map({}, math.sqrt, { 1 }) end)
      end)
    end)
  end

  it("has by default as many workers as the contract says", function()
    local cpus = ccpool.cpu_count()
    local threads <close> = ccpool.ThreadPoolExecutor()
    local processes <close> = ccpool.ProcessPoolExecutor()
    assert.equal(math.min(32, cpus + 4), threads.max_workers)
    assert.equal(cpus, processes.max_workers)
  end)

  for kind, make in pools.concurrent() do
    it("of which nobody knows any more finishes its tasks (" .. kind .. ")", function()
      local gate, futures
      do
        local ex = make(1)
        gate, futures = pools.occupy(ex)
        futures[2] = ex:submit(math.sqrt, 16)
      end
      collectgarbage()
      collectgarbage()
      gate:close()
      assert.equal(1, futures[1]:result())
      assert.equal(4, futures[2]:result())
    end)

    it("refuses initargs that cannot travel, and starts nothing (" .. kind .. ")", function()
      local err = pools.fails_with("NotSendableError", make,
        { initializer = "math.sqrt", initargs = { 1, { deep = coroutine.create(print) } } })
      assert.matches("deep", err.path)
    end)
  end
end)
