--- `ccpool primes`: tells which numbers are prime.
-- @module ccpool.cli.primes

local backend = require("ccpool.cli.backend")
local csv = require("ccpool.cli.csv")
local exit = require("ccpool.cli.exit")
local input = require("ccpool.cli.input")
local interrupt = require("ccpool.cli.interrupt")
local json = require("ccpool.cli.json")
local numbers = require("ccpool.cli.numbers")
local options = require("ccpool.cli.options")
local output = require("ccpool.cli.output")
local prime = require("ccpool.cli.prime")

local MAX_CHUNK = 1000000

local TESTS = {
  auto = prime.is_prime,
  trial = prime.is_prime_trial,
  mr = prime.is_prime_mr,
}

-- One writer of results for each value of --format.
local FORMATS = {
  text = {
    number = function(digits, is_prime, primes_only)
      return primes_only and digits .. "\n" or ("%s is prime: %s\n"):format(digits, is_prime)
    end,
    count = function(_, primes)
      return primes .. "\n"
    end,
  },
  jsonl = {
    number = function(digits, is_prime)
      return json.object("number", json.raw(digits), "prime", is_prime).text .. "\n"
    end,
    count = function(total, primes)
      return json.object("numbers", total, "primes", primes).text .. "\n"
    end,
  },
  csv = {
    header = csv.line({ "number", "prime" }),
    number = function(digits, is_prime)
      return csv.line({ digits, is_prime })
    end,
    count = function(total, primes)
      return csv.line({ "numbers", "primes" }) .. csv.line({ total, primes })
    end,
  },
}

--- Declares the sub-command.
-- @tparam table parser the argparse command
local function declare(parser)
  parser:argument("number", "Numbers below 2^64; none, or -, reads them from standard input.")
    :args("*")
  options.add_common(parser)
  options.add_executor(parser, MAX_CHUNK, "How many numbers travel to a worker at once.")
  parser:option("--method", "How to test: by trial division, by Miller-Rabin, or the faster one.")
    :choices({ "auto", "trial", "mr" }):default("auto")
  parser:option("--format", "How to write the results.")
    :choices({ "text", "jsonl", "csv" }):default("text")
  parser:mutex(
    parser:flag("--primes-only", "Write the prime numbers only."),
    parser:flag("--count", "Write only how many numbers are prime.")
  )
  parser:flag("--check", "Exit with 1 unless every number is prime.")
end

local Job = {}
Job.__index = Job

local function new_job(arguments)
  return setmetatable({
    words = input.words_of(arguments.number),
    is_quiet = arguments.quiet,
    format = FORMATS[arguments.format],
    primes_only = arguments.primes_only,
    counts_only = arguments.count,
    digits = {}, -- of the numbers handed out and not yet answered, by index
    total = 0,
    primes = 0,
    invalid = 0,
    failed = 0,
  }, Job)
end

-- Returns the next valid number; complains about the words before it that are none.
function Job:next_number()
  for word, place in self.words do
    local value, digits_or_problem = numbers.parse(word)
    if value then
      self.total = self.total + 1
      self.digits[self.total] = digits_or_problem
      return value
    end
    self.invalid = self.invalid + 1
    if not self.is_quiet then
      output.complain("primes: %s: %s %s", place, numbers.show(word), digits_or_problem)
    end
  end
end

function Job:answer(i, is_prime)
  local digits = self.digits[i]
  self.digits[i] = nil
  if is_prime then
    self.primes = self.primes + 1
  end
  if not self.counts_only and (is_prime or not self.primes_only) then
    output.write(self.format.number(digits, is_prime, self.primes_only))
  end
end

function Job:fail(i, err)
  interrupt.rethrow(err)
  output.complain("primes: %s: %s", self.digits[i], tostring(err))
  self.digits[i] = nil
  self.failed = self.failed + 1
end

function Job:run(executor, arguments)
  if self.format.header and not self.counts_only then
    output.write(self.format.header)
  end
  local source = function()
    return self:next_number()
  end
  local map_options = { chunksize = arguments.chunk, on_error = "return" }
  for i, ok, value in executor:map(TESTS[arguments.method], source, map_options) do
    if ok then
      self:answer(i, value)
    else
      self:fail(i, value)
    end
  end
  if self.counts_only then
    output.write(self.format.count(self.total, self.primes))
  end
end

function Job:exit_code(is_check)
  if self.failed > 0 then
    return exit.INCOMPLETE
  elseif self.invalid > 0 then
    return exit.USAGE
  elseif is_check and self.primes < self.total then
    return exit.CHECK_FAILED
  end
  return exit.OK
end

--- Runs the sub-command.
-- @tparam table arguments the parsed arguments
-- @treturn integer the exit code
local function run(arguments)
  local job = new_job(arguments)
  local workers = options.worker_count(arguments.workers)
  backend.using(arguments.backend, workers, function(executor)
    job:run(executor, arguments)
  end)
  return job:exit_code(arguments.check)
end

return { declare = declare, run = run }
