"""A tiny task and a future for each number; fewer of them than in Lua, for time's sake."""

import sys

import support

TASKS = {"threads": 20000, "processes": 6000}


def square(i):
    return i * i


def rate(executor, tasks):
    started = support.now()
    futures = [executor.submit(square, i) for i in range(tasks)]
    total = sum(future.result() for future in futures)
    seconds = support.now() - started
    support.expect(total, sum(i * i for i in range(tasks)), "sum of the squares")
    return tasks / seconds / 1e6


def main(kind):
    with support.construct(kind) as executor:
        support.warm(executor)
        support.report(
            kind, "rate_M/s", support.samples(1, 2, lambda: rate(executor, TASKS[kind]))
        )


if __name__ == "__main__":
    main(sys.argv[1])
