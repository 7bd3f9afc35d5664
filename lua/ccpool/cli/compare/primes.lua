--- The CPU-bound workload: six large numbers, tested by trial division.
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
local CHUNK = 4

local Primes = { name = "primes" }
Primes.__index = Primes

--- Makes the workload.
-- @treturn table with `name`, `prepare`, `run`, `key`, `verify`, `text`, `json`, `close`
local function new()
  return setmetatable({}, Primes)
end

function Primes.prepare() end

function Primes.close() end

function Primes.run(_, executor)
  return executor:map(prime.is_prime_trial, NUMBERS, { chunksize = CHUNK }):collect()
end

function Primes.key(_, answers)
  local words = {}
  for i in ipairs(NUMBERS) do
    words[i] = tostring(answers[i])
  end
  return table.concat(words, " ")
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
