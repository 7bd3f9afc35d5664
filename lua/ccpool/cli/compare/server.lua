--- Servers on loopback for the comparison to talk to. They run in a process of their
-- own: whoever connects is accepted, waits a while for a banner, and is closed.
-- @module ccpool.cli.compare.server

local poll = require("posix.poll")
local signal = require("posix.signal")
local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local ccpool = require("ccpool")

local tasks = require("ccpool.cli.compare.tasks")

local HOST = "127.0.0.1"
local BANNER = "220 ccpool compare\r\n"
local BACKLOG = 1024

local function listen()
  local fd, message = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
  local ok = fd
  if ok then
    ok, message = socket.bind(fd, { family = socket.AF_INET, addr = HOST, port = 0 })
  end
  if ok then
    ok, message = socket.listen(fd, BACKLOG)
  end
  if not ok then
    error({ failure = "cannot listen on loopback: " .. tostring(message) }, 0)
  end
  return fd, socket.getsockname(fd).port
end

-- Greets and closes the clients whose time has come. They stand in the order of arrival,
-- which is that of their deadlines.
local function greet(clients)
  local current = tasks.now()
  while clients[clients.first] and clients[clients.first].due <= current do
    local client = clients[clients.first]
    clients[clients.first] = nil
    clients.first = clients.first + 1
    unistd.write(client.fd, BANNER)
    unistd.close(client.fd)
  end
end

local function milliseconds_to_next(clients)
  local client = clients[clients.first]
  return client and math.max(0, math.ceil((client.due - tasks.now()) * 1000)) or -1
end

--- Serves for ever.
-- @tparam table listeners descriptors
-- @tparam number delay seconds from the accept to the banner
local function serve(listeners, delay)
  signal.signal(signal.SIGPIPE, signal.SIG_IGN)
  local watched = {}
  for _, fd in ipairs(listeners) do
    watched[fd] = { events = { IN = true } }
  end
  local clients = { first = 1, last = 0 }
  while true do
    -- What poll found stays in the table when it finds nothing the next time.
    local is_news = (poll.poll(watched, milliseconds_to_next(clients)) or 0) > 0
    for fd, entry in pairs(watched) do
      local client = is_news and entry.revents.IN and socket.accept(fd)
      if client then
        clients.last = clients.last + 1
        clients[clients.last] = { fd = client, due = tasks.now() + delay }
      end
    end
    greet(clients)
  end
end

local Server = {}
Server.__index = Server

--- Starts a server.
-- @tparam integer count how many ports it listens on
-- @tparam number delay seconds from the accept to the banner
-- @treturn table with `host`, `ports` (ascending), and `close`
-- @raise a table with `failure` if there can be none
-- @usage local server = servers.open(1, 0.05)
local function open(count, delay)
  local fds, ports = {}, {}
  for i = 1, count do
    fds[i], ports[i] = listen()
  end
  table.sort(ports)
  -- The process is a fork: it has the listeners too.
  local executor = ccpool.ProcessPoolExecutor({ max_workers = 1, name = "server" })
  executor:submit(serve, fds, delay)
  return setmetatable({ host = HOST, ports = ports, fds = fds, executor = executor }, Server)
end

--- Ends the server.
function Server:close()
  self.executor:kill()
  for _, fd in ipairs(self.fds) do
    unistd.close(fd)
  end
  self.fds = {}
end

return { BANNER = BANNER, open = open }
