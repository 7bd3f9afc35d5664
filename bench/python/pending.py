"""Memory of a task that waits behind busy workers, its future kept."""

import gc
import multiprocessing
import sys
import time

import support

TASKS = 100000
released = multiprocessing.Event()


def square(i):
    return i * i


def hold():
    while not released.is_set():
        time.sleep(0.002)


def main(kind):
    with support.construct(kind) as executor:
        support.warm(executor)
        futures = [None] * TASKS
        holders = [executor.submit(hold) for _ in range(support.WORKERS)]
        time.sleep(0.02)
        gc.collect()
        before = support.family_memory()
        for i in range(TASKS):
            futures[i] = executor.submit(square, i)
        gc.collect()
        queued = support.family_memory()
        support.report(kind, "pending_B", (queued - before) / TASKS)
        for future in futures:
            future.cancel()
        released.set()
        for holder in holders:
            holder.result()


if __name__ == "__main__":
    main(sys.argv[1])
