"""64 workers at once, until all are ready, and the memory that they take."""

import gc
import multiprocessing
import sys
import threading

import support

WORKERS = 64


def memory(kind):
    return support.memory(field="Rss") if kind == "threads" else support.family_memory()


def start_threads():
    release = threading.Event()
    threads = [threading.Thread(target=release.wait) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()  # returns once the thread runs
    return release.set


def start_processes():
    ready = multiprocessing.Semaphore(0)
    executor = support.construct("processes", WORKERS, initializer=ready.release)
    executor.submit(support.nothing)
    for _ in range(WORKERS):
        ready.acquire()
    return executor.shutdown


def main(kind):
    gc.collect()
    before = memory(kind)
    started = support.now()
    end = start_threads() if kind == "threads" else start_processes()
    seconds = support.now() - started
    after = memory(kind)
    end()
    support.report(kind, "start_us", seconds / WORKERS * 1e6)
    support.report(kind, "memory_KB", (after - before) / WORKERS / 1024)


if __name__ == "__main__":
    main(sys.argv[1])
