--- Turns samples into the lines of the table.

local OPS = {
  [">="] = { text = "≥", met = function(value, bound) return value >= bound end },
  ["<="] = { text = "≤", met = function(value, bound) return value <= bound end },
}
local NAMES = { python = "Python", go = "Go" }
local NONE = "–"

local M = {}

--- @tparam ?table list numbers
-- @treturn ?table `median`, `min`, `max`; nil without a sample
function M.summary(list)
  if not list or #list == 0 then return nil end
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local low, high = sorted[(#sorted + 1) // 2], sorted[#sorted // 2 + 1]
  return { median = (low + high) / 2, min = sorted[1], max = sorted[#sorted] }
end

local function number(value)
  if not value then return NONE end
  local magnitude = math.abs(value)
  if magnitude >= 1000 then
    return ("%.0f"):format(value)
  end
  return ("%." .. (magnitude >= 100 and 0 or magnitude >= 10 and 1 or magnitude >= 1 and 2 or 3)
    .. "f"):format(value)
end

local function goal_text(goals)
  local texts = {}
  for i, goal in ipairs(goals) do
    local bound = ("%g"):format(goal.bound)
    if goal.of then
      bound = goal.bound == 1 and NAMES[goal.of] or bound .. " × " .. NAMES[goal.of]
    end
    texts[i] = OPS[goal.op].text .. " " .. bound
  end
  return #texts > 0 and table.concat(texts, ", ") or NONE
end

-- "yes", "no", or "?" if something that a goal is a multiple of was not measured.
local function verdict(goals, value, references)
  local word = "yes"
  if not value then return "?" end
  for _, goal in ipairs(goals) do
    local unit = 1
    if goal.of then unit = references[goal.of] end
    if unit and not OPS[goal.op].met(value, goal.bound * unit) then return "no" end
    if not unit then word = "?" end
  end
  return #goals > 0 and word or NONE
end

local function median(samples, kind, measure)
  local summary = M.summary(samples[kind] and samples[kind][measure])
  return summary and summary.median
end

-- How many times better than the reference. Of rates more is better, without a goal, too.
local function ratio(figure, value, reference)
  if not value or not reference then return NONE end
  local first = figure.goals[1]
  local more_is_better = first and first.op == ">=" or figure.measure:find("/s$") ~= nil
  return number(more_is_better and value / reference or reference / value) .. " ×"
end

--- The cells of a figure.
-- @tparam table figure of `rows`
-- @tparam table samples by contender, kind and measure
-- @treturn table an array of strings
-- @treturn string "yes", "no", "?" or a dash: whether the goal is met
function M.cells(figure, samples)
  figure.goals = figure.goals or {}
  local ours = M.summary(samples.ccpool[figure.kind] and
    samples.ccpool[figure.kind][figure.measure]) or {}
  local references = {
    python = median(samples.python, figure.python, figure.measure),
    go = median(samples.go, "go", figure.measure),
  }
  local met = verdict(figure.goals, ours.median, references)
  return {
    figure.what, number(ours.median), number(ours.min), number(ours.max),
    goal_text(figure.goals), met,
    number(references.python), ratio(figure, ours.median, references.python),
    number(references.go), ratio(figure, ours.median, references.go),
  }, met
end

--- The heading of the cells.
M.HEADING = {
  "figure", "median", "min", "max", "goal", "met", "Python", "better by", "Go", "better by",
}

local function width(text) return utf8.len(text) or #text end

local function widths(lines)
  local list = {}
  for _, line in ipairs(lines) do
    for i, cell in ipairs(line) do list[i] = math.max(list[i] or 0, width(cell)) end
  end
  return list
end

-- The first and the fifth column are text, the others stand on the right.
local function is_text(i) return i == 1 or i == 5 or i == 6 end

local function pad(cell, i, columns)
  local space = (" "):rep(columns[i] - width(cell))
  return is_text(i) and cell .. space or space .. cell
end

local function join(line, columns, left, middle, right)
  local cells = {}
  for i, cell in ipairs(line) do cells[i] = pad(cell, i, columns) end
  return left .. table.concat(cells, middle) .. right
end

--- Lays lines out for a terminal or as Markdown.
-- @tparam table lines arrays of cells, the heading first
-- @tparam boolean markdown
-- @treturn string
function M.format(lines, markdown)
  local columns, out = widths(lines), {}
  for i, line in ipairs(lines) do
    if not markdown then
      out[#out + 1] = join(line, columns, "", "  ", ""):gsub("%s+$", "")
    else
      out[#out + 1] = join(line, columns, "| ", " | ", " |")
      if i == 1 then
        local rule = {}
        for c, w in ipairs(columns) do
          rule[c] = is_text(c) and ("-"):rep(w + 2) or ("-"):rep(w + 1) .. ":"
        end
        out[#out + 1] = "|" .. table.concat(rule, "|") .. "|"
      end
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return M
