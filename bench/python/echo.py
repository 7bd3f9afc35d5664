"""Values to a worker process and back."""

import support

KB, MB = 1024, 1024 * 1024


def records():
    return [
        {"id": i, "name": f"record {i}", "tags": ["red", "green", f"tag {i % 10}"]}
        for i in range(1, 10001)
    ]


CASES = [
    ("1KB_us", lambda: "0123456789abcdef" * (KB // 16), 2, 400, 1e6),
    ("1MB_us", lambda: "0123456789abcdef" * (MB // 16), 2, 30, 1e6),
    ("64MB_us", lambda: "0123456789abcdef" * (4 * MB), 2, 1, 1e6),
    ("integers_ms", lambda: [i * 1001 for i in range(1, 100001)], 2, 5, 1e3),
    ("records_ms", records, 2, 5, 1e3),
]


def sample(executor, value, echoes, unit):
    times = []
    for _ in range(echoes):
        started = support.now()
        back = executor.submit(support.nothing, value).result()
        times.append((support.now() - started) * unit)
    support.expect(back == value, True, "the echo is equal")
    return support.percentile(times, 0.5)


def main():
    with support.construct("processes") as executor:
        support.warm(executor)
        for measure, make, samples, echoes, unit in CASES:
            value = make()
            support.report(
                "processes",
                measure,
                support.samples(1, samples, lambda: sample(executor, value, echoes, unit)),
            )


if __name__ == "__main__":
    main()
