--- Error objects: what ccpool itself raises, as opposed to what tasks raise.
-- @module ccpool.errors

local core = require "ccpool.core"

-- One class per state, even if package.loaded forgets this module.
local Error = core.once { __name = "ccpool.Error" }
Error.__index = Error

--- Makes an error object.
-- @tparam string kind "TimeoutError", "CancelledError", ...
-- @tparam string message
-- @tparam[opt] table fields further fields of the object
-- @treturn table
local function new(kind, message, fields)
  local err = { kind = kind, message = message }
  for k, v in pairs(fields or {}) do err[k] = v end
  return setmetatable(err, Error)
end

function Error:__tostring()
  return self.kind .. ": " .. self.message
end

--- Is this an error object of ccpool, and of that kind?
-- @param e any value
-- @tparam[opt] string kind
-- @treturn boolean
-- @usage
-- local ok, err = pcall(ccpool.all, {}, 0 / 0)
-- assert(not ccpool.is_error(err))
local function is_error(e, kind)
  if getmetatable(e) ~= Error then return false end
  return kind == nil or e.kind == kind
end

core.set_error_maker(new)

return { new = new, is_error = is_error, Error = Error }
