local rows = require("ccpool.cli.compare.rows")
local runner = require("ccpool.cli.compare.runner")
local scan_workload = require("ccpool.cli.compare.scan")
local stats = require("ccpool.cli.compare.stats")
local svg = require("ccpool.cli.compare.svg")

describe("the statistics of compare", function()
  it("find quantiles between neighbours", function()
    assert.are.equal(2, stats.median({ 3, 1, 2 }))
    assert.are.equal(2.5, stats.median({ 4, 1, 3, 2 }))
    assert.are.equal(1.75, stats.quantile({ 1, 2, 3, 4 }, 0.25))
    assert.are.equal(7, stats.quantile({ 7 }, 0.99))
  end)

  it("find mean and deviation", function()
    assert.are.equal(5, stats.mean({ 2, 4, 4, 4, 5, 5, 7, 9 }))
    assert.is_true(math.abs(stats.deviation({ 2, 4, 4, 4, 5, 5, 7, 9 }) - 2.13809) < 1e-5)
    assert.is_nil(stats.deviation({ 1 }))
  end)

  it("give an interval around the median, the same each time", function()
    local values = { 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 60 }
    local low, high = stats.interval(values)
    assert.is_true(low >= 10 and low < 15 and high > 15 and high < 60)
    assert.are.same({ low, high }, { stats.interval(values) })
    assert.is_nil(stats.interval({ 1, 2 }))
    assert.are.same({ 5, 5 }, { stats.interval({ 5, 5, 5 }) })
  end)
end)

describe("the rows of compare", function()
  local function sample(seconds)
    return { seconds = seconds, start_seconds = 0.001, user = seconds, system = 0, memory = 4096,
      spans = { { item = 1, from = 0, to = seconds, worker = 1 } } }
  end

  local function samples(...)
    local list = {}
    for i, seconds in ipairs({ ... }) do
      list[i] = sample(seconds)
    end
    return list
  end

  local WORKLOAD = { name = "work", count = function() return 8 end }

  it("compare with the serial one, and flag noise and crowds", function()
    local made = rows.make(WORKLOAD, {
      { contender = { backend = "serial", workers = 1 }, samples = samples(4.0, 4.1, 4.0) },
      { contender = { backend = "threads", workers = 4 }, samples = samples(1.0, 2.0, 6.0) },
    }, 2)
    assert.are.equal(1.0, made[1].speedup)
    assert.are.same({}, made[1].notes)
    assert.are.equal(2.0, made[2].speedup)
    assert.are.equal(0.5, made[2].efficiency)
    assert.are.equal(4.0, made[2].rate)
    assert.are.equal(1024, made[2].memory_per_worker)
    assert.are.equal(2.0, made[2].spans[1].to)
    assert.are.same({ "noisy", "workers > cores" }, made[2].notes)
  end)

  it("have no speedup without a serial one", function()
    local made = rows.make(WORKLOAD, {
      { contender = { backend = "threads", workers = 1 }, samples = samples(1.0) },
    }, 2)
    assert.is_nil(made[1].speedup)
    assert.is_nil(made[1].low)
  end)
end)

describe("the judgement of compare", function()
  local function entry(keys, verdict)
    return {
      workload = { verify = function() return verdict, "wrong" end },
      contenders = {},
      figures = {
        { contender = { backend = "serial", workers = 1 }, keys = { "a" }, results = { "a" } },
        { contender = { backend = "threads", workers = 2 }, keys = keys, results = keys },
      },
    }
  end

  it("is a result that all runs agree on and that is right", function()
    assert.are.equal("a", runner.agreed_result(entry({ "a", "a" }, true)))
  end)

  it("is nothing when one run has another result, or when it is wrong", function()
    local result, message = runner.agreed_result(entry({ "a", "b" }, true))
    assert.is_nil(result)
    assert.matches("disagree: threads × 2 has another result than serial", message)
    result, message = runner.agreed_result(entry({ "a" }, false))
    assert.is_nil(result)
    assert.are.equal("wrong", message)
  end)
end)

describe("an interrupted comparison", function()
  local function entry(...)
    local figures = {}
    for i, count in ipairs({ ... }) do
      figures[i] = { samples = {} }
      for k = 1, count do
        figures[i].samples[k] = {}
      end
    end
    return { figures = figures }
  end

  it("can be reported once every contender has run", function()
    assert.is_true(runner.is_complete({ entry(2, 1), entry(1) }))
    assert.is_false(runner.is_complete({ entry(2, 1), entry(1, 0) }))
    assert.is_false(runner.is_complete({ entry(1), {} }))
  end)
end)

describe("the scan workload of compare", function()
  it("misses no listener of its own", function()
    local workload = scan_workload.new()
    workload:prepare()
    finally(function()
      workload:close()
    end)
    assert.is_true(workload:verify(workload.server.ports))
    local is_right, message = workload:verify({ workload.server.ports[1] })
    assert.is_false(is_right)
    assert.matches("was not found", message)
  end)
end)

describe("the axes of compare", function()
  it("have round ticks", function()
    local labels = {}
    for i, tick in ipairs(svg.linear(0, 0.93, 0, 100).ticks) do
      labels[i] = tick[2]
    end
    assert.are.same({ "0.0", "0.2", "0.4", "0.6", "0.8" }, labels)
    labels = {}
    for i, tick in ipairs(svg.logarithmic(0.9, 60, 0, 100).ticks) do
      labels[i] = tick[2]
    end
    assert.are.same({ "1", "2", "5", "10", "20", "50" }, labels)
  end)

  it("place values", function()
    assert.are.equal(75, svg.linear(0, 4, 0, 100).place(3))
    assert.is_true(math.abs(svg.logarithmic(1, 100, 0, 100).place(10) - 50) < 1e-9)
  end)

  it("escape what they write", function()
    assert.are.equal('<text class="a" x="1.00" y="2.00">&lt;b&gt; &amp; c</text>',
      svg.text(1, 2, "a", "<b> & c"))
  end)
end)
