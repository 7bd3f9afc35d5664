--- Lists of ports, as users write them, and the names of services.
-- @module ccpool.cli.scan.ports

local socket = require("posix.sys.socket")

local MAX_PORT = 65535
local SERVICES_FILE = "/etc/services"

local function port_number(digits)
  local port = #digits <= 8 and math.tointeger(tonumber(digits))
  if port and port >= 1 and port <= MAX_PORT then
    return port
  end
  return nil, ("port %s is not from 1 to %d"):format(digits, MAX_PORT)
end

-- The port of a service, from the services database.
local function port_of_service(name)
  if not name:find("^%a[%w_.+-]*$") and not name:find("^%d+[%a-][%w_.+-]*$") then
    return nil, ("'%s' is not a port, a range of ports or a service"):format(name)
  end
  local found = socket.getaddrinfo("127.0.0.1", name, { socktype = socket.SOCK_STREAM })
  if not found or not found[1] then
    return nil, ("service '%s' is not known"):format(name)
  end
  return found[1].port
end

-- Returns the first and last port of one element of a list, or nil and a message.
local function parse_element(element)
  if element == "-" then
    return 1, MAX_PORT
  end
  local from, to = element:match("^(%d+)%-?(%d*)$")
  if not from or (to == "" and element:find("-", 1, true)) then
    local port, message = port_of_service(element)
    return port, port or message
  end
  local first, message = port_number(from)
  if not first then
    return nil, message
  end
  if to == "" then
    return first, first
  end
  local last
  last, message = port_number(to)
  if not last then
    return nil, message
  elseif last < first then
    return nil, ("range %s runs backwards"):format(element)
  end
  return first, last
end

--- Reads a list of ports: numbers, ranges `8000-8100`, service names, `-` for all,
-- with commas between them.
-- @tparam string text
-- @treturn[1] table the ports, each once, ascending
-- @treturn[2] nil
-- @treturn[2] string message
-- @usage ports.parse("80,22,80")  --> { 22, 80 }
local function parse(text)
  local is_listed = {}
  for element in (text .. ","):gmatch("([^,]*),") do
    local first, last = parse_element(element)
    if not first then
      return nil, last
    end
    for port = first, last do
      is_listed[port] = true
    end
  end
  local list = {}
  for port = 1, MAX_PORT do
    if is_listed[port] then
      list[#list + 1] = port
    end
  end
  return list
end

local services

local function read_services()
  local names = {}
  local file = io.open(SERVICES_FILE)
  if file then
    for line in file:lines() do
      local name, port = line:match("^([^#%s]+)%s+(%d+)/tcp")
      port = math.tointeger(tonumber(port))
      if port and not names[port] then
        names[port] = name
      end
    end
    file:close()
  end
  return names
end

--- The name of the TCP service that a port belongs to.
-- @tparam integer port
-- @treturn ?string
-- @usage ports.service(22)  --> "ssh"
local function service(port)
  services = services or read_services()
  return services[port]
end

return { parse = parse, service = service, MAX_PORT = MAX_PORT }
