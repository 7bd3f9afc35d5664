--- One TCP connect: how it is started, asked for its answer, checked and ended.
--
-- A connect never blocks. Its answer is had by connecting again, which gives the error
-- or success of the first attempt and, after a refusal, leaves the socket fit for the
-- next port.
--
-- On loopback a connect can succeed although nobody listens: the kernel may pick the
-- target port as the source port, which connects the socket to itself, or two of our
-- sockets may meet half way. Both need an ephemeral target port on this machine, and
-- both vanish when a second connect is tried while the first socket is still held.
-- @module ccpool.cli.scan.probe

local errno = require("posix.errno")
local fcntl = require("posix.fcntl")
local poll = require("posix.poll")
local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local banner = require("ccpool.cli.scan.banner")
local pace = require("ccpool.cli.scan.pace")
local states = require("ccpool.cli.scan.states")

local connect = socket.connect
local EINPROGRESS, EALREADY = errno.EINPROGRESS, errno.EALREADY
local EISCONN, EINTR = errno.EISCONN, errno.EINTR

local EPHEMERAL_RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range"
-- How often, and for how many milliseconds at first, a shortage is waited out.
local SHORTAGE_NAPS = 10
local SHORTAGE_NAP_MS = 5
-- This machine refuses a connect at once, or very nearly; whoever does not is there.
local LOCAL_SECONDS = 1

--- The seconds of a clock that never goes back.
-- @treturn number
local now = pace.now

--- Makes a non-blocking TCP socket.
-- @tparam integer family
-- @treturn[1] integer its descriptor
-- @treturn[2] nil
-- @treturn[2] string why not, the name of an errno
local function new_socket(family)
  local fd, _, number = socket.socket(family, socket.SOCK_STREAM, 0)
  if not fd then
    return nil, states.name(number)
  end
  fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.O_NONBLOCK)
  return fd
end

--- Starts a connect, or asks for the answer of one that was started.
-- @tparam integer fd a non-blocking socket
-- @tparam table address a luaposix socket address
-- @treturn ?string the outcome, nil if there is none yet
local function ask(fd, address)
  local ok, _, number = connect(fd, address)
  if ok or number == EISCONN then
    return "connected"
  end
  if number == EINPROGRESS or number == EALREADY or number == EINTR then
    return nil
  end
  return states.name(number)
end

--- Closes a connected socket with a reset, so that no TIME_WAIT is left behind.
-- @tparam integer fd
local function abort(fd)
  socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_LINGER, 1, 0)
  unistd.close(fd)
end

-- Waits until a started connect has its answer.
local function await(fd, address, timeout)
  local deadline = now() + timeout
  local fds = { [fd] = { events = { OUT = true } } }
  while true do
    local left_ms = math.ceil((deadline - now()) * 1000)
    if left_ms <= 0 then
      return "timeout"
    end
    if (poll.poll(fds, left_ms) or 0) > 0 then
      local outcome = ask(fd, address)
      if outcome then
        return outcome
      end
    end
  end
end

-- Connects once. Returns the outcome, and the socket if it is still open.
local function attempt(address, timeout)
  local fd, shortage = new_socket(address.family)
  if not fd then
    return shortage
  end
  local outcome = ask(fd, address) or await(fd, address, timeout)
  if outcome == "connected" then
    return outcome, fd
  end
  unistd.close(fd)
  return outcome
end

local function is_connected_to_itself(fd)
  local own, peer = socket.getsockname(fd), socket.getpeername(fd)
  return own ~= nil and peer ~= nil and own.port == peer.port and own.addr == peer.addr
end

local function read_ephemeral_range()
  local file = io.open(EPHEMERAL_RANGE_FILE)
  if not file then
    return 1, 65535
  end
  local low, high = file:read("n", "n")
  file:close()
  return low or 1, high or 65535
end

local first_ephemeral, last_ephemeral

local function is_ephemeral(port)
  if not first_ephemeral then
    first_ephemeral, last_ephemeral = read_ephemeral_range()
  end
  return port >= first_ephemeral and port <= last_ephemeral
end

--- Tells whether a connected socket found a listener or a phantom.
-- The socket stays open.
-- @tparam integer fd
-- @tparam table address the address it was connected to
-- @tparam boolean is_local whether that address belongs to this machine
-- @tparam number timeout seconds for a second connect
-- @treturn string the outcome: `connected`; or `ECONNREFUSED` if the second connect is
--   refused or meets itself, or a shortage that keeps it from being made
local function verify(fd, address, is_local, timeout)
  local is_suspect = is_connected_to_itself(fd) or (is_local and is_ephemeral(address.port))
  if not is_suspect then
    return "connected"
  end
  local outcome, second = attempt(address, math.min(timeout, LOCAL_SECONDS))
  if second then
    local is_phantom = is_connected_to_itself(second)
    abort(second)
    return is_phantom and "ECONNREFUSED" or "connected"
  elseif outcome == "ECONNREFUSED" or states.is_shortage(outcome) then
    return outcome
  end
  -- A full queue of connects to accept, say: somebody listens.
  return "connected"
end

-- Reads the banner of a connected socket, as far as it comes in time.
local function read_banner(fd, max_bytes, timeout)
  local reader, deadline = banner.new(max_bytes), now() + timeout
  local left_ms = math.ceil(timeout * 1000)
  while left_ms > 0 do
    if (poll.rpoll(fd, left_ms) or 0) > 0 and reader:read(fd) then
      break
    end
    left_ms = math.ceil((deadline - now()) * 1000)
  end
  return reader:text()
end

-- Returns the outcome, and the banner if one is wanted and came.
local function check_once(target, address, limits)
  local outcome, fd = attempt(address, limits.timeout)
  if not fd then
    return outcome
  end
  outcome = verify(fd, address, target.is_local, limits.timeout)
  if outcome ~= "connected" or not limits.banner then
    abort(fd)
    return outcome
  end
  local text = read_banner(fd, limits.banner, limits.timeout)
  unistd.close(fd)
  return outcome, text
end

--- The address of a port of a target, fit for luaposix.
-- @tparam table target `family`, `addr`, and for IPv6 `scope_id`
-- @tparam[opt] integer port
-- @treturn table
local function address_of(target, port)
  return {
    family = target.family,
    addr = target.addr,
    scope_id = target.family == socket.AF_INET6 and target.scope_id or nil,
    port = port,
  }
end

--- Sleeps.
-- @tparam integer ms milliseconds
local function nap(ms)
  poll.poll({}, ms)
end

-- Waits until the rate allows another connect.
local function await_leave(rate)
  local seconds = pace.ask(rate)
  while seconds do
    nap(math.ceil(seconds * 1000))
    seconds = pace.ask(rate)
  end
end

--- Checks one port with one connect at a time: the task of the `connect` engine.
-- @tparam table target `family`, `addr`, `is_local`, and for IPv6 `scope_id`
-- @tparam integer port
-- @tparam table limits `timeout` in seconds, `retries`, and if wanted `rate` (connects a
--   second), `banner` (bytes to read)
-- @tparam[opt] number deadline no connect starts after it, a time of @{now}
-- @treturn string the outcome
-- @treturn ?string the banner
-- @usage probe.check(target, 22, { timeout = 1, retries = 1 })
local function check(target, port, limits, deadline)
  local address = address_of(target, port)
  local retries, naps = 0, 0
  local outcome, text = "host-timeout", nil
  while not deadline or now() < deadline do
    await_leave(limits.rate)
    outcome, text = check_once(target, address, limits)
    if states.is_shortage(outcome) and naps < SHORTAGE_NAPS then
      nap(SHORTAGE_NAP_MS << naps)
      naps = naps + 1
    elseif states.is_doubtful(outcome) and retries < limits.retries then
      retries = retries + 1
    else
      break
    end
  end
  return outcome, text
end

return {
  abort = abort,
  address_of = address_of,
  ask = ask,
  check = check,
  nap = nap,
  new_socket = new_socket,
  now = now,
  verify = verify,
}
