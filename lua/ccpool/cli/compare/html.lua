--- Writes the report: one file of HTML that needs nothing else.
-- @module ccpool.cli.compare.html

local plots = require("ccpool.cli.compare.plots")
local series = require("ccpool.cli.compare.series")
local speedup = require("ccpool.cli.compare.speedup")
local style = require("ccpool.cli.compare.style")
local svg = require("ccpool.cli.compare.svg")
local tables = require("ccpool.cli.compare.tables")

local KIBIBYTE = 1024
local element, escape = svg.element, svg.escape

-- Shows a mark's title beside the pointer. Without scripts the browser shows it by itself.
local SCRIPT = [[
(function () {
  var tip = document.getElementById("tip");
  document.querySelectorAll("svg title").forEach(function (title) {
    title.parentNode.setAttribute("data-tip", title.textContent);
    title.remove();
  });
  document.addEventListener("pointermove", function (event) {
    var mark = event.target.closest && event.target.closest("[data-tip]");
    tip.style.visibility = mark ? "visible" : "hidden";
    if (!mark) { return; }
    tip.textContent = mark.getAttribute("data-tip");
    var x = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
    var y = event.clientY + 16;
    if (y + tip.offsetHeight > innerHeight) { y = event.clientY - tip.offsetHeight - 10; }
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = y + "px";
  });
}());
]]

local function legend_mark(entry)
  return element("svg", { class = "plot", viewBox = "0 0 26 14", ["aria-hidden"] = "true" },
    element("path", { class = "line s-" .. entry.backend, d = "M0 7h26",
      ["stroke-dasharray"] = entry.dash })
    .. svg.mark(entry.mark, 13, 7, "s-" .. entry.backend, entry.label))
end

local function legend(groups, has_ideal)
  local items = {}
  for i, group in ipairs(groups) do
    items[i] = "<li>" .. legend_mark(group.series) .. escape(group.series.label) .. "</li>"
  end
  if has_ideal then
    items[#items + 1] = '<li><svg class="plot" viewBox="0 0 26 14" aria-hidden="true">'
      .. '<path class="ideal" d="M0 7h26"/></svg>ideal</li>'
  end
  return '<ul class="legend">' .. table.concat(items) .. "</ul>"
end

local function figure(title, drawing, caption, key)
  if not drawing then
    return ""
  end
  return "<figure><h3>" .. escape(title) .. "</h3>" .. (key or "") .. drawing
    .. "<figcaption>" .. escape(caption) .. "</figcaption></figure>\n"
end

-- Kibibytes, or mebibytes where there are many.
local function memory_unit(entry)
  local most = 0
  for _, row in ipairs(entry.rows) do
    most = math.max(most, not row.is_rival and row.memory_per_worker or 0)
  end
  if most >= 4 * KIBIBYTE * KIBIBYTE then
    return "MiB", KIBIBYTE * KIBIBYTE, "%.1f MiB"
  end
  return "KiB", KIBIBYTE, "%.0f KiB"
end

local function memory_figure(entry)
  local unit, bytes, format = memory_unit(entry)
  return figure("Memory per worker", plots.bars(entry, {
    class = "memory",
    title = "memory per worker, " .. unit,
    format = format,
    value = function(row)
      return row.memory_per_worker and row.memory_per_worker / bytes
    end,
  }), "What program, workers and their processes hold in the end more than before the start, "
    .. "by worker. Pages that several share count once.")
end

local function start_figure(entry)
  return figure("Start of a worker", plots.bars(entry, {
    class = "start",
    title = "time to start, by worker, ms",
    format = "%.2f ms",
    value = function(row) return row.start_per_worker * 1000 end,
  }), "From making the executor until all workers are ready, by worker.")
end

local function work_figures(entry, cpus)
  local lines, groups = speedup.draw(entry, cpus)
  local curves, curve_groups = plots.latency(entry, cpus)
  return figure("Speedup", lines, "Median time of the serial runs by the median time with so "
      .. "many workers; whiskers are 95% intervals.", legend(groups, true))
    .. figure("Who ran what when", plots.gantt(entry, cpus), "A box is a task. Shown is the run "
      .. "nearest to the median.")
    .. figure("Times of tasks", curves, "How many of the tasks are done within a time, all runs "
      .. "together; marks at 50% and 99%.", legend(curve_groups))
end

local function row_line(row)
  local cells = tables.cells_of(row)
  local parts = {}
  for i = 2, #cells do
    local content = escape(cells[i])
    if i == 2 then
      content = ('<span class="dot s-%s"></span>'):format(row.backend)
        .. escape(series.of(row.backend).label)
    elseif i == #cells then
      content = ""
      for _, note in ipairs(row.notes) do
        content = content .. '<span class="flag">' .. escape(note) .. "</span>"
      end
    end
    parts[#parts + 1] = ('<td class="%s">%s</td>'):format(tables.columns[i][2], content)
  end
  return "<tr>" .. table.concat(parts) .. "</tr>\n"
end

local function data_table(entry)
  local heads, lines = {}, {}
  for i = 2, #tables.columns do
    heads[#heads + 1] = ('<th scope="col" class="%s">%s</th>'):format(tables.columns[i][2],
      escape(tables.columns[i][1]))
  end
  for i, row in ipairs(entry.rows) do
    lines[i] = row_line(row)
  end
  return '<div class="scroll"><table><thead><tr>' .. table.concat(heads)
    .. "</tr></thead><tbody>\n" .. table.concat(lines) .. "</tbody></table></div>\n"
end

-- One sentence on the best of the executors.
local function summary(entry)
  local best
  for _, row in ipairs(entry.rows) do
    local is_candidate = row.speedup and not row.is_rival and row.workers > 1
    if is_candidate and not (best and best.speedup >= row.speedup) then
      best = row
    end
  end
  if not best then
    return ""
  end
  return ("<p>Best: %s, %.2f times as fast as serial.</p>"):format(escape(series.name(best)),
    best.speedup)
end

local function section(entry, report)
  local failure = entry.failure
    and ('<p class="alarm">Not comparable: %s.</p>'):format(escape(entry.failure)) or ""
  local figures = entry.is_start and start_figure(entry)
    or work_figures(entry, report.machine.cpus)
  local runs = figure("Times of runs", plots.runs(entry), "The middle half of the runs in a box, "
    .. "the median in it, whiskers to the fastest and the slowest; each run is a dot.")
  return ('<section id="%s"><h2>%s</h2><p class="soft">%s.</p>%s%s<div class="plots">\n%s%s%s'
    .. "</div>\n%s</section>\n"):format(entry.name, escape(entry.name), escape(entry.title),
    failure, summary(entry), figures, runs, memory_figure(entry), data_table(entry))
end

local function notes(report)
  local items = {}
  for i, note in ipairs(report.notes) do
    items[i] = "<li>" .. escape(note) .. "</li>"
  end
  return '<ul class="notes soft">' .. table.concat(items) .. "</ul>\n"
end

--- Writes the report.
-- @tparam table report
-- @treturn string HTML
local function page(report)
  local links, sections = {}, {}
  for i, entry in ipairs(report.entries) do
    links[i] = ('<a href="#%s">%s</a>'):format(entry.name, escape(entry.name))
    sections[i] = section(entry, report)
  end
  -- Within a script only this sequence could end it.
  local data = tables.json(report):gsub("</", "<\\/")
  return table.concat({
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    '<link rel="icon" href="data:,"><title>ccpool compare</title>\n<style>\n', style.of_page(),
    "</style></head>\n<body><main><h1>ccpool compare</h1>\n",
    '<p class="soft">The same work serially, on threads and on processes. ',
    ("Medians of %d rounds after %d to warm up, backends in turn.</p>\n"):format(report.runs,
      report.warmup),
    "<nav>", table.concat(links), "</nav>\n", notes(report), table.concat(sections),
    '</main><div id="tip" role="tooltip"></div>\n<script type="application/json" id="data">',
    data, "</script>\n<script>\n", SCRIPT, "</script></body></html>\n",
  })
end

return { page = page }
