local program = require "spec.support.program"
local signal = require "posix.signal"

local KINDS = { "Thread", "Process" }
local SOON = 2 -- seconds; "at once", on a busy machine

--- What the program is doing when SIGINT comes; each blocks for ever.
local BLOCKED = {
  { "f:result()", "f:result()" },
  { "f:presult()", "f:presult()" },
  { "f:exception(1000)", "f:exception(1000)" },
  { "ccpool.wait", "ccpool.wait{ f, g }" },
  { "ccpool.wait, FIRST_COMPLETED", "ccpool.wait({ f }, { return_when = 'FIRST_COMPLETED' })" },
  { "ccpool.as_completed", "for _ in ccpool.as_completed{ f } do end" },
  { "ccpool.all", "ccpool.all{ f, g }" },
  { "ccpool.any", "ccpool.any{ f, g }" },
  { "ccpool.poll", "while true do ccpool.poll() end" },
  { "a step of map", "for _ in ex:map(forever, { 1, 2, 3, 4 }) do end" },
  { "a step of an unordered map",
    "for _ in ex:map(forever, { 1, 2, 3, 4 }, { ordered = false }) do end" },
  { "shutdown", "ex:shutdown()" },
  { "shutdown with a timeout", "ex:shutdown{ timeout = 1000 }" },
}

-- The tasks have no end: the program kills the pool, or its end would wait for them.
local function blocked(kind, doing)
  return ([[
local ccpool = require "ccpool"
local ex = ccpool.%sPoolExecutor(2)
local function forever() while true do end end
local function pid() return require "posix.unistd".getpid() end
local before = ex:submit(pid):result()
local f, g = ex:submit(forever), ex:submit(forever)
ex:warmup()
local ok, err = pcall(function()
  print "up"
  io.stdout:flush()
  %s
end)
print(ok, err)
local alive = 0
for _, worker in ipairs(ex:stats().workers) do
  if worker.pid then alive = alive + 1 end
end
print(alive, ex:stats().crashes)
ex:kill()
]]):format(kind, doing)
end

local function check(p)
  local result = p:finish()
  assert.equal(0, result.code)
  assert.equal("", result.err)
  assert.matches("^up\nfalse\t[^\n]*interrupted!\n2\t0\n$", result.out)
  assert.is_true(p:gone(), p:picture())
end

for _, kind in ipairs(KINDS) do
  describe("SIGINT to a program with a " .. kind .. "PoolExecutor #crash", function()
    for _, case in ipairs(BLOCKED) do
      it("interrupts " .. case[1], function()
        local p <close> = program.start(blocked(kind, case[2]))
        assert.equal("up", p:line())
        -- as a terminal does it: to all processes of the group
        p:kill_group(signal.SIGINT)
        check(p)
      end)
    end

    -- #nosan: the thread sanitizer holds signals back while a system call blocks
    it("interrupts at once #nosan", function()
      for _ = 1, 10 do
        local p <close> = program.start(blocked(kind, "f:result()"))
        assert.equal("up", p:line())
        local began = program.now()
        p:kill(signal.SIGINT)
        check(p)
        assert.is_true(program.now() - began < SOON)
      end
    end)

    it("ends a program that does not catch it", function()
      local p <close> = program.start(([[
        local ccpool = require "ccpool"
        local ex = ccpool.%sPoolExecutor(2)
        local f = ex:submit(function() while true do end end)
        ex:warmup()
        local guard <close> = setmetatable({}, { __close = function() ex:kill() end })
        print "up"
        io.stdout:flush()
        f:result()]]):format(kind))
      assert.equal("up", p:line())
      p:kill_group(signal.SIGINT)
      local result = p:finish()
      assert.equal(1, result.code)
      assert.matches("interrupted!", result.err)
      assert.equal("up\n", result.out)
      assert.is_true(p:gone(), p:picture())
    end)

    it("ends it when it comes again while pending work is being finished", function()
      local p <close> = program.start(([[
        local ccpool = require "ccpool"
        local ex = ccpool.%sPoolExecutor(2)
        local f = ex:submit(function() while true do end end)
        ex:warmup()
        print "up"
        io.stdout:flush()
        f:result()]]):format(kind))
      assert.equal("up", p:line())
      p:kill_group(signal.SIGINT)
      assert.is_true(p:said("interrupted!")) -- lua says so before it closes its state
      assert.is_false(p:ended())
      p:kill_group(signal.SIGINT)
      assert.equal(signal.SIGINT, p:finish().signal)
      assert.is_true(p:gone(), p:picture())
    end)

    it("leaves pool and futures usable", function()
      local p <close> = program.start(([[
        local ccpool = require "ccpool"
        local ex <close> = ccpool.%sPoolExecutor(2)
        local fifo = require "spec.support.fifo"
        local gate <close> = fifo.new()
        local f = ex:submit("spec.support.fifo.pass", gate.path, "through")
        print(pcall(function()
          print "up"
          io.stdout:flush()
          f:result()
        end))
        gate:open()
        print(f:result())
        print(ex:submit(math.sqrt, 16):result())]]):format(kind))
      assert.equal("up", p:line())
      p:kill_group(signal.SIGINT)
      local result = p:finish()
      assert.equal("", result.err)
      assert.matches("^up\nfalse\t[^\n]*interrupted!\nthrough\n4.0\n$", result.out)
    end)
  end)
end

describe("SIGINT to process workers #crash", function()
  it("is ignored by idle and busy ones", function()
    local ccpool = require "ccpool"
    local ex <close> = ccpool.ProcessPoolExecutor(2)
    local fifo = require "spec.support.fifo"
    local gate <close> = fifo.new()
    local started <close> = fifo.new()
    local f = ex:submit("spec.support.fifo.tell_and_pass", started.path, gate.path, 5)
    ex:warmup()
    started:await()
    for _, worker in ipairs(ex:stats().workers) do signal.kill(worker.pid, signal.SIGINT) end
    gate:open()
    assert.equal(5, f:result(program.BOUND))
    assert.equal(0, ex:stats().crashes)
    assert.equal(2, #ex:stats().workers)
  end)
end)
