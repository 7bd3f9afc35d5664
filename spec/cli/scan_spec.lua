local socket = require("posix.sys.socket")
local resource = require("posix.sys.resource")
local unistd = require("posix.unistd")

local backend = require("ccpool.cli.backend")
local engine = require("ccpool.cli.scan.engine")
local ports = require("ccpool.cli.scan.ports")
local probe = require("ccpool.cli.scan.probe")
local states = require("ccpool.cli.scan.states")
local sweep = require("ccpool.cli.scan.sweep")
local targets = require("ccpool.cli.scan.targets")

local support = dofile("spec/cli/support.lua")

local LOOPBACK = { family = socket.AF_INET, addr = "127.0.0.1", is_local = true }
local SHORT = { timeout = 0.05, retries = 0, concurrency = 64 }
local PATIENT = { timeout = 60, retries = 1, concurrency = 64 }

local function range(first, last)
  local list = {}
  for port = first, last do
    list[#list + 1] = port
  end
  return list
end

-- Returns the ports of a block by state, as a scan on an executor finds them.
local function scan_block(backend_name, engine_name, addr, block, chunk)
  local list = range(block.first, block.last)
  local found = {}
  local plan = {
    targets = { assert(targets.resolve(addr)) },
    ports = list,
    engine = engine_name,
    chunk = chunk,
    workers = 2,
    timeout = 60,
    retries = 1,
    concurrency = 100,
  }
  backend.using(backend_name, 2, function(executor)
    sweep.run(executor, plan, function(_, first, outcomes)
      for i, outcome in ipairs(outcomes) do
        local state = states.of(outcome)
        found[state] = found[state] or {}
        table.insert(found[state], list[first + i - 1])
      end
    end, function(_, _, _, err)
      error(err, 0)
    end)
  end)
  for _, state_ports in pairs(found) do
    table.sort(state_ports)
  end
  return found
end

local function expected_states(block)
  local is_open, closed = {}, {}
  for _, port in ipairs(block.open) do
    is_open[port] = true
  end
  for port = block.first, block.last do
    if not is_open[port] then
      closed[#closed + 1] = port
    end
  end
  return { open = block.open, closed = closed }
end

describe("scan on executors", function()
  for _, addr in ipairs({ "127.0.0.1", "::1" }) do
    for _, backend_name in ipairs(support.BACKENDS) do
      for _, engine_name in ipairs({ "poll", "connect" }) do
        it(("finds exactly the listeners: %s, %s, %s"):format(addr, backend_name, engine_name),
          function()
            if addr == "::1" and not support.has_ipv6() then
              pending("no IPv6 here")
              return
            end
            -- One block below the ephemeral ports, one among them.
            for _, lowest in ipairs({ 20011, 40009 }) do
              local block <close> = support.port_block(addr, lowest, 60)
              local expected = expected_states(block)
              assert.are.same(expected, scan_block(backend_name, engine_name, addr, block, 7))
              assert.are.same(expected,
                scan_block(backend_name, engine_name, addr, block, "auto"))
            end
          end)
      end
    end
  end
end)

describe("scan of many ports", function()
  for _, backend_name in ipairs(support.BACKENDS) do
    for _, engine_name in ipairs({ "poll", "connect" }) do
      it(("answers for every port once: %s, %s"):format(backend_name, engine_name), function()
        local block = { first = 1, last = 10000 }
        local found = scan_block(backend_name, engine_name, "127.0.0.1", block, 16)
        local is_seen, count = {}, 0
        for _, state_ports in pairs(found) do
          for _, port in ipairs(state_ports) do
            assert.is_nil(is_seen[port], port)
            is_seen[port] = true
            count = count + 1
          end
        end
        assert.are.equal(10000, count)
      end)
    end
  end
end)

describe("scan engines", function()
  it("tell open, closed and filtered apart, in the order of the ports", function()
    local block = support.port_block("127.0.0.1", 21001, 6)
    local silent = support.silent_port()
    local list = range(block.first, block.last)
    table.insert(list, 3, silent.port)
    local expected = {}
    for i, port in ipairs(list) do
      local is_open = port == block.open[1] or port == block.open[2]
      expected[i] = port == silent.port and "timeout" or is_open and "connected"
        or "ECONNREFUSED"
      assert.are.equal(expected[i], probe.check(LOOPBACK, port, SHORT), port)
    end
    assert.are.same(expected, engine.scan(LOOPBACK, list, SHORT))
    assert.are.same(expected,
      engine.scan(LOOPBACK, list, { timeout = 0.05, retries = 2, concurrency = 1 }))
    silent:close()
    block:close()
  end)

  it("find listeners through poll when a target does not answer at once", function()
    local block = support.port_block("127.0.0.1", 22001, 30)
    local remote = { family = socket.AF_INET, addr = "127.0.0.1", is_local = false }
    local outcomes = engine.scan(remote, range(block.first, block.last), PATIENT)
    local open = {}
    for i, outcome in ipairs(outcomes) do
      if outcome == "connected" then
        open[#open + 1] = block.first + i - 1
      end
    end
    assert.are.same(block.open, open)
    assert.are.equal(30, #outcomes)
    block:close()
  end)

  it("take a shortage of descriptors for no port's state", function()
    local silent = support.silent_port()
    local list = {}
    for i = 1, 40 do
      list[i] = silent.port
    end
    local limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    local next_fd = unistd.dup(0)
    unistd.close(next_fd)
    -- Eight descriptors for forty connects that wait for their timeout.
    assert(resource.setrlimit(resource.RLIMIT_NOFILE,
      { rlim_cur = next_fd + 8, rlim_max = limit.rlim_max }))
    local outcomes = engine.scan(LOOPBACK, list, SHORT)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    silent:close()
    assert.are.equal(40, #outcomes)
    for _, outcome in ipairs(outcomes) do
      assert.are.equal("timeout", outcome)
    end
  end)

  it("leave no descriptor behind", function()
    local block = support.port_block("127.0.0.1", 23001, 30)
    local silent = support.silent_port()
    local before = unistd.dup(0)
    unistd.close(before)
    engine.scan(LOOPBACK, range(block.first, block.last), PATIENT)
    engine.scan(LOOPBACK, { silent.port, silent.port }, SHORT)
    probe.check(LOOPBACK, block.open[1], PATIENT)
    local after = unistd.dup(0)
    unistd.close(after)
    silent:close()
    block:close()
    assert.are.equal(before, after)
  end)

  it("do not take a socket connected to itself for an open port", function()
    local fd = assert(support.bound("127.0.0.1", 0))
    local address = socket.getsockname(fd)
    assert(socket.connect(fd, address))
    assert.are.equal("ECONNREFUSED", probe.verify(fd, address, true, 1))
    assert.are.equal("ECONNREFUSED", probe.verify(fd, address, false, 1))
    probe.abort(fd)
  end)

  it("reset their connections, so that none lingers", function()
    local listener = assert(support.bound("127.0.0.1", 0))
    assert(socket.listen(listener, 16))
    local port = socket.getsockname(listener).port
    assert.are.equal("connected", probe.check(LOOPBACK, port, PATIENT))
    local connection = assert(socket.accept(listener))
    local data, _, number = socket.recv(connection, 1)
    assert.is_nil(data)
    assert.are.equal("ECONNRESET", states.name(number))
    unistd.close(connection)
    unistd.close(listener)
  end)
end)

describe("states.of", function()
  it("maps outcomes to states", function()
    local expected = {
      connected = "open", ECONNREFUSED = "closed", timeout = "filtered",
      ETIMEDOUT = "filtered", EHOSTUNREACH = "filtered", ENETUNREACH = "filtered",
      EHOSTDOWN = "filtered", EACCES = "filtered", EPERM = "filtered",
      ECONNRESET = "filtered", EMFILE = "unknown", ENFILE = "unknown", ENOBUFS = "unknown",
      ENOMEM = "unknown", EADDRNOTAVAIL = "unknown", EAGAIN = "unknown",
      EAFNOSUPPORT = "error", EINVAL = "error", ["errno 999"] = "error",
    }
    for outcome, state in pairs(expected) do
      assert.are.equal(state, states.of(outcome), outcome)
      assert.are.equal(state == "unknown", states.is_shortage(outcome), outcome)
    end
  end)

  it("names errnos as the system numbers them", function()
    local errno = require("posix.errno")
    for _, name in ipairs({
      "ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EACCES", "EPERM",
      "ECONNRESET", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EAGAIN",
    }) do
      assert.are.equal(name, states.name(errno[name]))
    end
    assert.are.equal("errno 99999", states.name(99999))
  end)
end)

describe("ports.parse", function()
  it("reads ports, ranges and services, each port once", function()
    assert.are.same({ 22 }, ports.parse("22"))
    assert.are.same({ 22, 80, 8000, 8001, 8002 }, ports.parse("8000-8002,80,22,8001"))
    assert.are.same({ 65535 }, ports.parse("65535-65535"))
    assert.are.same({ 7 }, ports.parse("007"))
    assert.are.equal(65535, #ports.parse("-"))
    assert.are.equal(65535, #ports.parse("1-65535,-,80"))
  end)

  it("asks the services database for names", function()
    if ports.service(80) ~= "http" then
      pending("no services database here")
      return
    end
    assert.are.same({ 80, 443 }, ports.parse("https,http"))
  end)

  it("refuses everything else, and says what", function()
    local expected = {
      [""] = "''", [","] = "''", ["80,"] = "''", ["0"] = "port 0", ["65536"] = "port 65536",
      ["80-0"] = "port 0", ["90-80"] = "backwards", ["80-"] = "'80-'", ["-80"] = "'-80'",
      ["1-2-3"] = "'1-2-3'", ["80 81"] = "'80 81'", ["0x50"] = "0x50", ["8.0"] = "'8.0'",
      ["no-such-service-here"] = "no-such-service-here", [("9"):rep(400)] = "port 999",
    }
    for text, words in pairs(expected) do
      local list, message = ports.parse(text)
      assert.is_nil(list, text)
      assert.matches(words, message, 1, true)
    end
  end)
end)

describe("ccpool scan", function()
  local block, silent, first, last, open_port

  before_each(function()
    block = support.port_block("127.0.0.1", 24001, 3)
    silent = support.silent_port()
    first, last, open_port = block.first, block.last, block.open[1]
  end)

  after_each(function()
    block:close()
    silent:close()
  end)

  local function scan(...)
    return support.run({ "scan", "-p", first .. "-" .. last, "-q", ... })
  end

  for _, engine_name in ipairs({ "poll", "connect" }) do
    it("shows a table: " .. engine_name, function()
      local out, code, err = scan("--engine", engine_name, "--reason", "127.0.0.1")
      assert.are.same({ 0, "" }, { code, err })
      local expected = "127.0.0.1: 1 open, 2 closed\n" ..
        "PORT       STATE   SERVICE  REASON\n" ..
        ("%d/tcp  closed  -        ECONNREFUSED\n"):format(first) ..
        ("%d/tcp  open    -        connected\n"):format(open_port) ..
        ("%d/tcp  closed  -        ECONNREFUSED\n"):format(last)
      assert.are.equal(expected, out)
    end)
  end

  it("shows open ports only, and filtered ones with their reason", function()
    assert.are.equal(
      "127.0.0.1: 1 open, 2 closed\nPORT       STATE  SERVICE\n" ..
      ("%d/tcp  open   -\n"):format(open_port), (scan("--open", "127.0.0.1")))
    local out, code = support.run({
      "scan", "-q", "-p", silent.port, "--timeout", "50ms", "--retries", "0", "--reason",
      "127.0.0.1",
    })
    assert.are.equal(0, code)
    assert.matches(("%d/tcp +filtered +%%S+ +timeout\n"):format(silent.port), out)
  end)

  it("writes JSON lines with a summary", function()
    local out, code = scan("--format", "jsonl", "--open", "127.0.0.1")
    assert.are.equal(0, code)
    local record, summary = out:match("^(.-)\n(.-)\n$")
    assert.are.equal(('{"type":"port","host":"127.0.0.1","address":"127.0.0.1",' ..
      '"port":%d,"state":"open"}'):format(open_port), record)
    assert.matches('^{"type":"summary","hosts":1,"open":1,"closed":2,"filtered":0,' ..
      '"error":0,"unknown":0,"seconds":[%d.]+,"complete":true}$', summary)
  end)

  it("writes CSV", function()
    local out = scan("--format", "csv", "--reason", "127.0.0.1")
    assert.are.equal("host,address,port,state,service,reason\n" ..
      ("127.0.0.1,127.0.0.1,%d,closed,,ECONNREFUSED\n"):format(first) ..
      ("127.0.0.1,127.0.0.1,%d,open,,connected\n"):format(open_port) ..
      ("127.0.0.1,127.0.0.1,%d,closed,,ECONNREFUSED\n"):format(last), out)
  end)

  it("scans several hosts in the order given, each address once", function()
    local out, code = scan("--format", "csv", "--chunk", "1", "127.0.0.2", "127.0.0.1",
      "127.0.0.2")
    assert.are.equal(0, code)
    local order = {}
    for addr, port in out:gmatch("\n([%d.]+),[%d.]+,(%d+),") do
      order[#order + 1] = addr .. ":" .. port
    end
    local expected = {}
    for _, addr in ipairs({ "127.0.0.2", "127.0.0.1" }) do
      for port = first, last do
        expected[#expected + 1] = addr .. ":" .. port
      end
    end
    assert.are.same(expected, order)
  end)

  it("names a host that cannot be resolved, scans the others, and exits with 2", function()
    local out, code, err = scan("--open", "no.such.host.invalid", "127.0.0.1")
    assert.are.equal(2, code)
    assert.matches("ccpool: scan: no.such.host.invalid: ", err, 1, true)
    assert.matches("127.0.0.1: 1 open", out, 1, true)
    assert.are.equal(2, (select(2, scan("-6", "127.0.0.1"))))
    assert.are.equal(2, (select(2, scan(""))))
  end)
end)
