-- Runs every @usage of the documentation comments: what the docs show works.
local ccpool = require "ccpool"
local dirent = require "posix.dirent"

local FOLDERS = { "lua/ccpool", "lua/ccpool/loop" }

--- Each usage of a file: the line where it begins, and its text.
local function usages(path)
  local found, current, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    local text = line:match("^%s*%-%-%-?%s?(.*)$")
    if not text or text:match("^@") then current = nil end
    if text and text:match("^@usage") then
      current = { line = number, text.match(text, "^@usage%s*(.*)$") }
      found[#found + 1] = current
    elseif current then
      current[#current + 1] = text
    end
  end
  return found
end

local files = {}
for _, folder in ipairs(FOLDERS) do
  for name in dirent.files(folder) do
    if name:match("%.lua$") then files[#files + 1] = folder .. "/" .. name end
  end
end
table.sort(files)

describe("the usage in", function()
  local n = 0
  for _, path in ipairs(files) do
    for _, usage in ipairs(usages(path)) do
      n = n + 1
      it(("%s:%d runs"):format(path, usage.line), function()
        local env = setmetatable({ ccpool = ccpool }, { __index = _G })
        -- leading newlines: errors name the line of the file
        local text = ("\n"):rep(usage.line - 1) .. table.concat(usage, "\n")
        assert(load(text, "@" .. path, "t", env))()
      end)
    end
  end

  it("public functions was found: this spec is able to fail", function()
    assert.is_true(n >= 10)
  end)
end)
