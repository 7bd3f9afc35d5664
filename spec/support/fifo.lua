--- Named pipes that specs and tasks synchronise by. A spec makes one; a task, in
-- whatever thread or process, knows it by its path.
--
--   local gate <close> = fifo.new()
--   ex:submit("spec.support.fifo.pass", gate.path)     -- waits here
--   gate:open()                                        -- lets all through
--
-- Every wait has a bound, which matters only when something is broken.

local fcntl = require "posix.fcntl"
local poll = require "posix.poll"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"

local PATIENCE_MS = 30000
local CROWD = 4000 -- as many may pass an open gate: less than what a pipe holds

local M = {}
local Fifo = { __name = "spec.Fifo" }
Fifo.__index = Fifo

local function read_byte(fd)
  local ready
  repeat ready = poll.rpoll(fd, PATIENCE_MS) until ready ~= nil -- nil: a signal came
  if ready == 0 then error("nothing came through the fifo", 3) end
  return unistd.read(fd, 1)
end

--- Makes one. It is closed, and what waits at it let through, by `<close>`.
function M.new()
  local path = os.tmpname()
  os.remove(path)
  assert(stat.mkfifo(path, 384))
  local fd = assert(fcntl.open(path, fcntl.O_RDWR | fcntl.O_NONBLOCK))
  return setmetatable({ path = path, fd = fd }, Fifo)
end

--- Lets n (by default all, now and later) pass.
function Fifo:open(n) unistd.write(self.fd, ("x"):rep(n or CROWD)) end

--- Waits until n tasks (by default one) have told, and gives what they told.
function Fifo:await(n)
  local bytes = {}
  for i = 1, n or 1 do bytes[i] = read_byte(self.fd) end
  return table.concat(bytes)
end

--- Has anything been told that nobody has taken?
function Fifo:any() return poll.rpoll(self.fd, 0) == 1 end

function Fifo:close()
  if not self.fd then return end
  self:open()
  os.remove(self.path)
  unistd.close(self.fd)
  self.fd = nil
end

Fifo.__close = Fifo.close

--- Task: waits until the gate is open, then gives its other arguments back.
function M.pass(path, ...)
  local fd = fcntl.open(path, fcntl.O_RDONLY | fcntl.O_NONBLOCK)
  if fd then -- otherwise the gate is gone: the spec is over
    read_byte(fd)
    unistd.close(fd)
  end
  return ...
end

--- Task: tells the spec one character, by default "x".
function M.tell(path, character)
  local fd = fcntl.open(path, fcntl.O_WRONLY | fcntl.O_NONBLOCK)
  if fd then
    unistd.write(fd, character or "x")
    unistd.close(fd)
  end
end

--- Task: tells by the first, waits at the second, gives the rest back.
function M.tell_and_pass(told, gate, ...)
  M.tell(told)
  return M.pass(gate, ...)
end

return M
