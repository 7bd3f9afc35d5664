--- `ccpool primes`: tells which numbers are prime.
-- The input is cut into chunks; a few of them are with the workers at any time, which
-- answer with the text of the results.
-- @module ccpool.cli.primes

local ccpool = require("ccpool")

local backend = require("ccpool.cli.backend")
local chunks = require("ccpool.cli.primes.chunks")
local exit = require("ccpool.cli.exit")
local extent = require("ccpool.cli.primes.extent")
local interrupt = require("ccpool.cli.interrupt")
local numbers = require("ccpool.cli.numbers")
local options = require("ccpool.cli.options")
local output = require("ccpool.cli.output")
local progress = require("ccpool.cli.progress")
local statistics = require("ccpool.cli.statistics")
local styles = require("ccpool.cli.primes.styles")

local MAX_CHUNK = 1000000000
local CHUNKS_PER_WORKER = 4
local MAX_ATTEMPTS = 3

-- How many words of a text, and how many numbers of a range, make a chunk by default.
-- Where no number of words is given, a chunk is what is read at once.
local WORDS = { trial = 16, mr = 512 }
local NUMBERS = { trial = 256, mr = 4096, c = 1 << 16, auto = 1 << 16, sieve = 1 << 16 }
local MIN_COUNTED, MAX_COUNTED = 1 << 24, 1 << 27

--- Declares the sub-command.
-- @tparam table parser the argparse command
local function declare(parser)
  parser:argument("number", "Numbers below 2^64, and ranges A-B or A..B; none, or -, reads"
    .. " them from standard input."):args("*")
  options.add_common(parser)
  options.add_executor(parser, MAX_CHUNK, "How many numbers travel to a worker at once.")
  parser:option("-i --input", "Read numbers from a file, too; - is standard input.")
    :argname("FILE"):count("*")
  parser:option("--method", "How to test: trial division, Miller-Rabin in Lua or in C, a sieve"
    .. " for ranges; auto: C, and a sieve for ranges.")
    :choices({ "auto", "trial", "mr", "c", "sieve" }):default("auto")
  parser:option("--format", "How to write the results.")
    :choices({ "text", "jsonl", "csv" }):default("text")
  parser:mutex(
    parser:flag("--primes-only", "Write the prime numbers only."),
    parser:flag("--count", "Write only how many numbers are prime."),
    parser:flag("--next", "Write the smallest prime above each number.")
  )
  parser:flag("--check", "Exit with 1 unless every number is prime.")
  parser:flag("--unordered", "Write results as they come, not in the order of the input.")
end

local function what_of(arguments)
  return arguments.primes_only and styles.PRIMES or arguments.count and styles.COUNT
    or arguments.next and styles.NEXT or styles.EVERYTHING
end

local function sizes_of(arguments)
  if arguments.chunk ~= "auto" then
    return { words = arguments.chunk, range = function() return arguments.chunk end }
  end
  local method = arguments.method
  local counts = arguments.count and (method == "auto" or method == "sieve")
  return {
    words = WORDS[method],
    range = function(_, high)
      if not counts then
        return NUMBERS[method]
      end
      -- The more primes have to be crossed out, the longer a piece is worth it.
      local root = math.floor(math.sqrt(high < 0 and 2.0 ^ 64 or high))
      return math.max(MIN_COUNTED, math.min(MAX_COUNTED, root))
    end,
  }
end

local Job = {}
Job.__index = Job

local function new_job(arguments)
  local self = setmetatable({
    method = arguments.method,
    format = arguments.format,
    what = what_of(arguments),
    is_ordered = not arguments.unordered,
    window = {}, -- chunks with the workers, in the order of the input
    total = 0,
    primes = 0,
    invalid = 0,
    failed = 0,
  }, Job)
  self.style, self.header = styles.style(self.format, self.what)
  self.chunks = chunks.new(arguments.number, arguments.input, sizes_of(arguments), function(problem)
    self.invalid = self.invalid + 1
    output.complain("primes: %s", problem)
  end)
  self.extent = extent.new(arguments.number, arguments.input)
  self.progress = progress.new({ mode = arguments.progress, label = "primes", unit = "numbers" })
  return self
end

function Job:submit(chunk)
  if chunk.text then
    chunk.future = self.executor:submit("ccpool.cli.primes.task.text", self.method, self.style,
      chunk.text, chunk.by_line)
  else
    chunk.future = self.executor:submit("ccpool.cli.primes.task.range", self.method, self.style,
      chunk.low, chunk.high)
  end
end

-- Lines are counted where the text is read: how many precede a chunk is known once all
-- chunks before it have been answered.
function Job:name_errors(chunk, lines, errors)
  local place = chunk.place
  place.known = place.known or {}
  place.known[chunk.number] = { lines = lines, errors = errors }
  place.reached = place.reached or chunk.place_first
  while place.known[place.reached] do
    local known = place.known[place.reached]
    place.known[place.reached] = nil
    self:complain_of(known.errors, place)
    place.offset = place.offset + known.lines
    place.reached = place.reached + 1
  end
end

function Job:complain_of(errors, place)
  for i = 1, #errors, 2 do
    local line, word = errors[i], errors[i + 1]
    local _, problem = numbers.parse(word)
    local _, range_problem = numbers.parse_range(word)
    self.invalid = self.invalid + 1
    output.notice("primes: %s%d: %s %s", place.name, place.offset + line, numbers.show(word),
      range_problem or problem)
  end
end

function Job:answer(chunk, text, count, primes, lines, errors)
  -- First, because Ctrl-C may come while the text is being written: see salvage.
  chunk.is_answered = true
  if text ~= "" then
    output.write(text)
  end
  self.total = self.total + count
  self.primes = self.primes + primes
  self:name_errors(chunk, lines or chunk.lines, errors or {})
  self.extent:add(chunk.bytes, count)
  self.progress:set(self.total, self.extent:total())
end

local function name_of(chunk)
  if chunk.low then
    return ("%s to %s"):format(numbers.format(chunk.low), numbers.format(chunk.high))
  end
  local first, last = chunk.text:match("^%s*(%S*).-(%S*)%s*$")
  return ("numbers from %s to %s"):format(numbers.show(first), numbers.show(last))
end

-- Takes a chunk back whose future is done; one whose worker died is tried again.
-- Returns whether it is answered.
function Job:take(chunk)
  local outcome = table.pack(chunk.future:presult())
  if outcome[1] then
    self:answer(chunk, table.unpack(outcome, 2, outcome.n))
    return true
  end
  local err = outcome[2]
  interrupt.rethrow(err)
  chunk.attempts = (chunk.attempts or 1) + 1
  if ccpool.is_error(err, "WorkerCrashedError") and chunk.attempts <= MAX_ATTEMPTS then
    output.notice("primes: %s: %s; trying again", name_of(chunk), tostring(err))
    self:submit(chunk)
    return false
  end
  output.complain("primes: %s: %s", name_of(chunk), tostring(err))
  self.failed = self.failed + 1
  local lines = chunk.text and select(2, chunk.text:gsub("\n", "")) or chunk.lines
  self:name_errors(chunk, lines, {})
  return true
end

-- Waits for the chunk that is to be answered next and returns its place in the window.
function Job:wait()
  if self.is_ordered then
    return 1
  end
  local futures, index = {}, {}
  for i, chunk in ipairs(self.window) do
    futures[i] = chunk.future
    index[chunk.future] = i
  end
  return index[ccpool.wait(futures, { return_when = "FIRST_COMPLETED" })[1]]
end

-- Hands chunks out until the window is full, but does not wait for input as long as
-- there is something to be answered.
function Job:fill(limit)
  while not self.is_at_end and #self.window < limit
    and (#self.window == 0 or self.chunks:is_ready()) do
    local chunk = self.chunks:next()
    if not chunk then
      self.is_at_end = true
      return
    end
    self.handed_out = (self.handed_out or 0) + 1
    chunk.number = self.handed_out
    chunk.place.first = chunk.place.first or chunk.number
    chunk.place_first = chunk.place.first
    self:submit(chunk)
    table.insert(self.window, chunk)
  end
end

function Job:run(executor, workers)
  self.executor = executor
  output.write(self.header)
  while true do
    self:fill(workers * CHUNKS_PER_WORKER)
    if #self.window == 0 then
      break
    end
    local i = self:wait()
    if self:take(self.window[i]) then
      table.remove(self.window, i)
    end
  end
end

-- What is answered already is written, whatever ended the work.
function Job:salvage()
  for _, chunk in ipairs(self.window) do
    local is_known = not chunk.is_answered and chunk.future:state() == "finished"
      and chunk.future:exception() == nil
    if is_known then
      self:answer(chunk, chunk.future:result())
    elseif self.is_ordered and not chunk.is_answered then
      return
    end
  end
end

function Job:finish()
  self.progress:finish()
  if self.what == styles.COUNT then
    output.write(styles.count(self.format, self.total, self.primes))
  end
  statistics.add("numbers", self.total)
  if self.what ~= styles.NEXT then
    statistics.add("primes", self.primes)
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
  if arguments.next and arguments.check then
    output.complain("primes: option '--check' can not be used together with option '--next'")
    return exit.USAGE
  end
  local job = new_job(arguments)
  local workers = arguments.backend == "serial" and 1 or options.worker_count(arguments.workers)
  output.detail("primes: %s, %d workers, method %s", arguments.backend, workers,
    arguments.method)
  local ok, err = pcall(backend.using, arguments.backend, workers, function(executor)
    local outcome = table.pack(pcall(job.run, job, executor, workers))
    if not outcome[1] and interrupt.is(outcome[2]) then
      job:salvage()
    end
    assert(table.unpack(outcome, 1, outcome.n))
  end)
  if not ok and err ~= output.CLOSED then
    pcall(job.finish, job)
  end
  if not ok then
    error(err, 0)
  end
  job:finish()
  return job:exit_code(arguments.check)
end

return { declare = declare, run = run }
