--- The backends as they are shown: their names, colours and marks.
-- Colours keep a contrast of 3 to 1 or more against the page, in both themes, and never
-- stand alone: marks and dashes tell the series apart, too.
-- @module ccpool.cli.compare.series

--- All series, in the order in which they are shown: backend, label, colour on light and
-- on dark, mark, dash of lines.
local LIST = {
  { backend = "serial", label = "serial", light = "#5f6873", dark = "#a3adb8",
    mark = "circle", dash = "" },
  { backend = "threads", label = "threads", light = "#0b62c4", dark = "#62a8ff",
    mark = "circle", dash = "" },
  { backend = "processes", label = "processes", light = "#c2410c", dark = "#ff9d4d",
    mark = "square", dash = "7 3" },
  { backend = "lock", label = "threads + one global lock", short = "global lock",
    light = "#8b2fb0", dark = "#d79bf5", mark = "cross", dash = "2 3" },
  { backend = "python-serial", label = "Python, serial", light = "#5d6b1f", dark = "#c3cf6e",
    mark = "diamond", dash = "" },
  { backend = "python-threads", label = "Python threads", light = "#0f766e", dark = "#45d0bf",
    mark = "triangle", dash = "5 2 1 2" },
  { backend = "python-processes", label = "Python processes", light = "#a3195b",
    dark = "#ff8cc0", mark = "diamond", dash = "9 3" },
  { backend = "nmap", label = "nmap", light = "#0f766e", dark = "#45d0bf", mark = "triangle",
    dash = "" },
  { backend = "factor", label = "factor", light = "#a3195b", dark = "#ff8cc0",
    mark = "triangle", dash = "" },
}

local by_backend = {}
for i, entry in ipairs(LIST) do
  entry.rank = i
  by_backend[entry.backend] = entry
end

--- Finds a series.
-- @tparam string backend
-- @treturn table an element of @{LIST}
local function of(backend)
  return by_backend[backend]
end

--- The label of a backend with its number of workers.
-- @tparam table row with `backend` and `workers`
-- @treturn string
-- @usage series.name({ backend = "threads", workers = 2 })  --> "threads × 2"
local function name(row)
  local label = by_backend[row.backend].label
  return row.workers > 1 and ("%s × %d"):format(label, row.workers) or label
end

--- As @{name}, for narrow places.
-- @tparam table row
-- @treturn string
local function short_name(row)
  local entry = by_backend[row.backend]
  local label = entry.short or entry.label
  return row.workers > 1 and ("%s × %d"):format(label, row.workers) or label
end

--- Sorts rows into their series.
-- @tparam table rows
-- @treturn table an array of `{ series =, rows = }` in the order of @{LIST}
local function group(rows)
  local groups, found = {}, {}
  for _, row in ipairs(rows) do
    local entry = found[row.backend]
    if not entry then
      entry = { series = by_backend[row.backend], rows = {} }
      found[row.backend] = entry
      groups[#groups + 1] = entry
    end
    table.insert(entry.rows, row)
  end
  table.sort(groups, function(a, b)
    return a.series.rank < b.series.rank
  end)
  return groups
end

return { LIST = LIST, group = group, name = name, of = of, short_name = short_name }
