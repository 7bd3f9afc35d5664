--- Lays out a text table with aligned columns.
-- @module ccpool.cli.table

local GAP = "  "

local function widths_of(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for column, cell in ipairs(row) do
      widths[column] = math.max(widths[column] or 0, utf8.len(cell) or #cell)
    end
  end
  return widths
end

local function padded(cell, width, is_right)
  local padding = (" "):rep(width - (utf8.len(cell) or #cell))
  return is_right and padding .. cell or cell .. padding
end

--- Formats rows of cells as lines; trailing blanks are cut.
-- @tparam table rows an array of arrays of strings, the header first
-- @tparam[opt=""] string alignment one letter a column: `r` for right, else left
-- @treturn string the lines, each with its line end
-- @usage text_table.format({ { "port", "state" }, { "22", "open" } }, "rl")
local function format(rows, alignment)
  alignment = alignment or ""
  local widths = widths_of(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    local cells = {}
    for column, cell in ipairs(row) do
      cells[column] = padded(cell, widths[column], alignment:sub(column, column) == "r")
    end
    lines[i] = table.concat(cells, GAP):gsub(" +$", "") .. "\n"
  end
  return table.concat(lines)
end

return { format = format }
