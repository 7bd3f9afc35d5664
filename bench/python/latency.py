"""From submit to the result of one tiny task: one after the other, and after a pause."""

import sys

import support

CALLS, COLD_CALLS, PAUSE = 2000, 200, 0.001


def square(i):
    return i * i


def calls(executor, n, pause):
    times = []
    for i in range(n):
        if pause:
            support.spin(pause)
        started = support.now()
        result = executor.submit(square, i).result()
        times.append((support.now() - started) * 1e6)
        support.expect(result, i * i, "square")
    return times


def main(kind):
    with support.construct(kind) as executor:
        support.warm(executor)
        calls(executor, CALLS // 2, 0)
        rounds = [calls(executor, CALLS, 0) for _ in range(3)]
        support.report(kind, "p50_us", [support.percentile(r, 0.5) for r in rounds])
        support.report(kind, "p99_us", [support.percentile(r, 0.99) for r in rounds])
        cold = calls(executor, COLD_CALLS, PAUSE)
        support.report(kind, "cold_p50_us", support.percentile(cold, 0.5))
        support.report(kind, "cold_p99_us", support.percentile(cold, 0.99))


if __name__ == "__main__":
    main(sys.argv[1])
