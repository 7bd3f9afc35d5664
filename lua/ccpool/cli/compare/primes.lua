--- The CPU-bound workload that tutorials show: six large numbers, tested by trial
-- division.
-- @module ccpool.cli.compare.primes

local json = require("ccpool.cli.json")
local prime = require("ccpool.cli.prime")

local NUMBERS = {
  112272535095293,
  112582705942171,
  112272535095293,
  115280095190773,
  115797848077099,
  1099726899285419,
}

local Primes = {
  name = "primes",
  title = "Six large numbers, tested for primality by trial division",
  unit = "numbers",
  task = "prime",
  is_cpu_bound = true,
  rivals = { python = true, factor = true },
}
Primes.__index = Primes

--- Makes the workload.
-- @treturn table as `ccpool.cli.compare.workloads` describes it
local function new()
  return setmetatable({}, Primes)
end

function Primes.prepare() end

function Primes.close() end

function Primes.items()
  local items = {}
  for i, number in ipairs(NUMBERS) do
    items[i] = { number }
  end
  return items
end

function Primes.count()
  return #NUMBERS
end

function Primes.gather(_, answers)
  return answers
end

function Primes.key(_, answers)
  local words = {}
  for i in ipairs(NUMBERS) do
    words[i] = tostring(answers[i])
  end
  return table.concat(words, " ")
end

--- What a rival program is given.
-- @treturn table words
function Primes.arguments()
  return NUMBERS
end

-- Another method must say the same.
function Primes.verify(_, answers)
  for i, number in ipairs(NUMBERS) do
    if answers[i] ~= prime.is_prime_mr(number) then
      return false, ("%d is not prime: %s"):format(number, tostring(answers[i]))
    end
  end
  return true
end

function Primes.text(_, answers)
  local lines = {}
  for i, number in ipairs(NUMBERS) do
    lines[i] = ("%d is prime: %s\n"):format(number, answers[i])
  end
  return table.concat(lines)
end

function Primes.json(_, answers)
  local records = {}
  for i, number in ipairs(NUMBERS) do
    records[i] = json.object("number", number, "prime", answers[i])
  end
  return records
end

return { new = new }
