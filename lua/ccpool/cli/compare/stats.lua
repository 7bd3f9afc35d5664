--- Statistics of a few measured values.
-- @module ccpool.cli.compare.stats

local RESAMPLES = 2000
-- Any fixed start will do: the same values shall give the same interval.
local SEED = 0x9e3779b97f4a7c15
local INTERVAL = 0.95

local function sorted_copy(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  return sorted
end

-- The quantile of sorted values, between two neighbours in proportion.
local function quantile_of_sorted(sorted, fraction)
  local place = 1 + (#sorted - 1) * fraction
  local below = math.floor(place)
  local above = math.min(below + 1, #sorted)
  return sorted[below] + (place - below) * (sorted[above] - sorted[below])
end

--- The value below which a fraction of the values lies.
-- @tparam table values an array of numbers, not empty
-- @tparam number fraction from 0 to 1
-- @treturn number
-- @usage stats.quantile({ 1, 2, 3 }, 0.5)  --> 2
local function quantile(values, fraction)
  return quantile_of_sorted(sorted_copy(values), fraction)
end

--- The middle value.
-- @tparam table values an array of numbers, not empty
-- @treturn number
-- @usage stats.median({ 4, 1, 3 })  --> 3
local function median(values)
  return quantile(values, 0.5)
end

--- The arithmetic mean.
-- @tparam table values an array of numbers, not empty
-- @treturn number
local function mean(values)
  local sum = 0
  for _, value in ipairs(values) do
    sum = sum + value
  end
  return sum / #values
end

--- The standard deviation of a sample.
-- @tparam table values an array of numbers
-- @treturn ?number nil for fewer than two values
local function deviation(values)
  if #values < 2 then
    return nil
  end
  local centre, sum = mean(values), 0
  for _, value in ipairs(values) do
    sum = sum + (value - centre) ^ 2
  end
  return math.sqrt(sum / (#values - 1))
end

-- Whole numbers from 1 to `count`, by xorshift: the program's own random numbers stay
-- untouched.
local function new_dice(count)
  local state = SEED
  return function()
    state = state ~ (state << 13)
    state = state ~ (state >> 7)
    state = state ~ (state << 17)
    return (state >> 1) % count + 1
  end
end

--- An interval in which the true median lies with 95% confidence, by the bootstrap: the
-- medians of many samples drawn from the values, with the outer 5% cut off.
-- @tparam table values an array of numbers
-- @treturn[1] number low
-- @treturn[1] number high
-- @treturn[2] nil for fewer than three values
-- @usage local low, high = stats.interval({ 1.0, 1.1, 0.9, 1.0 })
local function interval(values)
  local count = #values
  if count < 3 then
    return nil
  end
  local dice, medians, drawn = new_dice(count), {}, {}
  for i = 1, RESAMPLES do
    for k = 1, count do
      drawn[k] = values[dice()]
    end
    table.sort(drawn)
    medians[i] = quantile_of_sorted(drawn, 0.5)
  end
  table.sort(medians)
  local tail = (1 - INTERVAL) / 2
  return quantile_of_sorted(medians, tail), quantile_of_sorted(medians, 1 - tail)
end

return {
  deviation = deviation,
  interval = interval,
  mean = mean,
  median = median,
  quantile = quantile,
}
