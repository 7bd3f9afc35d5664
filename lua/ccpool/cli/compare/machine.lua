--- What is known of the machine that a comparison ran on.
-- @module ccpool.cli.compare.machine

local utsname = require("posix.sys.utsname")

local ccpool = require("ccpool")

local function first_line_of(path, pattern)
  local file = io.open(path)
  local text = file and file:read("a") or ""
  if file then
    file:close()
  end
  return text:match(pattern)
end

--- Describes the machine.
-- @treturn table `cpus`, `cpu` (the model), `system`, `lua`, `ccpool`, `date` (UTC),
-- `load` (of the last minute)
local function describe()
  local name = utsname.uname()
  return {
    cpus = ccpool.cpu_count(),
    cpu = first_line_of("/proc/cpuinfo", "model name%s*:%s*([^\n]+)") or name.machine,
    system = name.sysname .. " " .. name.release .. " " .. name.machine,
    lua = _VERSION,
    ccpool = ccpool.VERSION,
    date = os.date("!%Y-%m-%d %H:%M UTC"),
    load = tonumber(first_line_of("/proc/loadavg", "^%S+")) or 0,
  }
end

return { describe = describe }
