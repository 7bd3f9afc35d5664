--- The rows of docs/performance.md: which bench measures each, and its goals.
--
-- A figure is named by the kind and the measure that the bench prints; one without goals
-- informs. A goal is an operator and a bound: a number, or a factor and "python" or "go",
-- what it is a multiple of, measured in the same run. `python` names the kind that Python's
-- bench prints where it is another.

local function at_least(bound, of) return { op = ">=", bound = bound, of = of } end
local function at_most(bound, of) return { op = "<=", bound = bound, of = of } end

local function figure(kind, measure, what, goals, python)
  return { kind = kind, measure = measure, what = what, goals = goals, python = python or kind }
end

local BOTH = { "threads", "processes" }

return {
  {
    name = "throughput", kinds = BOTH, python = BOTH, go = true, rounds = 3, python_rounds = 2,
    figures = {
      figure("threads", "rate_M/s", "100k tasks, a future each, threads: M tasks/s",
        { at_least(1, "go"), at_least(40, "python") }),
      figure("processes", "rate_M/s", "the same, processes: M tasks/s",
        { at_least(4), at_least(200, "python") }),
    },
  },
  {
    name = "map", kinds = BOTH, python = { "processes" }, go = true, rounds = 3, python_rounds = 2,
    figures = {
      figure("threads", "rate_M/s", "map over 500k, threads: M items/s",
        { at_least(1, "go"), at_least(1.5, "python") }, "processes"),
      figure("processes", "rate_M/s", "map over 500k, processes: M items/s",
        { at_least(1, "go"), at_least(1.5, "python") }),
    },
  },
  {
    name = "latency", kinds = BOTH, python = BOTH, go = true, rounds = 3, python_rounds = 2,
    figures = {
      figure("threads", "p50_us", "submit one, wait, threads: µs p50", { at_most(1) }),
      figure("threads", "p99_us", "the same: µs p99", { at_most(5) }),
      figure("processes", "p50_us", "submit one, wait, processes: µs p50", { at_most(1.5) }),
      figure("processes", "p99_us", "the same: µs p99", { at_most(5) }),
      figure("threads", "cold_p50_us", "cold submit, threads: µs p50", { at_most(28) }),
      figure("threads", "cold_p99_us", "the same: µs p99"),
      figure("processes", "cold_p50_us", "cold submit, processes: µs p50", { at_most(28) }),
      figure("processes", "cold_p99_us", "the same: µs p99"),
    },
  },
  {
    name = "start", kinds = BOTH, python = BOTH, rounds = 7, python_rounds = 3,
    figures = {
      figure("threads", "start_us", "64 workers at once, threads: µs each", { at_most(60) }),
      figure("threads", "memory_KB", "the same: KB each (RSS)", { at_most(50) }),
      figure("processes", "start_us", "64 workers at once, processes: µs each", { at_most(150) }),
      figure("processes", "memory_KB", "the same: KB each (PSS)", { at_most(100) }),
    },
  },
  {
    name = "echo", kinds = BOTH, python = { "processes" }, rounds = 2, python_rounds = 1,
    figures = {
      figure("processes", "1KB_us", "echo of 1 KB, processes: µs", { at_most(2) }),
      figure("processes", "1MB_us", "echo of 1 MB, processes: µs", { at_most(150) }),
      figure("processes", "64MB_us", "echo of 64 MB, processes: µs", { at_most(70000) }),
      figure("processes", "integers_ms", "echo of 1e5 integers, processes: ms", { at_most(3.5) }),
      figure("processes", "records_ms", "echo of 1e4 records, processes: ms", { at_most(9) }),
      figure("threads", "1KB_us", "echo of 1 KB, threads: µs", { at_most(2) }, "processes"),
      figure("threads", "1MB_us", "echo of 1 MB, threads: µs", { at_most(150) }, "processes"),
      figure("threads", "64MB_us", "echo of 64 MB, threads: µs", { at_most(70000) }, "processes"),
      figure("threads", "integers_ms", "echo of 1e5 integers, threads: ms", { at_most(3.5) },
        "processes"),
      figure("threads", "records_ms", "echo of 1e4 records, threads: ms", { at_most(9) },
        "processes"),
    },
  },
  {
    name = "primes", kinds = BOTH, python = BOTH, rounds = 2, python_rounds = 1,
    figures = {
      figure("threads", "speedup", "prime check, 2 threads: × serial", { at_least(1.97) }),
      figure("processes", "speedup", "prime check, 2 processes: × serial", { at_least(1.97) }),
    },
  },
  {
    name = "queues", kinds = BOTH, python = BOTH, rounds = 2, python_rounds = 1,
    figures = {
      figure("threads", "rate_M/s", "queue, integers, to a thread: M items/s", { at_least(1) }),
      figure("processes", "rate_M/s", "the same, to a process: M items/s", { at_least(0.5) }),
      figure("threads", "bounded_M/s", "queue of 100 places, thread: M items/s"),
      figure("processes", "bounded_M/s", "the same, process: M items/s"),
      figure("threads", "1KB_M/s", "queue, 1 KB strings, thread: M items/s"),
      figure("processes", "1KB_M/s", "the same, process: M items/s"),
    },
  },
  {
    name = "fork_heap", kinds = { "processes", "by_hand" }, rounds = 2,
    figures = {
      figure("processes", "first_result_ms", "500 MB heap, constructor to first result: ms",
        { at_most(12) }),
      figure("processes", "construct_ms", "of that, the constructor: ms"),
      figure("by_hand", "first_result_ms", "500 MB heap, fork and a byte, by hand: ms"),
      figure("processes", "more_MB", "500 MB heap, more memory after little work: MB",
        { at_most(100) }),
      figure("processes", "more_long_MB", "500 MB heap, more memory after more work: MB"),
    },
  },
  {
    name = "pending", kinds = BOTH, python = BOTH, rounds = 2, python_rounds = 1,
    figures = {
      figure("threads", "pending_B", "pending task, threads: bytes", { at_most(250) }),
      figure("processes", "pending_B", "pending task, processes: bytes", { at_most(250) }),
      figure("threads", "finished_B", "finished, its future kept, threads: bytes"),
      figure("processes", "finished_B", "finished, its future kept, processes: bytes"),
    },
  },
  {
    name = "options", kinds = BOTH, rounds = 2,
    figures = {
      figure("threads", "plain_M/s", "50k tasks without options, threads: M tasks/s"),
      figure("threads", "with_timeout_M/s", "the same, each with a timeout: M tasks/s"),
      figure("processes", "plain_M/s", "50k tasks without options, processes: M tasks/s"),
      figure("processes", "with_timeout_M/s", "the same, each with a timeout: M tasks/s"),
    },
  },
  {
    name = "end_to_end", kinds = { "serial", "threads", "processes" },
    python = { "serial", "threads", "processes" }, rounds = 2, python_rounds = 1,
    figures = {
      figure("serial", "total_ms", "whole program, without ccpool: ms"),
      figure("threads", "total_ms", "whole program, threads: ms"),
      figure("processes", "total_ms", "whole program, processes: ms"),
    },
  },
}
