--- The plots of tasks and runs: a Gantt chart, latencies, box plots, bars.
-- @module ccpool.cli.compare.plots

local series = require("ccpool.cli.compare.series")
local stats = require("ccpool.cli.compare.stats")
local svg = require("ccpool.cli.compare.svg")

local WIDTH = 440
local LANE, LANE_GAP, GROUP_GAP = 20, 3, 22
local BOX_ROW = 24
local BAR_ROW = 26
local LABEL_WIDTH = 152
-- A distribution is drawn through at most so many points.
local CURVE_POINTS = 120

local function class_of(row)
  return "s-" .. row.backend
end

--- The rows that stand for their backends where only one each can be shown: those with
-- as many workers as there are cores, or as near to it as there are.
-- @tparam table rows
-- @tparam integer cpus
-- @treturn table
local function representatives(rows, cpus)
  local chosen = {}
  for _, group in ipairs(series.group(rows)) do
    local best
    for _, row in ipairs(group.rows) do
      local is_better = not best or (row.workers <= cpus and row.workers > best.workers)
      if #row.spans > 0 and is_better then
        best = row
      end
    end
    chosen[#chosen + 1] = best
  end
  return chosen
end

-- ---- Gantt ----------------------------------------------------------------------

-- Gives each span its lane; lanes are numbered in the order in which workers begin.
local function lanes_of(row)
  local spans = table.move(row.spans, 1, #row.spans, 1, {})
  table.sort(spans, function(a, b) return a.from < b.from end)
  local lanes, count = {}, 0
  for _, span in ipairs(spans) do
    if not lanes[span.worker] then
      count = count + 1
      lanes[span.worker] = count
    end
  end
  return spans, lanes, math.max(count, row.workers)
end

local function gantt_height(rows)
  local height = 0
  for _, row in ipairs(rows) do
    local _, _, count = lanes_of(row)
    height = height + GROUP_GAP + count * (LANE + LANE_GAP)
  end
  return height
end

local function gantt_group(row, box, x, top)
  local spans, lanes, count = lanes_of(row)
  local parts = { svg.text(box.left, top + 14, "label", series.name(row)) }
  local first = top + GROUP_GAP
  for lane = 1, count do
    parts[#parts + 1] = svg.text(box.left - 8, first + (lane - 1) * (LANE + LANE_GAP) + 14,
      "tick end", tostring(lane))
  end
  for i, span in ipairs(spans) do
    local left, right = x.place(span.from), x.place(span.to)
    parts[#parts + 1] = svg.element("rect", {
      class = ("span %s %s"):format(class_of(row), i % 2 == 0 and "even" or "odd"),
      x = left, width = math.max(0.6, right - left),
      y = first + (lanes[span.worker] - 1) * (LANE + LANE_GAP), height = LANE,
    }, svg.tip(("%s, worker %d, task %d: %.2f ms, begun at %.2f ms"):format(series.name(row),
      lanes[span.worker], span.item, (span.to - span.from) * 1000, span.from * 1000)))
  end
  return table.concat(parts), first + count * (LANE + LANE_GAP)
end

--- Draws which worker ran which task when.
-- @tparam table entry a workload of the report
-- @tparam integer cpus
-- @treturn ?string markup, nil if nothing is known of tasks
local function gantt(entry, cpus)
  local rows = representatives(entry.rows, cpus)
  if #rows == 0 then
    return nil
  end
  local last = 0
  for _, row in ipairs(rows) do
    for _, span in ipairs(row.spans) do
      last = math.max(last, span.to)
    end
  end
  local margins = { left = 44, top = 4 }
  local box = svg.area(WIDTH, gantt_height(rows) + 56, margins)
  local unit, factor = "s", 1
  if last < 1 then
    unit, factor = "ms", 1000
  end
  local axis = svg.linear(0, last * factor, box.left, box.right)
  local x = { place = function(seconds) return axis.place(seconds * factor) end }
  local parts = { svg.x_axis(box, axis, "time since the start, " .. unit) }
  local top = box.top
  for _, row in ipairs(rows) do
    parts[#parts + 1], top = gantt_group(row, box, x, top)
  end
  parts[#parts + 1] = svg.text(14, (box.top + box.bottom) / 2, "title middle", "worker",
    { transform = ("rotate(-90 14 %.1f)"):format((box.top + box.bottom) / 2) })
  return svg.plot(box, "gantt", "Tasks of each worker: " .. entry.title, table.concat(parts))
end

-- ---- Latencies ------------------------------------------------------------------

local function curve(sorted, x, y)
  local points, count = {}, #sorted
  for i = 0, CURVE_POINTS do
    local fraction = i / CURVE_POINTS
    local index = math.max(1, math.ceil(fraction * count))
    points[i + 1] = ("%.1f %.1f"):format(x.place(sorted[index] * 1000), y.place(fraction * 100))
  end
  return "M" .. table.concat(points, "L")
end

local function latency_series(row, x, y)
  local entry = series.of(row.backend)
  local sorted = table.move(row.tasks, 1, #row.tasks, 1, {})
  table.sort(sorted)
  local parts = { svg.element("path", { class = "line " .. class_of(row),
    d = curve(sorted, x, y), ["stroke-dasharray"] = entry.dash }) }
  for _, percent in ipairs({ 50, 99 }) do
    local value = stats.quantile(sorted, percent / 100) * 1000
    parts[#parts + 1] = svg.mark(entry.mark, x.place(value), y.place(percent), class_of(row),
      ("%s: %d%% of the tasks take at most %.3f ms"):format(series.name(row), percent, value))
  end
  return table.concat(parts)
end

--- Draws the distribution of the tasks' times.
-- @tparam table entry a workload of the report
-- @tparam integer cpus
-- @treturn ?string markup, nil if nothing is known of tasks
-- @treturn table the groups of rows that are shown
local function latency(entry, cpus)
  local rows = representatives(entry.rows, cpus)
  local low, high = math.huge, 0
  for _, row in ipairs(rows) do
    for _, seconds in ipairs(row.tasks) do
      low, high = math.min(low, seconds * 1000), math.max(high, seconds * 1000)
    end
  end
  if high <= 0 then
    return nil, {}
  end
  local box = svg.area(WIDTH, 320)
  low = math.max(low, high * 1e-4)
  local x = svg.logarithmic(low * 0.95, high * 1.05, box.left + 8, box.right - 8)
  local y = svg.linear(0, 100, box.bottom, box.top)
  local parts = { svg.y_axis(box, y, "tasks done within, %"),
    svg.x_axis(box, x, "time of a task, ms") }
  for _, row in ipairs(rows) do
    parts[#parts + 1] = latency_series(row, x, y)
  end
  return svg.plot(box, "latency", "Distribution of the tasks' times: " .. entry.title,
    table.concat(parts)), series.group(rows)
end

-- ---- Runs -----------------------------------------------------------------------

local function run_dots(row, x, middle)
  local parts = {}
  for i, seconds in ipairs(row.times) do
    parts[i] = svg.element("circle", { class = "run " .. class_of(row), cx = x.place(seconds),
      cy = middle + ((i * 5) % 7 - 3) * 1.2, r = 2.4 },
      svg.tip(("%s, run %d: %.4f s"):format(series.name(row), i, seconds)))
  end
  return table.concat(parts)
end

local function box_of(row, x, middle)
  local class = class_of(row)
  local first, third = stats.quantile(row.times, 0.25), stats.quantile(row.times, 0.75)
  local left, right = x.place(first), x.place(third)
  local centre = x.place(row.seconds)
  return svg.element("line", { class = "whisker " .. class, x1 = x.place(row.min),
      x2 = x.place(row.max), y1 = middle, y2 = middle })
    .. svg.element("rect", { class = "box " .. class, x = left,
      width = math.max(1.0, right - left), y = middle - 7.0, height = 14 },
      svg.tip(("%s: median %.4f s, half of the runs from %.4f to %.4f s"):format(
        series.name(row), row.seconds, first, third)))
    .. svg.element("line", { class = "median " .. class, x1 = centre, x2 = centre,
      y1 = middle - 7.0, y2 = middle + 7.0 })
    .. run_dots(row, x, middle)
end

--- Draws the times of all runs as box plots: from the fastest to the slowest, the middle
-- half in a box, the median in it, each run a dot.
-- @tparam table entry a workload of the report
-- @treturn string markup
local function runs(entry)
  local low, high = math.huge, 0
  for _, row in ipairs(entry.rows) do
    low, high = math.min(low, row.min), math.max(high, row.max)
  end
  local room = math.max((high - low) * 0.04, high * 0.005)
  local box = svg.area(WIDTH, #entry.rows * BOX_ROW + 56,
    { left = LABEL_WIDTH, top = 6, bottom = 50 })
  local unit, factor = "s", 1
  if high < 0.1 then
    unit, factor = "ms", 1000
  end
  local axis = svg.linear(math.max(0, low - room) * factor, (high + room) * factor, box.left,
    box.right)
  local x = { place = function(seconds) return axis.place(seconds * factor) end }
  local parts = { svg.x_axis(box, axis, "time of a run, " .. unit) }
  for i, row in ipairs(entry.rows) do
    local middle = box.top + (i - 0.5) * BOX_ROW
    parts[#parts + 1] = svg.text(LABEL_WIDTH - 8, middle + 4, "tick end", series.short_name(row))
    parts[#parts + 1] = box_of(row, x, middle)
  end
  return svg.plot(box, "runs", "Times of all runs: " .. entry.title, table.concat(parts))
end

-- ---- Bars -----------------------------------------------------------------------

--- Draws a bar for each row.
-- @tparam table entry a workload of the report
-- @tparam table what `class`, `title` of the axis, `value(row)`, `format` of the labels
-- @treturn ?string markup, nil if there is nothing to show
local function bars(entry, what)
  local rows, high = {}, 0
  for _, row in ipairs(entry.rows) do
    local value = not row.is_rival and row.backend ~= "serial" and what.value(row)
    if value then
      rows[#rows + 1] = row
      high = math.max(high, value)
    end
  end
  if high == 0 then
    return nil
  end
  local box = svg.area(WIDTH, #rows * BAR_ROW + 56, { left = LABEL_WIDTH, top = 6, bottom = 50 })
  -- The label of the longest bar stands behind it.
  local x = svg.linear(0, high * 1.28, box.left, box.right)
  local parts = { svg.x_axis(box, x, what.title) }
  for i, row in ipairs(rows) do
    local top, value = box.top + (i - 1) * BAR_ROW + 4.0, what.value(row)
    local shown = what.format:format(value)
    parts[#parts + 1] = svg.text(LABEL_WIDTH - 8, top + 13, "tick end", series.short_name(row))
    parts[#parts + 1] = svg.element("rect", { class = "bar " .. class_of(row), x = box.left,
      width = math.max(1.0, x.place(value) - box.left), y = top, height = BAR_ROW - 8 },
      svg.tip(("%s: %s"):format(series.name(row), shown)))
    parts[#parts + 1] = svg.text(x.place(value) + 6, top + 13, "value", shown)
  end
  return svg.plot(box, what.class, what.title .. ": " .. entry.title, table.concat(parts))
end

return { bars = bars, gantt = gantt, latency = latency, runs = runs }
