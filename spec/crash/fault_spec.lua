--- A debug build dies where CCP_FAULT says: at the n-th passage of a point on the way
-- of a task, in each process that gets there.

local faults = require "spec.support.program_faults"
local faulty = require "spec.support.faulty"
local program = require "spec.support.program"

local ITEMS, WORKERS = 40, 2

-- runs: how often an item may have run that dies of it; nil: none may die of it.
-- sure: every program of this spec passes it often. never: a death at the first
-- passage leaves no worker the time for a reply, and the pool may break. idle: workers
-- without a task die of it too, so ten may die while another one runs its task.
local POINTS = {
  { name = "born", sure = true, never = true, once = true },
  { name = "claim", sure = true, never = true, idle = true },
  { name = "claimed", sure = true, never = true, runs = 0 },
  { name = "run", sure = true, never = true, runs = 0 },
  { name = "reply", sure = true, never = true, runs = 1 },
  { name = "written", sure = true, never = true, runs = 1 },
  { name = "replied", sure = true },
  { name = "searching", idle = true },
  { name = "sleep", idle = true },
  { name = "idle", idle = true },
  { name = "passing", idle = true, runs = 0 },
  { name = "ringing", idle = true, runs = 0 },
  { name = "calling", idle = true, runs = 1, or_none = true }, -- before or behind an item
  { name = "full", runs = 1 },
}
local WORKLOADS = { "single", "single away", "single away medium", "single large", "steps",
  "chunks", "chunks unordered", "chunks large" }

local function check_item(i, outcome, runs, point, may_break)
  local text = ("item %d: %s, ran %d times"):format(i, tostring(outcome), runs)
  if outcome == "right" then
    if runs ~= 1 then error(text, 0) end
  elseif outcome == "BrokenExecutorError" then
    if not may_break or runs ~= 0 then error(text, 0) end
  elseif outcome ~= "WorkerCrashedError" or
    runs ~= point.runs and not (point.or_none and runs == 0) then
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

-- The zygote's workers die with it, and it has no successor.
local function check_without_zygote(path, point, workload)
  local log <close> = program.new_log()
  local result = program.run(faults.source, {
    args = { log.path, workload, WORKERS, ITEMS },
    env = { CCP_FAULT = point, LUA_CPATH = path },
  })
  assert.equal("", result.err)
  assert.equal(0, result.code)
  local outcomes, counts = outcomes_of(result.out), log:counts()
  for i = 1, ITEMS do
    local outcome, runs = outcomes[tostring(i)], counts[tostring(i)] or 0
    assert.is_true(outcome == "right" and runs == 1 or outcome == "WorkerCrashedError" and
      runs <= 1 or outcome == "BrokenExecutorError" and runs == 0,
      ("item %d: %s, ran %d times"):format(i, tostring(outcome), runs))
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
  if point.sure then assert.is_true(crashes > 0, "the point was not passed") end
  local outcomes, counts = outcomes_of(result.out), log:counts()
  for i = 1, ITEMS do
    check_item(i, outcomes[tostring(i)], counts[tostring(i)] or 0, point,
      point.idle or n == 1 and point.never)
  end
  return outcomes
end

describe("a death of workers #crash #slow", function()
  local path

  setup(function() path = faulty.cpath() end)

  for _, point in ipairs(POINTS) do
    for n = 1, point.once and 1 or 4 do
      for _, workload in ipairs(WORKLOADS) do
        it(("at '%s', passage %d: %s"):format(point.name, n, workload), function()
          check(path, point, n, workload)
        end)
      end
    end
  end

  for _, point in ipairs(POINTS) do
    if point.never then
      it("before any reply breaks the pool: " .. point.name, function()
        local outcomes = check(path, point, 1, "single")
        assert.equal("BrokenExecutorError", outcomes[tostring(ITEMS)])
      end)
    end
  end

  it("breaks the pool if it is the zygote's: it forks", function()
    for _, workload in ipairs{ "single", "steps", "chunks" } do
      for n = 1, WORKERS do check_without_zygote(path, "fork:" .. n, workload) end
    end
    assert.equal("BrokenExecutorError", check_without_zygote(path, "fork:1", "single")["1"])
  end)

  it("breaks nothing if it is the zygote's, when the workers have left: it reaps", function()
    local outcomes = check_without_zygote(path, "reap:1", "single")
    for i = 1, ITEMS do assert.equal("right", outcomes[tostring(i)]) end
  end)

  for _, point in ipairs{ "dispatch", "drain" } do
    it("is survived by nobody if it is the program's: " .. point, function()
      for n = 1, 4 do
        local log <close> = program.new_log()
        local result = program.run(faults.source, {
          args = { log.path, "single", WORKERS, ITEMS },
          env = { CCP_FAULT = point .. ":" .. n, LUA_CPATH = path },
        })
        assert.equal(9, result.signal)
      end
    end)
  end
end)
