--- The plot of speedup against workers, with the ideal line.
-- @module ccpool.cli.compare.speedup

local series = require("ccpool.cli.compare.series")
local svg = require("ccpool.cli.compare.svg")

local WIDTH, HEIGHT = 440, 320
-- Points of different series at the same number of workers stand so far apart.
local DODGE = 7

-- What nobody can beat: as much as there are workers, but for work that needs the CPU not
-- more than there are cores.
local function ideal(entry, workers, cpus)
  return entry.is_cpu_bound and math.min(workers, cpus) or workers
end

-- What is plotted: rows with a speedup. Programs that do something else altogether, such
-- as nmap, have no place on this axis.
local function rows_of(entry)
  local rows = {}
  for _, row in ipairs(entry.rows) do
    if row.speedup and row.backend ~= "factor" and row.backend ~= "nmap" then
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function worker_ticks(rows)
  local ticks, is_there = {}, {}
  for _, row in ipairs(rows) do
    if not is_there[row.workers] then
      is_there[row.workers] = true
      ticks[#ticks + 1] = { row.workers, tostring(row.workers) }
    end
  end
  table.sort(ticks, function(a, b) return a[1] < b[1] end)
  return ticks
end

local function scales(box, entry, rows, cpus)
  local ticks = worker_ticks(rows)
  local most = ticks[#ticks][1]
  local high = ideal(entry, most, cpus)
  for _, row in ipairs(rows) do
    high = math.max(high, row.speedup_high or row.speedup)
  end
  local x = svg.linear(1, math.max(2, most), box.left + 26, box.right - 22)
  x.ticks = ticks
  return x, svg.linear(0, high * 1.08, box.bottom, box.top), most
end

-- The part of the axis where workers have to share cores.
local function crowded(box, x, most, cpus)
  if most <= cpus then
    return ""
  end
  local left = x.place(cpus + 0.06 * (most - cpus))
  return svg.element("rect", { class = "crowded", x = left, y = box.top,
      width = box.right - left, height = box.bottom - box.top })
    .. svg.text(box.right - 5, box.bottom - 8, "hint end", "more workers than cores")
end

local function ideal_line(x, y, entry, most, cpus)
  local points = {}
  for _, workers in ipairs({ 1, math.min(most, cpus), most }) do
    points[#points + 1] = ("%.1f %.1f"):format(x.place(workers),
      y.place(ideal(entry, workers, cpus)))
  end
  return svg.element("path", { class = "ideal", d = "M" .. table.concat(points, "L") },
    svg.tip("ideal"))
end

local function tip_of(row)
  local interval = row.speedup_low
    and (", 95%% from %.2f to %.2f"):format(row.speedup_low, row.speedup_high) or ""
  return ("%s: speedup %.2f%s; %.3f s"):format(series.name(row), row.speedup, interval,
    row.seconds)
end

local function draw_series(group, x, y, shift)
  local class = "s-" .. group.series.backend
  local points, whiskers, marks = {}, {}, {}
  for _, row in ipairs(group.rows) do
    local at, height = x.place(row.workers) + shift, y.place(row.speedup)
    points[#points + 1] = ("%.1f %.1f"):format(at, height)
    if row.speedup_low then
      whiskers[#whiskers + 1] = svg.element("line", { class = "whisker " .. class, x1 = at,
        x2 = at, y1 = y.place(row.speedup_low), y2 = y.place(row.speedup_high) })
    end
    marks[#marks + 1] = svg.mark(group.series.mark, at, height, class, tip_of(row))
  end
  return svg.element("path", { class = "line " .. class, d = "M" .. table.concat(points, "L"),
      ["stroke-dasharray"] = group.series.dash })
    .. table.concat(whiskers) .. table.concat(marks)
end

--- Draws the plot.
-- @tparam table entry a workload of the report
-- @tparam integer cpus
-- @treturn ?string markup, nil if there is nothing to compare with
-- @treturn table the groups of rows that are shown
local function draw(entry, cpus)
  local rows = rows_of(entry)
  if #rows == 0 then
    return nil, {}
  end
  local box = svg.area(WIDTH, HEIGHT)
  local x, y, most = scales(box, entry, rows, cpus)
  local groups = series.group(rows)
  local parts = { crowded(box, x, most, cpus), svg.y_axis(box, y, "speedup, serial = 1"),
    svg.x_axis(box, x, "workers"), ideal_line(x, y, entry, most, cpus) }
  for i, group in ipairs(groups) do
    parts[#parts + 1] = draw_series(group, x, y, (i - (#groups + 1) / 2) * DODGE)
  end
  return svg.plot(box, "speedup", "Speedup against workers: " .. entry.title,
    table.concat(parts)), groups
end

return { HEIGHT = HEIGHT, WIDTH = WIDTH, draw = draw }
