"""Two workers against none; one round of the numbers twice, for time's sake."""

import math
import sys

import support

NUMBERS = [
    112272535095293, 112582705942171, 112272535095293,
    115280095190773, 115797848077099, 1099726899285419,
]
REPEATS = 2


def is_prime(n):
    if n < 2 or n % 2 == 0:
        return n == 2
    for i in range(3, math.isqrt(n) + 1, 2):
        if n % i == 0:
            return False
    return True


def seconds(run, items):
    started = support.now()
    results = list(run(is_prime, items))
    ended = support.now()
    support.expect(results, [True, True, True, True, True, False] * REPEATS, "primes")
    return ended - started


def main(kind):
    items = NUMBERS * REPEATS
    with support.construct(kind) as executor:
        support.warm(executor)
        serial = seconds(map, items)
        support.report(kind, "speedup", serial / seconds(executor.map, items))


if __name__ == "__main__":
    main(sys.argv[1])
