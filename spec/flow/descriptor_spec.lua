local fcntl = require "posix.fcntl"
local poll = require "posix.poll"
local pools = require "spec.support.pools"

local function readable(f, timeout_ms) return poll.rpoll(f:getfd(), timeout_ms or 0) == 1 end

describe("the descriptor of a future", function()
  for kind, make in pools.concurrent() do
    describe("(" .. kind .. ")", function()
      it("gets readable when the future is done, without any call of ccpool", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        assert.is_false(readable(futures[1]))
        gate:open()
        assert.is_true(readable(futures[1], 30000))
        assert.is_true(futures[1]:done())
      end)

      it("stays readable", function()
        local ex <close> = make(1)
        local f = ex:submit(math.sqrt, 16)
        assert.is_true(readable(f, 30000))
        assert.equal(4.0, f:result())
        assert.is_true(readable(f))
        assert.is_true(readable(f))
      end)

      it("gets readable when the task fails", function()
        local ex <close> = make(1)
        local gate <close> = pools.occupy(ex)
        local f = ex:submit(error, "no")
        f:getfd()
        gate:open()
        assert.is_true(readable(f, 30000))
        assert.equal("no", (f:exception()))
      end)

      it("gets readable when the future is cancelled", function()
        local ex <close> = make(1)
        local gate <close> = pools.occupy(ex)
        assert(gate)
        local f = ex:submit(math.sqrt, 16)
        assert.is_false(readable(f))
        f:cancel()
        assert.is_true(readable(f))
      end)

      it("gets readable when the pool is killed", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        assert(gate)
        assert.is_false(readable(futures[1]))
        ex:kill()
        assert.is_true(readable(futures[1], 30000))
      end)

      it("works for many futures at once", function()
        local ex <close> = make(2)
        local gate <close> = pools.occupy(ex)
        local futures, fds = {}, {}
        for i = 1, 20 do
          futures[i] = ex:submit(math.abs, -i)
          fds[futures[i]:getfd()] = { events = { IN = true } }
        end
        assert.equal(0, poll.poll(fds, 0))
        gate:open()
        for i = 1, 20 do assert.is_true(readable(futures[i], 30000)) end
        assert.equal(20, poll.poll(fds, 0))
      end)

      it("says what a loop wants to know, before and after", function()
        local ex <close> = make(1)
        local gate <close>, futures = pools.occupy(ex)
        local f = futures[1]
        assert.equal(f:getfd(), f:pollfd())
        assert.equal("r", f:events())
        assert.is_nil(f:timeout())
        gate:open()
        f:result()
        assert.equal("r", f:events())
        assert.equal(0, f:timeout())
      end)
    end)
  end

  for kind, make in pools.all() do
    describe("(" .. kind .. ")", function()
      it("is readable at once if the future was done before", function()
        local ex <close> = make(1)
        local f = ex:submit(math.sqrt, 16)
        f:result()
        assert.is_true(readable(f))
      end)

      it("is the same each time", function()
        local ex <close> = make(1)
        local f = ex:submit(math.sqrt, 16)
        local fd = f:getfd()
        assert.equal("integer", math.type(fd))
        assert.equal(fd, f:getfd())
        f:result()
        assert.equal(fd, f:getfd())
        assert.equal(fd, f:pollfd())
      end)

      it("is closed with its future, and not before", function()
        local ex <close> = make(1)
        local fd
        do
          local f = ex:submit(math.sqrt, 16)
          fd = f:getfd()
          f:result()
          collectgarbage()
          assert.is_not_nil(fcntl.fcntl(fd, fcntl.F_GETFD))
        end
        collectgarbage()
        collectgarbage()
        assert.is_nil((fcntl.fcntl(fd, fcntl.F_GETFD)))
      end)
    end)
  end
end)
