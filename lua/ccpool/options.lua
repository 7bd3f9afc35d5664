--- Checks of option tables: every misuse names the option.
-- @module ccpool.options

local M = {}

local function fail(level, who, name, expected, value)
  local got = type(value)
  if got == "number" or got == "string" then got = tostring(value) end
  error(("bad option '%s' to '%s' (%s expected, got %s)"):format(name, who, expected, got),
    level + 1)
end

--- Kinds of values: each gives true if the value is of it.
M.is = {
  ["positive integer"] = function(v) return math.type(v) == "integer" and v > 0 end,
  ["non-negative integer"] = function(v) return math.type(v) == "integer" and v >= 0 end,
  ["integer"] = function(v) return math.type(v) == "integer" and v >= -2^31 and v < 2^31 end,
  ["positive number of bytes"] = function(v) return math.type(v) == "integer" and v > 0 end,
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
  ["array"] = function(v) return type(v) == "table" end,
  ["string"] = function(v) return type(v) == "string" end,
  ["boolean"] = function(v) return type(v) == "boolean" end,
  ["seconds"] = function(v) return type(v) == "number" and v == v end,
  ["positive integer or \"auto\""] = function(v)
    return v == "auto" or math.type(v) == "integer" and v > 0
  end,
  ["\"raise\" or \"return\""] = function(v) return v == "raise" or v == "return" end,
}

--- Checks a table of options.
-- @tparam string who the function that got them
-- @tparam ?table given the options; nil is an empty table
-- @tparam table known name = kind (see `is`)
-- @tparam int level of the error, as for `error`, seen from the caller
-- @treturn table the options
function M.check(who, given, known, level)
  level = level + 1
  if given == nil then return {} end
  if type(given) ~= "table" then
    error(("bad argument to '%s' (table of options expected, got %s)"):format(who, type(given)),
      level)
  end
  for name, value in pairs(given) do
    local kind = known[name]
    if not kind then
      error(("bad option '%s' to '%s' (unknown option)"):format(tostring(name), who), level)
    end
    if not M.is[kind](value) then fail(level, who, name, kind, value) end
  end
  return given
end

return M
