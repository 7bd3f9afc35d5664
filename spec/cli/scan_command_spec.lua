-- The options and the formats of `ccpool scan`, and what happens when things go wrong.

local signal = require("posix.signal")
local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local support = dofile("spec/cli/support.lua")
local run, shell = support.run, support.shell
local read_file, write_file = support.read_file, support.write_file

describe("ccpool scan", function()
  local block, first, last, open_port, path

  before_each(function()
    block = support.port_block("127.0.0.1", 24101, 3)
    first, last, open_port = block.first, block.last, block.open[1]
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function()
    block:close()
    os.remove(path)
  end)

  local function scan(...)
    return run({ "scan", "-p", first .. "-" .. last, "-q", ... })
  end

  it("lists open ports, each fit to be connected to", function()
    assert.are.same({ ("127.0.0.1:%d\n"):format(open_port), 0, "" },
      { scan("--format", "list", "127.0.0.1") })
    if support.has_ipv6() then
      local six <close> = support.port_block("::1", 24201, 3)
      assert.are.equal(("[::1]:%d\n"):format(six.open[1]), (run({ "scan", "-q", "-p",
        six.first .. "-" .. six.last, "--format", "list", "::1" })))
    end
  end)

  it("writes lines for grep", function()
    local out = scan("--format", "grep", "localhost", "-4")
    assert.matches(("\nHost: 127.0.0.1 %%(localhost%%)\tStatus: Up\n"
      .. "Host: 127.0.0.1 %%(localhost%%)\tPorts: %d/closed/tcp//[^/]*///, %d/open/tcp//[^/]*///, "
      .. "%d/closed/tcp//[^/]*///\n"):format(first, open_port, last), out)
    out = scan("--format", "grep", "--open", "127.0.0.1")
    assert.matches(("Ports: %d/open/tcp//[^/]*///\tIgnored State: closed %%(2%%)\n"):format(
      open_port), out)
    assert.matches("^# ccpool .- as: ccpool scan ", out)
    assert.matches("# ccpool done at .- 1 addresses %(1 up%) scanned in %S+ seconds\n$", out)
  end)

  it("writes XML", function()
    local out = scan("--format", "xml", "--open", "localhost", "-4")
    assert.matches('^<%?xml version="1.0" encoding="UTF%-8"%?>\n<!DOCTYPE nmaprun>\n<nmaprun ', out)
    assert.matches(('services="%d-%d"/>'):format(first, last), out, 1, true)
    assert.matches('<address addr="127.0.0.1" addrtype="ipv4"/>', out, 1, true)
    assert.matches('<hostname name="localhost" type="user"/>', out, 1, true)
    assert.matches('<extraports state="closed" count="2">\n'
      .. '<extrareasons reason="conn-refused" count="2"/>\n</extraports>', out, 1, true)
    assert.matches(('<port protocol="tcp" portid="%d"><state state="open" reason="syn-ack" '
      .. 'reason_ttl="0"/>'):format(open_port), out, 1, true)
    assert.matches('exit="success"/><hosts up="1" down="0" total="1"/>\n</runstats>\n</nmaprun>\n$',
      out)
    -- As many tags are closed as are opened.
    local opened, closed = 0, 0
    for slash, tag in out:gmatch("<(/?)(%a[^>]*)>") do
      if slash == "/" then
        closed = closed + 1
      elseif tag:sub(-1) ~= "/" then
        opened = opened + 1
      end
    end
    assert.are.equal(opened, closed)
  end)

  it("takes any order of the ports and reports them in the order of their numbers", function()
    for _, arguments in ipairs({ { "--order", "serial" }, { "--seed", "1" }, { "--seed", "2" } }) do
      local out = scan("127.0.0.1", "--format", "csv", table.unpack(arguments))
      local order = {}
      for port in out:gmatch("127.0.0.1,(%d+),") do
        order[#order + 1] = tonumber(port)
      end
      assert.are.same({ first, first + 1, last }, order)
    end
  end)

  it("takes targets from files and standard input, and leaves some out", function()
    write_file(path, "127.0.0.2 # comment\n10.0.0.0/33\n127.0.0.3\n")
    local out, code, err = run({ "scan", "-p", open_port, "-q", "--format", "csv", "-iL", path,
      "-iL", "-", "--exclude", "127.0.0.3,127.0.0.5-127.0.0.6" }, "127.0.0.4-6\n")
    assert.are.equal(2, code)
    assert.matches(path .. ":2: '10.0.0.0/33' is not a network", err, 1, true)
    local hosts = {}
    for host in out:gmatch("\n([%d.]+),") do
      hosts[#hosts + 1] = host
    end
    assert.are.same({ "127.0.0.2", "127.0.0.4" }, hosts)
  end)

  it("only lists targets if asked to", function()
    assert.are.same({ "10.0.0.0\n10.0.0.2\n10.0.0.3\n", 0, "" },
      { run({ "scan", "--list-targets", "10.0.0.1/30", "--exclude", "10.0.0.1" }) })
    local out, _, err = shell("bin/ccpool scan --list-targets ::/0 | head -n 1")
    assert.are.same({ "::\n", "" }, { out, err })
  end)

  it("exits with 1 after --check unless every port is open", function()
    assert.are.equal(1, (select(2, scan("--check", "127.0.0.1"))))
    assert.are.equal(0, (select(2, run({ "scan", "-q", "--check", "-p", open_port, "127.0.0.1" }))))
    assert.are.equal(0, (select(2, scan("--check", "127.0.0.1", "--exclude-ports",
      first .. "," .. last))))
  end)

  it("exits with 2 if it is told nonsense", function()
    for _, arguments in ipairs({
      { "--exclude-ports", first .. "-" .. last, "::1" }, { "--exclude", "x..y", "127.0.0.1" },
      { "--top", "0", "127.0.0.1" }, { "--max-rate", "0", "127.0.0.1" }, { "--banner=0", "::1" },
      { "--order", "best", "127.0.0.1" }, { "--format", "html", "127.0.0.1" }, { "-4", "::1" },
      { "--host-timeout", "0", "127.0.0.1" }, { "-iL", "/no/such/file" }, { "10.0.0.0/99" },
      { "--resume", "/no/such/folder/file", "127.0.0.1" },
    }) do
      local out, code, err = scan(table.unpack(arguments))
      assert.are.equal(2, code, table.concat(arguments, " ") .. out)
      assert.are_not.equal("", err)
    end
  end)

  it("wants a word before it scans very many public addresses", function()
    local out, code, err = run({ "scan", "-p", "1", "1.0.0.0/15" })
    assert.are.same({ "", 2 }, { out, code })
    assert.matches("131072 addresses", err, 1, true)
    assert.matches("--i-am-authorized", err, 1, true)
  end)

  it("goes on where a scan with the same resume file ended", function()
    assert.are.equal(0, (select(2, scan("--resume", path, "127.0.0.1"))))
    local known = read_file(path)
    assert.matches(("127.0.0.1 connected %d\n"):format(open_port), known, 1, true)
    -- What is known is not asked again: the listener has gone meanwhile.
    block:close()
    local out, code = scan("--resume", path, "--format", "list", "127.0.0.1")
    assert.are.same({ ("127.0.0.1:%d\n"):format(open_port), 0 }, { out, code })
    assert.are.equal(known, read_file(path))
    -- What is not known is.
    write_file(path, known:gsub("127.0.0.1 connected %d+\n", ""))
    out = scan("--resume", path, "--format", "csv", "127.0.0.1")
    assert.matches((",%d,closed,"):format(open_port), out, 1, true)
    write_file(path, "something else\n")
    local _, broken_code, err = scan("--resume", path, "127.0.0.1")
    assert.are.equal(2, broken_code)
    assert.matches(path .. ": it is not a resume file", err, 1, true)
    assert.are.equal("something else\n", read_file(path))
  end)

  it("shows banners, escaped, in every format", function()
    local listener = block.fds[open_port - first + 1]
    local pid = unistd.fork()
    if pid == 0 then
      while true do
        local connection = socket.accept(listener)
        socket.send(connection, '<\27"/,\n')
        unistd.close(connection)
      end
    end
    local found = {}
    for _, format in ipairs({ "text", "jsonl", "grep", "xml", "csv" }) do
      found[format] = scan("--open", "--banner", "--timeout", "20s", "--format", format,
        "127.0.0.1")
    end
    signal.kill(pid, signal.SIGKILL)
    require("posix.sys.wait").wait(pid)
    assert.matches('<\\x1b"/,\n', found.text, 1, true)
    assert.matches('"banner":"<\\\\x1b\\"/,"', found.jsonl, 1, true)
    assert.matches('//<\\x1b"|;/', found.grep, 1, true)
    assert.matches('output="&lt;\\x1b&quot;/,"', found.xml, 1, true)
    assert.matches('"<\\x1b""/,"', found.csv, 1, true)
  end)

  it("says so when its results or its resume file cannot be written", function()
    local arguments = { "scan", "-q", "-p", first .. "-" .. last, "127.0.0.1" }
    for _, format in ipairs({ "text", "jsonl", "xml" }) do
      local _, code, err = shell(("%s --format %s >/dev/full"):format(
        support.command_line(arguments), format))
      assert.are.equal(3, code)
      assert.matches("cannot write to standard output: No space left", err, 1, true)
    end
    local _, code, err = run({ "scan", "-q", "-p", "1", "-o", "/dev/full", "127.0.0.1" })
    assert.are.equal(3, code)
    assert.matches("cannot write to /dev/full: No space left", err, 1, true)
    _, code, err = scan("--resume", "/dev/full", "127.0.0.1")
    assert.are.equal(2, code)
    assert.matches("resume file /dev/full: it is not a regular file", err, 1, true)
  end)

  it("ends quietly when its reader goes away", function()
    local _, _, err = shell(
      "{ bin/ccpool scan -q -p - --format jsonl 127.0.0.1; echo $? >&2; } | head -n 1")
    assert.are.equal("141\n", err)
  end)

  it("scans with few descriptors", function()
    for _, name in ipairs(support.BACKENDS) do
      local out, code, err = shell(("ulimit -n 32; %s"):format(support.command_line({
        "scan", "-q", "--backend", name, "-w", "2", "-p", first .. "-" .. last, "127.0.0.1" })))
      assert.are.same({ 0, "" }, { code, err }, name)
      assert.matches("127.0.0.1: 1 open, 2 closed", out, 1, true)
    end
  end)

  it("scans the ports of a killed worker again", function()
    local silent <close> = support.silent_port()
    local pipe = assert(io.popen("echo $$; exec " .. support.command_line({
      "scan", "-p", ("%d,%d"):format(open_port, silent.port), "--timeout", "2s", "--retries", "0",
      "--backend", "processes", "-w", "1", "--format", "jsonl", "127.0.0.1",
    }) .. " 2>&1"))
    local pid = pipe:read("n", "l")
    -- The connect tells that a worker runs; the silent port keeps it running.
    local connection = assert(socket.accept(block.fds[open_port - first + 1]))
    unistd.close(connection)
    -- The worker is a child of the program's child.
    local worker = shell(("cat $(ls -d /proc/$(cat /proc/%d/task/*/children | cut -d' ' -f1)"
      .. "/task/*/children)"):format(pid)):match("%d+")
    assert.are.equal(0, signal.kill(tonumber(worker), signal.SIGKILL))
    local out = pipe:read("a")
    local _, how, code = pipe:close()
    assert.are.same({ "exit", 0 }, { how, code }, out)
    assert.matches("its ports are scanned again", out, 1, true)
    assert.matches('"hosts":1,"open":1,"closed":0,"filtered":1', out, 1, true)
    assert.matches('"complete":true', out, 1, true)
  end)
end)
