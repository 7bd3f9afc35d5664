--- Prime tests, exact for every integer below 2^64.
-- Numbers from 2^63 on are Lua integers read as unsigned, so Lua shows them negative.
-- @module ccpool.cli.prime

local ult = math.ult

local LOW_32 = 0xffffffff
-- The product of two residues fits a signed integer up to this modulus.
local MAX_DIRECT = 3037000499
-- Below this, trial division beats the setup of Miller–Rabin.
local TRIAL_LIMIT = 1 << 20

-- With the first `count` primes as bases no composite below `limit` passes.
local BASES = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37 }
local BASE_COUNTS = {
  { limit = 2047, count = 1 },
  { limit = 1373653, count = 2 },
  { limit = 25326001, count = 3 },
  { limit = 3215031751, count = 4 },
  { limit = 2152302898747, count = 5 },
  { limit = 3474749660383, count = 6 },
  { limit = 341550071728321, count = 7 },
  { limit = 3825123056546413051, count = 9 },
}

local function unsigned_mod(a, n)
  if n < 0 then
    return ult(a, n) and a or a - n
  end
  if a >= 0 then
    return a % n
  end
  local rest = a - (((a >> 1) // n) << 1) * n
  return ult(rest, n) and rest or rest - n
end

local function square_root(n)
  local root = math.floor(math.sqrt(n))
  while root > n // root do
    root = root - 1
  end
  while root + 1 <= n // (root + 1) do
    root = root + 1
  end
  return root
end

-- Trial division of an odd number from 2^63 on: n = 2 * half + 1, so n mod i is
-- 2 * (half mod i) + 1, less i at most once.
local function is_large_prime_by_trial(n)
  local half = n >> 1
  -- The rounded root may be a little too large, never too small, which harms nothing.
  local limit = math.min(LOW_32, math.floor(math.sqrt(2.0 * half)) + 2)
  for i = 3, limit, 2 do
    if 2 * (half % i) + 1 == i then
      return false
    end
  end
  return true
end

--- Tells by trial division whether a number is prime.
-- @tparam integer n the number, from 2^63 on read as unsigned
-- @treturn boolean
-- @usage prime.is_prime_trial(97)  --> true
local function is_prime_trial(n)
  if n >= 0 and n < 4 then
    return n > 1
  end
  if n % 2 == 0 then
    return false
  end
  if n < 0 then
    return is_large_prime_by_trial(n)
  end
  for i = 3, square_root(n), 2 do
    if n % i == 0 then
      return false
    end
  end
  return true
end

-- The upper 64 bits of the unsigned product.
local function product_high(a, b)
  local a_low, a_high = a & LOW_32, a >> 32
  local b_low, b_high = b & LOW_32, b >> 32
  local low_high, high_low = a_low * b_high, a_high * b_low
  local middle = ((a_low * b_low) >> 32) + (low_high & LOW_32) + (high_low & LOW_32)
  return a_high * b_high + (low_high >> 32) + (high_low >> 32) + (middle >> 32)
end

-- Returns a Montgomery multiplication modulo the odd n, the images of 1 and n - 1,
-- and the function that maps a residue to its image.
local function montgomery(n)
  local inverse = n
  for _ = 1, 5 do
    inverse = inverse * (2 - n * inverse)
  end

  local function multiply(a, b)
    local high = product_high(a, b)
    local multiple = product_high(a * b * inverse, n)
    local difference = high - multiple
    -- The low halves are equal, so the difference is exact; a borrow is one n.
    return ult(high, multiple) and difference + n or difference
  end

  local one = unsigned_mod(-n, n)
  local square_of_radix = one
  for _ = 1, 64 do
    local doubled = square_of_radix << 1
    local overflows = square_of_radix < 0 or not ult(doubled, n)
    square_of_radix = overflows and doubled - n or doubled
  end
  return multiply, one, n - one, function(residue)
    return multiply(residue, square_of_radix)
  end
end

local function direct(n)
  return function(a, b)
    return a * b % n
  end, 1, n - 1, function(residue)
    return residue
  end
end

local function is_strong_probable_prime(n, count)
  local arithmetic = (n > 0 and n <= MAX_DIRECT) and direct or montgomery
  local multiply, one, minus_one, image = arithmetic(n)
  local odd, twos = n - 1, 0
  while odd & 1 == 0 do
    odd, twos = odd >> 1, twos + 1
  end

  local function passes(base)
    local power, square, exponent = one, image(base), odd
    while exponent ~= 0 do
      if exponent & 1 == 1 then
        power = multiply(power, square)
      end
      square, exponent = multiply(square, square), exponent >> 1
    end
    if power == one or power == minus_one then
      return true
    end
    for _ = 2, twos do
      power = multiply(power, power)
      if power == minus_one then
        return true
      end
    end
    return false
  end

  for i = 1, count do
    if not passes(BASES[i]) then
      return false
    end
  end
  return true
end

local function base_count(n)
  for _, tier in ipairs(BASE_COUNTS) do
    if ult(n, tier.limit) then
      return tier.count
    end
  end
  return #BASES
end

--- Tells by the deterministic Miller–Rabin test whether a number is prime.
-- @tparam integer n the number, from 2^63 on read as unsigned
-- @treturn boolean
-- @usage prime.is_prime_mr(1099726899285419)  --> false
local function is_prime_mr(n)
  if n >= 0 and n < 2 then
    return false
  end
  for _, base in ipairs(BASES) do
    if n == base then
      return true
    end
    if unsigned_mod(n, base) == 0 then
      return false
    end
  end
  return is_strong_probable_prime(n, base_count(n))
end

--- Tells whether a number is prime, by the faster of the two tests.
-- @tparam integer n the number, from 2^63 on read as unsigned
-- @treturn boolean
-- @usage prime.is_prime(112272535095293)  --> true
local function is_prime(n)
  if n >= 0 and n < TRIAL_LIMIT then
    return is_prime_trial(n)
  end
  return is_prime_mr(n)
end

return {
  is_prime = is_prime,
  is_prime_trial = is_prime_trial,
  is_prime_mr = is_prime_mr,
}
