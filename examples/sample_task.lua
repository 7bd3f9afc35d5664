-- Five processes and five threads, each doing one small thing.
local ccpool = require "ccpool"

local function sample(text)
  io.write(text .. "\n") -- in one piece, so that lines stay whole
end

local function run_five(class, text)
  local workers = {}
  for i = 1, 5 do
    workers[i] = class{ target = sample, args = { text } }
    workers[i]:start()
  end
  for _, worker in ipairs(workers) do worker:join() end
end

run_five(ccpool.Process, "Sample Process")
run_five(ccpool.Thread, "Sample Thread")
