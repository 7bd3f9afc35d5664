-- Random values travel and come back alike: compared deeply, with what they share.
-- CCPOOL_SEED repeats a run; a failure names its seed. CCPOOL_ROUNDS makes it longer.
local ccpool = require "ccpool"
local pools = require "spec.support.pools"

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local SEED = tonumber(os.getenv("CCPOOL_SEED")) or 20261121
local ROUNDS = tonumber(os.getenv("CCPOOL_ROUNDS")) or 40

local Class = { __name = "spec.property" }
Class.__index = Class
ccpool.register("spec.property", { metatable = Class,
  save = function(o) return o.a, o.b end,
  load = function(a, b) return setmetatable({ a = a, b = b }, Class) end })

-- ------------------------------------------------------------ making values

--- A small generator of its own, so that a seed means the same everywhere.
local function new_random(seed)
  local x = seed * 2654435761 + 88172645463325252
  return function(n)
    x = x ~ x << 13
    x = x ~ x >> 7
    x = x ~ x << 17
    return (x >> 1) % n + 1
  end
end

local NUMBERS = { 0, 1, -1, 111, 112, -16, -17, 127, 128, 255, 256, 32767, 32768, 1 << 31, 1 << 32,
  1 << 62, math.maxinteger, math.mininteger, 0.0, -0.0, 0.5, 1e300, 5e-324, math.huge, -math.huge,
  2.0 ^ 53 }

local Maker = {}
Maker.__index = Maker

local function number(m)
  local kind = m.random(3)
  if kind == 1 then return NUMBERS[m.random(#NUMBERS)] end
  if kind == 2 then return m.random(1 << 62) >> m.random(62) end
  return m.random(1 << 53) / 1024
end

local function text(m)
  local kind = m.random(4)
  if kind == 1 then return ("key%d"):format(m.random(9)) end
  local n = kind == 2 and m.random(70) - 1 or kind == 3 and m.random(8) - 1 or m.random(3000)
  local bytes = {}
  for i = 1, n do bytes[i] = string.char(m.random(256) - 1) end
  return table.concat(bytes)
end

local NAMED = { print, math, string.format, io.stdout, table, math.sqrt, ccpool.register }

local function keep(m, value)
  m.made[#m.made + 1] = value
  return value
end

local function array(m, depth)
  local t = keep(m, {})
  local same = m.random(3) -- all numbers of one kind, or mixed
  for i = 1, m.random(m.random(10) == 1 and 600 or 12) do
    if same == 1 then t[i] = m.random(1000)
    elseif same == 2 then t[i] = m.random(1000) / 8
    elseif m.random(8) > 1 then t[i] = m:value(depth - 1) end
  end
  return t
end

local function record(m, depth)
  local t = keep(m, {})
  for _ = 1, m.random(10) do
    local key = m.random(3) > 1 and text(m) or m:value(depth - 1)
    if key ~= nil and key == key then t[key] = m:value(depth - 1) end
  end
  return t
end

local function with_metatable(m, depth)
  local t = record(m, depth)
  return setmetatable(t, m.metatable and m.random(2) == 1 and m.metatable or record(m, depth))
end

--- It must not come to hold itself: then it could not be loaded.
local function instance(m)
  local inner = setmetatable({ a = text(m), b = { number(m) } }, Class)
  return keep(m, setmetatable({ a = inner, b = m.random(2) == 1 and inner or number(m) }, Class))
end

--- Two closures that share one local and have one each.
local function closures(m, depth)
  local shared, mine, yours = m:value(depth - 1), m:value(depth - 1), m:value(depth - 1)
  local function get() return shared, mine end
  local function set(v)
    local old = shared
    shared = v
    return old, yours
  end
  keep(m, get)
  keep(m, set)
  return { get, set }
end

local LEAVES = { function() return nil end, function(m) return m.random(2) == 1 end, number, number,
  text, text, function(m) return NAMED[m.random(#NAMED)] end }
local NODES = { array, array, record, record, with_metatable, instance, closures }

function Maker:value(depth)
  local again = self.random(8) == 1 and #self.made > 0
  if again then return self.made[self.random(#self.made)] end
  if depth > 0 and self.random(2) == 1 then return NODES[self.random(#NODES)](self, depth) end
  return LEAVES[self.random(#LEAVES)](self)
end

local function make_values(seed)
  local m = setmetatable({ random = new_random(seed), made = {} }, Maker)
  m.metatable = { __name = "shared" }
  local values = { n = m.random(4) }
  for i = 1, values.n do values[i] = m:value(4) end
  -- some cycles
  for _ = 1, m.random(4) do
    local t, key = m.made[m.random(math.max(1, #m.made))], m.random(20)
    if type(t) == "table" and getmetatable(t) ~= Class then
      rawset(t, key, m.made[m.random(#m.made)])
    end
  end
  return values
end

-- ------------------------------------------------------------ comparing

local compare

local function differ(path, a, b)
  error(("%s: %s became %s"):format(path, tostring(a), tostring(b)), 0)
end

--- Keys that are objects are told apart by nothing but what they hold: those are matched
-- in any order; all others by themselves.
local function compare_tables(seen, path, a, b)
  local odd, others = {}, {}
  for k, v in next, a do
    if type(k) == "table" or type(k) == "function" and not seen.named[k] then odd[#odd + 1] = k
    else compare(seen, path .. "." .. tostring(k), v, rawget(b, k)) end
  end
  for k in next, b do
    if type(k) == "table" or type(k) == "function" and not seen.named[k] then
      others[#others + 1] = k
    elseif rawget(a, k) == nil then differ(path .. "." .. tostring(k), nil, rawget(b, k)) end
  end
  if #odd ~= #others then differ(path .. " (keys)", #odd, #others) end
  if #odd == 1 then
    compare(seen, path .. " key", odd[1], others[1])
    compare(seen, path .. "[...]", rawget(a, odd[1]), rawget(b, others[1]))
  end
  compare(seen, path .. " metatable", getmetatable(a), getmetatable(b))
end

local function compare_functions(seen, path, a, b)
  local i = 0
  repeat
    i = i + 1
    local name, x = debug.getupvalue(a, i)
    local other, y = debug.getupvalue(b, i)
    if name ~= other then differ(path .. " upvalue " .. i, name, other) end
    if name then
      local p, q = debug.upvalueid(a, i), debug.upvalueid(b, i)
      if name ~= "_ENV" and seen.cells[p] ~= nil and seen.cells[p] ~= q then
        differ(path .. " upvalue " .. name .. " (sharing)", p, q)
      end
      seen.cells[p] = q
      compare(seen, path .. " upvalue " .. name, x, y)
    end
  until not name
end

--- Numbers bit by bit, and what is the same object everywhere.
local function compare_simple(path, a, b)
  if math.type(a) == "float" then a, b = string.pack("d", a), string.pack("d", b) end
  if a ~= b then differ(path, a, b) end
end

local function is_simple(seen, a)
  return type(a) ~= "table" and type(a) ~= "function" or seen.named[a]
end

function compare(seen, path, a, b)
  if type(a) ~= type(b) or math.type(a) ~= math.type(b) then differ(path, a, b) end
  if is_simple(seen, a) then return compare_simple(path, a, b) end
  if seen[a] ~= nil or seen.back[b] ~= nil then
    if seen[a] ~= b or seen.back[b] ~= a then differ(path .. " (sharing)", seen[a], b) end
    return
  end
  seen[a], seen.back[b] = b, a
  if type(a) == "table" then compare_tables(seen, path, a, b)
  else compare_functions(seen, path, a, b) end
end

local function check(values, got)
  local seen = { back = {}, cells = {}, named = { [_G] = true, [Class] = true } }
  for _, v in ipairs(NAMED) do seen.named[v] = true end
  if values.n ~= got.n then differ("count", values.n, got.n) end
  for i = 1, values.n do compare(seen, "value " .. i, values[i], got[i]) end
end

-- ------------------------------------------------------------ the properties

local function echo(...) return ... end

local ROLES = {
  argument = function(ex, values)
    return table.pack(ex:submit(echo, table.unpack(values, 1, values.n)):result())
  end,
  upvalue = function(ex, values) return ex:submit(function() return values end):result() end,
  error = function(ex, values) return ex:submit(error, values):exception() end,
  item = function(ex, values)
    for _, got in ex:map(echo, { values, values }) do
      if got.n then return got end
    end
  end,
}

describe("any value", function()
  for kind, make in pools.all() do
    for role, travel in pairs(ROLES) do
      it(("comes back alike as %s (%s)"):format(role, kind), function()
        local ex <close> = make(1)
        for i = 1, ROUNDS do
          local seed = SEED + i
          local ok, err = pcall(function()
            local values = make_values(seed)
            check(values, travel(ex, values))
          end)
          if not ok then error(("CCPOOL_SEED=%d CCPOOL_ROUNDS=1: %s"):format(seed - 1,
            tostring(err)), 0) end
        end
      end)
    end
  end

  it("that came back otherwise would be seen", function()
    local values = make_values(SEED)
    values.n = values.n + 1
    values[values.n] = { { 1 }, 2 }
    local other = make_values(SEED)
    other.n = values.n
    other[values.n] = { { 1 }, 2.0 }
    assert.has_error(function() check(values, other) end)
    local shared = {}
    assert.has_error(function() check({ n = 1, { shared, shared } }, { n = 1, { {}, {} } }) end)
    assert.has_error(function() check({ n = 1, { {}, {} } }, { n = 1, { shared, shared } }) end)
    assert.has_error(function()
      check({ n = 1, setmetatable({}, {}) }, { n = 1, {} })
    end)
  end)
end)
