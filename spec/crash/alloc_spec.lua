-- A debug build loses the n-th allocation of ours (CCP_FAULT_ALLOC), or that and all that
-- follow, in the program and in each of its workers: every call gives its value or an
-- error that says so, nothing hangs, and the program ends by itself.

local faulty = require "spec.support.faulty"
local program = require "spec.support.program"

local KINDS = { "thread", "process" }
local LAST = 160 -- the workload makes fewer in any process
local ALL_FROM, ALL_STEP = 1, 7

-- Argument: the kind of executor. A line for what is neither right nor allowed; then END.
local SOURCE = [[
local ccpool = require "ccpool"
local kind = arg[1]
local make = kind == "thread" and ccpool.ThreadPoolExecutor or ccpool.ProcessPoolExecutor
local function kind_of(e) return ccpool.is_error(e) and e.kind or tostring(e) end
local ALLOWED = { MemoryLimitError = true, SystemError = true, BrokenExecutorError = true }
local failed = 0
local function judge(what, ok, value, expected)
  if not ok then failed = failed + 1 end
  if ok then
    if value ~= expected then print("WRONG", what, tostring(value):sub(1, 60)) end
  elseif not ALLOWED[kind_of(value)] and not tostring(value):find("not enough memory", 1, true) then
    print("WRONG", what, kind_of(value))
  end
end
local function main()
  local ok, ex = pcall(make, { max_workers = 2, grace = 0.2 })
  if not ok then judge("make", false, ex) return end
  local big = ("x"):rep(200000)
  local fs = {}
  for i = 1, 6 do
    local text = i % 2 == 0 and big or ""
    local ok, f = pcall(ex.submit, ex, function(n, s) return n * 2 + #s end, i, text)
    if ok then fs[i] = f else judge("submit", false, f) end
  end
  local rules = { timeout = 20, retries = 1, name = "n", priority = 1, deadline = 50 }
  local ok, view = pcall(ex.with, ex, rules)
  if ok then
    local ok, f = pcall(view.submit, view, function(s) return s end, big)
    if ok then fs[7] = f else judge("submit_with", false, f) end
  else judge("with", false, view) end
  for i = 1, 7 do
    if fs[i] then
      local ok, v = fs[i]:presult(20)
      judge("result " .. i, ok, v, i == 7 and big or i * 2 + (i % 2 == 0 and #big or 0))
    end
  end
  local ok, err = pcall(function()
    for i, ok, v in ex:map(function(n) return n + 1 end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 },
      { chunksize = 3, on_error = "return", timeout = 20 }) do judge("item", ok, v, i + 1) end
  end)
  if not ok then judge("map", false, err) end
  local ok, err = pcall(ex.broadcast, ex, math.abs, 1)
  if not ok then judge("broadcast", false, err) end
  if not ex:shutdown{ timeout = 20 } then print("WRONG", "shutdown hangs") os.exit(3, false) end
end
local ok, err = pcall(main)
if not ok then judge("main", false, err) end
print("END " .. failed)
]]

-- #nosan: the sanitizers have allocators of their own, which the linker cannot lead here.
describe("an allocation that fails #crash #nosan", function()
  for _, kind in ipairs(KINDS) do
    it("fails what needed it alone, in a " .. kind .. " pool", function()
      local path = faulty.cpath()
      local failed = 0
      for n = 1, LAST do
        local result = program.run(SOURCE, { args = { kind },
          env = { CCP_FAULT_ALLOC = tostring(n), LUA_CPATH = path } })
        local count = result.out:match("^END (%d+)\n$")
        assert.is_truthy(count, ("allocation %d: %s"):format(n, result.out))
        assert.equal(0, result.code, "allocation " .. n)
        failed = failed + math.tointeger(count)
      end
      assert.is_true(failed > 0) -- or this looks at nothing
    end)

    it("leaves a program without memory able to end, in a " .. kind .. " pool", function()
      local path = faulty.cpath()
      local failed = 0
      for n = ALL_FROM, LAST, ALL_STEP do
        local result = program.run(SOURCE, { args = { kind },
          env = { CCP_FAULT_ALLOC = n .. "+", LUA_CPATH = path } })
        local count = result.out:match("^END (%d+)\n$")
        assert.is_truthy(count, ("allocations from %d: %s"):format(n, result.out))
        assert.equal(0, result.code, "allocations from " .. n)
        failed = failed + math.tointeger(count)
      end
      assert.is_true(failed > 0)
    end)
  end
end)
