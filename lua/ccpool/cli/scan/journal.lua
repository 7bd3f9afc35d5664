--- The file of `--resume`: what is known of a scan, written as it becomes known.
--
-- The first line names the format and the seed of the order. Each other line holds an
-- address, an outcome and ports; or an address, the word `banner`, a port and the escaped
-- text. A line counts once its end is written, so a scan may be killed at any moment.
-- @module ccpool.cli.scan.journal

local stat = require("posix.sys.stat")
local unistd = require("posix.unistd")

local banner = require("ccpool.cli.scan.banner")
local states = require("ccpool.cli.scan.states")

local HEADER = "ccpool-scan-journal 1 seed=%d\n"
local HEADER_PATTERN = "^ccpool%-scan%-journal 1 seed=(%d+)$"
local MAX_PORT = 65535

local Journal = {}
Journal.__index = Journal

local function key_of(target)
  if target.scope_id and target.scope_id ~= 0 then
    return target.addr .. "%" .. target.scope_id
  end
  return target.addr
end

local function host_of(self, key)
  local host = self.hosts[key]
  if not host then
    host = { outcomes = {}, banners = {} }
    self.hosts[key] = host
  end
  return host
end

local function port_number(digits)
  local port = #digits <= 5 and math.tointeger(tonumber(digits))
  return port and port >= 1 and port <= MAX_PORT and port or nil
end

-- Reads "1-3,7" into the outcomes of a host; returns false if it is not that.
local function read_ports(host, outcome, text)
  for part in (text .. ","):gmatch("([^,]*),") do
    local from, to = part:match("^(%d+)%-?(%d*)$")
    local first = from and port_number(from)
    local last = first and (to == "" and first or port_number(to))
    if not last or last < first then
      return false
    end
    for port = first, last do
      host.outcomes[port] = outcome
    end
  end
  return true
end

local function read_line(self, line)
  local key, rest = line:match("^([%x:.%%]+) (.*)$")
  if not key then
    return false
  end
  local port, text = rest:match("^banner (%d+) (.*)$")
  if port then
    port = port_number(port)
    if port then
      host_of(self, key).banners[port] = text
    end
    return port ~= nil
  end
  local outcome, ports = rest:match("^([%w-]+) ([%d,-]+)$")
  if not outcome then
    outcome, ports = rest:match("^(errno %d+) ([%d,-]+)$")
  end
  return outcome ~= nil and states.of(outcome) ~= "unknown"
    and read_ports(host_of(self, key), outcome, ports)
end

-- Reads all complete lines; returns true, or nil and a message.
local function read_all(self, content)
  local number = 0
  for line in content:gmatch("([^\n]*)\n") do
    number = number + 1
    if number == 1 then
      self.seed = math.tointeger(tonumber(line:match(HEADER_PATTERN)))
      if not self.seed then
        return nil, "it is not a resume file of ccpool scan"
      end
    elseif not read_line(self, line) then
      return nil, ("line %d is broken"):format(number)
    end
  end
  return true
end

-- Returns the content, nothing if there is no such file, or nil and a message.
local function slurp(path)
  local found = stat.stat(path)
  if not found then
    return nil
  elseif stat.S_ISREG(found.st_mode) == 0 then
    return nil, "it is not a regular file"
  end
  local file, trouble = io.open(path, "rb")
  if not file then
    return nil, trouble
  end
  local content, message = file:read("a")
  file:close()
  return content, message
end

-- Opens the file for writing at its end, a torn last line cut off.
local function open_for_append(path, complete_bytes)
  local file, message = io.open(path, "ab")
  if not file then
    return nil, message
  end
  local ok
  ok, message = unistd.truncate(path, complete_bytes)
  if not ok then
    file:close()
    return nil, message
  end
  return file
end

local function check(self, ok, message)
  if not ok then
    error({ failure = ("cannot write to the resume file %s: %s"):format(self.path, message) }, 0)
  end
end

--- Opens a resume file: reads what it knows, or makes it.
-- @tparam string path
-- @tparam integer seed of the order, kept in a new file
-- @treturn[1] table with `seed` (as the file has it), `known`, `add`, `close`
-- @treturn[2] nil
-- @treturn[2] string message
-- @usage local file = assert(journal.open("scan.resume", 42))
local function open(path, seed)
  local self = setmetatable({ path = path, hosts = {}, seed = seed }, Journal)
  local content, message = slurp(path)
  if message then
    return nil, message
  end
  local complete = content and content:match("^.*\n") or ""
  -- Only what may be the torn first line of such a file may be overwritten.
  if complete == "" and content and HEADER:sub(1, #content) ~= content
    and not content:find("^ccpool%-scan%-journal 1 seed=%d*$") then
    return nil, "it is not a resume file of ccpool scan"
  end
  local ok
  ok, message = read_all(self, complete)
  if not ok then
    return nil, message
  end
  self.file, message = open_for_append(path, #complete)
  if not self.file then
    return nil, message
  end
  if complete == "" then
    check(self, self.file:write(HEADER:format(seed)))
    check(self, self.file:flush())
  end
  return self
end

--- What is known of a target.
-- @tparam table target
-- @treturn ?table outcomes by port
-- @treturn ?table escaped banners by port
function Journal:known(target)
  local host = self.hosts[key_of(target)]
  if host then
    return host.outcomes, host.banners
  end
end

local function compressed(ports)
  table.sort(ports)
  local parts, i = {}, 1
  while i <= #ports do
    local last = i
    while ports[last + 1] == ports[last] + 1 do
      last = last + 1
    end
    parts[#parts + 1] = i == last and ports[i] or ports[i] .. "-" .. ports[last]
    i = last + 1
  end
  return table.concat(parts, ",")
end

--- Writes down what has become known.
-- @tparam table target
-- @tparam table ports an array
-- @tparam table outcomes of these ports
-- @tparam ?table banners raw, by the same index
-- @raise a table with `failure`, the message for the user
function Journal:add(target, ports, outcomes, banners)
  local key, by_outcome, lines = key_of(target), {}, {}
  for i, outcome in ipairs(outcomes) do
    if states.of(outcome) ~= "unknown" then
      by_outcome[outcome] = by_outcome[outcome] or {}
      table.insert(by_outcome[outcome], ports[i])
    end
  end
  -- Banners first: a port that is known is not asked again, not even for its banner.
  for i, text in pairs(banners or {}) do
    lines[#lines + 1] = ("%s banner %d %s\n"):format(key, ports[i], banner.escape(text))
  end
  for outcome, list in pairs(by_outcome) do
    lines[#lines + 1] = ("%s %s %s\n"):format(key, outcome, compressed(list))
  end
  check(self, self.file:write(table.concat(lines)))
  check(self, self.file:flush())
end

--- Closes the file.
function Journal:close()
  self.file:close()
end

return { open = open }
