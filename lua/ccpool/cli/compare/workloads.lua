--- The workloads of a comparison.
--
-- A workload has `name`, `title`, `unit` (what its items are), `task` (a name of
-- `ccpool.cli.compare.tasks`), `is_cpu_bound`, `rivals` (programs that can do it too), and
-- the methods
--
-- - `prepare()` and `close()`: what it needs, such as servers;
-- - `items(workers)`: an array with the arguments of each task;
-- - `count(workers)`: how many items are done;
-- - `gather(replies, workers)`: the result, of the tasks' results in the order of items;
-- - `key(result)`: text that is equal for equal results, and `arguments()` for rivals;
-- - `verify(result)`: true, or false and a message;
-- - `reconcile(results, contenders)`, if results may differ for good reason;
-- - `text(result)` and `json(result)`.
-- @module ccpool.cli.compare.workloads

local MODULES = {
  primes = "ccpool.cli.compare.primes",
  scan = "ccpool.cli.compare.scan",
  cpu = "ccpool.cli.compare.slices",
  sleep = "ccpool.cli.compare.sleeps",
  io = "ccpool.cli.compare.banners",
  memory = "ccpool.cli.compare.footprint",
}

--- All names, in the order in which they run.
local NAMES = { "primes", "scan", "cpu", "sleep", "io", "memory" }

--- What runs unless something else is asked for.
local DEFAULTS = { "primes", "scan" }

--- Makes workloads.
-- @tparam table names words of @{NAMES}, or `all`; none means @{DEFAULTS}
-- @treturn table an array of workloads, each once
-- @usage workloads.make({ "primes" })
local function make(names)
  local wanted = {}
  for _, name in ipairs(#names > 0 and names or DEFAULTS) do
    wanted[name] = true
  end
  local list = {}
  for _, name in ipairs(NAMES) do
    if wanted[name] or wanted.all then
      list[#list + 1] = require(MODULES[name]).new()
    end
  end
  return list
end

return { NAMES = NAMES, make = make }
