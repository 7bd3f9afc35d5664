-- Is what the C code says about numbers right? Against coreutils' factor, and the test
-- against the sieve. CCPOOL_FACTOR_NUMBERS says how many random numbers are tried.
local core = require("ccpool.core")

local support = dofile("spec/cli/support.lua")
local numbers = require("ccpool.cli.numbers")
local prime = require("ccpool.cli.prime")

local RANDOM_NUMBERS = math.tointeger(tonumber(os.getenv("CCPOOL_FACTOR_NUMBERS") or 5000))

local function product(...)
  local value = 1
  for _, factor in ipairs({ ... }) do
    value = value * factor
  end
  return numbers.format(value)
end

local TRICKY = {
  -- Carmichael numbers
  "561", "1105", "1729", "2465", "2821", "6601", "8911", "825265", "321197185", "5394826801",
  "232250619601", "9746347772161", "1436697831295441", "60977817398996785",
  "7156857700403137441",
  -- strong pseudoprimes to the first prime bases
  "2047", "1373653", "25326001", "3215031751", "2152302898747", "3474749660383",
  "341550071728321", "3825123056546413051",
  -- primes next to powers of two, and what is between them
  "4294967291", "4294967295", "4294967296", "4294967297", "4294967311",
  "9223372036854775783", "9223372036854775807", "9223372036854775808", "9223372036854775837",
  "18446744073709551533", "18446744073709551557", "18446744073709551556",
  "18446744073709551615", "0", "1", "2", "3", "4",
  -- factors of the bases of the test
  "13", "73", "193", "407521", "299210837", "325", "9375", "28178", "450775", "9780504",
  "1795265022",
  -- squares of primes, and products of neighbours
  product(53, 53), product(59, 59), product(59, 61), product(65521, 65521),
  product(65537, 65537), product(2147483647, 2147483647), product(3037000493, 3037000493),
  product(4294967291, 4294967291), product(4294967279, 4294967291),
}

-- Answers of factor: a list of primality in the order of the numbers.
local function factor_answers(list)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(table.concat(list, "\n"), "\n")
  file:close()
  local out = support.shell("factor <" .. support.quote(path))
  os.remove(path)
  local answers = {}
  for number, factors in out:gmatch("(%d+):([^\n]*)\n") do
    answers[#answers + 1] = ("%s is prime: %s\n"):format(number, factors == " " .. number)
  end
  return table.concat(answers)
end

local function random_numbers(count)
  local list = {}
  for i = 1, count do
    list[i] = numbers.format(math.random(0) >> math.random(0, 63))
  end
  return list
end

describe("the answers of ccpool primes", function()
  it("agree with factor on random numbers of all sizes", function()
    local seed = math.random(0)
    math.randomseed(seed)
    local list = random_numbers(RANDOM_NUMBERS)
    local expected = factor_answers(list)
    local out = support.run({ "primes" }, table.concat(list, "\n"))
    assert.is_true(out == expected, "the seed is " .. seed)
  end)

  for _, method in ipairs({ "auto", "c", "mr" }) do
    it("agree with factor on tricky numbers: " .. method, function()
      local out = support.run({ "primes", "--method", method, table.unpack(TRICKY) })
      assert.are.equal(factor_answers(TRICKY), out)
    end)
  end
end)

describe("the sieve", function()
  local STYLE = { before = "", yes = " yes\n", no = " no\n" }

  -- Both ways to sieve against the test, on ranges of random bounds from `base` on.
  local function check(base, rounds, ways)
    for _ = 1, rounds do
      local low = base + math.random(0, 300)
      local high = low + math.random(0, 3000)
      local expected, count, primes = core.primerange(low, high, STYLE, "c")
      for _, way in ipairs(ways) do
        local name = ("%s %u %u"):gsub("%%u", "%%d"):format(way, low, high)
        local out, n, found = core.primerange(low, high, STYLE, way)
        assert.is_true(out == expected, name)
        assert.are.same({ count, primes }, { n, found }, name)
        assert.are.equal(primes, core.countprimes(low, high, way == "sieve"), name)
      end
    end
  end

  it("agrees with the test on small numbers", function()
    check(0, 100, { "auto", "sieve" })
  end)

  it("agrees with it around 2^32, where the small primes end", function()
    check((1 << 32) - 1500, 30, { "auto", "sieve" })
  end)

  it("agrees with it where large primes are crossed out, and where they are not", function()
    check(1000000000000, 10, { "auto", "sieve" })
    check(1 << 46, 2, { "auto", "sieve" })
  end)

  it("agrees with it around 2^63 and up to 2^64", function()
    check(math.maxinteger - 1500, 20, { "auto" })
    check(-3301, 20, { "auto" })
    assert.are.equal("18446744073709551556 no\n18446744073709551557 yes\n",
      (core.primerange(-60, -59, STYLE)))
    assert.are.equal(1, core.countprimes(-59, -1))
  end)

  it("agrees with it at the ends of short ranges", function()
    for low = 0, 40 do
      for high = low, 60 do
        local expected = 0
        for n = low, high do
          expected = expected + (prime.is_prime_trial(n) and 1 or 0)
        end
        local _, count, primes = core.primerange(low, high, STYLE)
        assert.are.same({ high - low + 1, expected }, { count, primes })
        assert.are.equal(expected, core.countprimes(low, high))
      end
    end
  end)

  it("counts what is known", function()
    assert.are.equal(78498, core.countprimes(0, 1000000))
    assert.are.equal(5761455, core.countprimes(1, 100000000))
    assert.are.equal(36249, core.countprimes(1000000000000, 1000001000000))
    assert.are.equal(36249, core.countprimes(1000000000000, 1000001000000, true))
    assert.are.equal(0, core.countprimes(8, 7))
  end)
end)

describe("the next prime", function()
  it("is the smallest one above, and none is at the end", function()
    local n = 0
    while n < 2000 do
      local following = n + 1
      while not prime.is_prime_trial(following) do
        following = following + 1
      end
      assert.are.equal(following, core.nextprime(n))
      n = n + 1
    end
    assert.are.equal(-59, core.nextprime(-60))
    assert.is_nil(core.nextprime(-59))
    assert.is_nil(core.nextprime(-1))
    assert.are.equal(4294967311, core.nextprime(4294967291))
  end)
end)
