-- Each outcome of a connect, produced for real in a network namespace of its own.

local support = dofile("spec/cli/support.lua")

-- A veth pair whose far end nobody reads makes silence: 10.9.0.2 has a known link address
-- that nobody answers to.
local SETUP = [[
set -e
ip link set lo up
ip route add blackhole 10.1.0.0/16
ip route add unreachable 10.2.0.0/16
ip route add prohibit 10.3.0.0/16
ip link add v0 type veth peer name v1
ip addr add 10.9.0.1/24 dev v0
ip link set v0 up
ip link set v1 up
ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev v0
echo 200 >/proc/sys/net/ipv4/neigh/v0/retrans_time_ms
echo 1 >/proc/sys/net/ipv4/tcp_syn_retries
]]

local RUNS = tonumber(os.getenv("CCPOOL_SCAN_RUNS") or "2")

local UNSHARE -- how a namespace is made here; nil if it is not allowed

for _, command in ipairs({ "unshare -n", "unshare -rn" }) do
  if select(2, support.shell(command .. " sh -c " .. support.quote(SETUP))) == 0 then
    UNSHARE = UNSHARE or command
  end
end

-- Runs commands in a namespace; returns as support.shell does.
local function inside(commands)
  return support.shell(("%s sh -c %s"):format(UNSHARE, support.quote(SETUP .. commands)))
end

local function scan(...)
  return support.command_line({ "scan", "-q", ... }) .. "\n"
end

describe("scan in a network namespace", function()
  local function check(name, body)
    it(name, function()
      if not UNSHARE then
        pending("network namespaces are not allowed here")
        return
      end
      body()
    end)
  end

  for _, engine in ipairs({ "poll", "connect" }) do
    check("names why ports are filtered or an error: " .. engine, function()
      local out, code, err = inside(scan("--engine", engine, "--reason", "-p", "7",
        "--format", "csv", "--timeout", "200ms", "--retries", "0",
        "127.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1", "10.9.0.2"))
      assert.are.same({ 0, "" }, { code, err })
      local expected = {
        "host,address,port,state,service,reason",
        "127.0.0.1,127.0.0.1,7,closed,echo,ECONNREFUSED",
        "10.1.0.1,10.1.0.1,7,error,echo,EINVAL", -- what the kernel says of a blackhole
        "10.2.0.1,10.2.0.1,7,filtered,echo,EHOSTUNREACH",
        "10.3.0.1,10.3.0.1,7,filtered,echo,EACCES",
        "10.4.0.1,10.4.0.1,7,filtered,echo,ENETUNREACH",
        "10.9.0.2,10.9.0.2,7,filtered,echo,timeout",
      }
      assert.are.equal(table.concat(expected, "\n") .. "\n", (out:gsub(",,", ",echo,")))
    end)

    check("names what a policy of this machine forbids: " .. engine, function()
      -- The same error as that of a packet filter, with what every iproute2 has.
      local out, code, err = inside("ip route add 10.5.0.0/16 via 10.9.0.2\n"
        .. "ip xfrm policy add dst 10.5.0.0/16 dir out action block 2>/dev/null || exit 77\n"
        .. scan("--engine", engine, "--reason", "-p", "7", "--format", "csv", "--timeout", "60s",
          "--retries", "0", "10.5.0.1"))
      if code == 77 then
        pending("this kernel has no policies for packets")
        return
      end
      assert.are.same({ 0, "" }, { code, err })
      assert.matches("10.5.0.1,7,filtered,%l*,EPERM\n", out)
    end)

    check("tells a neighbour that does not answer from a host that is down: " .. engine, function()
      local out, code, err = inside("pid=$(lua5.4 spec/cli/host_unknown.lua 127.0.0.9 7)\n"
        .. "trap 'kill $pid' EXIT\n"
        .. scan("--engine", engine, "--reason", "-p", "7", "--format", "csv", "--timeout", "60s",
          "--retries", "0", "10.9.0.77", "127.0.0.9"))
      assert.are.same({ 0, "" }, { code, err })
      assert.matches("10.9.0.77,7,filtered,%l*,EHOSTUNREACH\n", out)
      assert.matches("127.0.0.9,7,filtered,%l*,EHOSTDOWN\n", out)
    end)

    check("tells the kernel's timeout: " .. engine, function()
      local out = inside(scan("--engine", engine, "--reason", "-p", "7", "--format", "csv",
        "--timeout", "60s", "--retries", "0", "10.9.0.2"))
      assert.matches("10.9.0.2,7,filtered,%l*,ETIMEDOUT\n", out)
    end)
  end

  check("takes a shortage of source ports for no port's state", function()
    -- Four source ports for forty connects to one address and port.
    local out, code = inside("echo 40000 40003 >/proc/sys/net/ipv4/ip_local_port_range\n"
      .. "lua5.4 -e " .. support.quote([[
      local engine = require("ccpool.cli.scan.engine")
      local target = { family = require("posix.sys.socket").AF_INET, addr = "10.9.0.2" }
      local ports = {}
      for i = 1, 40 do ports[i] = 7 end
      local outcomes = engine.scan_chunk({ { target = target, ports = ports } },
        { timeout = 0.02, retries = 0, concurrency = 40 })
      print(table.concat(outcomes, " "))
    ]]) .. "\n")
    assert.are.same({ ("timeout "):rep(40):gsub(" $", "\n"), 0 }, { out, code })
  end)

  check("starts wide: silent ports are all in flight at once", function()
    -- A millisecond for each of a thousand would be too long for the time of the host.
    local out, code = inside(scan("-p", "1-1000", "--timeout", "500ms", "--retries", "0",
      "--host-timeout", "450ms", "--format", "jsonl", "--open", "-w", "1", "10.9.0.2"))
    assert.are.equal(0, code)
    assert.matches('"filtered":1000,"error":0,"unknown":0', out, 1, true)
  end)

  check("leaves a host alone when its time is over", function()
    local out, code, err = inside(scan("-p", "1-100", "--timeout", "100ms", "--retries", "0",
      "--concurrency", "10", "--host-timeout", "50ms", "--format", "jsonl", "--reason", "-w",
      "1", "10.9.0.2"))
    assert.are.equal(3, code)
    assert.matches('"filtered":10,"error":0,"unknown":90', out, 1, true)
    assert.matches('"state":"unknown",.-"reason":"host%-timeout"', out)
    assert.matches('"complete":false', out, 1, true)
    assert.matches("scan: incomplete: host-timeout: 90 ports", err, 1, true)
  end)

  for _, backend in ipairs(support.BACKENDS) do
    for _, engine in ipairs({ "poll", "connect" }) do
      -- Nobody else is in the namespace, so whatever is found is a phantom.
      check(("finds no phantom among the ephemeral ports: %s, %s #slow"):format(backend, engine),
        function()
          local out, code, err = inside(scan("-p", "32768-60999", "--format", "list", "--backend",
            backend, "--engine", engine, "-w", "3", "127.0.0.1", "127.0.0.2", "::1"):rep(RUNS))
          assert.are.same({ "", 0, "" }, { out, code, err })
        end)
    end
  end

  check("works without any route", function()
    local out, code = support.shell(("%s %s"):format(UNSHARE,
      scan("-p", "7", "--reason", "127.0.0.1")))
    assert.are.equal(0, code)
    assert.matches("7/tcp +filtered +%S+ +ENETUNREACH\n", out)
  end)
end)
