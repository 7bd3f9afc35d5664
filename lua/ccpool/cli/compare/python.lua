--- The workloads in Python, with `concurrent.futures`: the program that does them.
--
-- It is started with the name of a workload, a kind (`serial`, `threads`, `processes`), a
-- number of workers and the workload's arguments. As for ccpool, workers are started
-- before the clock is. It prints lines: `seconds`, `start`, `cpu` (user and system),
-- `memory` (bytes), a `span` for each task (item, begin, end, worker) and the `key`.
-- @module ccpool.cli.compare.python

return [==[
import math, os, resource, socket, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

# Workers start on demand: so long each has to be busy for all of them to be there.
NAP = 0.02


def is_prime(n):
    if n < 4:
        return n > 1
    if n % 2 == 0:
        return False
    for i in range(3, math.isqrt(n) + 1, 2):
        if n % i == 0:
            return False
    return True


def prime(number):
    return "true" if is_prime(number) else "false"


def count(first, last):
    return str(sum(map(is_prime, range(first, last + 1))))


def pause(seconds):
    time.sleep(seconds)
    return ""


def banner(host, port, expected):
    with socket.create_connection((host, port)) as connection:
        text = b""
        while part := connection.recv(4096):
            text += part
    return "right" if text == expected.encode() + b"\r\n" else "wrong"


def jobs_of(workload, words):
    if workload == "primes":
        return prime, [(int(word),) for word in words]
    if workload == "cpu":
        first, size, slices = map(int, words)
        return count, [(first + i * size, first + (i + 1) * size - 1) for i in range(slices)]
    if workload == "sleep":
        return pause, [(float(words[1]),)] * int(words[0])
    return banner, [(words[1], int(words[2]), words[3])] * int(words[0])


def key_of(workload, results):
    if workload == "sleep":
        return str(len(results))
    if workload == "io":
        return str(results.count("right"))
    return " ".join(results)


def timed(task, arguments):
    begin = time.monotonic()
    result = task(*arguments)
    return result, begin, time.monotonic(), (os.getpid(), threading.get_ident())


def cpu_of(who):
    usage = resource.getrusage(who)
    return usage.ru_utime, usage.ru_stime


def proportional_memory():
    try:
        with open("/proc/self/smaps_rollup") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def memory_of_worker(seconds):
    time.sleep(seconds)
    return os.getpid(), proportional_memory()


class Serial:
    def submit(self, function, *arguments):
        result = function(*arguments)
        return type("Done", (), {"result": lambda self: result})()

    def shutdown(self):
        pass


def main():
    workload, kind, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    task, jobs = jobs_of(workload, sys.argv[4:])
    memory_before = proportional_memory()
    opened = time.monotonic()
    if kind == "serial":
        pool = Serial()
    else:
        pool = (ThreadPoolExecutor if kind == "threads" else ProcessPoolExecutor)(workers)
        for future in [pool.submit(time.sleep, NAP) for _ in range(workers)]:
            future.result()
    start = max(0, time.monotonic() - opened - (0 if kind == "serial" else NAP))
    own_before = cpu_of(resource.RUSAGE_SELF)
    begun = time.monotonic()
    replies = [future.result() for future in [pool.submit(timed, task, job) for job in jobs]]
    seconds = time.monotonic() - begun
    own_after = cpu_of(resource.RUSAGE_SELF)
    pairs = []
    if kind == "processes":
        pairs = [future.result() for future in
                 [pool.submit(memory_of_worker, NAP) for _ in range(workers)]]
    memory = proportional_memory() - memory_before + sum(dict(pairs).values())
    pool.shutdown()
    workers_cpu = cpu_of(resource.RUSAGE_CHILDREN)
    numbers = {}
    for item, (_, begin, end, worker) in enumerate(replies):
        number = numbers.setdefault(worker, len(numbers) + 1)
        print("span", item + 1, begin - begun, end - begun, number)
    print("seconds", seconds)
    print("start", start)
    print("cpu", *(own_after[i] - own_before[i] + workers_cpu[i] for i in (0, 1)))
    print("memory", max(0, memory))
    print("key", key_of(workload, [reply[0] for reply in replies]))


main()
]==]
