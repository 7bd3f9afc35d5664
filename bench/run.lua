-- Runs the benches: several rounds, in each of which the kinds take turns, with Python and
-- Go among them where they are installed; prints medians, min and max against the goals.
-- Usage: lua5.4 bench/run.lua [option]... [row]...   (--help)

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. package.path

local contenders = require "runner.contenders"
local machine = require "runner.machine"
local rows = require "runner.rows"
local tables = require "runner.tables"

local USAGE = [[
usage: lua5.4 bench/run.lua [option]... [row]...
  --rounds N    how often each bench runs (each has a number of its own)
  --markdown    print the table of docs/performance.md
  --strict      exit with 1 if a goal is missed
  --no-python   leave Python out
  --no-go       leave Go out
  --list        print the names of the rows
]]
local FLAGS = { markdown = true, strict = true, ["no-python"] = true, ["no-go"] = true,
  list = true, help = true }

local function complain(message)
  io.stderr:write("bench: ", message, "\n", USAGE)
  os.exit(2)
end

local function row_named(name)
  for _, row in ipairs(rows) do
    if row.name == name then return row end
  end
  complain("no row '" .. name .. "'")
end

local function parse(arguments)
  local options, i = { rows = {} }, 1
  while i <= #arguments do
    local word = arguments[i]
    local flag = word:match("^%-%-(.+)$")
    if flag == "rounds" then
      i = i + 1
      options.rounds = math.tointeger(tonumber(arguments[i]))
      if not options.rounds or options.rounds < 1 then complain("--rounds: a number, 1 or more") end
    elseif FLAGS[flag] then
      options[flag:gsub("-", "_")] = true
    elseif word:find("^%-") then
      complain("unknown option '" .. word .. "'")
    else
      options.rows[#options.rows + 1] = row_named(word)
    end
    i = i + 1
  end
  if #options.rows == 0 then options.rows = rows end
  return options
end

local function progress(...)
  io.stderr:write(("bench: " .. ...):format(select(2, ...)), "\n")
end

-- Runs all contenders of a row in turns. Returns their samples and how many failed.
local function measure(row, options)
  local samples, failures = { ccpool = {}, python = {}, go = {} }, 0
  local list = contenders.of(row)
  for round = 1, options.rounds or math.huge do
    local ran = false
    for _, contender in ipairs(list) do
      if not contender.failed and round <= (options.rounds or contender.rounds) then
        ran = true
        if not contenders.run(contender.command, samples[contender.by]) then
          progress("failed: %s", contender.command)
          contender.failed = true
          failures = failures + 1
        end
      end
    end
    if not ran then break end
  end
  return samples, failures
end

-- Says after a row or a run how far it can be trusted.
local function others_text(others)
  return others and ("; others used %.0f %% of the processors"):format(others) or ""
end

local function run(options)
  local lines, missed, failures = { tables.HEADING }, 0, 0
  local others_in_run = machine.watch_others()
  for _, row in ipairs(options.rows) do
    local others_in_row = machine.watch_others()
    local samples, failed = measure(row, options)
    progress("%s%s", row.name, others_text(others_in_row()))
    failures = failures + failed
    for _, figure in ipairs(row.figures) do
      local cells, met = tables.cells(figure, samples)
      lines[#lines + 1] = cells
      if met == "no" then missed = missed + 1 end
    end
  end
  io.write(tables.format(lines, options.markdown))
  progress("%d goals missed, %d benches failed%s", missed, failures,
    others_text(others_in_run()))
  return failures == 0 and (missed == 0 or not options.strict)
end

local options = parse(arg)
if options.help then
  io.write(USAGE)
elseif options.list then
  for _, row in ipairs(rows) do print(row.name) end
else
  contenders.prepare(folder, options)
  progress("%s", machine.describe(contenders.python, contenders.go))
  os.exit(run(options))
end
