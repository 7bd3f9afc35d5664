--- Runs the benches, ours and those in Python and Go, each in a process of its own.

local SECONDS = 60 -- for one of them; what takes longer hangs
local GO = { "go", "/usr/bin/go", "/usr/local/go/bin/go" }
local GO_OUT = "build/bench-go"

local M = {}

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function succeeds(command)
  return os.execute(command .. " >/dev/null 2>&1") == true
end

local function find(...)
  for _, command in ipairs({ ... }) do
    if succeeds("command -v " .. command) then return command end
  end
end

-- Reads "kind measure sample sample ..." into samples[kind][measure].
local function read_line(line, samples)
  local kind, measure, rest = line:match("^(%S+) (%S+) (.+)$")
  if not kind then return end
  samples[kind] = samples[kind] or {}
  local list = samples[kind][measure] or {}
  samples[kind][measure] = list
  for text in rest:gmatch("%S+") do list[#list + 1] = tonumber(text) end
end

--- Runs a command and adds what it prints to the samples.
-- @tparam string command for a shell
-- @tparam table samples arrays of numbers by kind and measure
-- @treturn boolean whether it succeeded
function M.run(command, samples)
  local pipe = assert(io.popen(M.limit .. command))
  for line in pipe:lines() do read_line(line, samples) end
  return (pipe:close()) == true
end

local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

-- The path of the program that a bench in Go is built into, or nil.
local function build_go(go, folder, name)
  local out = ("%s../%s"):format(folder, GO_OUT)
  local command = ("mkdir -p %s && GO111MODULE=off %s build -o %s %s"):format(quote(out), go,
    quote(out .. "/" .. name), quote(("%sgo/%s.go"):format(folder, name)))
  return os.execute(command .. " >&2") and out .. "/" .. name or nil
end

--- Looks for what can be compared with, and prepares it.
-- @tparam string folder of the benches, with a slash at the end
-- @tparam table options `no_python`, `no_go`
function M.prepare(folder, options)
  M.folder = folder
  M.limit = find("timeout") and ("timeout %d "):format(SECONDS) or ""
  M.python = not options.no_python and find("python3") or nil
  M.go = not options.no_go and find(table.unpack(GO)) or nil
end

--- The commands of a row, each with where its samples belong.
-- @tparam table row of `rows`
-- @treturn table an array of `{ by = "ccpool"|"python"|"go", rounds =, command = }`
function M.of(row)
  local list = {}
  local function add(by, rounds, ...)
    list[#list + 1] = { by = by, rounds = rounds, command = (("%s "):rep(select("#", ...)))
      :format(...) }
  end
  for _, kind in ipairs(row.kinds) do
    add("ccpool", row.rounds, quote(interpreter()), quote(M.folder .. row.name .. ".lua"), kind)
  end
  for _, kind in ipairs(M.python and row.python or {}) do
    add("python", row.python_rounds or row.rounds, M.python,
      quote(("%spython/%s.py"):format(M.folder, row.name)), kind)
  end
  local program = M.go and row.go and build_go(M.go, M.folder, row.name)
  if program then add("go", row.rounds, quote(program)) end
  return list
end

return M
