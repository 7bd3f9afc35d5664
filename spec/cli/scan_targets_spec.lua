local socket = require("posix.sys.socket")

local address = require("ccpool.cli.scan.address")
local targets = require("ccpool.cli.scan.targets")
local words = require("ccpool.cli.scan.words")

local function specs_of(list, family)
  local specs = {}
  for i, word in ipairs(list) do
    specs[i] = assert(targets.parse(word, family))
  end
  return specs
end

local function expanded(list, options, limit)
  local expansion = targets.expand(specs_of(list), options or {})
  local addresses = {}
  for _ = 1, limit or math.huge do
    local target = expansion:next()
    if not target then
      break
    end
    addresses[#addresses + 1] = target.addr
  end
  return addresses, expansion
end

describe("scan address", function()
  it("is read and written, IPv6 in its shortest form", function()
    for text, shown in pairs({
      ["127.0.0.1"] = "127.0.0.1", ["255.255.255.255"] = "255.255.255.255",
      ["0.0.0.0"] = "0.0.0.0", ["::"] = "::", ["::1"] = "::1", ["1::"] = "1::",
      ["2001:DB8:0:0:1:0:0:1"] = "2001:db8::1:0:0:1", ["0:0:0:0:0:0:0:1"] = "::1",
      ["1:2:3:4:5:6:7:8"] = "1:2:3:4:5:6:7:8", ["1:0:3:4:5:6:7:8"] = "1:0:3:4:5:6:7:8",
      ["::ffff:1.2.3.4"] = "::ffff:102:304", ["fe80::ffff:ffff:ffff:ffff"] =
        "fe80::ffff:ffff:ffff:ffff", ["1:2:3:4:5:6:7::"] = "1:2:3:4:5:6:7:0",
    }) do
      assert.are.equal(shown, address.format(address.parse(text)), text)
    end
  end)

  it("is nothing else", function()
    for _, text in ipairs({
      "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.04", "1.2.3.-4", "a.b.c.d", ":", ":::",
      "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "::1.2.3", "1.2.3.4::",
      "1:2:3:4:5:6:7:8::", "::1%lo", " ::1",
    }) do
      assert.is_nil(address.parse(text), text)
    end
  end)

  it("is near if it is loopback, private or link-local", function()
    for text, is_near in pairs({
      ["127.9.9.9"] = true, ["10.1.2.3"] = true, ["172.31.0.1"] = true, ["172.32.0.1"] = false,
      ["192.168.1.1"] = true, ["192.169.1.1"] = false, ["8.8.8.8"] = false, ["::1"] = true,
      ["fd12::1"] = true, ["fe80::1"] = true, ["2001:db8::1"] = false, ["0.0.0.0"] = true,
      ["0.0.0.1"] = false,
    }) do
      local family, high, low = address.parse(text)
      assert.are.equal(is_near, address.is_near(address.range(family, high, low, high, low)), text)
    end
  end)
end)

describe("scan targets", function()
  it("are expanded in order, each address once", function()
    assert.are.same({ "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9" },
      (expanded({ "10.0.0.6/30", "10.0.0.5-10.0.0.9", "10.0.0.8" })))
    assert.are.same({ "10.0.0.2", "10.0.0.1", "10.0.0.3" },
      (expanded({ "10.0.0.2/32", "10.0.0.1-3", "10.0.0.2" })))
    assert.are.same({ "::ffff", "::1:0", "::1:1" }, (expanded({ "::ffff-::1:1" })))
    assert.are.same({ "fd00::", "fd00::1", "fd00::2", "fd00::3" }, (expanded({ "fd00::1/126" })))
    local _, expansion = expanded({ "10.0.0.1", "10.0.0.1" })
    assert.are.equal(1, expansion.repeated)
  end)

  it("end at the last address of all", function()
    assert.are.same({ "255.255.255.254", "255.255.255.255" }, (expanded({ "255.255.255.254/31" })))
    assert.are.same({ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
      (expanded({ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127" })))
  end)

  it("are expanded lazily, and what is excluded is skipped as a whole", function()
    assert.are.same({ "::", "::1" }, (expanded({ "::/0" }, nil, 2)))
    assert.are.same({ "8000::" },
      (expanded({ "::/0" }, { excluded = targets.parse_excluded("::/1") }, 1)))
    assert.are.same({ "10.0.0.0", "10.255.255.255" }, (expanded({ "10.0.0.0/8" },
      { excluded = targets.parse_excluded("10.0.0.1-10.255.255.254") })))
    assert.are.same({}, (expanded({ "127.0.0.1" },
      { excluded = targets.parse_excluded("10.0.0.1,127.0.0.0/8") })))
    assert.are.same({}, (expanded({ "localhost" }, {
      excluded = targets.parse_excluded("127.0.0.0/8,::1"), on_unresolved = error })))
  end)

  it("may be names, with one or all of their addresses", function()
    local missing = {}
    assert.are.same({ "127.0.0.1" }, (expanded({ "no.such.host.invalid", "127.0.0.1" }, {
      on_unresolved = function(name)
        missing[#missing + 1] = name
      end,
    })))
    assert.are.same({ "no.such.host.invalid" }, missing)
    local one = expanded({ "localhost" }, {})
    local all = expanded({ "localhost" }, { all_ips = true })
    assert.are.equal(1, #one)
    assert.is_true(#all >= 1)
    assert.are.equal(one[1], all[1])
    assert.are.same({ "127.0.0.1" },
      (expanded({ "localhost" }, { all_ips = true, family = socket.AF_INET })))
  end)

  it("are refused with a reason if they make no sense", function()
    for word, reason in pairs({
      ["10.0.0.0/33"] = "network", ["10.0.0/8"] = "network", ["::/129"] = "network",
      ["10.0.0.0/"] = "network", ["name/24"] = "network", ["10.0.0.9-10.0.0.1"] = "backwards",
      ["10.0.0.9-1"] = "backwards", ["10.0.0.1-::1"] = "range", ["10.0.0.1-256"] = "range",
      ["::2-::1"] = "backwards", [""] = "name", ["a b"] = "name", ["-x"] = "name",
    }) do
      local spec, message = targets.parse(word)
      assert.is_nil(spec, word)
      assert.matches(reason, message, 1, true)
    end
    assert.is_nil((targets.parse("::1", socket.AF_INET)))
    assert.is_nil((targets.parse("10.0.0.0/24", socket.AF_INET6)))
    assert.is_nil((targets.parse_excluded("10.0.0.1,,10.0.0.2")))
    assert.is_nil((targets.parse_excluded("no.such.host.invalid")))
    assert.is_nil(targets.parse("my-host.example").range)
  end)

  it("outside loopback and the private ranges are counted", function()
    for word, count in pairs({
      ["8.8.0.0/16"] = 65536, ["10.0.0.0/8"] = 0, ["8.8.8.8"] = 1, ["example.invalid"] = 0,
      ["9.255.255.255-10.0.0.0"] = 2, ["2001:db8::/64"] = 0x1p64,
    }) do
      assert.are.equal(count, targets.count_public(assert(targets.parse(word))), word)
    end
  end)

  it("are read from files, with comments and places", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("a b # c\n\n# d\n\t e")
    file:close()
    local list = words.read({ "x" }, { path })
    os.remove(path)
    local texts = {}
    for i, word in ipairs(list) do
      texts[i] = word.place .. word.text
    end
    assert.are.same({ "x", path .. ":1: a", path .. ":1: b", path .. ":4: e" }, texts)
    local ok, err = pcall(words.read, {}, { path })
    assert.is_false(ok)
    assert.matches("cannot read " .. path .. ": No such file", err.failure, 1, true)
    assert.are.equal("a\\x1bb", words.show("a\27b"))
  end)
end)
