-- A child's collector came upon the parent's results, inherited as copies, and gave their
-- blocks back to the arena that both share: two large results then lay in one block.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"

local function big(c) return c:rep(300000) end

describe("a child that collects what it inherited", function()
  it("leaves the blocks of its parent's results alone", function()
    local threads <close> = ccpool.ThreadPoolExecutor(1)
    local kept = {}
    for i = 1, 8 do
      kept[i] = threads:submit(big, tostring(i))
      assert(kept[i]:exception() == nil) -- is there, but not decoded
    end
    local function forget()
      for i = 1, #kept do kept[i] = nil end
      collectgarbage()
      collectgarbage()
    end
    -- what a task is sent are copies: the inherited table is found by a global's name
    _G.forget_what_was_kept = forget
    local processes <close> = ccpool.ProcessPoolExecutor(1)
    processes:submit(function() _G.forget_what_was_kept() end):result()
    _G.forget_what_was_kept = nil
    local later = {}
    for i = 1, 8 do later[i] = threads:submit(big, string.char(64 + i)) end
    for i = 1, 8 do assert.is_true(later[i]:result() == big(string.char(64 + i))) end
    for i = 1, 8 do assert.is_true(kept[i]:result() == big(tostring(i))) end
  end)
end)
