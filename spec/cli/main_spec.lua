local ccpool = require("ccpool")
local signal = require("posix.signal")
local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local support = dofile("spec/cli/support.lua")
local run, shell = support.run, support.shell

local COMMANDS = { "scan", "primes", "compare" }

--- A search path without the places that begin so, or in the current directory.
local function but(path, begin)
  local places = {}
  for place in path:gmatch("[^;]+") do
    local ours = place:sub(1, #begin) == begin or place:sub(1, 1) ~= "/"
    if not ours then places[#places + 1] = place end
  end
  return table.concat(places, ";")
end

describe("ccpool", function()
  it("prints its version", function()
    for _, arguments in ipairs({ { "-V" }, { "--version" }, { "scan", "-V" } }) do
      local out, code, err = run(arguments)
      assert.are.same({ "ccpool " .. ccpool.VERSION .. "\n", 0, "" }, { out, code, err })
    end
  end)

  it("prints help on standard output", function()
    local out, code, err = run({ "-h" })
    assert.are.same({ 0, "" }, { code, err })
    for _, command in ipairs(COMMANDS) do
      assert.matches(command, out, 1, true)
      local help, help_code = run({ command, "--help" })
      assert.are.equal(0, help_code)
      assert.matches("Usage: ccpool " .. command, help, 1, true)
    end
  end)

  it("exits with 2 after a usage error, with nothing on standard output", function()
    for _, arguments in ipairs({
      {}, { "nonsense" }, { "primes", "--nonsense" }, { "primes", "-w", "0", "7" },
      { "primes", "-w", "-1", "7" }, { "primes", "--chunk", "1.5", "7" },
      { "primes", "--backend", "gpu", "7" }, { "primes", "--count", "--primes-only", "7" },
      { "scan" }, { "scan", "-p", "0", "127.0.0.1" }, { "scan", "-4", "-6", "localhost" },
      { "scan", "--timeout", "0", "127.0.0.1" }, { "compare", "-w", "1,x" },
    }) do
      local out, code, err = run(arguments)
      assert.are.same({ "", 2 }, { out, code }, table.concat(arguments, " "))
      assert.matches("Error: ", err, 1, true)
    end
  end)

  it("is found through a checkout when the search path does not lead to it", function()
    local command = ("unset LUA_PATH LUA_PATH_5_4; cd /; %s/%s -h"):format(
      support.quote(unistd.getcwd()), support.PROGRAM)
    local out, code, err = shell(command)
    if code == 3 and (err:find("posix", 1, true) or err:find("argparse", 1, true)) then
      pending("what the command line needs is not installed where Lua looks for it by itself")
      return
    end
    assert.are.equal(0, code)
    assert.matches("Usage: ccpool", out, 1, true)
  end)

  it("is found in the prefix that it was installed into", function()
    local version = _VERSION:match("%d.*$")
    local root = unistd.getcwd()
    local build = os.getenv("CCPOOL_BUILD") or root .. "/build"
    local out, code, err = shell(([[
      prefix=$(mktemp -d) || exit
      mkdir -p $prefix/bin $prefix/share/lua/@ $prefix/lib/lua/@
      cp bin/ccpool $prefix/bin && ln -s %s/lua/ccpool $prefix/share/lua/@/ccpool
      ln -s %s/ccpool $prefix/lib/lua/@/ccpool
      export LUA_PATH=%s LUA_CPATH=%s
      unset LUA_PATH_5_4 LUA_CPATH_5_4 LUA_PATH_5_5 LUA_CPATH_5_5
      (cd / && $prefix/bin/ccpool primes --backend threads 97)
      code=$?
      rm -r $prefix
      (exit $code)]]):gsub("@", version):format(support.quote(root), support.quote(build),
        support.quote(but(package.path, root .. "/lua/")),
        support.quote(but(package.cpath, build .. "/?"))))
    assert.are.same({ "97 is prime: true\n", 0, "" }, { out, code, err })
  end)

  it("ends quietly when its reader goes away", function()
    local _, _, err = shell(
      "{ seq 1 20000 | bin/ccpool primes --format jsonl; echo $? >&2; } | head -n 1")
    assert.are.equal("141\n", err)
  end)

  it("says so when its results cannot be written", function()
    local _, code, err = shell("bin/ccpool primes 7 >/dev/full")
    assert.are.equal(3, code)
    assert.matches("cannot write to standard output", err, 1, true)
  end)

  for _, backend in ipairs(support.BACKENDS) do
    it("flushes what is known and exits with 130 at Ctrl-C: " .. backend, function()
      local block <close> = support.port_block("127.0.0.1", 24401, 6)
      local silent <close> = support.silent_port()
      local journal = os.tmpname()
      os.remove(journal)
      -- One connect after the other, with the silent port in one chunk with the others.
      local pipe = assert(io.popen("echo $$; exec " .. support.command_line({
        "scan", "-q", "-p", ("%d-%d,%d"):format(block.first, block.last, silent.port),
        "--timeout", "10m", "--backend", backend, "-w", "2", "--format", "jsonl", "--order",
        "serial", "--concurrency", "1", "--banner", "--resume", journal, "127.0.0.1",
      }) .. " 2>&1"))
      local pid = pipe:read("n", "l")
      local function accept(port)
        return assert(socket.accept(block.fds[port - block.first + 1]))
      end
      local greeter = accept(block.open[1])
      assert(socket.send(greeter, "hello\n"))
      unistd.close(greeter)
      -- The second connect tells that all before it is known. No banner comes: it stays.
      local connection = accept(block.open[2])
      assert.are.equal(0, signal.kill(pid, signal.SIGINT))
      local out = pipe:read("a")
      local _, how, code = pipe:close()
      unistd.close(connection)
      local known = support.read_file(journal)
      os.remove(journal)
      assert.are.same({ "exit", 130 }, { how, code }, out)
      assert.matches(('"port":%d,"state":"open","banner":"hello"}'):format(block.open[1]), out, 1,
        true)
      assert.matches('"type":"summary","hosts":1,"open":1,"closed":3,"filtered":0,"error":0,'
        .. '"unknown":3,', out, 1, true)
      assert.matches('"complete":false', out, 1, true)
      assert.matches("ccpool: scan: interrupted", out, 1, true)
      assert.matches(("127.0.0.1 banner %d hello\n"):format(block.open[1]), known, 1, true)
      assert.matches(("127.0.0.1 connected %d\n"):format(block.open[1]), known, 1, true)
    end)
  end
end)
