--- Runs the programs of examples/ and looks at what they print.

local program = require "spec.support.program"

local M = {}

--- Runs one to its end, which must be a good one. Gives its output, and an array of its
-- lines.
function M.run(name, ...)
  local source = assert(program.slurp(("examples/%s.lua"):format(name)))
  local result = program.run(source, { args = { ... } })
  if result.code ~= 0 or result.err ~= "" then
    error(("%s ended with %s: %s"):format(name, tostring(result.code or result.signal),
      result.err), 2)
  end
  local lines = {}
  for line in result.out:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return result.out, lines
end

--- How often each line stands there.
function M.counts(lines)
  local counts = {}
  for _, line in ipairs(lines) do counts[line] = (counts[line] or 0) + 1 end
  return counts
end

return M
