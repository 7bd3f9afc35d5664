--- What `--stats` prints to standard error: the work, its time, and what the executors did.
-- @module ccpool.cli.statistics

local output = require("ccpool.cli.output")
local progress = require("ccpool.cli.progress")
local usage = require("ccpool.cli.compare.usage")

local COUNTS = {
  "submitted", "done", "failed", "cancelled", "timeouts", "retries", "crashes", "recycled",
  "abandoned",
}

local started = progress.clock()
local rows = {}
local worker_seconds = 0 -- processor time of worker processes

--- Notes a figure.
-- @tparam string name
-- @param value a string or a number
-- @usage statistics.add("numbers", 1000)
local function add(name, value)
  rows[#rows + 1] = { name, tostring(value) }
end

--- Notes what an executor did, before it ends.
-- @tparam table executor
local function add_executor(executor)
  local stats = executor:stats()
  worker_seconds = worker_seconds + usage.cpu(executor).total - os.clock()
  local parts = {}
  for _, name in ipairs(COUNTS) do
    if (stats[name] or 0) ~= 0 then
      parts[#parts + 1] = name .. " " .. stats[name]
    end
  end
  add("backend", ("%s, %d workers started"):format(executor.kind, #stats.workers))
  add("tasks", #parts > 0 and table.concat(parts, ", ") or "none")
  for _, worker in ipairs(stats.workers) do
    local rss = worker.rss and (", %.1f MB"):format(worker.rss / 1e6) or ""
    add("worker " .. worker.id, ("tasks %d%s"):format(worker.tasks or 0, rss))
  end
end

--- Prints what was noted, and the time it took.
local function print()
  add("time", ("%.3f s, %.3f s of processor time"):format(progress.clock() - started,
    os.clock() + worker_seconds))
  for _, row in ipairs(rows) do
    output.report("stats: %s: %s", row[1], row[2])
  end
end

return { add = add, add_executor = add_executor, print = print }
