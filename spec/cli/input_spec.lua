local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local poll = require("posix.poll")
local unistd = require("posix.unistd")

local input = require("ccpool.cli.input")

-- Runs body while poll.rpoll is another function.
local function with_poll(rpoll, body)
  local real = poll.rpoll
  poll.rpoll = rpoll
  local ok, err = pcall(body, real)
  poll.rpoll = real
  assert(ok, err)
end

describe("input of the command line", function()
  it("is not waited for without an end: a signal may come just before poll sleeps", function()
    local reading, writing = unistd.pipe()
    local waits = {}
    local text
    with_poll(function(fd, timeout)
      assert.are.equal(reading, fd)
      waits[#waits + 1] = timeout
      if #waits == 3 then
        unistd.write(writing, "7 ")
      end
      return #waits < 3 and 0 or 1
    end, function()
      text = input.reader(reading, "a pipe"):next()
    end)
    unistd.close(reading)
    unistd.close(writing)
    assert.are.equal("7 ", text)
    assert.are.equal(3, #waits)
    for _, timeout in ipairs(waits) do
      assert.is_true(timeout > 0 and timeout <= 1000)
    end
  end)

  it("is interrupted by a signal that came just before poll sleeps", function()
    local reading, writing = unistd.pipe()
    -- What the interpreter's handler does: the next call into the program raises.
    local function interrupt()
      debug.sethook()
      error("interrupted!")
    end
    with_poll(function()
      debug.sethook(interrupt, "crl")
      return 0 -- as poll does when the time is up: nothing came
    end, function()
      assert.error_matches(function()
        input.reader(reading, "a pipe"):next()
      end, "interrupted!")
    end)
    unistd.close(reading)
    unistd.close(writing)
  end)
end)
