--- Scans ports of targets on an executor.
-- @module ccpool.cli.scan.sweep

local engine = require("ccpool.cli.scan.engine")
local interrupt = require("ccpool.cli.interrupt")
local probe = require("ccpool.cli.scan.probe")

local MIN_CHUNK, MAX_CHUNK = 256, 1024
-- So many chunks for each worker even out chunks that take longer than others.
local CHUNKS_PER_WORKER = 4

local function auto_chunk(plan)
  local total = #plan.targets * #plan.ports
  local even = math.ceil(total / (plan.workers * CHUNKS_PER_WORKER))
  return math.max(MIN_CHUNK, math.min(MAX_CHUNK, even))
end

-- Iterates over the chunks of all targets: target index, index of its first port, ports.
local function chunks(plan, size)
  local target_index, first = 1, 1
  return function()
    if target_index > #plan.targets then
      return nil
    end
    local last = math.min(first + size - 1, #plan.ports)
    local ports = table.move(plan.ports, first, last, 1, {})
    local chunk_target, chunk_first = target_index, first
    first = last + 1
    if first > #plan.ports then
      target_index, first = target_index + 1, 1
    end
    return chunk_target, chunk_first, ports
  end
end

-- Returns the task, its source of arguments, its map options, and the chunks handed out
-- by their index.
local function prepare(plan)
  local is_poll = plan.engine == "poll"
  local is_auto = plan.chunk == "auto"
  local size = is_poll and (is_auto and auto_chunk(plan) or plan.chunk) or 1
  local limits = {
    timeout = plan.timeout,
    retries = plan.retries,
    concurrency = math.max(1, plan.concurrency // plan.workers),
  }
  local next_chunk = chunks(plan, size)
  local pending, count = {}, 0
  local function source()
    local target_index, first, ports = next_chunk()
    if not target_index then
      return nil
    end
    count = count + 1
    pending[count] = { target_index, first, #ports }
    return plan.targets[target_index], is_poll and ports or ports[1], limits
  end
  local options = {
    chunksize = is_poll and 1 or plan.chunk,
    ordered = false,
    on_error = "return",
  }
  return is_poll and engine.scan or probe.check, source, options, pending
end

--- Scans every port of every target.
-- @tparam table executor
-- @tparam table plan `targets`, `ports`, `engine` (`poll` or `connect`), `workers`,
-- `chunk` (a number or `auto`), `timeout` in seconds, `retries`, `concurrency`
-- @tparam function on_outcomes called as `on_outcomes(target_index, first, outcomes)` for
-- each chunk in the order of completion; `outcomes` belong to the ports from index
-- `first` on
-- @tparam function on_failure called as `on_failure(target_index, first, count, err)`
-- for a chunk that could not be scanned
local function run(executor, plan, on_outcomes, on_failure)
  local task, source, options, pending = prepare(plan)
  for i, ok, value in executor:map(task, source, options) do
    local target_index, first, count = table.unpack(pending[i])
    pending[i] = nil
    if ok then
      on_outcomes(target_index, first, type(value) == "table" and value or { value })
    else
      interrupt.rethrow(value)
      on_failure(target_index, first, count, value)
    end
  end
end

return { run = run }
