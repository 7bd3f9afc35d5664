--- What workers cost before they do anything: the time to start them, and their memory.
-- @module ccpool.cli.compare.footprint

-- A task for each worker, at most; what they do costs nothing.
local TASKS_PER_WORKER = 1

local Footprint = {
  name = "memory",
  title = "Workers started; each row's time is that of starting them all",
  unit = "workers",
  task = "nothing",
  is_start = true,
  is_cpu_bound = false,
  rivals = {},
}
Footprint.__index = Footprint

--- Makes the workload.
-- @treturn table as `ccpool.cli.compare.workloads` describes it
local function new()
  return setmetatable({}, Footprint)
end

function Footprint.prepare() end

function Footprint.close() end

function Footprint.items(_, workers)
  local items = {}
  for i = 1, workers * TASKS_PER_WORKER do
    items[i] = {}
  end
  return items
end

function Footprint.count(_, workers)
  return workers
end

-- All numbers of workers have the same result: everybody answered.
function Footprint.gather(_, answers, workers)
  return #answers == workers * TASKS_PER_WORKER
end

function Footprint.key(_, is_complete)
  return tostring(is_complete)
end

function Footprint.verify(_, is_complete)
  return is_complete, "a worker did not answer"
end

function Footprint.text()
  return ""
end

function Footprint.json(_, is_complete)
  return is_complete
end

return { new = new }
