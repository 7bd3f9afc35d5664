-- Which of these are prime? The results come in the order of the input.
local ccpool = require "ccpool"

local NUMBERS = {
  112272535095293, 112582705942171, 112272535095293,
  115280095190773, 115797848077099, 1099726899285419,
}

local function is_prime(n)
  if n < 2 then return false end
  if n % 2 == 0 then return n == 2 end
  for i = 3, math.floor(math.sqrt(n)), 2 do
    if n % i == 0 then return false end
  end
  return true
end

local ex <close> = ccpool.ProcessPoolExecutor()
for i, prime in ex:map(is_prime, NUMBERS, { chunksize = 4 }) do
  print(("%d is prime: %s"):format(NUMBERS[i], prime))
end
