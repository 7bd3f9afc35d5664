-- Looks for open ports of this machine: one after the other, with threads, with processes.
-- It opens three itself, so that there is something to find.
local ccpool = require "ccpool"
local socket = require "posix.sys.socket"
local time = require "posix.time"

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

local function listen()
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  assert(socket.bind(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
  assert(socket.listen(fd, 16))
  return socket.getsockname(fd).port
end

-- The port, if something listens there.
local function probe(port)
  local s, unistd = require "posix.sys.socket", require "posix.unistd"
  local fd = assert(s.socket(s.AF_INET, s.SOCK_STREAM, 0))
  local open = s.connect(fd, { family = s.AF_INET, addr = "127.0.0.1", port = port })
  unistd.close(fd)
  return open and port or nil
end

local function scan(label, make, ports)
  local began = now()
  local ex <close> = make(8)
  local open = {}
  for _, port in ex:map(probe, ports, { ordered = false }) do open[#open + 1] = port end
  table.sort(open)
  print(("%-10s %d ports, open: %s (%.3f s)"):format(label, #ports, table.concat(open, " "),
    now() - began))
end

local ports = { listen(), listen(), listen() }
print("opened", table.concat(ports, " "))
for port = 1, 100 do ports[#ports + 1] = port end

scan("serial", ccpool.SerialExecutor, ports)
scan("threads", ccpool.ThreadPoolExecutor, ports)
scan("processes", ccpool.ProcessPoolExecutor, ports)
