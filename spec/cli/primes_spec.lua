local support = dofile("spec/cli/support.lua")
local run = support.run

local SIX = {
  112272535095293, 112582705942171, 112272535095293, 115280095190773, 115797848077099,
  1099726899285419,
}
local ANSWERS = [[
112272535095293 is prime: true
112582705942171 is prime: true
112272535095293 is prime: true
115280095190773 is prime: true
115797848077099 is prime: true
1099726899285419 is prime: false
]]

local function with(options, numbers)
  local arguments = table.move(options, 1, #options, 2, { "primes" })
  return table.move(numbers, 1, #numbers, #arguments + 1, arguments)
end

describe("ccpool primes", function()
  for _, backend in ipairs(support.BACKENDS) do
    for _, method in ipairs({ "auto", "trial", "mr" }) do
      it(("answers in input order: %s, %s"):format(backend, method), function()
        local out, code, err = run(with({
          "--backend", backend, "--method", method, "-w", "2", "--chunk", "4",
        }, SIX))
        assert.are.equal(ANSWERS, out)
        assert.are.equal("", err)
        assert.are.equal(0, code)
      end)
    end

    it("keeps the order of many numbers from standard input: " .. backend, function()
      local lines, expected = {}, {}
      local prime = require("ccpool.cli.prime")
      for number = 1, 3000 do
        lines[number] = number .. (number % 3 == 0 and "\n" or " ")
        expected[number] = ("%d is prime: %s\n"):format(number, prime.is_prime_trial(number))
      end
      local out, code = run({ "primes", "--backend", backend, "-w", "2" }, table.concat(lines))
      assert.are.equal(table.concat(expected), out)
      assert.are.equal(0, code)
    end)
  end

  it("names what is no number, goes on, and exits with 2", function()
    local out, code, err = run({ "primes", "7", "-5", "1.5", "", "0x10", "+11", "1e6", "9" })
    assert.are.equal("7 is prime: true\n11 is prime: true\n9 is prime: false\n", out)
    assert.are.equal(2, code)
    assert.are.equal([[
ccpool: primes: argument 2: '-5' is not a whole number
ccpool: primes: argument 3: '1.5' is not a whole number
ccpool: primes: argument 4: '' is not a whole number
ccpool: primes: argument 5: '0x10' is not a whole number
ccpool: primes: argument 7: '1e6' is not a whole number
]], err)
  end)

  it("names the line of standard input", function()
    local out, code, err = run({ "primes" }, "2 3\n\n4 x\n5")
    assert.are.equal(
      "2 is prime: true\n3 is prime: true\n4 is prime: false\n5 is prime: true\n", out)
    assert.are.equal(2, code)
    assert.are.equal("ccpool: primes: line 3: 'x' is not a whole number\n", err)
  end)

  it("reads standard input where - stands", function()
    local out = run({ "primes", "2", "-", "5" }, "3 4")
    assert.are.equal(
      "2 is prime: true\n3 is prime: true\n4 is prime: false\n5 is prime: true\n", out)
  end)

  it("is exact up to 2^64 and refuses more, also 100000 digits", function()
    local input = "18446744073709551557 18446744073709551616 " .. ("9"):rep(100000) .. "\n"
    local out, code, err = run({ "primes" }, input)
    assert.are.equal("18446744073709551557 is prime: true\n", out)
    assert.are.equal(2, code)
    assert.matches("line 1: '18446744073709551616' is too large", err, 1, true)
    assert.matches("(100000 bytes) is too large", err, 1, true)
  end)

  it("says nothing about words when quiet, but exits with 2", function()
    local out, code, err = run({ "primes", "-q", "x", "7" })
    assert.are.same({ "7 is prime: true\n", 2, "" }, { out, code, err })
  end)

  it("writes JSON lines and CSV", function()
    assert.are.equal('{"number":7,"prime":true}\n{"number":18446744073709551615,"prime":false}\n',
      (run({ "primes", "--format", "jsonl", "7", "18446744073709551615" })))
    assert.are.equal("number,prime\n7,true\n8,false\n",
      (run({ "primes", "--format", "csv", "7", "8" })))
  end)

  it("counts, and shows the primes only", function()
    assert.are.equal("2\n", (run({ "primes", "--count", "7", "8", "11" })))
    assert.are.equal('{"numbers":3,"primes":2}\n',
      (run({ "primes", "--count", "--format", "jsonl", "7", "8", "11" })))
    assert.are.equal("7\n11\n", (run({ "primes", "--primes-only", "7", "8", "11" })))
  end)

  it("exits with 1 if --check finds a number that is not prime", function()
    assert.are.equal(0, (select(2, run({ "primes", "--check", "7", "11" }))))
    assert.are.equal(1, (select(2, run({ "primes", "--check", "7", "8" }))))
    assert.are.equal(2, (select(2, run({ "primes", "--check", "8", "x" }))))
  end)

  it("answers an empty input with nothing", function()
    local out, code, err = run({ "primes" }, "")
    assert.are.same({ "", 0, "" }, { out, code, err })
  end)
end)
