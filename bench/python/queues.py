"""Items through queue.Queue and multiprocessing.Queue; fewer of them, for time's sake."""

import os
import sys

# This file's name hides the library's module while its folder is searched first.
_here = os.path.dirname(os.path.abspath(__file__))
sys.path = [path for path in sys.path if os.path.abspath(path or ".") != _here]
import multiprocessing
import queue
import threading

sys.path.append(_here)
import support

ITEMS = 50000
BOUND = 100
TEXT = "x" * 1000


def produce(items, n, text):
    for i in range(n):
        items.put(text or i)


def rate(kind, bound=0, text=None):
    if kind == "threads":
        items, worker = queue.Queue(bound), threading.Thread
    else:
        items, worker = multiprocessing.Queue(bound), multiprocessing.Process
    started = support.now()
    producer = worker(target=produce, args=(items, ITEMS, text))
    producer.start()
    total = 0
    for _ in range(ITEMS):
        item = items.get()
        total += len(item) if text else item
    seconds = support.now() - started
    producer.join()
    expected = ITEMS * len(text) if text else ITEMS * (ITEMS - 1) // 2
    support.expect(total, expected, "sum of the items")
    return ITEMS / seconds / 1e6


def main(kind):
    support.report(kind, "rate_M/s", support.samples(1, 2, lambda: rate(kind)))
    support.report(kind, "bounded_M/s", support.samples(1, 2, lambda: rate(kind, BOUND)))
    support.report(kind, "1KB_M/s", support.samples(1, 2, lambda: rate(kind, 0, TEXT)))


if __name__ == "__main__":
    main(sys.argv[1])
