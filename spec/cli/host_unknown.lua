-- Lets a host answer that it is not known: run in a network namespace of its own, with an
-- address of the loopback network and a port. Prints the number of the process that goes on
-- answering.
--
-- The port has a listener whose queue is full, so the system answers no connect. Each one is
-- seen through a raw socket and answered with ICMP's "destination host unknown".

local fcntl = require("posix.fcntl")
local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local ADDRESS, PORT = arg[1], math.tointeger(tonumber(arg[2]))
local UNREACHABLE, HOST_UNKNOWN = 3, 7
local IP_SOURCE, TCP_PORT, TCP_FLAGS, SYN = 13, 3, 14, 2

local target = { family = socket.AF_INET, addr = ADDRESS, port = PORT }
local segments = assert(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
local control = assert(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))

local function fill_queue()
  local listener = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  assert(socket.bind(listener, target))
  assert(socket.listen(listener, 0))
  for _ = 1, 4 do
    local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.O_NONBLOCK)
    socket.connect(fd, target)
  end
end

local function checksum(message)
  local sum = 0
  for i = 1, #message, 2 do
    sum = sum + (">I2"):unpack(message, i)
  end
  while sum > 0xffff do
    sum = (sum & 0xffff) + (sum >> 16)
  end
  return ~sum & 0xffff
end

local function answer(packet)
  local header = (packet:byte(1) & 15) * 4
  local flags, port = packet:byte(header + TCP_FLAGS), (">I2"):unpack(packet, header + TCP_PORT)
  if flags & 0x3f ~= SYN or port ~= PORT then
    return
  end
  local quoted = packet:sub(1, header + 8)
  local message = (">BBI2I4"):pack(UNREACHABLE, HOST_UNKNOWN, 0, 0) .. quoted
  message = (">BBI2I4"):pack(UNREACHABLE, HOST_UNKNOWN, checksum(message), 0) .. quoted
  local source = table.concat({ packet:byte(IP_SOURCE, IP_SOURCE + 3) }, ".")
  assert(socket.sendto(control, message, { family = socket.AF_INET, addr = source, port = 0 }))
end

fill_queue()
local pid = assert(unistd.fork())
if pid ~= 0 then
  print(pid)
  os.exit(true, true)
end
-- Whoever reads what was printed waits for the end of the file.
unistd.close(unistd.STDOUT_FILENO)
while true do
  answer(assert(socket.recv(segments, 2048)))
end
