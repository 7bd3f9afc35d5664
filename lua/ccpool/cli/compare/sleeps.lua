--- The workload that only waits: sleeps of equal length.
-- @module ccpool.cli.compare.sleeps

local COUNT = 40
local SECONDS = 0.02

local Sleeps = {
  name = "sleep",
  title = ("%d sleeps of %d ms"):format(COUNT, SECONDS * 1000 // 1 | 0),
  unit = "sleeps",
  task = "sleep",
  is_cpu_bound = false,
  rivals = { python = true },
}
Sleeps.__index = Sleeps

--- Makes the workload.
-- @treturn table as `ccpool.cli.compare.workloads` describes it
local function new()
  return setmetatable({}, Sleeps)
end

function Sleeps.prepare() end

function Sleeps.close() end

function Sleeps.items()
  local items = {}
  for i = 1, COUNT do
    items[i] = { SECONDS }
  end
  return items
end

function Sleeps.count()
  return COUNT
end

function Sleeps.gather(_, answers)
  return #answers
end

function Sleeps.key(_, count)
  return tostring(count)
end

--- What a rival program is given.
-- @treturn table words
function Sleeps.arguments()
  return { COUNT, SECONDS }
end

function Sleeps.verify(_, count)
  return count == COUNT, ("%d of %d sleeps came back"):format(count, COUNT)
end

function Sleeps.text(_, count)
  return ("sleeps of %d ms: %d\n"):format(SECONDS * 1000 // 1 | 0, count)
end

function Sleeps.json(_, count)
  return count
end

return { new = new }
