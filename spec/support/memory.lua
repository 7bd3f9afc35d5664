--- What spec/flow/memory_spec.lua measures, each in a program of its own: an allocator
-- keeps for itself what the specs before have freed.
--
-- A program prints "name bytes-before bytes-after" for each thing that it looks at.
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"
local core = require "ccpool.core"

local BIG = 1024 * 1024

local M = {}

--- Bytes of the resident set that belong to no shared mapping.
local function resident()
  for line in io.lines("/proc/self/status") do
    local n = line:match("^RssAnon:%s*(%d+)")
    if n then return n * 1024 end
  end
end

-- In a worker. A process looks at its resident set; a thread shares the program's.
local function probe(look)
  collectgarbage()
  collectgarbage()
  return math.floor(collectgarbage("count") * 1024), look and look() or 0
end

--- Lua heaps, resident sets, and what the arena ever handed out at once.
local function measure(ex)
  local m = {}
  m.worker_heap, m.worker_resident =
    ex:submit(probe, ex.kind == "process" and resident or nil):result()
  m.heap, m.resident = probe(resident)
  m.arena = select(3, core.shared_stats())
  return m
end

local function report(before, after)
  for name, bytes in pairs(before) do print(name, bytes, after[name]) end
end

local function expect(is_right)
  if not is_right then error("a wrong result", 2) end
end

local function echo(...) return ... end

--- n calls, no more than a hundred unfinished ones.
local function stream(n, submit)
  local window = {}
  for i = 1, n do
    local at = i % 100
    if window[at] then window[at]:presult() end
    window[at] = submit(i)
  end
  for _, f in pairs(window) do f:presult() end
end

local function upto(n)
  local i = 0
  return function()
    i = i + 1
    if i <= n then return i end
  end
end

--- What is done n times.
M.ways = {}

M.ways["tasks one after the other"] = function(ex, n)
  for i = 1, n do expect(ex:submit(echo, i, "some text"):result() == i) end
end

M.ways["tasks in a steady flow"] = function(ex, n)
  stream(n, function(i) return ex:submit(echo, i) end)
end

M.ways["items of a map"] = function(ex, n)
  local sum = 0
  for _, v in ex:map(echo, upto(n)) do sum = sum + v end
  expect(sum == n * (n + 1) // 2)
end

M.ways["tasks with options, callbacks and results of every size"] = function(ex, n)
  local view = ex:with{ timeout = 60, retries = 1, priority = 1, name = "view" }
  local text, calls = ("x"):rep(8000), 0
  stream(n, function(i)
    local f = view:submit(echo, text:sub(1, i % 8000), { i, { i } })
    f:add_done_callback(function() calls = calls + 1 end)
    return f
  end)
  ccpool.poll(0)
  expect(calls == n)
end

M.ways["tasks that fail, are cancelled or are not waited for"] = function(ex, n)
  stream(n, function(i)
    if i % 3 == 0 then return ex:submit(error, { i }) end
    local f = ex:submit(echo, i)
    if i % 3 == 1 then f:cancel() end
    ex:submit(echo, i)
    return f
  end)
end

M.ways["functions with upvalues"] = function(ex, n)
  stream(n, function(i)
    local t = { i }
    return ex:submit(function() return t[1] end)
  end)
end

M.ways["large arguments and results"] = function(ex, n)
  for _ = 1, n do
    local text = ("x"):rep(BIG)
    expect(ex:submit(echo, text):result() == text)
  end
end

M.ways["large results that are kept, half of them unread"] = function(ex, n)
  local kept = {}
  for i = 1, n do kept[i] = ex:submit(string.rep, "x", BIG) end
  ccpool.wait(kept)
  for i = 1, n, 2 do expect(#kept[i]:result() == BIG) end
end

M.ways["futures that are kept"] = function(ex, n)
  local kept = {}
  for i = 1, n do kept[i] = ex:submit(echo, i, "twenty bytes of text") end
  ccpool.wait(kept)
  for i = 1, n, 100 do expect(kept[i]:result() == i) end
  return kept
end

local CLASSES = { thread = ccpool.ThreadPoolExecutor, process = ccpool.ProcessPoolExecutor }

-- The collector of a worker process starts late (32 MB), unless it is told to start.
local function start_collector()
  collectgarbage("incremental")
  collectgarbage()
end

--- Before and after n times, having warmed up.
function M.flat(kind, name, warm, n)
  local ex <close> = CLASSES[kind]{ max_workers = 1, initializer = start_collector }
  M.ways[name](ex, warm)
  local before = measure(ex)
  M.ways[name](ex, n)
  report(before, measure(ex))
end

--- Without a future, and with n.
function M.full(kind, n)
  local ex <close> = CLASSES[kind]{ max_workers = 1, initializer = start_collector }
  local before = measure(ex)
  local kept <const> = M.ways["futures that are kept"](ex, n)
  report(before, measure(ex))
  expect(kept[n]:result() == n)
end

return M
