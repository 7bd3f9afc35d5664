--- What the machine is, and how busy others keep it.

local M = {}

-- Clock ticks that all processors spent on work since the start of the machine.
local function busy_ticks()
  local file = io.open("/proc/stat")
  if not file then return nil end
  local user, nice, system, idle, iowait, irq, softirq, steal = file:read("l"):match(
    "^cpu +(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)")
  file:close()
  local busy = user + nice + system + irq + softirq + steal
  return busy, busy + idle + iowait
end

-- Those that this process and the children it has waited for spent.
local function own_ticks()
  local file = io.open("/proc/self/stat")
  if not file then return 0 end
  local fields = file:read("a"):match("%) (.*)")
  file:close()
  local ticks, i = 0, 2
  for field in fields:gmatch("%S+") do
    i = i + 1
    if i >= 14 and i <= 17 then ticks = ticks + tonumber(field) end
  end
  return ticks
end

--- Begins to watch the processors.
-- @treturn function gives the share of the processors' time that others have used since,
--   in per cent; nil where that cannot be known
function M.watch_others()
  local busy, all = busy_ticks()
  local own = own_ticks()
  return function()
    local busy_now, all_now = busy_ticks()
    if not busy or all_now == all then return nil end
    local others = (busy_now - busy) - (own_ticks() - own)
    return math.max(0, 100 * others / (all_now - all))
  end
end

local function first_line(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  local line = pipe and pipe:read("l")
  if pipe then pipe:close() end
  return line or "unknown"
end

--- Describes the machine and what is installed.
-- @tparam ?string python command
-- @tparam ?string go command
-- @treturn string
function M.describe(python, go)
  return ("%s cores, %s, %s, %s"):format(first_line("nproc"), first_line("uname -srm"),
    python and first_line(python .. " --version") or "no Python",
    go and first_line(go .. " version") or "no Go")
end

return M
