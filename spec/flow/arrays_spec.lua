local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local task = pools.task

-- How the first `n` integer keys of a table come about: it decides which of them lie in
-- Lua's array part, which among the other pairs, and in what order they are met.
local ORDERS = {
  upwards = function(n)
    local keys = {}
    for i = 1, n do keys[i] = i end
    return keys
  end,
  downwards = function(n)
    local keys = {}
    for i = 1, n do keys[i] = n + 1 - i end
    return keys
  end,
  shuffled = function(n, random)
    local keys = {}
    for i = 1, n do
      local j = random(i)
      keys[i] = keys[j]
      keys[j] = i
    end
    return keys
  end,
}

local ITEMS = {
  integers = function(i) return i * 1001 end,
  ["integers and floats"] = function(i, random) return random(9) == 1 and i / 2 or i end,
  ["integers and strings"] = function(i, random) return random(9) == 1 and tostring(i) or i end,
  ["integers and tables"] = function(i, random) return random(9) == 1 and { i } or -i end,
}

local LENGTHS = { 0, 1, 2, 3, 4, 8, 9, 17, 64, 255, 256, 257, 258, 300, 1000 }

-- Other pairs: the names of numbers among them, which are no numbers.
local function add_others(t, n, random)
  for _ = 1, random(0, 6) do
    t[tostring(random(0, n + 2))] = random(100)
    t[random(0, n + 2) + 0.5] = "half"
    t[-random(n + 2)] = "below"
  end
end

local function make(order, item, n, random)
  local t = {}
  local early = random(2) == 1
  if early then add_others(t, n, random) end
  for _, key in ipairs(order(n, random)) do t[key] = item(key, random) end
  if not early then add_others(t, n, random) end
  if n > 0 then
    for _ = 1, random(0, 2) do t[random(n)] = nil end
  end
  return t
end

-- A generator of its own: what other specs draw does not change it.
local function generator(seed)
  local state = seed
  return function(low, high)
    if not high then low, high = 1, low end
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return low + (state >> 8) % (high - low + 1)
  end
end

local function echo(...) return ... end

describe("arrays", function()
  local ex

  setup(function() ex = ccpool.SerialExecutor() end)
  teardown(function() ex:shutdown() end)

  for order_name, order in pairs(ORDERS) do
    for item_name, item in pairs(ITEMS) do
      it("of " .. item_name .. ", filled " .. order_name .. ", travel with all their pairs",
        function()
          for _, n in ipairs(LENGTHS) do
            for seed = 1, 20 do
              local t = make(order, item, n, generator(seed * 7919 + n))
              local back = ex:submit(echo, t):result()
              assert.same(t, back, "length " .. n .. ", seed " .. seed)
            end
          end
        end)
    end
  end
end)

describe("a large result", function()
  -- The module's loader runs while the result is decoded that refers to the module.
  it("may be read again while it is decoded", function()
    local name = "ccpool_spec_reader"
    local future, ex
    local length = 100000
    local read = 0
    package.preload[name] = function()
      read = read + 1
      if future and read == 1 then
        local _, inner = future:result()
        assert(inner == ("x"):rep(length))
        -- takes the memory of the outer message if that was given back
        assert(#ex:submit(echo, ("y"):rep(length)):result() == length)
      end
      return { name = name, read = function() return read end }
    end
    ex = ccpool.ProcessPoolExecutor{ max_workers = 1 }
    finally(function()
      ex:shutdown()
      package.preload[name] = nil
      package.loaded[name] = nil
    end)
    future = ex:submit(task(function(module, n) return require(module), ("x"):rep(n) end),
      name, length)
    local module, text = future:result()
    assert.equal(name, module.name)
    assert.is_true(text == ("x"):rep(length))
    assert.equal(2, read)
  end)
end)
