--- A debug build dies where CCP_FAULT says: at the n-th passage of a point on the way
-- of a task, in each process that gets there.

local faults = require "spec.support.program_faults"
local program = require "spec.support.program"

local ROOT = os.getenv("CCPOOL_ROOT") or "."
local ITEMS, WORKERS = 40, 2

-- What an item may come to, beside "right", and how often it may have run then; and
-- whether a first passage leaves no worker the time for a reply.
local POINTS = {
  { name = "born", never = true, first_only = true },
  { name = "claim", never = true },
  { name = "claimed", runs = 0, never = true },
  { name = "run", runs = 0, never = true },
  { name = "reply", runs = 1, never = true },
  { name = "written", runs = 1, never = true },
  { name = "replied" },
  { name = "searching" },
  { name = "sleep" },
  { name = "idle" },
  { name = "passing", runs = 0 },
  { name = "calling", runs = 1 },
  { name = "full", runs = 1 },
}
local WORKLOADS = { "single", "single medium", "single large", "steps", "chunks",
  "chunks unordered", "chunks large" }

local function debug_build()
  local build = os.getenv("CCPOOL_BUILD") or ""
  if build:find("san", 1, true) then return build end -- these have the points too
  assert(os.execute("make -s -C '" .. ROOT .. "' debug >/dev/null"))
  return ROOT .. "/build/debug"
end

local function check_item(i, outcome, runs, point, may_break)
  local text = ("item %d: %s, ran %d times"):format(i, tostring(outcome), runs)
  if outcome == "right" then
    if runs ~= 1 then error(text, 0) end
  elseif outcome == "BrokenExecutorError" then
    if not may_break or runs ~= 0 then error(text, 0) end
  elseif outcome ~= "WorkerCrashedError" or runs ~= point.runs then
    error(text, 0)
  end
end

local function outcomes_of(out)
  local outcomes = {}
  for i, outcome in out:gmatch("(%d+)\t(%w+)") do
    if outcomes[i] then error("item " .. i .. " comes twice", 0) end
    outcomes[i] = outcome
  end
  return outcomes
end

local function check(path, point, n, workload)
  local log <close> = program.new_log()
  local result = program.run(faults.source, {
    args = { log.path, workload, WORKERS, ITEMS },
    env = { CCP_FAULT = point.name .. ":" .. n, LUA_CPATH = path },
  })
  assert.equal("", result.err)
  assert.equal(0, result.code)
  local crashes = tonumber(result.out:match("crashes\t(%d+)\n$"))
  assert.is_truthy(crashes)
  if os.getenv"SEE" then io.stderr:write(point.name," ",n," ",workload," ",crashes,"\n") end
  local outcomes, counts = outcomes_of(result.out), log:counts()
  for i = 1, ITEMS do
    check_item(i, outcomes[tostring(i)], counts[tostring(i)] or 0, point,
      n == 1 and point.never)
  end
  return outcomes
end

describe("a death of workers #crash #slow", function()
  local path

  setup(function() path = debug_build() .. "/?.so;" .. (os.getenv("LUA_CPATH") or ";;") end)

  for _, point in ipairs(POINTS) do
    for n = 1, point.first_only and 1 or 4 do
      for _, workload in ipairs(WORKLOADS) do
        it(("at '%s', passage %d: %s"):format(point.name, n, workload), function()
          check(path, point, n, workload)
        end)
      end
    end
  end

  it("before any reply breaks the pool", function()
    for _, name in ipairs { "born", "claim", "claimed", "run", "reply", "written" } do
      local point = { name = name, runs = (name == "reply" or name == "written") and 1 or 0,
        never = true }
      local outcomes = check(path, point, 1, "single")
      assert.equal("BrokenExecutorError", outcomes[tostring(ITEMS)])
    end
  end)

  it("is survived by nobody if it is the program's: it drains", function()
    for n = 1, 4 do
      local log <close> = program.new_log()
      local result = program.run(faults.source, {
        args = { log.path, "single", WORKERS, ITEMS },
        env = { CCP_FAULT = "drain:" .. n, LUA_CPATH = path },
      })
      assert.equal(9, result.signal)
    end
  end)
end)
