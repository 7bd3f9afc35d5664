--- What the specs of executors share.

local ccpool = require "ccpool"
local fifo = require "spec.support.fifo"

local M = {}

local CLASSES = {
  thread = ccpool.ThreadPoolExecutor,
  process = ccpool.ProcessPoolExecutor,
  serial = ccpool.SerialExecutor,
}

local function iterate(kinds)
  local i = 0
  return function()
    i = i + 1
    return kinds[i], CLASSES[kinds[i]]
  end
end

--- For each kind whose workers are not the caller: kind, constructor.
function M.concurrent() return iterate{ "thread", "process" } end

--- For every kind: kind, constructor.
function M.all() return iterate{ "thread", "process", "serial" } end

--- A function of a spec as a program would have it: busted gives specs another
-- _ENV than the globals.
function M.task(f)
  local globals = _G
  local i, name = 0
  repeat
    i = i + 1
    name = debug.getupvalue(f, i)
    if name == "_ENV" then debug.upvaluejoin(f, i, function() return globals end, 1) end
  until not name
  return f
end

--- Runs a script in an interpreter of its own, for a minute at most. Gives what it
-- wrote, its exit code (128 + n for signal n), and what it wrote to stderr.
function M.run_script(text)
  local script, errors = os.tmpname(), os.tmpname()
  local function slurp(path, write)
    local file <close> = assert(io.open(path, write and "w" or "r"))
    return write and file:write(write) or file:read("a")
  end
  slurp(script, text)
  local pipe = assert(io.popen(("timeout 60 %s %s 2>%s </dev/null; echo \"|$?\"")
    :format(os.getenv("LUA") or "lua5.4", script, errors)))
  local out, code = pipe:read("a"):match("^(.*)|(%d+)\n$")
  pipe:close()
  local err = slurp(errors)
  os.remove(script)
  os.remove(errors)
  return out, tonumber(code), err
end

--- The same; it must end well and write no errors. Gives what it wrote.
function M.output_of(text)
  local out, code, err = M.run_script(text)
  assert(err == "" and code == 0, ("exit code %s; stderr: %s"):format(code, err))
  return out
end

--- For specs that leave failed futures behind: gives what to call before, and after.
function M.unheard()
  local default = ccpool.on_unhandled_error
  return function() ccpool.on_unhandled_error = false end, function()
    for _ = 1, 4 do collectgarbage() end
    ccpool.poll(0)
    ccpool.on_unhandled_error = default
  end
end

--- Keeps all workers busy until the gate that it gives is opened or closed.
-- The workers have started their calls when this returns.
function M.occupy(ex)
  local gate = fifo.new()
  local started <close> = fifo.new()
  local futures = {}
  for i = 1, ex.max_workers do
    futures[i] = ex:submit("spec.support.fifo.tell_and_pass", started.path, gate.path, i)
  end
  started:await(ex.max_workers)
  return gate, futures
end

--- Calls f, which must raise an ordinary error that is blamed on a line of f
-- itself and contains each of the texts. Gives the message.
function M.misuse(f, ...)
  local ok, err = pcall(f)
  if ok then error("no error was raised", 2) end
  if type(err) ~= "string" then
    error(("a %s was raised, not a message: %s"):format(type(err), tostring(err)), 2)
  end
  local info = debug.getinfo(f, "S")
  local line = tonumber(err:sub(1, #info.short_src) == info.short_src
    and err:match("^:(%d+):", #info.short_src + 1))
  if not line or line < info.linedefined or line > info.lastlinedefined then
    error(("the error is not blamed on its caller: %s"):format(err), 2)
  end
  for _, text in ipairs{ ... } do
    if not err:find(text, 1, true) then
      error(("the error does not say %q: %s"):format(text, err), 2)
    end
  end
  return err
end

--- Calls f(...), which must raise an error object of that kind. Gives it.
function M.fails_with(kind, f, ...)
  local ok, err = pcall(f, ...)
  if ok then error(("no %s was raised"):format(kind), 2) end
  if not ccpool.is_error(err, kind) then
    error(("%s expected, got: %s"):format(kind, tostring(err)), 2)
  end
  return err
end

return M
