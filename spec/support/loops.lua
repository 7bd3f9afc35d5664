--- Event loops that specs await in.

local ccpool = require "ccpool"

local M = {}

local function has(name)
  local ok, module = pcall(require, name)
  return ok and module
end

--- copas, or what stands in for it.
local function copas_or_other()
  local copas = has "copas"
  if copas and copas.running ~= nil then return copas end
  return has "spec.support.copas"
end

local RUN = {}

function RUN.cqueues(threads)
  local controller = has "cqueues".new()
  for _, f in ipairs(threads) do controller:wrap(f) end
  assert(controller:loop())
end

function RUN.copas(threads)
  local copas = copas_or_other()
  local before = package.loaded.copas
  package.loaded.copas = copas
  for _, f in ipairs(threads) do copas.addthread(f) end
  copas.loop()
  package.loaded.copas = before
  package.loaded["ccpool.loop.copas"] = nil
end

function RUN.luv(threads)
  ccpool.use "luv"
  for _, f in ipairs(threads) do coroutine.wrap(f)() end
  has "luv".run()
  ccpool.use(nil)
end

--- Runs functions as threads of a loop until all have ended; raises their first error.
local function run(name, ...)
  local threads, ended, failed = {}, 0, nil
  for i, f in ipairs{ ... } do
    threads[i] = function()
      local ok, err = xpcall(f, function(err)
        return type(err) == "string" and debug.traceback(err) or err
      end)
      failed = failed or not ok and { err }
      ended = ended + 1
    end
  end
  RUN[name](threads)
  if failed then error(failed[1], 0) end
  if ended < #threads then error("the loop has ended before its threads", 0) end
end

local INSTALLED = {
  cqueues = has "cqueues",
  copas = has "socket" and copas_or_other(),
  luv = has "luv",
}

--- For each loop: its name, run(f...) or nil if it is not installed.
function M.all()
  local names, i = { "cqueues", "copas", "luv" }, 0
  return function()
    i = i + 1
    local name = names[i]
    return name, name and INSTALLED[name] and function(...) return run(name, ...) end
  end
end

return M
