local prime = require("ccpool.cli.prime")

local TESTS = {
  auto = prime.is_prime,
  ["Miller-Rabin"] = prime.is_prime_mr,
  ["trial division"] = prime.is_prime_trial,
}

local function sieve(limit)
  local is_composite = {}
  for i = 2, limit do
    if not is_composite[i] then
      for multiple = i * i, limit, i do
        is_composite[multiple] = true
      end
    end
  end
  return is_composite
end

-- Checks all tests on a number; trial division of large primes would take too long.
local function check(number, expected, skips_trial)
  for name, test in pairs(TESTS) do
    if not (skips_trial and name == "trial division") then
      assert.are.equal(expected, test(number), ("%s of %u"):format(name, number))
    end
  end
end

for name, test in pairs(TESTS) do
  describe("prime test by " .. name, function()
    it("agrees with a sieve up to 20000", function()
      local is_composite = sieve(20000)
      assert.is_false(test(0))
      assert.is_false(test(1))
      for number = 2, 20000 do
        assert.are.equal(not is_composite[number], test(number), number)
      end
    end)

    it("rejects Carmichael numbers", function()
      local numbers = {
        561, 1105, 1729, 2465, 2821, 6601, 8911, 10585, 15841, 29341, 41041, 46657, 52633,
        62745, 63973, 75361, 101101, 825265, 321197185, 5394826801, 232250619601,
        9746347772161, 1436697831295441,
      }
      for _, number in ipairs(numbers) do
        assert.is_false(test(number), number)
      end
    end)

    it("knows the six numbers of the comparison", function()
      for _, number in ipairs({
        112272535095293, 112582705942171, 115280095190773, 115797848077099,
      }) do
        assert.is_true(test(number), number)
      end
      assert.is_false(test(1099726899285419))
    end)

    it("is exact where the square root is a prime", function()
      for _, root in ipairs({ 2, 3, 5, 7, 11, 13, 41, 65537, 999983, 46337, 46349, 94906249 }) do
        assert.is_false(test(root * root), root)
      end
    end)

    it("is exact around 2^32", function()
      assert.is_true(test(4294967291))
      assert.is_true(test(4294967311))
      assert.is_false(test(4294967295))
      assert.is_false(test(4294967296))
      assert.is_false(test(4294967297))
      assert.is_false(test(65537 * 65539))
    end)

    it("is exact around 2^31.5, where products outgrow an integer", function()
      for number = 3037000490, 3037000510 do
        assert.are.equal(prime.is_prime_trial(number), test(number), number)
      end
    end)
  end)
end

describe("prime tests of large numbers", function()
  it("reject strong pseudoprimes to the first bases", function()
    for _, number in ipairs({
      2047, 3277, 4033, 1373653, 25326001, 3215031751, 2152302898747, 3474749660383,
      341550071728321,
    }) do
      check(number, false)
    end
    check(3825123056546413051, false, true)
  end)

  it("know the primes next to 2^53, 2^61, 2^63 and 2^64", function()
    for _, number in ipairs({
      9007199254740881, 9007199254740997, 2305843009213693951, 9223372036854775783,
    }) do
      check(number, true, true)
    end
    check(0x800000000000001D, true, true)
    check(-59, true, true)
    check(-83, true, true)
  end)

  it("know the composites around them", function()
    for _, number in ipairs({ 9007199254740993, 9223372036854775807, 9223372036854775805 }) do
      check(number, false)
    end
    for _, number in ipairs({ math.mininteger, math.mininteger + 1, -1, -2, -3, -5 }) do
      check(number, false)
    end
  end)

  it("reject squares of primes near 2^31 and 2^32", function()
    check(2147483647 * 2147483647, false, true)
    check(3037000493 * 3037000493, false, true)
    check(4294967291 * 4294967291, false, true)
    check(4294967279 * 4294967291, false, true)
  end)

  it("find small factors from 2^63 on by trial division too", function()
    assert.is_false(prime.is_prime_trial(-1)) -- 3 * 5 * 17 * ...
    assert.is_false(prime.is_prime_trial(math.mininteger + 7 - math.mininteger % 7))
    assert.is_false(prime.is_prime_trial(1000003 * 18446744065119)) -- below 2^64
  end)

  it("agree with each other on numbers that have no table", function()
    local number = 1
    for _ = 1, 300 do
      number = (number * 6364136223846793005 + 1442695040888963407) & 0xffffffffff
      assert.are.equal(prime.is_prime_trial(number), prime.is_prime_mr(number), number)
    end
  end)
end)
