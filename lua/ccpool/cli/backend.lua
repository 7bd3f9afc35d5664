--- Makes the executors of the command line.
-- @module ccpool.cli.backend

local ccpool = require("ccpool")

local statistics = require("ccpool.cli.statistics")

local CONSTRUCTORS = {
  serial = "SerialExecutor",
  threads = "ThreadPoolExecutor",
  processes = "ProcessPoolExecutor",
}

--- The backends, in the order in which they are shown.
local NAMES = { "serial", "threads", "processes" }

--- Makes an executor.
-- @tparam string name one of @{NAMES}
-- @tparam integer workers ignored by `serial`
-- @treturn table the executor
-- @usage local ex <close> = backend.open("threads", 2)
local function open(name, workers)
  local options = name == "serial" and {} or { max_workers = workers }
  return ccpool[CONSTRUCTORS[name]](options)
end

--- Runs a function with an executor and ends the executor: in peace when the function
-- returns, at once when it raises, so that Ctrl-C need not wait for long tasks.
-- @tparam string name one of @{NAMES}
-- @tparam integer workers
-- @tparam function body called with the executor
-- @return what `body` returns
-- @raise what `body` raises
-- @usage backend.using("threads", 2, function(ex) return ex:submit(f):result() end)
local function using(name, workers, body)
  local executor = open(name, workers)
  local outcome = table.pack(pcall(body, executor))
  if not outcome[1] then
    executor:kill()
    error(outcome[2], 0)
  end
  statistics.add_executor(executor)
  executor:shutdown({ wait = true })
  return table.unpack(outcome, 2, outcome.n)
end

return { NAMES = NAMES, open = open, using = using }
