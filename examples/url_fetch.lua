-- Fetches several pages at once and prints each as soon as it is there, in whatever order.
-- The pages come from a small server of its own, a process beside this one.
local ccpool = require "ccpool"
local socket = require "posix.sys.socket"

-- ---- The server: a thread answers each request ----------------------------------------

local function answer(fd)
  local s, unistd = require "posix.sys.socket", require "posix.unistd"
  local path = (s.recv(fd, 4096) or ""):match("^GET (%S+)")
  local status, body = "200 OK", "hello\n"
  if path == "/large" then
    body = ("x"):rep(1000000)
  elseif path == "/slow" then
    require "posix.poll".poll({}, 300)
  elseif path == "/forbidden" then
    status, body = "403 Forbidden", "no\n"
  end
  local reply = ("HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n%s"):format(status, #body, body)
  while reply ~= "" do
    local n = s.send(fd, reply)
    if not n then break end
    reply = reply:sub(n + 1)
  end
  unistd.close(fd)
end

local function serve(listener)
  local ex = ccpool.ThreadPoolExecutor(4)
  while true do ex:submit(answer, (assert(socket.accept(listener)))) end
end

-- ---- The client -----------------------------------------------------------------------

local function fetch(url)
  local s, unistd = require "posix.sys.socket", require "posix.unistd"
  local host, port, path = url:match("^http://([^:/]+):?(%d*)(/.*)$")
  local found, why = s.getaddrinfo(host, port ~= "" and port or "80",
    { family = s.AF_INET, socktype = s.SOCK_STREAM })
  if not found then error(("cannot find %s: %s"):format(host, why), 0) end
  local fd = assert(s.socket(s.AF_INET, s.SOCK_STREAM, 0))
  assert(s.connect(fd, found[1]))
  s.send(fd, ("GET %s HTTP/1.0\r\nHost: %s\r\n\r\n"):format(path, host))
  local pieces = {}
  repeat
    pieces[#pieces + 1] = s.recv(fd, 65536)
  until not pieces[#pieces] or pieces[#pieces] == ""
  unistd.close(fd)
  local status, body = table.concat(pieces):match("^HTTP/1%.%d (%d+ [^\r]*).-\r\n\r\n(.*)$")
  if not status:match("^200") then error("status " .. status, 0) end
  return body
end

local listener = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
assert(socket.bind(listener, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
assert(socket.listen(listener, 16))
local base = "http://127.0.0.1:" .. socket.getsockname(listener).port

-- a fork: it has the listening socket, too
local server <close> = ccpool.Process{ target = serve, args = { listener }, daemon = true }
server:start()

local URLS = {
  base .. "/small", base .. "/large", base .. "/slow", base .. "/forbidden",
  "http://no-such-host.invalid/",
}

local ex <close> = ccpool.ThreadPoolExecutor(5)
local url_of = {}
for _, url in ipairs(URLS) do url_of[ex:submit(fetch, url)] = url end

for f in ccpool.as_completed(url_of) do
  local ok, page = f:presult()
  if ok then
    print(("%s page is %d bytes"):format(url_of[f], #page))
  else
    print(("%s generated an exception: %s"):format(url_of[f], tostring(page)))
  end
end
