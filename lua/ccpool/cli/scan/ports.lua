--- Lists of ports, as users write them, and the names of services.
-- @module ccpool.cli.scan.ports

local socket = require("posix.sys.socket")

local MAX_PORT = 65535
local SERVICES_FILE = "/etc/services"
-- Where nmap keeps how often it met each port, if it is installed.
local FREQUENCY_FILES = {
  "/usr/share/nmap/nmap-services",
  "/usr/local/share/nmap/nmap-services",
  "/opt/homebrew/share/nmap/nmap-services",
}

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

-- The ports that a table has a true value for, ascending.
local function listed(is_listed)
  local list = {}
  for port = 1, MAX_PORT do
    if is_listed[port] then
      list[#list + 1] = port
    end
  end
  return list
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
  return listed(is_listed)
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

-- The ports of a table by frequency, the most frequent first; nil if there is none.
local function read_frequencies(path)
  local file = io.open(path)
  if not file then
    return nil
  end
  local list, frequencies = {}, {}
  for line in file:lines() do
    local port, frequency = line:match("^[^#%s]+%s+(%d+)/tcp%s+([%d.]+)")
    port, frequency = math.tointeger(tonumber(port)), tonumber(frequency)
    if port and frequency and port >= 1 and port <= MAX_PORT and not frequencies[port] then
      list[#list + 1], frequencies[port] = port, frequency
    end
  end
  file:close()
  table.sort(list, function(a, b)
    if frequencies[a] ~= frequencies[b] then
      return frequencies[a] > frequencies[b]
    end
    return a < b
  end)
  return #list > 0 and list or nil
end

-- The ports by frequency: those of nmap if it is installed, else our own.
local function by_frequency()
  for _, path in ipairs(FREQUENCY_FILES) do
    local list = read_frequencies(path)
    if list then
      return list
    end
  end
  return require("ccpool.cli.scan.top_ports")
end

--- The ports that are met most often. Behind those that are known for it come the others,
-- in ascending order.
-- @tparam integer count
-- @tparam[opt] table ranked ports by frequency; by default those of an installed nmap,
--   else our own
-- @treturn table the ports, ascending
-- @usage ports.top(100)
local function top(count, ranked)
  local list, is_listed = {}, {}
  local function add(port)
    if #list < count and not is_listed[port] then
      list[#list + 1], is_listed[port] = port, true
    end
  end
  for _, port in ipairs(ranked or by_frequency()) do
    add(port)
  end
  for port = 1, MAX_PORT do
    add(port)
  end
  table.sort(list)
  return list
end

--- Joins lists of ports and takes some away.
-- @tparam table lists an array of arrays
-- @tparam table excluded an array of arrays
-- @treturn table the ports, each once, ascending
-- @usage ports.combine({ { 22, 80 }, { 443 } }, { { 80 } })  --> { 22, 443 }
local function combine(lists, excluded)
  local is_listed = {}
  local function mark(arrays, value)
    for _, array in ipairs(arrays) do
      for _, port in ipairs(array) do
        is_listed[port] = value
      end
    end
  end
  mark(lists, true)
  mark(excluded, nil)
  return listed(is_listed)
end

-- One step of xorshift64*, a small generator that gives the same numbers everywhere.
local function random_step(state)
  state = state ~ state >> 12
  state = state ~ state << 25
  state = state ~ state >> 27
  return state, (state * 0x2545F4914F6CDD1D) >> 33
end

--- Puts ports into an order that looks random and depends on nothing but the seed.
-- @tparam table list changed in place
-- @tparam integer seed
-- @treturn table `list`
-- @usage ports.shuffle({ 1, 2, 3 }, 42)
local function shuffle(list, seed)
  -- The generator stands still at 0; the multiplication spreads small seeds.
  local state = seed * 0x1E3779B97F4A7C15 ~ 0x5DEECE66D
  state = state == 0 and 1 or state
  for i = #list, 2, -1 do
    local value
    state, value = random_step(state)
    local j = value % i + 1
    list[i], list[j] = list[j], list[i]
  end
  return list
end

return {
  MAX_PORT = MAX_PORT,
  combine = combine,
  parse = parse,
  service = service,
  shuffle = shuffle,
  top = top,
}
