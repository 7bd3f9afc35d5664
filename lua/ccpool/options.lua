--- Checks of option tables: every misuse names the option.
-- @module ccpool.options

local M = {}

local function fail(level, who, name, expected, value)
  local got = type(value)
  if got == "number" or got == "string" then got = tostring(value) end
  error(("bad option '%s' to '%s' (%s expected, got %s)"):format(name, who, expected, got),
    level + 1)
end

--- The integer that a number stands for, as Lua's own functions take it: 2.0 is 2.
local function integer(v) return type(v) == "number" and math.tointeger(v) or nil end

local function count(v)
  local n = integer(v)
  return n ~= nil and n > 0
end

-- Kinds that are integers; the others take numbers as they are.
local INTEGERS = {
  ["positive integer"] = true,
  ["non-negative integer"] = true,
  ["integer"] = true,
  ["positive number of bytes"] = true,
  ["positive integer or \"auto\""] = true,
}

--- Kinds of values: each gives true if the value is of it.
M.is = {
  ["positive integer"] = count,
  ["non-negative integer"] = function(v)
    local n = integer(v)
    return n ~= nil and n >= 0
  end,
  ["integer"] = function(v)
    local n = integer(v)
    return n ~= nil and n >= -2^31 and n < 2^31
  end,
  ["positive number of bytes"] = count,
  ["positive seconds"] = function(v) return type(v) == "number" and v > 0 end,
  ["non-negative seconds"] = function(v) return type(v) == "number" and v >= 0 end,
  ["\"replace\" or \"break\""] = function(v) return v == "replace" or v == "break" end,
  ["\"block\", \"error\" or \"caller_runs\""] = function(v)
    return v == "block" or v == "error" or v == "caller_runs"
  end,
  ["function"] = function(v) return type(v) == "function" end,
  ["function or \"module.function\""] = function(v)
    return type(v) == "function" or type(v) == "string"
  end,
  ["array"] = function(v)
    return type(v) == "table" and (v.n == nil or math.type(v.n) == "integer")
  end,
  ["string"] = function(v) return type(v) == "string" end,
  ["boolean"] = function(v) return type(v) == "boolean" end,
  ["seconds"] = function(v) return type(v) == "number" and v == v end,
  ["positive integer or \"auto\""] = function(v)
    return v == "auto" or count(v)
  end,
  ["\"raise\" or \"return\""] = function(v) return v == "raise" or v == "return" end,
  ["ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION"] = function(v)
    return v == "ALL_COMPLETED" or v == "FIRST_COMPLETED" or v == "FIRST_EXCEPTION"
  end,
}

local function copy(given)
  local to = {}
  for k, v in pairs(given) do to[k] = v end
  return to
end

--- Checks a table of options.
-- @tparam string who the function that got them
-- @tparam ?table given the options; nil is an empty table
-- @tparam table known name = kind (see `is`)
-- @tparam int level of the error, as for `error`, seen from the caller
-- @treturn table the options; floats that stand for integers are integers
function M.check(who, given, known, level)
  level = level + 1
  if given == nil then return {} end
  if type(given) ~= "table" then
    error(("bad argument to '%s' (table of options expected, got %s)"):format(who, type(given)),
      level)
  end
  local exact = given
  for name, value in pairs(given) do
    local kind = known[name]
    if not kind then
      error(("bad option '%s' to '%s' (unknown option)"):format(tostring(name), who), level)
    end
    if not M.is[kind](value) then fail(level, who, name, kind, value) end
    if INTEGERS[kind] and math.type(value) == "float" then
      exact = exact == given and copy(given) or exact -- the program's table stays as it is
      exact[name] = integer(value)
    end
  end
  return exact
end

return M
