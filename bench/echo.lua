-- Time to send a value to a worker and get it back: strings of 1 KB, 1 MB and 64 MB, an
-- array of 100 000 integers, an array of 10 000 records.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local KB, MB = 1024, 1024 * 1024
local INTEGERS, RECORDS = 100000, 10000
local US, MS = 1e6, 1e3

local now = support.now

local function identity(value) return value end

local function text(bytes)
  local piece = "0123456789abcdef"
  return piece:rep(bytes // #piece)
end

local function integers()
  local list = {}
  for i = 1, INTEGERS do list[i] = i * 1001 end
  return list
end

local function records()
  local list = {}
  for i = 1, RECORDS do
    list[i] = { id = i, name = "record " .. i, tags = { "red", "green", "tag " .. i % 10 } }
  end
  return list
end

local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- measure, what makes the value and its argument, warm-ups, samples, echoes in a sample
-- (their median counts). A value is made when its turn comes: what else is alive changes
-- how often garbage is collected.
local CASES = {
  { "1KB_us", text, KB, 1, 5, 4000, US },
  { "1MB_us", text, MB, 1, 3, 100, US },
  { "64MB_us", text, 64 * MB, 1, 3, 1, US },
  { "integers_ms", integers, nil, 2, 3, 5, MS },
  { "records_ms", records, nil, 2, 3, 5, MS },
}

local function sample(ex, value, echoes, unit)
  local list = {}
  for i = 1, echoes do
    local started = now()
    local back = ex:submit(identity, value):result()
    list[i] = (now() - started) * unit
    if i == echoes and not equal(value, back) then error("the echo differs") end
  end
  return support.percentile(list, 0.5)
end

support.main({ "threads", "processes" }, function(kind)
  local ex <close> = support.open(kind)
  for _, case in ipairs(CASES) do
    local measure, make, argument, warmups, samples, echoes, unit = table.unpack(case, 1, 7)
    local value = make(argument)
    support.report(kind, measure, support.samples(warmups, samples, function()
      return sample(ex, value, echoes, unit)
    end))
  end
end)
