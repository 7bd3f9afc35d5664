local signal = require("posix.signal")

local support = dofile("spec/cli/support.lua")
local run, shell = support.run, support.shell

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
    for _, method in ipairs({ "auto", "trial", "mr", "c", "sieve" }) do
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

  for _, method in ipairs({ "auto", "trial", "mr", "c", "sieve" }) do
    it("takes ranges among numbers, keeps the order and the lines: " .. method, function()
      local input = "1-5 9\n+7..9\n\n x 12-3 2-18446744073709551616\n10-10 3-\n17"
      local out, code, err = run({ "primes", "--method", method, "--chunk", "2" }, input)
      local expected = {}
      for i, number in ipairs({ 1, 2, 3, 4, 5, 9, 7, 8, 9, 10, 17 }) do
        expected[i] = ("%d is prime: %s\n"):format(number,
          ({ false, true, true, false, true, false, true, false, false, false, true })[i])
      end
      assert.are.equal(table.concat(expected), out)
      assert.are.equal(2, code)
      assert.are.equal([[
ccpool: primes: line 4: 'x' is not a whole number
ccpool: primes: line 4: '12-3' is a range that ends before it begins
ccpool: primes: line 4: '2-18446744073709551616' is too large: numbers must be below 2^64
ccpool: primes: line 5: '3-' is not a whole number
]], err)
    end)

    it("counts a range in chunks of any size: " .. method, function()
      assert.are.equal("1229\n", (run({ "primes", "--method", method, "--count", "1-10000" })))
      assert.are.equal('{"numbers":2001,"primes":303}\n', (run({
        "primes", "--method", method, "--count", "--chunk", "77", "--format", "jsonl", "0..2000",
      })))
    end)

    it("tells the next prime: " .. method, function()
      local out, code = run({ "primes", "--method", method, "--next", "0", "7", "24-26" })
      assert.are.equal("0 next prime: 2\n7 next prime: 11\n24 next prime: 29\n"
        .. "25 next prime: 29\n26 next prime: 29\n", out)
      assert.are.equal(0, code)
    end)
  end

  it("writes the next prime as JSON lines and CSV", function()
    local last = "18446744073709551557"
    assert.are.equal('{"number":7,"next":11}\n{"number":18446744073709551557,"next":null}\n',
      (run({ "primes", "--next", "--format", "jsonl", "7", last })))
    assert.are.equal("number,next\n7,11\n18446744073709551557,\n",
      (run({ "primes", "--next", "--format", "csv", "7", last })))
    assert.are.equal(2, (select(2, run({ "primes", "--next", "--check", "7" }))))
  end)

  it("ranges up to the last number", function()
    assert.are.equal("18446744073709551614 is prime: false\n"
      .. "18446744073709551615 is prime: false\n", (run({
        "primes", "18446744073709551614-18446744073709551615",
      })))
    assert.are.equal("3\n",
      (run({ "primes", "--count", "18446744073709551500..18446744073709551615" })))
  end)

  it("names an argument by its number behind a range, and one with blanks in it", function()
    local out, code, err = run({ "primes", "1-2", "7 8", "x", "3" })
    assert.are.equal("1 is prime: false\n2 is prime: true\n3 is prime: true\n", out)
    assert.are.equal(2, code)
    assert.are.equal("ccpool: primes: argument 2: '7 8' is not a whole number\n"
      .. "ccpool: primes: argument 3: 'x' is not a whole number\n", err)
  end)

  it("reads files, names the one that is not there, and its lines", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("7\n\ny 8")
    file:close()
    local out, code, err = run({
      "primes", "3", "-i", path, "-i", "/nonexistent/x", "--input", "-",
    }, "5")
    os.remove(path)
    assert.are.equal("3 is prime: true\n7 is prime: true\n8 is prime: false\n5 is prime: true\n",
      out)
    assert.are.equal(2, code)
    assert.matches(path .. ": line 3: 'y' is not", err, 1, true)
    assert.matches("cannot open /nonexistent/x: No such file", err, 1, true)
  end)

  it("gives the same results when unordered, and the same complaints", function()
    local expected = run({ "primes", "--chunk", "50", "1-3000" })
    local out, code, err = run({ "primes", "--unordered", "--chunk", "50", "-w", "3", "-" },
      "1-3000 \nx")
    local function sorted(text)
      local list = {}
      for line in text:gmatch("[^\n]+") do
        list[#list + 1] = line
      end
      table.sort(list)
      return list
    end
    assert.are.same(sorted(expected), sorted(out))
    assert.are.equal(2, code)
    assert.are.equal("ccpool: primes: line 2: 'x' is not a whole number\n", err)
  end)

  it("answers what is there before it waits for more", function()
    local out = shell([[bash -c '
      coproc bin/ccpool primes --format jsonl
      echo 7 >&${COPROC[1]}; read -r first <&${COPROC[0]}
      echo "after $first 9" >/dev/null; echo 9 >&${COPROC[1]}; read -r second <&${COPROC[0]}
      echo "$first $second"; exec {COPROC[1]}>&-; wait']])
    assert.are.equal('{"number":7,"prime":true} {"number":9,"prime":false}\n', out)
  end)

  it("flushes what is known and exits with 130 at Ctrl-C", function()
    for _, backend in ipairs(support.BACKENDS) do
      -- The writer of standard input never ends by itself; the answer tells that it runs.
      local out = shell(([[bash -c '
        coproc bin/ccpool primes --backend %s --format jsonl 2>&1
        echo 7 >&${COPROC[1]}; pid=$COPROC_PID; exec 5<&${COPROC[0]}
        read -r first <&5; echo "$first"
        kill -INT $pid; cat <&5; wait $pid; echo code $?']]):format(backend))
      assert.are.equal(
        '{"number":7,"prime":true}\nccpool: primes: interrupted\ncode 130\n', out)
    end
  end)
end)

describe("a worker of ccpool primes #crash", function()
  it("may be killed in the middle: its chunk is tried again", function()
    local errors = os.tmpname()
    local pipe = assert(io.popen("echo $$; exec " .. support.command_line({
      "primes", "--backend", "processes", "-w", "1", "--method", "trial", "99999999999999997", "7",
    }) .. " 2>" .. errors))
    local pid = pipe:read("n", "l")
    -- The worker is a child of the program's only child. Once it has used processor time,
    -- the chunk is in its hands.
    local worker
    repeat
      local child = shell("ps -o pid= --ppid $(ps -o pid= --ppid " .. pid .. ")"):match("%d+")
      local stat = child and io.open("/proc/" .. child .. "/stat")
      local ticks = stat and tonumber(stat:read("a"):match("%) " .. ("%S+ "):rep(11) .. "(%d+)"))
      if stat then
        stat:close()
      end
      worker = ticks and ticks >= 10 and tonumber(child)
    until worker
    assert.are.equal(0, signal.kill(worker, signal.SIGKILL))
    local out = pipe:read("a")
    local _, _, code = pipe:close()
    local file = assert(io.open(errors))
    local err = file:read("a")
    file:close()
    os.remove(errors)
    assert.are.equal("99999999999999997 is prime: true\n7 is prime: true\n", out)
    assert.are.equal(0, code)
    assert.matches("trying again", err, 1, true)
  end)
end)
