--- What workers know of chunks they have not finished yet, told through shared memory.
--
-- A slate has a shared array, `codes`, with a number for each port of a chunk. The worker
-- writes that of an outcome (`states.code_of`) there as soon as it has it; whoever handed out
-- the chunk reads it when the scan ends before the chunk does. Banners go through a queue,
-- each before its outcome. Slates are used again, chunk after chunk.
-- @module ccpool.cli.scan.slates

local ccpool = require("ccpool")

local states = require("ccpool.cli.scan.states")

local Slates = {}
Slates.__index = Slates

--- Makes a store of slates.
-- @tparam boolean with_banners
-- @treturn table with `take`, `give_back`, `read`
local function new(with_banners)
  return setmetatable({
    free = {}, -- a stack
    count = 0, -- how often one was taken
    banners = {}, -- of the slates in use, by number and place
    queue = with_banners and ccpool.Queue() or nil,
  }, Slates)
end

--- Takes an empty slate.
-- @tparam integer count ports of the chunk
-- @treturn table what travels to the worker
function Slates:take(count)
  local slate = table.remove(self.free)
  if slate and #slate.codes >= count then
    slate.codes:fill(0)
  else
    slate = { codes = ccpool.Array("u16", count), queue = self.queue }
  end
  self.count = self.count + 1
  slate.number = self.count
  self.banners[slate.number] = {}
  return slate
end

-- The queue holds only what has come since the last chunk ended, and of chunks that have
-- ended nothing is kept.
function Slates:_take_banners()
  local item = self.queue and self.queue:try_get()
  while item do
    local banners = self.banners[item[1]]
    if banners then
      banners[item[2]] = item[3]
    end
    item = self.queue:try_get()
  end
end

--- Takes a slate back that no worker writes on any more.
-- @tparam table slate
function Slates:give_back(slate)
  self.banners[slate.number] = nil
  self:_take_banners()
  self.free[#self.free + 1] = slate
end

--- Reads a slate.
-- @tparam table slate
-- @tparam integer count ports of the chunk
-- @treturn table outcomes by place, nil where none is known
-- @treturn table banners by place
function Slates:read(slate, count)
  local codes = slate.codes:slice(1, count)
  self:_take_banners()
  local outcomes = {}
  for i, code in ipairs(codes) do
    outcomes[i] = states.outcome_of(code)
  end
  return outcomes, self.banners[slate.number]
end

--- Tells a banner, before its outcome: what a worker does.
-- @tparam table slate
-- @tparam integer i the place of the port in its chunk
-- @tparam string text
local function tell_banner(slate, i, text)
  slate.queue:put({ slate.number, i, text })
end

return { new = new, tell_banner = tell_banner }
