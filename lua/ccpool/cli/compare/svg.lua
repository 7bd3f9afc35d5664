--- Writes SVG: elements, numbers, axes.
-- @module ccpool.cli.compare.svg

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
-- Room around the drawing area, for tick labels and titles.
local MARGINS = { left = 56, right = 18, top = 14, bottom = 46 }
local TICKS = 5

--- Escapes text for HTML and SVG.
-- @tparam string text
-- @treturn string
-- @usage svg.escape("a < b")  --> "a &lt; b"
local function escape(text)
  return (tostring(text):gsub('[&<>"]', ESCAPES))
end

local function attribute_value(value)
  return math.type(value) == "float" and ("%.2f"):format(value) or escape(value)
end

--- An element.
-- @tparam string name
-- @tparam table attributes strings and numbers by name
-- @tparam[opt] string content markup inside
-- @treturn string markup
-- @usage svg.element("rect", { width = 10, height = 5 })
local function element(name, attributes, content)
  local names = {}
  for key in pairs(attributes) do
    names[#names + 1] = key
  end
  table.sort(names)
  local parts = { "<" .. name }
  for _, key in ipairs(names) do
    parts[#parts + 1] = (' %s="%s"'):format(key, attribute_value(attributes[key]))
  end
  return table.concat(parts) .. (content and ">" .. content .. "</" .. name .. ">" or "/>")
end

--- Text at a place.
-- @tparam number x
-- @tparam number y of its base line
-- @tparam string class
-- @tparam string content plain text
-- @tparam[opt] table more attributes
-- @treturn string markup
local function text(x, y, class, content, more)
  local attributes = { x = x + 0.0, y = y + 0.0, class = class }
  for key, value in pairs(more or {}) do
    attributes[key] = value
  end
  return element("text", attributes, escape(content))
end

--- What a mark tells when it is pointed at.
-- @tparam string content plain text
-- @treturn string markup, to be put inside the mark
local function tip(content)
  return element("title", {}, escape(content))
end

-- The step of about `count` ticks: 1, 2 or 5 times a power of ten.
local function nice_step(length, count)
  local rough = length / count
  local power = 10 ^ math.floor(math.log(rough, 10))
  for _, factor in ipairs({ 1, 2, 5 }) do
    if rough <= factor * power then
      return factor * power
    end
  end
  return 10 * power
end

local function label_of(value, step)
  local digits = math.max(0, -math.floor(math.log(step, 10) + 1e-9))
  return ("%." .. digits .. "f"):format(value)
end

--- A linear scale with round ticks.
-- @tparam number low
-- @tparam number high above `low`
-- @tparam number from the place of `low`
-- @tparam number to the place of `high`
-- @treturn table `place(value)`, `ticks`: an array of `{ value, label }`
local function linear(low, high, from, to)
  local step = nice_step(high - low, TICKS)
  local ticks = {}
  for i = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do
    ticks[#ticks + 1] = { i * step, label_of(i * step, step) }
  end
  local function place(value)
    return from + (value - low) / (high - low) * (to - from)
  end
  return { place = place, ticks = ticks, low = low, high = high }
end

-- Ticks at 1, 2, 5 of each power of ten; with many powers only at 1.
local function log_ticks(low, high)
  local ticks = {}
  local factors = math.log(high / low, 10) > 3 and { 1 } or { 1, 2, 5 }
  for power = math.floor(math.log(low, 10)), math.ceil(math.log(high, 10)) do
    for _, factor in ipairs(factors) do
      local value = factor * 10.0 ^ power
      if value >= low * 0.999 and value <= high * 1.001 then
        ticks[#ticks + 1] = { value, ("%.6g"):format(value) }
      end
    end
  end
  return ticks
end

--- A logarithmic scale; a linear one if the values lie close together.
-- @tparam number low above 0
-- @tparam number high above `low`
-- @tparam number from the place of `low`
-- @tparam number to the place of `high`
-- @treturn table as of @{linear}
local function logarithmic(low, high, from, to)
  if high / low < 6 then
    return linear(low, high, from, to)
  end
  local function place(value)
    return from + math.log(math.max(value, low) / low) / math.log(high / low) * (to - from)
  end
  return { place = place, ticks = log_ticks(low, high), low = low, high = high }
end

--- The drawing area of a plot.
-- @tparam number width of the whole plot
-- @tparam number height
-- @tparam[opt] table margins those that differ: `left`, `right`, `top`, `bottom`
-- @treturn table `left`, `right`, `top`, `bottom`, `width`, `height`
local function area(width, height, margins)
  local room = setmetatable(margins or {}, { __index = MARGINS })
  return { left = room.left, right = width - room.right, top = room.top,
    bottom = height - room.bottom, width = width, height = height }
end

--- The horizontal axis: lines of a grid, labels, a title with its unit.
-- @tparam table box of @{area}
-- @tparam table scale
-- @tparam string title
-- @treturn string markup
local function x_axis(box, scale, title)
  local parts = {}
  for _, tick in ipairs(scale.ticks) do
    local x = scale.place(tick[1])
    parts[#parts + 1] = element("line",
      { class = "grid", x1 = x, x2 = x, y1 = box.top, y2 = box.bottom })
    parts[#parts + 1] = text(x, box.bottom + 17, "tick middle", tick[2])
  end
  parts[#parts + 1] = element("line",
    { class = "axis", x1 = box.left, x2 = box.right, y1 = box.bottom, y2 = box.bottom })
  parts[#parts + 1] = text((box.left + box.right) / 2, box.bottom + 38, "title middle", title)
  return table.concat(parts)
end

--- The vertical axis.
-- @tparam table box of @{area}
-- @tparam table scale
-- @tparam string title
-- @treturn string markup
local function y_axis(box, scale, title)
  local parts = {}
  for _, tick in ipairs(scale.ticks) do
    local y = scale.place(tick[1])
    parts[#parts + 1] = element("line",
      { class = "grid", x1 = box.left, x2 = box.right, y1 = y, y2 = y })
    parts[#parts + 1] = text(box.left - 8, y + 4, "tick end", tick[2])
  end
  local middle = (box.top + box.bottom) / 2
  parts[#parts + 1] = text(16, middle, "title middle", title,
    { transform = ("rotate(-90 16 %.1f)"):format(middle) })
  return table.concat(parts)
end

--- The mark of a point.
-- @tparam string kind `circle`, `square`, `diamond`, `triangle` or `cross`
-- @tparam number x
-- @tparam number y
-- @tparam string class
-- @tparam string content the tip
-- @treturn string markup
local function mark(kind, x, y, class, content)
  local r = 5
  local paths = {
    square = "M%.1f %.1fh9v9h-9z",
    diamond = "M%.1f %.1fl6 6l-6 6l-6 -6z",
    triangle = "M%.1f %.1fl6 10h-12z",
    cross = "M%.1f %.1fl9 9m0 -9l-9 9",
  }
  local offsets = { square = { -4.5, -4.5 }, diamond = { 0, -6 }, triangle = { 0, -6 },
    cross = { -4.5, -4.5 } }
  if kind == "circle" then
    return element("circle", { class = "mark " .. class, cx = x + 0.0, cy = y + 0.0, r = r },
      tip(content))
  end
  local offset = offsets[kind]
  return element("path", { class = "mark " .. kind .. " " .. class,
    d = paths[kind]:format(x + offset[1], y + offset[2]) }, tip(content))
end

--- A whole plot.
-- @tparam table box of @{area}
-- @tparam string class
-- @tparam string label what it shows, for those who cannot see it
-- @tparam string content markup
-- @treturn string markup
local function plot(box, class, label, content)
  return element("svg", { class = "plot " .. class, role = "img", ["aria-label"] = label,
    viewBox = ("0 0 %d %d"):format(box.width, box.height),
    xmlns = "http://www.w3.org/2000/svg" }, content)
end

return {
  area = area,
  element = element,
  escape = escape,
  linear = linear,
  logarithmic = logarithmic,
  mark = mark,
  plot = plot,
  text = text,
  tip = tip,
  x_axis = x_axis,
  y_axis = y_axis,
}
