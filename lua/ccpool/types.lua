--- Own types: values that travel by what a function makes of them.
-- @module ccpool.types

local core = require "ccpool.core"

local FIELDS = { metatable = "table", save = "function", load = "function" }
local require_now = require -- a program may put another in its place

--- The module whose loading is going on, if register was called by one: a worker
-- can require it, too.
local function module_of_caller()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "fn")
    if not info then return nil end
    if info.func == require_now or info.func == require then
      local _, name = debug.getlocal(level, 1) -- the first argument
      return type(name) == "string" and name or nil
    end
  end
end

local function check(name, definition)
  if type(name) ~= "string" or name == "" or name:find("\0", 1, true) then
    error(("bad argument #1 to 'register' (name expected, got %s)"):format(
      type(name) == "string" and ("%q"):format(name) or type(name)), 3)
  end
  if type(definition) ~= "table" then
    error(("bad argument #2 to 'register' (table expected, got %s)"):format(type(definition)), 3)
  end
  for field in pairs(definition) do
    if not FIELDS[field] then
      error(("bad field '%s' to 'register' (unknown field)"):format(tostring(field)), 3)
    end
  end
  for _, field in ipairs{ "metatable", "save", "load" } do
    local got = type(definition[field])
    if got ~= FIELDS[field] then
      error(("bad field '%s' to 'register' (%s expected, got %s)"):format(field, FIELDS[field],
        got), 3)
    end
  end
end

--- Makes the values with a metatable sendable: tables or userdata.
--
-- Executors made later know the type; a worker that runs already learns it with
-- the first message that holds such a value, or, if a module registered it while
-- it was loaded, by requiring that module. The metatable itself then travels by
-- the name, so that it is the same table in all messages.
-- @function ccpool.register
-- @tparam string name of the type, the same in all states
-- @tparam table definition `metatable` (table), `save` (function: gets the value,
--   gives any number of values that travel), `load` (function: gets those, gives the
--   value that they stand for). In threads, and in processes that run already, save
--   and load are copies, as if they had been sent.
-- @raise a misuse names the argument or field. What `save` raises makes the submit
--   fail with NotSendableError; what `load` raises fails the task.
-- @usage
-- local Point = {}
-- Point.__index = Point
-- ccpool.register("Point", { metatable = Point,
--   save = function(p) return p.x, p.y end,
--   load = function(x, y) return setmetatable({ x = x, y = y }, Point) end })
-- local ex <close> = ccpool.ThreadPoolExecutor(1)
-- local p = setmetatable({ x = 1, y = 2, cache = coroutine.create(print) }, Point)
-- local back = ex:submit(function(q) q.x = 5 return q end, p):result()
-- assert(back.x == 5 and back.cache == nil and getmetatable(back) == Point)
local function register(name, definition)
  check(name, definition)
  core.register(name, definition.metatable, definition.save, definition.load,
    module_of_caller())
end

return { register = register }
