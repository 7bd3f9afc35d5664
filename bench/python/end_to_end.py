"""A whole small program, from the start of the interpreter to its end."""

import subprocess
import sys

import support

FIRST, NUMBERS, PRIMES = 100000001, 6000, 340


def is_prime(n):
    if n % 2 == 0:
        return n == 2
    for i in range(3, int(n**0.5) + 1, 2):
        if n % i == 0:
            return False
    return True


def program(kind):
    items = range(FIRST, FIRST + NUMBERS)
    if kind == "serial":
        print(sum(map(is_prime, items)))
        return
    with support.construct(kind) as executor:
        print(sum(executor.map(is_prime, items, chunksize=32)))


def milliseconds(kind):
    started = support.now()
    output = subprocess.run(
        [sys.executable, __file__, kind, "program"], stdout=subprocess.PIPE, check=True
    ).stdout
    seconds = support.now() - started
    support.expect(int(output), PRIMES, "number of primes")
    return seconds * 1e3


def main(kind):
    support.report(
        kind, "total_ms", support.samples(1, 2, lambda: milliseconds(kind))
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        program(sys.argv[1])
    else:
        main(sys.argv[1])
