-- Memory of a task that waits: 100 000 are queued behind busy workers, their futures kept.
-- Counted is all that the program and its workers have more than before, less the array
-- that holds the futures.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local TASKS = 100000
local SUM = TASKS * (TASKS + 1) * (2 * TASKS + 1) // 6

local function square(i) return i * i end

-- Holds its worker until the file is gone.
local function hold(path)
  local core = require "ccpool.core"
  local file = io.open(path)
  while file do
    file:close()
    core.sleep(0.002)
    file = io.open(path)
  end
end

local function memory()
  collectgarbage()
  return support.family_memory()
end

local function hold_all(ex, path)
  local holders = {}
  for i = 1, support.WORKERS do holders[i] = ex:submit(hold, path) end
  while ex:stats().running < support.WORKERS do support.spin(0.001) end
  return holders
end

support.main({ "threads", "processes" }, function(kind)
  local ex <close> = support.open(kind)
  for i = 1, 100 do support.expect(ex:submit(square, i):result(), i * i, "square") end
  local futures = table.move({}, 1, TASKS, 1, {})
  for i = 1, TASKS do futures[i] = false end
  local path = os.tmpname()
  local holders = hold_all(ex, path)

  local before = memory()
  for i = 1, TASKS do futures[i] = ex:submit(square, i) end
  local queued = memory()
  support.expect(ex:stats().queued, TASKS, "queued tasks")
  assert(os.remove(path))
  for _, holder in ipairs(holders) do holder:result() end
  local sum = 0
  for i = 1, TASKS do sum = sum + futures[i]:result() end
  support.expect(sum, SUM, "sum of the squares")
  local finished = memory()

  support.report(kind, "pending_B", (queued - before) / TASKS)
  support.report(kind, "finished_B", (finished - before) / TASKS)
end)
