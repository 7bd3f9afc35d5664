--- What a worker of `ccpool primes` does: reads a chunk of text or a range, tests the
-- numbers and answers with the text of the results.
-- The style of the answers is a table of strings: `before` the number, then `yes` or
-- `no`, and nothing at all for a number whose string is missing; or, if there is a
-- `middle`, that, the next prime or `none`, and `after`.
-- @module ccpool.cli.primes.task

local core = require("ccpool.core")

local numbers = require("ccpool.cli.numbers")
local prime = require("ccpool.cli.prime")

local TESTS = { trial = prime.is_prime_trial, mr = prime.is_prime_mr }

local function next_prime(n, test)
  repeat
    n = n + 1
  until n == 0 or test(n)
  return n ~= 0 and n or nil
end

-- Collects answers of a test written in Lua, in the shape of those of the C module.
local function new_answers(test, style)
  local parts, count, primes = {}, 0, 0
  local function add(digits, value)
    count = count + 1
    local verdict
    if style.middle then
      local following = next_prime(value, test)
      verdict = style.middle .. (following and numbers.format(following) or style.none)
        .. style.after
    else
      local is_prime = test(value)
      primes = primes + (is_prime and 1 or 0)
      verdict = is_prime and style.yes or not is_prime and style.no or nil
    end
    if verdict then
      parts[#parts + 1] = style.before .. digits .. verdict
    end
  end
  return add, function()
    return table.concat(parts), count, primes
  end
end

-- Calls a function with each line of the text and its words.
local function each_word(text, by_line, call)
  local line = 0
  for content in text:gmatch("([^\n]*)\n?") do
    line = line + 1
    if by_line then
      call(content, line)
    else
      for word in content:gmatch("%S+") do
        call(word, line)
      end
    end
  end
end

--- Answers the numbers of a text.
-- @tparam string method `auto`, `c`, `sieve`, `mr` or `trial`
-- @tparam table style
-- @tparam string content whole words
-- @tparam boolean by_line whether each line is a word, whatever is in it; the last one
--   then ends with a line end
-- @treturn string the answers
-- @treturn integer how many numbers there are
-- @treturn integer how many of them are prime
-- @treturn integer how many line ends there are
-- @treturn table a flat array of lines and the words on them that are no numbers
local function text(method, style, content, by_line)
  if not TESTS[method] then
    return core.primetext(content, by_line, style)
  end
  local add, finish = new_answers(TESTS[method], style)
  local errors = {}
  local _, lines = content:gsub("\n", "")
  each_word(by_line and content:sub(1, -2) or content, by_line, function(word, line)
    local value, digits = numbers.parse(word)
    if value then
      add(digits, value)
    else
      table.move({ line, word }, 1, 2, #errors + 1, errors)
    end
  end)
  local answers, count, primes = finish()
  return answers, count, primes, lines, errors
end

--- Answers the numbers of a range.
-- @tparam string method `auto`, `c`, `sieve`, `mr` or `trial`
-- @tparam table style
-- @tparam integer low read as unsigned, like `high`
-- @tparam integer high
-- @treturn string the answers
-- @treturn integer how many numbers there are
-- @treturn integer how many of them are prime
local function range(method, style, low, high)
  if not TESTS[method] then
    local only_counts = not (style.yes or style.no or style.middle) and method ~= "c"
    if only_counts then
      return "", high - low + 1, core.countprimes(low, high, method == "sieve")
    end
    return core.primerange(low, high, style, method)
  end
  local add, finish = new_answers(TESTS[method], style)
  for offset = 0, high - low do
    add(numbers.format(low + offset), low + offset)
  end
  return finish()
end

return { range = range, text = text }
