"""What the Python benches share; they print what the Lua benches print."""

import gc
import math
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

WORKERS = 2
KINDS = {"threads": ThreadPoolExecutor, "processes": ProcessPoolExecutor}

now = time.perf_counter


def nothing(value=None):
    return value


def construct(kind, workers=WORKERS, **options):
    return KINDS[kind](workers, **options)


def warm(executor, workers=WORKERS):
    for future in [executor.submit(time.sleep, 0.02) for _ in range(workers)]:
        future.result()
    return executor


def expect(got, expected, what):
    if got != expected:
        sys.exit(f"{what}: got {got}, expected {expected}")


def samples(warmups, n, measure):
    values = []
    for i in range(warmups + n):
        gc.collect()
        value = measure()
        if i >= warmups:
            values.append(value)
    return values


def percentile(values, share):
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]


def spin(seconds):
    stop = now() + seconds
    while now() < stop:
        pass


def report(kind, measure, values):
    if not isinstance(values, list):
        values = [values]
    print(kind, measure, *(f"{value:.6g}" for value in values), flush=True)


def memory(pid="self", field="Pss"):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return 0


def descendants(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            for child in file.read().split():
                found += [child] + descendants(child)
    return found


def family_memory():
    return memory() + sum(memory(pid) for pid in descendants(os.getpid()))
