--- What the outcome of a connect says about a port.
-- An outcome is a word: `connected`, `timeout` (our own timer), the name of an errno, or
-- `host-timeout` (the port was not asked, because its host had taken too long).
-- @module ccpool.cli.scan.states

local errno = require("posix.errno")

-- luaposix does not name this one.
local LINUX_EHOSTDOWN = 112

--- The states, in the order in which they are shown.
local ALL = { "open", "closed", "filtered", "error", "unknown" }

local STATES = {
  connected = "open",
  ECONNREFUSED = "closed",
  timeout = "filtered",
  ETIMEDOUT = "filtered",
  EHOSTUNREACH = "filtered",
  ENETUNREACH = "filtered",
  EHOSTDOWN = "filtered",
  EACCES = "filtered",
  EPERM = "filtered",
  ECONNRESET = "filtered",
}

-- These speak of our own means, never of the port.
local SHORTAGES = {
  EMFILE = true,
  ENFILE = true,
  ENOBUFS = true,
  ENOMEM = true,
  EADDRNOTAVAIL = true,
  EAGAIN = true,
}

-- Of a port with one of these nothing is known.
local UNASKED = { ["host-timeout"] = true }

-- Answers that may be chance, and worth another try.
local DOUBTFUL = { timeout = true, ECONNRESET = true }

local function index_names()
  local names = { [LINUX_EHOSTDOWN] = "EHOSTDOWN" }
  for name, number in pairs(errno) do
    -- Of two names for one number, such as EAGAIN and EWOULDBLOCK, the first is kept.
    if math.type(number) == "integer" and name:find("^E") then
      local known = names[number]
      names[number] = (known and known < name) and known or name
    end
  end
  return names
end

local NAMES = index_names()

-- The outcomes that are no errno, and numbers for them that are none either.
local OWN_CODES = { connected = 0xffff, timeout = 0xfffe, ["host-timeout"] = 0xfffd }

local function index_codes()
  local codes, outcomes = {}, {}
  for outcome, code in pairs(OWN_CODES) do
    codes[outcome], outcomes[code] = code, outcome
  end
  for number, errno_name in pairs(NAMES) do
    codes[errno_name], outcomes[number] = number, errno_name
  end
  return codes, outcomes
end

local CODES, OUTCOMES = index_codes()

--- Names an errno.
-- @tparam integer number
-- @treturn string its name, or `errno N`
-- @usage states.name(111)  --> "ECONNREFUSED" on Linux
local function name(number)
  return NAMES[number] or "errno " .. tostring(number)
end

--- The number of an outcome, fit for a `u16`, never 0.
-- @tparam string outcome
-- @treturn integer
-- @usage states.code_of("ECONNREFUSED")  --> 111 on Linux
local function code_of(outcome)
  return CODES[outcome] or math.tointeger(tonumber(outcome:match("^errno (%d+)$")))
end

--- The outcome that a number stands for.
-- @tparam integer code as @{code_of} gives it
-- @treturn ?string nil for 0
-- @usage states.outcome_of(states.code_of("timeout"))  --> "timeout"
local function outcome_of(code)
  return OUTCOMES[code] or (code ~= 0 and name(code) or nil)
end

--- The state of a port, after the outcome of its connect.
-- @tparam string outcome
-- @treturn string one of @{ALL}; `unknown` after a shortage of our own and if the port was
--   not asked
-- @usage states.of("ECONNREFUSED")  --> "closed"
local function of(outcome)
  return STATES[outcome] or ((SHORTAGES[outcome] or UNASKED[outcome]) and "unknown") or "error"
end

--- Tells whether an outcome is a shortage of our own means.
-- @tparam string outcome
-- @treturn boolean
local function is_shortage(outcome)
  return SHORTAGES[outcome] == true
end

--- Tells whether an outcome deserves another try.
-- @tparam string outcome
-- @treturn boolean
local function is_doubtful(outcome)
  return DOUBTFUL[outcome] == true
end

return {
  ALL = ALL,
  code_of = code_of,
  is_doubtful = is_doubtful,
  is_shortage = is_shortage,
  name = name,
  of = of,
  outcome_of = outcome_of,
}
