--- The program that the specs of fault injection run: calls on a process pool, and a
-- line for each of them, "<item> right", "<item> WorkerCrashedError", ...; then the
-- number of crashes.
-- Run by program.start with its text; arguments: log, workload, workers, items.

local M = {}

M.source = [[
local ccpool = require "ccpool"
local log, workload, workers, items = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
-- medium results fill the reply ring, large ones have a block of their own
local large = workload:find("large", 1, true) and 100000 or
  workload:find("medium", 1, true) and 16000 or 0

local function work(n)
  local file = io.open(log, "a")
  file:write(n, "\n")
  file:close()
  return n * 2, ("x"):rep(large)
end

local function report(i, ok, value, text)
  if ok then
    print(i, value == i * 2 and #text == large and "right" or "wrong")
  else
    print(i, ccpool.is_error(value) and value.kind or tostring(value))
  end
end

local ex = ccpool.ProcessPoolExecutor(workers)

local function single()
  local futures = {}
  for i = 1, items do
    local ok, f = pcall(ex.submit, ex, work, i)
    if ok then futures[i] = f else report(i, false, f) end
  end
  if workload:find("away", 1, true) then
    local s = 0
    for i = 1, 2000000 do s = s + i end
  end
  for i = 1, items do
    if futures[i] then report(i, futures[i]:presult()) end
  end
end

local function one_by_one()
  for i = 1, items do
    local ok, f = pcall(ex.submit, ex, work, i)
    if ok then report(i, f:presult()) else report(i, false, f) end
  end
end

local function chunks(ordered)
  local list = {}
  for i = 1, items do list[i] = i end
  local opts = { chunksize = 5, ordered = ordered, on_error = "return" }
  local ok, step, state, control, closing = pcall(ex.map, ex, work, list, opts)
  if not ok then
    for i = 1, items do report(i, false, step) end
    return
  end
  for i, fine, value, text in step, state, control, closing do
    report(i, fine, value, text)
  end
end

if workload:find("single", 1, true) then
  single()
elseif workload:find("steps", 1, true) then
  one_by_one()
else
  chunks(workload:find("unordered", 1, true) == nil)
end
print("crashes", ex:stats().crashes)
]]

return M
