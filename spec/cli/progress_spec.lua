-- The progress line, and what `ccpool primes` tells it.

local extent = require("ccpool.cli.primes.extent")
local progress = require("ccpool.cli.progress")

local support = dofile("spec/cli/support.lua")
local shell = support.shell

describe("a progress line", function()
  local function text(done, total, seconds, is_final)
    local line = progress.new({ mode = "never", label = "work", unit = "things", total = total })
    line:set(done)
    return line:text(line.started + seconds, is_final)
  end

  it("tells rate, share and time to go", function()
    assert.are.equal("work: 25% (500 of 2.00k things) 50/s ETA 0:30", text(500, 2000, 10))
    assert.are.equal("work: 0% (0 of 2.00k things) 0/s", text(0, 2000, 10))
    assert.are.equal("work: 0% (1 of 18.4E things) 1/s ETA days", text(1, 2.0 ^ 64, 1))
  end)

  it("tells what was done where the end is not known, and in the end", function()
    assert.are.equal("work: 500 things 50/s", text(500, nil, 10))
    assert.are.equal("work: 500 things in 10.0 s, 50/s", text(500, 2000, 10, true))
  end)
end)

describe("primes extent", function()
  local path

  before_each(function()
    path = os.tmpname()
    support.write_file(path, ("12345\n"):rep(100))
  end)

  after_each(function()
    os.remove(path)
  end)

  it("counts what is in arguments, ranges too", function()
    assert.are.equal(14, extent.new({ "7", "+8", "x", "", "11-20", "3..4", "9-1" }, {}):total())
    assert.are.equal(2.0 ^ 64, extent.new({ "0-18446744073709551615" }, {}):total())
  end)

  it("guesses from the size of files and what was read of them", function()
    local it_all = extent.new({ "1-50" }, { path, path })
    assert.is_nil(it_all:total())
    it_all:add(nil, 50)
    assert.is_nil(it_all:total())
    it_all:add(60, 10)
    assert.are.equal(50 + 200, it_all:total())
    it_all:add(540 + 600, 90 + 100)
    assert.are.equal(250, it_all:total())
  end)

  it("knows nothing of what has no size", function()
    for _, name in ipairs({ "/dev/null", "/no/such/file", "/" }) do
      local it_all = extent.new({ "7" }, { path, name })
      it_all:add(6, 1)
      assert.is_nil(it_all:total())
    end
  end)
end)

describe("ccpool primes on a terminal", function()
  if not shell("command -v script"):find("script") then
    pending("script (util-linux) is not there")
    return
  end

  -- Standard error is a terminal; each number takes a while.
  local function progress_of(input)
    return shell(([[script -qec "bin/ccpool primes --method trial --chunk 1 -w 1 --backend \
      threads -o /dev/null %s" /dev/null </dev/null]]):format(input))
  end

  local SLOW = { "200000000000027" }
  for i = 2, 12 do
    SLOW[i] = SLOW[1]
  end

  it("tells when it will be through with arguments", function()
    local out = progress_of(table.concat(SLOW, " "))
    assert.matches("primes: %d+%% %(%d+ of 12 numbers%) [%d.]+/s ETA %d+:%d%d", out)
    assert.matches("primes: 12 numbers in", out, 1, true)
  end)

  it("tells it of a file, too", function()
    local path = os.tmpname()
    support.write_file(path, table.concat(SLOW, "\n") .. "\n")
    assert.matches("primes: %d+%% %(%d+ of 12 numbers%) [%d.]+/s ETA %d+:%d%d",
      progress_of("-i " .. path))
    assert.matches("primes: %d+%% %(%d+ of 12 numbers%) [%d.]+/s ETA %d+:%d%d",
      progress_of("<" .. path))
    os.remove(path)
  end)
end)
