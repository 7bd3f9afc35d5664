-- A busted output handler: shows the run as $BUSTED_OUTPUT would (utfTerminal by
-- default) and leaves "passed failed skipped" in the file that $CCPOOL_TALLY names, with
-- the names of the specs that failed behind it, a line each.
local busted = require("busted")

local function style()
  local name = os.getenv("BUSTED_OUTPUT")
  return name and name ~= "" and name or "utfTerminal"
end

return function(options)
  local handler = require("busted.outputHandlers." .. style())(options)
  local passed, failed, skipped = 0, 0, 0

  -- With --repeat the suite ends more than once and the counts start anew.
  local function write_tally()
    passed = passed + handler.successesCount
    failed = failed + handler.failuresCount + handler.errorsCount
    skipped = skipped + handler.pendingsCount
    local path = os.getenv("CCPOOL_TALLY")
    local file = path and io.open(path, "w")
    if file then
      file:write(passed, " ", failed, " ", skipped, "\n")
      for _, list in ipairs({ handler.failures, handler.errors }) do
        for _, test in ipairs(list) do
          file:write((test.name or test.message or "?"):gsub("%s+", " "), "\n")
        end
      end
      file:close()
    end
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, write_tally)
  return handler
end
