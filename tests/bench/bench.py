"""The rival's harness: time(name, f, g, ...) prints the fastest way's line."""
import os, sys, time as clock

threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
samples = int(os.environ.get("BENCH_SAMPLES", "3"))
target = float(os.environ.get("BENCH_SECONDS", "0.2"))

import torch

torch.set_num_threads(threads)
torch.manual_seed(0)


def run(f, n):
    start = clock.perf_counter()
    for _ in range(n):
        f()
    return (clock.perf_counter() - start) / n


def median_of(f):
    once = run(f, 1)
    if once < 1:
        once = run(f, 2)
    if once < 0.01:
        once = run(f, max(1, int(0.02 / once)))
    n = max(1, int(target / once))
    values = sorted(run(f, n) for _ in range(samples if once < 1 else 1))
    return values[len(values) // 2]


def time(name, *ways, scale=1):
    print("%s\t%.9g" % (name, min(map(median_of, ways)) / scale), flush=True)
