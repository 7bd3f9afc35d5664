local socket = require("posix.sys.socket")

local banner = require("ccpool.cli.scan.banner")
local engine = require("ccpool.cli.scan.engine")
local journal = require("ccpool.cli.scan.journal")
local pace = require("ccpool.cli.scan.pace")
local ports = require("ccpool.cli.scan.ports")
local probe = require("ccpool.cli.scan.probe")
local scan_options = require("ccpool.cli.scan.options")
local states = require("ccpool.cli.scan.states")
local unistd = require("posix.unistd")
local window = require("ccpool.cli.scan.window")

local support = dofile("spec/cli/support.lua")
local read_file, write_file = support.read_file, support.write_file

local LOOPBACK = { family = socket.AF_INET, addr = "127.0.0.1", is_local = true }

describe("ports.top", function()
  local OWN = require("ccpool.cli.scan.top_ports")

  it("gives the most frequent ports, and then all others, ascending", function()
    assert.are.same({ 22, 80, 443 }, ports.top(3, OWN))
    assert.are.same({ 5, 7 }, ports.top(2, { 7, 5, 3 }))
    assert.are.same({ 1, 2, 7 }, ports.top(3, { 7 }))
    assert.are.equal(65535, #ports.top(65535, OWN))
    assert.are.equal(100, #ports.top(100))
  end)

  it("has a list of its own that names each port once", function()
    local is_known = {}
    for _, port in ipairs(OWN) do
      assert.is_nil(is_known[port], port)
      assert.is_true(math.type(port) == "integer" and port >= 1 and port <= 65535, port)
      is_known[port] = true
    end
    assert.is_true(#OWN >= 100)
  end)
end)

describe("ports.shuffle", function()
  it("is a permutation that the seed decides", function()
    local function shuffled(seed)
      return ports.shuffle(ports.parse("1-1000"), seed)
    end
    assert.are.same(shuffled(7), shuffled(7))
    for _, seed in ipairs({ 0, 1, 2, 0x7fffffff }) do
      local list = shuffled(seed)
      assert.are_not.same(ports.parse("1-1000"), list)
      assert.are_not.same(shuffled(seed + 1), list)
      table.sort(list)
      assert.are.same(ports.parse("1-1000"), list)
    end
    assert.are.same({}, ports.shuffle({}, 1))
  end)
end)

describe("ports.combine", function()
  it("joins lists and takes others away", function()
    assert.are.same({ 1, 2, 5 }, ports.combine({ { 2, 5, 3 }, { 1, 2 } }, { { 3 }, { 9 } }))
    assert.are.same({}, ports.combine({ { 1 } }, { { 1 } }))
  end)
end)

describe("banner.escape", function()
  it("leaves nothing that a terminal would obey", function()
    assert.are.equal("SSH-2.0-x", banner.escape("SSH-2.0-x\r\n"))
    assert.are.equal("a\\r\\nb\\t\\x1b[2J\\\\ \\x00\\xff\\x7f", banner.escape(
      "a\r\nb\t\27[2J\\ \0\255\127"))
    assert.are.equal("", banner.escape("\n"))
  end)
end)

describe("pace.ask", function()
  it("gives leave at once without a rate, and one after the other with it", function()
    for _ = 1, 3 do
      assert.is_nil(pace.ask(nil))
    end
    while pace.ask(0.01) do
      probe.nap(1)
    end
    local seconds = pace.ask(0.01)
    assert.is_true(seconds > 90 and seconds <= 100, seconds)
    -- A faster rate does not wait for what a slower one asked for.
    assert.is_true(pace.ask(1000) < 0.002)
  end)
end)

describe("scan window", function()
  it("starts wide, is halved down to its least, and grows again", function()
    local w = window.new(64, 1000)
    assert.are.equal(1000, w.size)
    w:grow()
    assert.are.equal(1000, w.size)
    w:shrink()
    assert.are.equal(500, w.size)
    for _ = 1, 500 do
      w:grow()
    end
    assert.is_true(w.size > 515 and w.size <= 516, w.size)
    for _ = 1, 10 do
      w:shrink()
    end
    assert.are.equal(64, w.size)
    for _ = 1, 1000000 do
      w:grow()
    end
    assert.are.equal(1000, w.size)
    assert.are.equal(10, window.new(64, 10).size)
  end)

  it("is halved once for what is lost together", function()
    local w = window.new(64, 1000)
    for _ = 1, 5 do
      w:notice_loss(60)
    end
    assert.are.equal(500, w.size)
  end)

  it("is kept by the worker", function()
    window.of_worker(64, 999):shrink()
    assert.are.equal(499.5, window.of_worker(64, 999).size)
    assert.are.equal(998, window.of_worker(64, 998).size)
  end)
end)

describe("scan_options.amend", function()
  it("rewrites what argparse cannot read, up to --", function()
    assert.are.same({ "--input-list", "f", "--banner=256", "-p", "1", "--banner=7", "--", "-iL" },
      scan_options.amend({ "-iL", "f", "--banner", "-p", "1", "--banner=7", "--", "-iL" }))
    assert.are.same({ "--input-list=hosts" }, scan_options.amend({ "-iLhosts" }))
  end)
end)

describe("scan journal", function()
  local path

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function()
    os.remove(path)
  end)

  it("remembers outcomes and banners, and nothing that is not known", function()
    local file = assert(journal.open(path, 42))
    assert.are.equal(42, file.seed)
    assert.is_nil(file:known(LOOPBACK))
    file:add(LOOPBACK, { 5, 1, 2, 9, 3, 8 },
      { "connected", "ECONNREFUSED", "ECONNREFUSED", "host-timeout", "ECONNREFUSED", "errno 999" },
      { [1] = "220 x\27\r\n" })
    file:add({ addr = "fe80::1", scope_id = 2 }, { 7 }, { "timeout" })
    file:close()
    file = assert(journal.open(path, 1))
    assert.are.equal(42, file.seed)
    local outcomes, banners = file:known(LOOPBACK)
    assert.are.same({ "ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED", nil, "connected",
      [8] = "errno 999" }, outcomes)
    assert.are.same({ [5] = "220 x\\x1b" }, banners)
    assert.are.same({ [7] = "timeout" }, (file:known({ addr = "fe80::1", scope_id = 2 })))
    assert.is_nil(file:known({ addr = "fe80::1", scope_id = 3 }))
    file:close()
  end)

  it("drops a last line that is torn, and goes on behind the others", function()
    local file = assert(journal.open(path, 42))
    file:add(LOOPBACK, { 1 }, { "ECONNREFUSED" })
    file:close()
    local whole = read_file(path)
    for _, tail in ipairs({ "127.0.0.1 ECONNREFUSED 2-10", "1", "127.0.0.1 " }) do
      write_file(path, whole .. tail)
      file = assert(journal.open(path, 1))
      assert.are.same({ "ECONNREFUSED" }, (file:known(LOOPBACK)))
      file:close()
      assert.are.equal(whole, read_file(path))
    end
    for _, head in ipairs({ "", "ccp", "ccpool-scan-journal 1 seed=4" }) do
      write_file(path, head)
      file = assert(journal.open(path, 5))
      assert.are.equal(5, file.seed)
      file:close()
    end
  end)

  it("refuses a file that is broken or something else, and leaves it as it is", function()
    local head = "ccpool-scan-journal 1 seed=42\n"
    for content, words in pairs({
      ["hello"] = "not a resume file", ["hello\n"] = "not a resume file",
      ["ccpool-scan-journal 2 seed=1\n"] = "not a resume file",
      [head .. "nonsense\n"] = "line 2", [head .. "127.0.0.1 ECONNREFUSED 0\n"] = "line 2",
      [head .. "127.0.0.1 ECONNREFUSED 1-65536\n"] = "line 2",
      [head .. "127.0.0.1 timeout 1\n127.0.0.1 timeout 5-4\n"] = "line 3",
      [head .. "127.0.0.1 banner 99999 x\n"] = "line 2",
      [head .. "127.0.0.1 EMFILE 1\n"] = "line 2", [head .. "\n"] = "line 2",
    }) do
      write_file(path, content)
      local file, message = journal.open(path, 1)
      assert.is_nil(file, content)
      assert.matches(words, message, 1, true)
      assert.are.equal(content, read_file(path))
    end
    assert.is_nil((journal.open("/no/such/folder/file", 1)))
    assert.is_nil((journal.open("/", 1)))
    assert.is_nil((journal.open("/dev/zero", 1)))
  end)

  it("says so when it cannot be written", function()
    local file = assert(journal.open(path, 1))
    file:close()
    file.file = assert(io.open("/dev/full", "w"))
    local ok, err = pcall(file.add, file, LOOPBACK, { 1 }, { "timeout" })
    file.file:close()
    assert.is_false(ok)
    assert.matches("cannot write to the resume file " .. path .. ": No space", err.failure, 1, true)
  end)
end)

describe("scan probe", function()
  it("names a reset as it comes", function()
    local listener = assert(support.bound("127.0.0.1", 0))
    assert(socket.listen(listener, 4))
    local peer = socket.getsockname(listener)
    local fd = assert(probe.new_socket(socket.AF_INET))
    socket.connect(fd, peer)
    probe.abort(assert(socket.accept(listener)))
    local outcome = probe.ask(fd, peer)
    unistd.close(fd)
    unistd.close(listener)
    assert.are.equal("ECONNRESET", outcome)
    assert.are.equal("filtered", states.of(outcome))
    assert.is_true(states.is_doubtful(outcome))
  end)

  it("takes a full queue behind a suspicious port for a listener", function()
    local silent <close> = support.silent_port()
    local fd = assert(support.bound("127.0.0.1", 0))
    local outcome = probe.verify(fd, { family = socket.AF_INET, addr = "127.0.0.1",
      port = silent.port }, true, 0.01)
    unistd.close(fd)
    assert.are.equal("connected", outcome)
  end)
end)

describe("scan engine", function()
  it("scans several targets in one chunk, in the order of their ports", function()
    local block <close> = support.port_block("127.0.0.1", 22101, 6)
    local other = { family = socket.AF_INET, addr = "127.0.0.2", is_local = true }
    local list = { block.first, block.first + 1, block.first + 2 }
    local outcomes, banners = engine.scan_chunk({
      { target = LOOPBACK, ports = list }, { target = other, ports = list },
      { target = LOOPBACK, ports = { block.first + 4 } },
    }, { timeout = 5, retries = 0, concurrency = 3 })
    assert.are.same({ "ECONNREFUSED", "connected", "ECONNREFUSED", "ECONNREFUSED",
      "ECONNREFUSED", "ECONNREFUSED", "connected" }, outcomes)
    assert.are.same({}, banners)
  end)

  it("starts no connect after a deadline", function()
    local segments = { { target = LOOPBACK, ports = { 1, 2 }, deadline = probe.now() - 1 } }
    local limits = { timeout = 1, retries = 1, concurrency = 2 }
    assert.are.same({ "host-timeout", "host-timeout" }, (engine.scan_chunk(segments, limits)))
    assert.are.equal("host-timeout", (probe.check(LOOPBACK, 1, limits, probe.now() - 1)))
    assert.are.equal("unknown", states.of("host-timeout"))
  end)
end)
