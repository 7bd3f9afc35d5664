--- The CPU-bound workload of even tasks: primes are counted in slices of equal cost.
-- @module ccpool.cli.compare.slices

local prime = require("ccpool.cli.prime")

local FIRST = 1000000000
local SLICE = 1000
local SLICES = 48

local Slices = {
  name = "cpu",
  title = ("Primes counted in %d slices of %d numbers each"):format(SLICES, SLICE),
  unit = "slices",
  task = "count",
  is_cpu_bound = true,
  rivals = { python = true },
}
Slices.__index = Slices

--- Makes the workload.
-- @treturn table as `ccpool.cli.compare.workloads` describes it
local function new()
  return setmetatable({}, Slices)
end

function Slices.prepare() end

function Slices.close() end

function Slices.items()
  local items = {}
  for i = 1, SLICES do
    local first = FIRST + (i - 1) * SLICE
    items[i] = { first, first + SLICE - 1 }
  end
  return items
end

function Slices.count()
  return SLICES
end

function Slices.gather(_, counts)
  return counts
end

function Slices.key(_, counts)
  return table.concat(counts, " ", 1, SLICES)
end

--- What a rival program is given.
-- @treturn table words
function Slices.arguments()
  return { FIRST, SLICE, SLICES }
end

-- Another method must count the same, in a few slices that stand for all.
function Slices.verify(_, counts)
  for i = 1, SLICES, 16 do
    local count, first = 0, FIRST + (i - 1) * SLICE
    for n = first, first + SLICE - 1 do
      count = count + (prime.is_prime_mr(n) and 1 or 0)
    end
    if count ~= counts[i] then
      return false, ("there are %d primes from %d on, not %d"):format(count, first, counts[i])
    end
  end
  return true
end

local function sum(counts)
  local total = 0
  for i = 1, SLICES do
    total = total + counts[i]
  end
  return total
end

function Slices.text(_, counts)
  return ("primes from %d to %d: %d\n"):format(FIRST, FIRST + SLICE * SLICES - 1, sum(counts))
end

function Slices.json(_, counts)
  return sum(counts)
end

return { new = new }
