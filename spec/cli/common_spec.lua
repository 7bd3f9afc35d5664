-- What all sub-commands understand.
local unistd = require("posix.unistd")

local support = dofile("spec/cli/support.lua")
local run, shell = support.run, support.shell
local read_file = support.read_file

describe("a command", function()
  it("has help on one screen at the top, with examples", function()
    local out = run({ "--help" })
    local _, lines = out:gsub("\n", "")
    assert.is_true(lines <= 24, lines .. " lines")
    assert.matches("Examples:\n  ccpool primes", out, 1, true)
  end)

  it("writes its results into the file of -o", function()
    local path = os.tmpname()
    local out, code = run({ "primes", "-o", path, "7", "8" })
    assert.are.same({ "", 0 }, { out, code })
    assert.are.equal("7 is prime: true\n8 is prime: false\n", read_file(path))
    os.remove(path)
    assert.are.equal("7 is prime: true\n", (run({ "primes", "-o", "-", "7" })))
  end)

  it("exits with 2 if that file cannot be opened", function()
    for _, command in ipairs({ "primes", "scan" }) do
      local out, code, err = run({ command, "-o", "/nonexistent/file", "7" })
      assert.are.same({ "", 2 }, { out, code })
      assert.are.equal(
        ("ccpool: %s: cannot open /nonexistent/file: No such file or directory\n"):format(command),
        err)
    end
  end)

  it("names the full disk and exits with 3", function()
    for _, input in ipairs({ "7", ("1234567891\n"):rep(100000) }) do
      local _, code, err = run({ "primes", "-o", "/dev/full" }, input)
      assert.are.equal(3, code)
      assert.are.equal(
        "ccpool: primes: cannot write to /dev/full: No space left on device\n", err)
    end
  end)

  it("colours as --color says, then as the environment does", function()
    local function colored(environment, ...)
      local out = shell(environment .. " " .. support.command_line({ "primes", "7", ... }))
      return out:find("\27[32mtrue\27[0m", 1, true) ~= nil
    end
    assert.is_false(colored(""))
    assert.is_true(colored("", "--color", "always"))
    assert.is_true(colored("CLICOLOR_FORCE=1"))
    assert.is_false(colored("CLICOLOR_FORCE=0"))
    assert.is_false(colored("NO_COLOR=1 CLICOLOR_FORCE=1"))
    assert.is_true(colored("NO_COLOR=1", "--color", "always"))
    assert.is_false(colored("CLICOLOR_FORCE=1", "--color", "never"))
    local _, _, err = run({ "primes", "--color", "always", "x" })
    assert.matches("\27[33mccpool:\27[0m primes: argument 1", err, 1, true)
  end)

  it("shows progress where it is told to, and one final line", function()
    local _, _, err = run({ "primes", "--progress", "always", "--count", "1-1000" })
    assert.matches("^primes: 1.00k numbers in [%d.]+ s, [%d.]+%a?/s\n$", err)
    assert.are.equal("", (select(3, run({ "primes", "--count", "1-1000" }))))
  end)

  it("shows progress on a terminal that never wraps and is cleared for results", function()
    if not shell("command -v script"):find("script") then
      pending("script (util-linux) is not there")
      return
    end
    local out = shell([[script -qec "stty cols 20
      { seq 1 1000; sleep 0.3; seq 1001 2000; } | bin/ccpool primes --primes-only -o /dev/null
      echo code: \$?" /dev/null </dev/null]])
    assert.matches("code: 0", out, 1, true)
    assert.matches("\r\27%[%?7lprimes: [%d.]+k numbers [^\n]*\27%[K\27%[%?7h", out)
    assert.matches("\r\27[Kprimes: 2.00k numbers in", out, 1, true)
    local quiet = shell([[script -qec "bin/ccpool primes --progress never 7" /dev/null </dev/null]])
    assert.is_nil(quiet:find("numbers", 1, true))
  end)

  it("prints statistics and details on request only", function()
    local _, _, err = run({ "primes", "-v", "--stats", "-w", "2", "7", "8" })
    assert.matches("ccpool: primes: threads, 2 workers, method auto\n", err, 1, true)
    assert.matches("ccpool: stats: numbers: 2\n", err, 1, true)
    assert.matches("ccpool: stats: time: [%d.]+ s", err)
  end)

  it("takes what follows -- as arguments", function()
    local out, code, err = run({ "primes", "--", "7", "--count", "-5" })
    assert.are.same({ "7 is prime: true\n", 2 }, { out, code })
    assert.matches("argument 2: '--count' is not a whole number", err, 1, true)
    assert.matches("argument 3: '-5' is not a whole number", err, 1, true)
  end)
end)

describe("the manual", function()
  it("is what tools/manual writes now", function()
    local _, code, err = shell("lua5.4 tools/manual --check")
    assert.are.same({ "", 0 }, { err, code })
  end)

  it("mentions every option that the help shows", function()
    for _, name in ipairs({ "", "-scan", "-primes", "-compare" }) do
      local page = read_file("man/ccpool" .. name .. ".1"):gsub("\\%-", "-")
      local help = run({ #name > 0 and name:sub(2) or "-h", #name > 0 and "-h" or nil })
      local count = 0
      for option in help:gsub("\nExamples:.*", ""):gmatch("%-%-[%w-]+") do
        count = count + 1
        assert.is_truthy(page:find("\\fB" .. option .. "\\fR", 1, true), name .. " " .. option)
      end
      assert.is_true(count >= 3)
    end
  end)

  it("is installed, and so are the completions", function()
    local root = os.tmpname()
    os.remove(root)
    local _, code, err = shell("unset MAKEFLAGS MFLAGS; make -s install DESTDIR="
      .. support.quote(root))
    assert.are.equal(0, code, err)
    for _, path in ipairs({
      "man/man1/ccpool.1", "man/man1/ccpool-scan.1", "man/man1/ccpool-primes.1",
      "man/man1/ccpool-compare.1", "bash-completion/completions/ccpool",
      "zsh/site-functions/_ccpool", "fish/vendor_completions.d/ccpool.fish",
    }) do
      assert.are.equal(0, unistd.access(root .. "/usr/local/share/" .. path, "r"), path)
    end
    shell("rm -rf " .. support.quote(root))
  end)
end)
