--- Runs Lua scripts as programs of their own, and looks at what they leave behind.
-- Loaded with dofile, from the root.
--
-- A program leads its own process group. Everything that descends from it carries a
-- mark in its environment, so that also orphans are found.

local fcntl = require "posix.fcntl"
local poll = require "posix.poll".poll
local signal = require "posix.signal"
local stdlib = require "posix.stdlib"
local time = require "posix.time"
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"

local BOUND = 20 -- seconds that a program may take
local GONE = 1 -- seconds until nothing of a program is left; promised
local TICK_MS = 5
local MARK = "CCPOOL_SPEC_PROGRAM"

local function now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

--- Looks again and again until `look()` is true, at most `seconds`.
-- @treturn boolean was it true in time?
local function within(seconds, look)
  local limit = now() + seconds
  repeat
    if look() then return true end
    poll({}, TICK_MS)
  until now() > limit
  return look() and true or false
end

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local content = file:read("a")
  file:close()
  return content
end

local function write_file(path, content)
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  assert(file:close())
end

--- The names in a folder of /proc.
local function entries(path)
  local ok, list = pcall(require "posix.dirent".dir, path)
  local names = {}
  for _, name in ipairs(ok and list or {}) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  return names
end

--- Is there a process of that number that is not a zombie?
local function alive(pid)
  local stat = slurp("/proc/" .. pid .. "/stat")
  local state = stat and stat:match("^%d+ %(.*%) (%a)")
  return state ~= nil and state ~= "Z" and state ~= "X"
end

--- The processes whose environment has the mark; zombies have none.
local function marked(mark)
  local pids = {}
  for _, name in ipairs(entries("/proc")) do
    local environ = name:match("^%d+$") and slurp("/proc/" .. name .. "/environ")
    if environ and (environ .. "\0"):find(MARK .. "=" .. mark .. "\0", 1, true) then
      pids[#pids + 1] = math.tointeger(tonumber(name))
    end
  end
  return pids
end

local function children_of(pid)
  local list = {}
  for _, tid in ipairs(entries("/proc/" .. pid .. "/task")) do
    local text = slurp(("/proc/%s/task/%s/children"):format(pid, tid)) or ""
    for child in text:gmatch("%d+") do list[#list + 1] = math.tointeger(tonumber(child)) end
  end
  return list
end

--- One line per process: what a failed spec shows.
local function picture(pids)
  local lines = {}
  for _, pid in ipairs(pids) do
    local status = slurp("/proc/" .. pid .. "/status") or "gone"
    local where = (slurp("/proc/" .. pid .. "/wchan") or ""):gsub("%z", "")
    lines[#lines + 1] = ("  %d %s %s parent %s, in %s"):format(pid,
      status:match("Name:%s*([^\n]*)") or "?", status:match("State:%s*([^\n]*)") or "?",
      status:match("PPid:%s*(%d+)") or "?", where)
  end
  return table.concat(lines, "\n")
end

local Program = {}
Program.__index = Program

local launched = 0

local function into(fd, target)
  assert(unistd.dup2(fd, target))
  unistd.close(fd)
end

--- In the child: never returns.
local function become(words, opts, mark, out, err)
  unistd.setpid("p", 0, 0)
  for name, value in pairs(opts.env or {}) do stdlib.setenv(name, value) end
  stdlib.setenv(MARK, mark)
  into(assert(fcntl.open(opts.stdin or "/dev/null", fcntl.O_RDONLY)), 0)
  into(out, 1)
  into(err, 2)
  for fd = 3, 255 do unistd.close(fd) end
  for _, fd in ipairs(opts.closed or {}) do unistd.close(fd) end
  if opts.before then opts.before() end
  unistd.execp(words[1], { table.unpack(words, 2) })
  unistd._exit(127)
end

local function command(script, opts)
  local words = { os.getenv("LUA") or "lua5.4", script }
  for _, word in ipairs(opts.args or {}) do words[#words + 1] = tostring(word) end
  return words
end

--- Starts a program.
-- @tparam string source its text
-- @tparam[opt] table opts `args`; `env`; `stdin` (a path); `closed` (descriptors that
--   are closed in it); `before` (called in the child just before it becomes the program)
-- @treturn Program close it (`local p <close> = ...`): that ends what is left of it
local function start(source, opts)
  opts = opts or {}
  launched = launched + 1
  local mark = ("%d.%d"):format(unistd.getpid(), launched)
  local script = os.tmpname()
  write_file(script, source)
  local out, out_to = unistd.pipe()
  local err, err_to = unistd.pipe()
  io.stdout:flush()
  local pid = assert(unistd.fork())
  if pid == 0 then
    pcall(become, command(script, opts), opts, mark, out_to, err_to)
    unistd._exit(127)
  end
  unistd.setpid("p", pid, pid)
  unistd.close(out_to)
  unistd.close(err_to)
  return setmetatable({
    pid = pid, mark = mark, script = script, limit = now() + (opts.bound or BOUND),
    fds = { out = out, err = err }, text = { out = "", err = "" },
  }, Program)
end

--- What of it is alive, descendants and orphans included.
function Program:family() return marked(self.mark) end

--- Waits until nothing of it is left, at most the promised second.
function Program:gone()
  return within(GONE, function() return #self:family() == 0 end)
end

function Program:picture() return picture(self:family()) end

function Program:fail(what)
  local text = ("the program %s\nstdout: %s\nstderr: %s\nprocesses:\n%s"):format(what,
    self.text.out:sub(1, 2000), self.text.err:sub(1, 2000), self:picture())
  error(text, 0)
end

--- Reads what has come; false once both ends are closed.
function Program:read()
  local fds, open = {}, false
  for name, fd in pairs(self.fds) do
    fds[fd] = { events = { IN = true }, name = name }
    open = true
  end
  if not open then return false end
  if now() > self.limit then self:fail("takes too long") end
  if (poll(fds, 100) or 0) == 0 then return true end -- nil: a signal came
  for fd, set in pairs(fds) do
    if set.revents.IN or set.revents.HUP then
      local piece = unistd.read(fd, 65536)
      if piece and piece ~= "" then
        self.text[set.name] = self.text[set.name] .. piece
      else
        unistd.close(fd)
        self.fds[set.name] = nil
      end
    end
  end
  return true
end

--- The next line of its standard output; nil at its end.
function Program:line()
  self.at = self.at or 1
  while true do
    local stop = self.text.out:find("\n", self.at, true)
    if stop then
      local line = self.text.out:sub(self.at, stop - 1)
      self.at = stop + 1
      return line
    end
    if not self:read() then return nil end
  end
end

--- Reads until that text stands in its standard error; false if it never comes.
function Program:said(text)
  while not self.text.err:find(text, 1, true) do
    if not self:read() then return false end
  end
  return true
end

function Program:kill(sig) signal.kill(self.pid, sig) end

--- As a terminal does it: to all processes of its group.
function Program:kill_group(sig) signal.killpg(self.pid, sig) end

--- Is the program itself over? It is reaped then.
function Program:ended()
  if self.how then return true end
  local pid, how, code = wait.wait(self.pid, wait.WNOHANG)
  if pid == self.pid then
    self.how, self.code = how, code
    return true
  end
  return false
end

--- Waits for its end and the end of its output.
-- @treturn table `code` (exit code) or `signal`, `out`, `err`
function Program:finish()
  while self:read() do end
  if not within(self.limit - now(), function() return self:ended() end) then
    self:fail("does not end")
  end
  return {
    code = self.how == "exited" and self.code or nil,
    signal = self.how == "killed" and self.code or nil,
    out = self.text.out, err = self.text.err,
  }
end

function Program:__close()
  for _, fd in pairs(self.fds) do unistd.close(fd) end
  self.fds = {}
  for _, pid in ipairs(self:family()) do signal.kill(pid, signal.SIGKILL) end
  within(BOUND, function() return self:ended() end)
  os.remove(self.script)
end

--- Runs a program to its end. Nothing of it may be left afterwards.
-- @treturn table see Program:finish
local function run(source, opts)
  local p <close> = start(source, opts)
  local result = p:finish()
  if not p:gone() then p:fail("left processes behind") end
  return result
end

--- A file that many processes append short lines to, each whole.
local Log = {}
Log.__index = Log

local function new_log()
  return setmetatable({ path = os.tmpname() }, Log)
end

--- How often each line stands there.
function Log:counts()
  local counts = {}
  for line in io.lines(self.path) do counts[line] = (counts[line] or 0) + 1 end
  return counts
end

function Log:__close() os.remove(self.path) end

return {
  BOUND = BOUND,
  alive = alive,
  children_of = children_of,
  entries = entries,
  new_log = new_log,
  now = now,
  picture = picture,
  run = run,
  slurp = slurp,
  start = start,
  within = within,
}
