--- Writes lines of comma-separated values.
-- @module ccpool.cli.csv

local function field(value)
  local text = tostring(value)
  if text:find('[",\r\n]') then
    return '"' .. text:gsub('"', '""') .. '"'
  end
  return text
end

--- Joins values to one line, quoted where needed, with its line end.
-- @tparam table values an array of strings, numbers and booleans
-- @treturn string
-- @usage csv.line({ 22, "open" })  --> "22,open\n"
local function line(values)
  local fields = {}
  for i, value in ipairs(values) do
    fields[i] = field(value)
  end
  return table.concat(fields, ",") .. "\n"
end

return { line = line }
