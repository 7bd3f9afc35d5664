--- Stands in for copas where that is not installed for this Lua: threads, pauses and
-- receiving as of copas 4, over LuaSocket's select. Only what awaiting needs.

local socket = require "socket"

local M = { running = false }

local sleeping, reading, list = {}, {}, {} -- thread -> time; socket -> threads; sockets
local SLEEP, READ = {}, {}

local function resume(co, ...)
  local ok, value, queue = coroutine.resume(co, ...)
  if not ok then error(debug.traceback(co, tostring(value)), 0) end
  if queue == SLEEP then
    sleeping[co] = value < 0 and math.huge or socket.gettime() + value
  elseif queue == READ then
    if not reading[value] then
      reading[value] = {}
      list[#list + 1] = value
    end
    table.insert(reading[value], co)
  else -- it has ended
    local last = ...
    if last then last:close() end
  end
end

function M.addthread(f, ...)
  local co = coroutine.create(function(_, ...)
    M.pause()
    return f(...)
  end)
  resume(co, nil, ...)
  return co
end

function M.pause(seconds) coroutine.yield(math.max(seconds or 0, 0), SLEEP) end
function M.pauseforever() coroutine.yield(-1, SLEEP) end

function M.wakeup(co)
  if sleeping[co] then sleeping[co] = 0 end
end

function M.receive(client, pattern, part)
  repeat
    local value, err, rest = client:receive(pattern, part)
    if math.random(2) == 1 then M.pause() end -- copas does so now and then
    if value or err ~= "timeout" then return value, err, rest end
    coroutine.yield(client, READ)
  until false
end

local function run_sleepers()
  local now = socket.gettime()
  local due = {}
  for co, at in pairs(sleeping) do
    if at <= now then due[#due + 1] = co end
  end
  for _, co in ipairs(due) do
    sleeping[co] = nil
    resume(co)
  end
end

local function time_left()
  local first = math.huge
  for _, at in pairs(sleeping) do first = math.min(first, at) end
  return first < math.huge and math.max(first - socket.gettime(), 0) or nil
end

local function run_readers(seconds)
  for _, client in ipairs((socket.select(list, nil, seconds))) do
    local co = table.remove(reading[client], 1)
    if #reading[client] == 0 then
      reading[client] = nil
      for i, s in ipairs(list) do
        if s == client then table.remove(list, i) break end
      end
    end
    resume(co, client)
  end
end

function M.loop()
  M.running = true
  while next(reading) or time_left() do
    run_sleepers()
    if next(reading) or time_left() then run_readers(time_left()) end
  end
  M.running = false
end

return M
