-- A whole small program, from the start of the interpreter to its end: it loads ccpool,
-- makes an executor with two workers, checks 6 000 numbers for primes with `map`, prints
-- how many there are, and exits. "serial" is the same without ccpool.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local FIRST, NUMBERS, PRIMES = 100000001, 6000, 340
local WARMUPS, SAMPLES = 1, 5
local MS = 1e3

local function is_prime(n)
  if n % 2 == 0 then return n == 2 end
  for i = 3, math.floor(math.sqrt(n)), 2 do
    if n % i == 0 then return false end
  end
  return true
end

local function count(list)
  local primes = 0
  for _, is in ipairs(list) do
    if is then primes = primes + 1 end
  end
  return primes
end

local function program(kind)
  local items, list = {}, {}
  for i = 1, NUMBERS do items[i] = FIRST + i - 1 end
  if kind == "serial" then
    for i, item in ipairs(items) do list[i] = is_prime(item) end
  else
    local ex <close> = support.construct(kind)
    list = ex:map(is_prime, items):collect()
  end
  print(count(list))
end

if arg[2] == "program" then return program(arg[1]) end

support.main({ "serial", "threads", "processes" }, function(kind)
  support.report(kind, "total_ms", support.samples(WARMUPS, SAMPLES, function()
    local started = support.now()
    local pipe = assert(io.popen(support.again(kind .. " program")))
    local primes = pipe:read("n")
    assert(pipe:close())
    local seconds = support.now() - started
    support.expect(primes, PRIMES, "number of primes")
    return seconds * MS
  end))
end)
