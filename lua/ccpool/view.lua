--- Views: executors with other options for their tasks.
--
-- As of an executor, the first element is its userdata; the second holds the rules of
-- the view's tasks.
-- @module ccpool.view

local core = require "ccpool.core"

local OPTIONS = {
  timeout = "seconds",
  deadline = "seconds",
  priority = "integer",
  retries = "non-negative integer",
  name = "string",
}

local methods = {} -- the executor's, as far as a view has them

local View = {
  __name = "ccpool.View",
  __index = function(self, key)
    if key == "max_workers" then return core.size(self) end
    return methods[key]
  end,
  __close = function() end, -- the executor is not the view's to end
  __tostring = function(self)
    return ("ccpool.View: %p (%s)"):format(self, self.name)
  end,
}

--- Makes a view.
-- @tparam table ex an executor, or a view of it, whose options hold unless given anew
-- @tparam table given options, as in OPTIONS
-- @treturn table
local function new(ex, given)
  local all = {}
  for name in pairs(OPTIONS) do
    all[name] = given[name]
    if all[name] == nil and ex.options then all[name] = ex.options[name] end
  end
  return setmetatable({ ex[1], core.rules(all), kind = ex.kind, name = ex.name, options = all,
    submit = core.submit_with }, View)
end

-- View: named here, it travels by name.
return { View = View, OPTIONS = OPTIONS, methods = methods, new = new }
