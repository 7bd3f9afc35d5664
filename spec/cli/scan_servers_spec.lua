-- Scans of real servers on loopback. CCPOOL_SCAN_RUNS says how often (by default 2).

local poll = require("posix.poll")
local signal = require("posix.signal")
local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")
local wait = require("posix.sys.wait")

local backend = require("ccpool.cli.backend")
local states = require("ccpool.cli.scan.states")
local sweep = require("ccpool.cli.scan.sweep")
local targets = require("ccpool.cli.scan.targets")

local support = dofile("spec/cli/support.lua")

local RUNS = tonumber(os.getenv("CCPOOL_SCAN_RUNS") or "2")
local SLOW_MS = 50

-- Answers every connect to a listener, each in a process of its own, until it is killed.
local function serve(listener, answer)
  local pid = unistd.fork()
  if pid == 0 then
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while true do
      local connection = socket.accept(listener)
      if connection then
        if unistd.fork() == 0 then
          answer(connection)
          unistd._exit(0)
        end
        unistd.close(connection)
      end
    end
  end
  return pid
end

local ANSWERS = {
  banner = function(connection)
    socket.send(connection, "220 here \27[2J\r\n")
  end,
  slow = function(connection)
    poll.poll({}, SLOW_MS)
    socket.send(connection, "SSH-2.0-slow\r\n")
  end,
  closing = function() end,
}

-- A block of ports: servers of each kind, and ports that are taken but have no listener.
local function town(addr, lowest)
  local block = support.port_block(addr, lowest, 12)
  local pids, kinds = {}, {}
  for i, port in ipairs(block.open) do
    local kind = ({ "banner", "slow", "closing" })[i] or "closing"
    kinds[port] = kind
    pids[i] = serve(block.fds[port - block.first + 1], ANSWERS[kind])
  end
  return {
    block = block,
    kinds = kinds,
    close = function()
      for _, pid in ipairs(pids) do
        signal.kill(pid, signal.SIGKILL)
        wait.wait(pid)
      end
      block:close()
    end,
  }
end

local function expected_of(place, silent)
  local expected = {}
  for port = place.block.first, place.block.last do
    expected[port] = "closed"
  end
  for _, port in ipairs(place.block.open) do
    expected[port] = "open"
  end
  if silent then
    expected[silent.port] = "filtered"
  end
  return expected
end

local function find(backend_name, engine_name, addr, ports, banner)
  local found, banners = {}, {}
  local plan = {
    targets = { assert(targets.resolve(addr)) },
    ports = ports,
    engine = engine_name,
    chunk = "auto",
    workers = 2,
    timeout = 1,
    retries = 0,
    concurrency = 100,
    banner = banner,
  }
  backend.using(backend_name, 2, function(executor)
    sweep.run(executor, plan, function(_, first, outcomes, texts)
      for i, outcome in ipairs(outcomes) do
        found[ports[first + i - 1]] = states.of(outcome)
        banners[ports[first + i - 1]] = texts and texts[i]
      end
    end, function(_, _, _, err)
      error(err, 0)
    end)
  end)
  return found, banners
end

local function keys_of(map)
  local list = {}
  for key in pairs(map) do
    list[#list + 1] = key
  end
  table.sort(list)
  return list
end

describe("scan of real servers", function()
  for _, addr in ipairs({ "127.0.0.1", "::1" }) do
    -- One place below the ephemeral ports, one among them.
    for _, lowest in ipairs({ 21501, 41501 }) do
      describe(("on %s from port %d"):format(addr, lowest), function()
        local place, silent

        setup(function()
          if addr == "127.0.0.1" or support.has_ipv6() then
            place = town(addr, lowest)
            silent = addr == "127.0.0.1" and support.silent_port() or nil
          end
        end)

        teardown(function()
          if place then
            place.close()
          end
          if silent then
            silent:close()
          end
        end)

        for _, backend_name in ipairs(support.BACKENDS) do
          for _, engine_name in ipairs({ "poll", "connect" }) do
            it(("finds exactly what is there: %s, %s"):format(backend_name, engine_name),
              function()
                if not place then
                  pending("no IPv6 here")
                  return
                end
                local expected = expected_of(place, silent)
                for _ = 1, RUNS do
                  assert.are.same(expected,
                    (find(backend_name, engine_name, addr, keys_of(expected))))
                end
              end)
          end
        end

        for _, engine_name in ipairs({ "poll", "connect" }) do
          it("reads what the servers say: " .. engine_name, function()
            if not place then
              pending("no IPv6 here")
              return
            end
            local ports, expected = {}, {}
            for port, kind in pairs(place.kinds) do
              ports[#ports + 1] = port
              expected[port] = kind == "banner" and "220 here \27[2J\r\n"
                or kind == "slow" and "SSH-2.0-slow\r\n" or nil
            end
            local found, banners = find("threads", engine_name, addr, ports, 256)
            assert.are.same(expected, banners)
            for _, port in ipairs(ports) do
              assert.are.equal("open", found[port])
            end
            banners = select(2, find("threads", engine_name, addr, ports, 3))
            for port, kind in pairs(place.kinds) do
              assert.are.equal(expected[port] and expected[port]:sub(1, 3), banners[port], kind)
            end
          end)
        end
      end)
    end
  end
end)
