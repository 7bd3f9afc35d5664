"""multiprocessing.Pool.map of a tiny function over a list, chunks as Python chooses them."""

import multiprocessing

import support

ITEMS = 500000


def square(i):
    return i * i


def rate(pool, items):
    started = support.now()
    results = pool.map(square, items)
    seconds = support.now() - started
    support.expect(results, [i * i for i in items], "squares")
    return ITEMS / seconds / 1e6


def main():
    items = list(range(ITEMS))
    with multiprocessing.Pool(support.WORKERS) as pool:
        support.report(
            "processes", "rate_M/s", support.samples(1, 4, lambda: rate(pool, items))
        )


if __name__ == "__main__":
    main()
