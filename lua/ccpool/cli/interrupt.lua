--- Recognises Ctrl-C: the interpreter raises it as an error with a fixed message.
-- @module ccpool.cli.interrupt

--- Tells whether an error value stands for Ctrl-C.
-- @param err any error value
-- @treturn boolean
-- @usage interrupt.is("script.lua:3: interrupted!")  --> true
local function is(err)
  return type(err) == "string" and err:find("interrupted!", 1, true) ~= nil
end

--- Passes an error value on if it stands for Ctrl-C.
-- @param err any error value
-- @raise `err`
local function rethrow(err)
  if is(err) then
    error(err, 0)
  end
end

return { is = is, rethrow = rethrow }
