--- How the results of `ccpool primes` look in each format.
-- @module ccpool.cli.primes.styles

local csv = require("ccpool.cli.csv")
local json = require("ccpool.cli.json")
local output = require("ccpool.cli.output")

local EVERYTHING, PRIMES, COUNT, NEXT = "everything", "primes", "count", "next"

-- Each returns a style as the workers know it (see ccpool.cli.primes.task).
local STYLES = {
  text = {
    [EVERYTHING] = function()
      return {
        before = "",
        yes = " is prime: " .. output.paint("green", "true") .. "\n",
        no = " is prime: " .. output.paint("red", "false") .. "\n",
      }
    end,
    [PRIMES] = function()
      return { before = "", yes = "\n" }
    end,
    [NEXT] = function()
      return { before = "", middle = " next prime: ", none = "none", after = "\n" }
    end,
  },
  jsonl = {
    [EVERYTHING] = function()
      return { before = '{"number":', yes = ',"prime":true}\n', no = ',"prime":false}\n' }
    end,
    [PRIMES] = function()
      return { before = '{"number":', yes = ',"prime":true}\n' }
    end,
    [NEXT] = function()
      return { before = '{"number":', middle = ',"next":', none = "null", after = "}\n" }
    end,
  },
  csv = {
    [EVERYTHING] = function()
      return { before = "", yes = ",true\n", no = ",false\n" }
    end,
    [PRIMES] = function()
      return { before = "", yes = ",true\n" }
    end,
    [NEXT] = function()
      return { before = "", middle = ",", none = "", after = "\n" }
    end,
  },
}

local HEADERS = {
  [EVERYTHING] = csv.line({ "number", "prime" }),
  [PRIMES] = csv.line({ "number", "prime" }),
  [NEXT] = csv.line({ "number", "next" }),
}

--- Makes the style of the answers.
-- @tparam string format `text`, `jsonl` or `csv`
-- @tparam string what `everything`, `primes`, `count` or `next`
-- @treturn table the style
-- @treturn string what stands before all answers
local function style(format, what)
  if what == COUNT then
    return { before = "" }, ""
  end
  return STYLES[format][what](), format == "csv" and HEADERS[what] or ""
end

--- Formats the answer of `--count`.
-- @tparam string format
-- @tparam integer total how many numbers there were
-- @tparam integer primes how many of them are prime
-- @treturn string
local function count(format, total, primes)
  if format == "jsonl" then
    return json.object("numbers", total, "primes", primes).text .. "\n"
  elseif format == "csv" then
    return csv.line({ "numbers", "primes" }) .. csv.line({ total, primes })
  end
  return primes .. "\n"
end

return {
  COUNT = COUNT,
  EVERYTHING = EVERYTHING,
  NEXT = NEXT,
  PRIMES = PRIMES,
  count = count,
  style = style,
}
