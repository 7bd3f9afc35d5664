--- Writes JSON: scalars, arrays, and objects whose keys keep their order.
-- @module ccpool.cli.json

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(byte)
  return ESCAPES[byte] or ("\\u%04x"):format(byte:byte())
end

local function quoted(text)
  local special = utf8.len(text) and '[%c"\\\127]' or '[%c"\\\127-\255]'
  return '"' .. text:gsub(special, escape) .. '"'
end

local function number(value)
  if math.type(value) == "float" and (value ~= value or math.abs(value) == math.huge) then
    return "null"
  end
  return math.type(value) == "float" and ("%.6f"):format(value) or tostring(value)
end

local Raw = {}

--- Marks text that is JSON already, such as what @{object} returns.
-- @tparam string text
-- @treturn table
-- @usage json.encode(json.raw("18446744073709551615"))
local function raw(text)
  return setmetatable({ text = text }, Raw)
end

--- Encodes a string, number, boolean, nil, @{raw} text or an array of these.
-- @param value
-- @treturn string
-- @usage json.encode({ 1, "two" })  --> [1,"two"]
local function encode(value)
  local kind = type(value)
  if kind == "string" then
    return quoted(value)
  elseif kind == "number" then
    return number(value)
  elseif kind ~= "table" then
    return value == nil and "null" or tostring(value)
  elseif getmetatable(value) == Raw then
    return value.text
  end
  local parts = {}
  for i, item in ipairs(value) do
    parts[i] = encode(item)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

--- Encodes an object from keys and values in turn; a nil value leaves its key out.
-- @tparam string ... keys, each with its value behind it
-- @treturn table @{raw} text
-- @usage json.object("port", 22, "state", "open").text
local function object(...)
  local parts = {}
  for i = 1, select("#", ...), 2 do
    local key, value = select(i, ...)
    if value ~= nil then
      parts[#parts + 1] = quoted(key) .. ":" .. encode(value)
    end
  end
  return raw("{" .. table.concat(parts, ",") .. "}")
end

return { encode = encode, object = object, raw = raw }
