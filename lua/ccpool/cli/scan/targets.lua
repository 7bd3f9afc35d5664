--- Finds the addresses of hosts.
-- @module ccpool.cli.scan.targets

local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local probe = require("ccpool.cli.scan.probe")

-- An address belongs to this machine if a socket can be bound to it.
local function is_local(target)
  local fd = socket.socket(target.family, socket.SOCK_STREAM, 0)
  if not fd then
    return false
  end
  local bound = socket.bind(fd, probe.address_of(target, 0))
  unistd.close(fd)
  return bound ~= nil
end

--- Resolves a host name or an address; the first address found is taken.
-- @tparam string host
-- @tparam[opt] integer family `AF_INET` or `AF_INET6`; either if nil
-- @treturn[1] table `{ host, addr, family, scope_id, is_local }`
-- @treturn[2] nil
-- @treturn[2] string message
-- @usage targets.resolve("localhost")
local function resolve(host, family)
  local hints = { family = family or socket.AF_UNSPEC, socktype = socket.SOCK_STREAM }
  local found, message = socket.getaddrinfo(host, nil, hints)
  if host == "" or not found or not found[1] then
    return nil, found and "no address" or message
  end
  local target = {
    host = host,
    addr = found[1].addr,
    family = found[1].family,
    scope_id = found[1].scope_id,
  }
  target.is_local = is_local(target)
  return target
end

return { resolve = resolve }
