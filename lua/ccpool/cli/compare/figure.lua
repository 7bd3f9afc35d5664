--- Writes the plots of speedup as one picture that stands alone.
-- @module ccpool.cli.compare.figure

local speedup = require("ccpool.cli.compare.speedup")
local style = require("ccpool.cli.compare.style")
local svg = require("ccpool.cli.compare.svg")

local HEAD, FOOT = 34, 34
local LEGEND_GAP = 26
-- A character of the legend's text is about so wide.
local CHARACTER = 6.4
local SAMPLE = 30

local function legend(groups, width, y)
  local total, parts = SAMPLE + 5 * CHARACTER, {}
  for _, group in ipairs(groups) do
    total = total + SAMPLE + #group.series.label * CHARACTER + LEGEND_GAP
  end
  local x = (width - total) / 2
  for _, group in ipairs(groups) do
    local entry = group.series
    local class = "s-" .. entry.backend
    parts[#parts + 1] = svg.element("path", { class = "line " .. class,
        d = ("M%.1f %.1fh24"):format(x, y - 4), ["stroke-dasharray"] = entry.dash })
      .. svg.mark(entry.mark, x + 12, y - 4, class, entry.label)
      .. svg.text(x + SAMPLE, y, "legend", entry.label)
    x = x + SAMPLE + #entry.label * CHARACTER + LEGEND_GAP
  end
  return table.concat(parts) .. svg.element("path", { class = "ideal",
    d = ("M%.1f %.1fh24"):format(x, y - 4) }) .. svg.text(x + SAMPLE, y, "legend", "ideal")
end

-- The groups of all entries, each series once.
local function merge_groups(known, groups)
  for _, group in ipairs(groups) do
    if not known[group.series.backend] then
      known[group.series.backend] = true
      known[#known + 1] = group
    end
  end
  table.sort(known, function(a, b) return a.series.rank < b.series.rank end)
end

--- Draws the speedup of each workload of a report, side by side.
-- @tparam table report
-- @treturn string SVG
local function draw(report)
  local parts, known, count = {}, {}, 0
  for _, entry in ipairs(report.entries) do
    local drawing, groups = speedup.draw(entry, report.machine.cpus)
    if drawing then
      local left = count * speedup.WIDTH
      parts[#parts + 1] = svg.text(left + speedup.WIDTH / 2, 20, "label middle", entry.title)
      parts[#parts + 1] = svg.element("g", { transform = ("translate(%d %d)"):format(left, HEAD) },
        (drawing:gsub("^<svg", ('<svg width="%d" height="%d"'):format(speedup.WIDTH,
          speedup.HEIGHT), 1)))
      merge_groups(known, groups)
      count = count + 1
    end
  end
  local width = math.max(1, count) * speedup.WIDTH
  local height = HEAD + speedup.HEIGHT + FOOT
  parts[#parts + 1] = legend(known, width, height - 12)
  return svg.element("svg", { class = "plot", xmlns = "http://www.w3.org/2000/svg",
    viewBox = ("0 0 %d %d"):format(width, height), width = width, height = height },
    "<style>" .. style.of_plots() .. "</style>"
    .. svg.element("rect", { width = width, height = height, rx = 8, fill = "var(--paper)" })
    .. table.concat(parts)) .. "\n"
end

return { speedup = draw }
