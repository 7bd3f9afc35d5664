--- What the specs of the command line share. Loaded with dofile, from the root.

local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local PROGRAM = "bin/ccpool"
local BACKENDS = { "serial", "threads", "processes" }

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("a")
  file:close()
  return content
end

local function write_file(path, content)
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
end

-- Runs a shell command; returns its standard output, exit code and standard error.
local function shell(command)
  local errors = os.tmpname()
  local pipe = assert(io.popen(("{ %s\n} 2>%s"):format(command, quote(errors))))
  local out = pipe:read("a")
  local _, how, code = pipe:close()
  local err = read_file(errors)
  os.remove(errors)
  return out, how == "exit" and code or -code, err
end

local function command_line(arguments)
  local words = { PROGRAM }
  for _, argument in ipairs(arguments) do
    words[#words + 1] = quote(tostring(argument))
  end
  return table.concat(words, " ")
end

-- Runs bin/ccpool; returns its standard output, exit code and standard error.
local function run(arguments, input)
  local path = os.tmpname()
  write_file(path, input or "")
  local out, code, err = shell(command_line(arguments) .. " <" .. quote(path))
  os.remove(path)
  return out, code, err
end

local function family_of(addr)
  return addr:find(":", 1, true) and socket.AF_INET6 or socket.AF_INET
end

-- Binds a TCP socket; returns it, or nil.
local function bound(addr, port)
  local fd = assert(socket.socket(family_of(addr), socket.SOCK_STREAM, 0))
  if socket.bind(fd, { family = family_of(addr), addr = addr, port = port }) then
    return fd
  end
  unistd.close(fd)
end

local Ports = {}
Ports.__index = Ports

function Ports:close()
  for _, fd in ipairs(self.fds) do
    unistd.close(fd)
  end
  self.fds = {}
end

Ports.__close = Ports.close

local function bind_block(addr, first, count)
  local fds = {}
  for i = 1, count do
    fds[i] = bound(addr, first + i - 1)
    if not fds[i] then
      Ports.close({ fds = fds })
      return nil
    end
  end
  return fds
end

-- Takes a block of neighbouring ports for ourselves; every third one has a listener.
-- The others are bound too, so that nobody else can come to listen there.
local function port_block(addr, lowest, count)
  for first = lowest, 65535 - count, count do
    local fds = bind_block(addr, first, count)
    if fds then
      local open = {}
      for i = 2, count, 3 do
        assert(socket.listen(fds[i], 128))
        open[#open + 1] = first + i - 1
      end
      return setmetatable({ fds = fds, first = first, last = first + count - 1, open = open },
        Ports)
    end
  end
  error("no free block of ports")
end

-- A port that lets connects wait for ever: its listener's queue is full.
local function silent_port()
  local posix_errno = require("posix.errno")
  local probe = require("ccpool.cli.scan.probe")
  local listener = assert(bound("127.0.0.1", 0))
  assert(socket.listen(listener, 0))
  local address = socket.getsockname(listener)
  local fds = { listener }
  for _ = 1, 64 do
    local fd = assert(probe.new_socket(socket.AF_INET))
    fds[#fds + 1] = fd
    socket.connect(fd, address)
    local _, _, number = socket.connect(fd, address)
    if number == posix_errno.EALREADY then
      return setmetatable({ fds = fds, port = address.port }, Ports)
    end
  end
  error("the queue does not fill up")
end

local function has_ipv6()
  local fd = bound("::1", 0)
  if fd then
    unistd.close(fd)
  end
  return fd ~= nil
end

return {
  BACKENDS = BACKENDS,
  PROGRAM = PROGRAM,
  bound = bound,
  command_line = command_line,
  has_ipv6 = has_ipv6,
  port_block = port_block,
  quote = quote,
  read_file = read_file,
  run = run,
  shell = shell,
  silent_port = silent_port,
  write_file = write_file,
}
