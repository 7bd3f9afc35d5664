--- Runs every Lua example of the README and the guide as a program of its own: what they
-- show works, and prints what the comments `-->` say, in their order.

local assert, describe, it, pending = assert, describe, it, pending
local _ENV = _G -- luacheck: ignore
local program = dofile "spec/support/program.lua"

local FILES = { "README.md", "docs/guide.md" }
-- Not everybody has them; examples with one that is not installed are left out.
local OPTIONAL = { cqueues = true, luv = true }

--- The examples of a file: the line where each begins, its text and the heading above.
local function examples(path)
  local found, current, heading, number = {}, nil, "", 0
  for line in io.lines(path) do
    number = number + 1
    if line == "```lua" then
      current = { line = number, heading = heading }
      found[#found + 1] = current
    elseif line:find("^```") then
      current = nil
    elseif current then
      current[#current + 1] = line
    else
      heading = line:match("^#+ (.*)") or heading
    end
  end
  return found
end

--- With blanks alike: what lines up in the text need not line up in the output.
local function plain(text)
  return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function missing_module(text)
  for name in text:gmatch("require \"([%w_.]+)\"") do
    if OPTIONAL[name] and not package.searchpath(name, package.cpath)
      and not package.searchpath(name, package.path) then
      return name
    end
  end
end

--- Fails unless everything that the comments promise stands in the output.
local function check_promises(text, out)
  local rest = plain(out)
  for said in text:gmatch("%-%->[ \t]*([^\n]+)") do
    local promise = plain(said)
    local _, last = rest:find(promise, 1, true)
    if not last then
      error(("promised: %s\nnot in what is left of the output: %s"):format(promise, rest), 0)
    end
    rest = rest:sub(last + 1)
  end
end

describe("the example in", function()
  local count = 0
  for _, path in ipairs(FILES) do
    for _, example in ipairs(examples(path)) do
      count = count + 1
      it(("%s:%d (%s) runs and prints what it says"):format(path, example.line, example.heading),
        function()
          local text = table.concat(example, "\n") .. "\n"
          local missing = missing_module(text)
          if missing then
            pending(missing .. " is not installed")
            return
          end
          local result = program.run(text)
          assert.are.same({ code = 0, err = "" }, { code = result.code, err = result.err })
          check_promises(text, result.out)
        end)
    end
  end

  it("the README and the guide was found, all of them", function()
    assert.is_true(count >= 30)
  end)
end)

describe("the check of an example", function()
  it("finds what is promised and not printed", function()
    check_promises("f() --> 1  2\ng()\n--> 3\n", "1\t2\n3\n")
    assert.has_error(function() check_promises("f() --> 1\ng() --> 2\n", "2\n1\n") end)
  end)
end)
