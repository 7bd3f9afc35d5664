--- What the benches share: the clock, samples, memory, and how a bench is run.
--
-- A bench is a script that takes the name of a kind ("threads", "processes", ...),
-- measures that kind in a fresh process, and prints one line for each measure: the kind,
-- the measure with its unit, and the samples. Without an argument it runs itself once
-- for each of its kinds. A wrong result is an error, and the exit code is not 0.

local root = (arg[0]:match("^(.*/)") or "./") .. "../"
local version = _VERSION:match("%d.*$")
local rocks = root .. ".deps/share/lua/" .. version .. "/"
local build = root .. (version == "5.4" and "build/" or "build/lua" .. version .. "/")
package.path = root .. "lua/?.lua;" .. root .. "lua/?/init.lua;" .. rocks .. "?.lua;"
  .. rocks .. "?/init.lua;" .. package.path
package.cpath = build .. "?.so;" .. root .. ".deps/lib/lua/" .. version .. "/?.so;"
  .. package.cpath

local ccpool = require "ccpool"
local now = require("ccpool.core").now

local BYTES_PER_KB = 1024
local CONSTRUCTORS = { threads = "ThreadPoolExecutor", processes = "ProcessPoolExecutor" }

local M = { WORKERS = 2, now = now }

--- Makes an executor of a kind and starts its workers.
-- @tparam string kind "threads" or "processes"
-- @tparam[opt=2] integer workers
-- @treturn ccpool.Executor
function M.open(kind, workers)
  local ex = M.construct(kind, workers)
  ex:warmup()
  return ex
end

--- Makes an executor of a kind; its workers start on demand.
-- @tparam string kind "threads" or "processes"
-- @tparam[opt=2] integer workers
-- @treturn ccpool.Executor
function M.construct(kind, workers)
  return ccpool[CONSTRUCTORS[kind]]({ max_workers = workers or M.WORKERS })
end

--- Stops the bench if a result is wrong.
-- @param got what was measured
-- @param expected what it must equal
-- @tparam string what names the result
function M.expect(got, expected, what)
  if got ~= expected then
    error(("%s: got %s, expected %s"):format(what, tostring(got), tostring(expected)), 2)
  end
end

--- Measures something several times, with garbage collected before each.
-- @tparam integer warmups how often before it counts
-- @tparam integer n how many samples
-- @tparam function measure returns one number
-- @treturn table an array of `n` numbers
function M.samples(warmups, n, measure)
  local list = {}
  for i = 1 - warmups, n do
    collectgarbage()
    local value = measure()
    if i >= 1 then list[i] = value end
  end
  return list
end

--- The value below which a share of a list lies; the list is sorted.
-- @tparam table list numbers
-- @tparam number share 0.5 for the median
-- @treturn number
function M.percentile(list, share)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * share))]
end

--- Prints the samples of one measure.
-- @tparam string kind
-- @tparam string measure a name that ends in the unit
-- @tparam table|number samples
function M.report(kind, measure, samples)
  if type(samples) == "number" then samples = { samples } end
  local texts = {}
  for i, sample in ipairs(samples) do texts[i] = ("%.6g"):format(sample) end
  print(("%s %s %s"):format(kind, measure, table.concat(texts, " ")))
end

--- Memory of a process.
-- @tparam[opt="self"] integer|string pid
-- @treturn table bytes by the names of smaps_rollup: `Rss`, `Pss`, `Private_Dirty` ...;
--   empty if the process is gone
function M.memory(pid)
  local bytes = {}
  local file = io.open(("/proc/%s/smaps_rollup"):format(pid or "self"))
  if not file then return bytes end
  for line in file:lines() do
    local name, kb = line:match("^([%w_]+):%s+(%d+) kB")
    if name then bytes[name] = kb * BYTES_PER_KB end
  end
  file:close()
  return bytes
end

-- Adds the children of all threads of a process, their children, and so on.
local function add_descendants(pid, list)
  local file = io.open(("/proc/%s/task/%s/children"):format(pid, pid))
  if not file then return end
  local children = file:read("a")
  file:close()
  for child in children:gmatch("%d+") do
    list[#list + 1] = child
    add_descendants(child, list)
  end
end

--- The processes that this one has forked, and those that they have.
-- @treturn table an array of pids as strings
function M.descendants()
  local stat = assert(io.open("/proc/self/stat"))
  local pid = stat:read("n")
  stat:close()
  local list = {}
  add_descendants(pid, list)
  return list
end

--- Memory of this process and its descendants, each shared page counted once.
-- @treturn integer bytes
function M.family_memory()
  local total = assert(M.memory().Pss, "/proc/self/smaps_rollup cannot be read")
  for _, pid in ipairs(M.descendants()) do
    total = total + (M.memory(pid).Pss or 0)
  end
  return total
end

--- Keeps the processor busy.
-- @tparam number seconds
function M.spin(seconds)
  local stop = now() + seconds
  while now() < stop do end
end

--- A command that runs this bench again.
-- @tparam string argument
-- @treturn string for a shell
function M.again(argument)
  local interpreter = 0
  while arg[interpreter - 1] do interpreter = interpreter - 1 end
  return ("exec '%s' '%s' %s"):format(arg[interpreter], arg[0], argument)
end

--- Runs a bench as its argument says.
-- @tparam table kinds what it can measure
-- @tparam function run called with the kind
function M.main(kinds, run)
  if arg[1] == nil then
    for _, kind in ipairs(kinds) do
      if not os.execute(M.again(kind)) then os.exit(1) end
    end
    return
  end
  for _, kind in ipairs(kinds) do
    if kind == arg[1] then return run(kind) end
  end
  io.stderr:write(("usage: %s [%s]\n"):format(arg[0], table.concat(kinds, "|")))
  os.exit(2)
end

return M
