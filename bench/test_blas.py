"""BLAS's threads inside a solver: with the limit that solvers set, and without it, in turns.

Where the processors are idle, two threads are as fast for large products and no faster for small ones; where they are
taken, each small product waits. BLAS gets as many threads as there are processors, whatever the environment says.
"""

import os
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import matjac as mj
from matjac.solvers import blas

ROUNDS = 3


def digits():
    X = pytest.importorskip("sklearn.datasets").load_digits().data
    rng = np.random.default_rng(0)
    scale = np.sqrt(X.mean() / 10)
    start = [scale * np.abs(rng.standard_normal(shape)) for shape in ((1797, 10), (10, 64))]
    return lambda W, H: 0.5 * np.sum((W @ H - X) ** 2), start, {"bounds": (0, None), "options": {"maxiter": 100}}


def gram(n, rank, steps):
    def make():
        rng = np.random.default_rng(0)
        A = rng.standard_normal((n, rank + 10))
        K = A @ A.T / (rank + 10)
        start = [rng.standard_normal((rank, n))]
        return lambda R: 0.5 * np.sum((R.T @ R - K) ** 2), start, {"options": {"maxiter": steps}}

    return make


PROBLEMS = {
    "non-negative factors of the digits": digits,
    "Gram 300, rank 20": gram(300, 20, 60),
    "Gram 2000, rank 20": gram(2000, 20, 8),
    "Gram 2000, rank 200": gram(2000, 200, 8),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_threads(benchmark, monkeypatch, name):
    fun, start, options = PROBLEMS[name]()
    F = mj.compile(fun, *(part.shape for part in start))
    mj.solvers.minimize(F, *start, **{**options, "options": {"maxiter": 2}})
    limited = blas.multiplications(F) < blas.LARGE
    times = {"as it is": [], "one thread": [], "all": []}

    def run(way, threads, large):
        monkeypatch.setattr(blas, "LARGE", large)
        with threadpool_limits(threads, user_api="blas"):
            began = time.perf_counter()
            fit = mj.solvers.minimize(F, *start, **options)
            times[way].append(time.perf_counter() - began)
        assert np.isfinite(fit.fun)

    def turns():
        most, large = os.cpu_count(), blas.LARGE
        run("as it is", most, large)
        run("one thread", 1, 0)
        run("all", most, 0)
        monkeypatch.setattr(blas, "LARGE", large)

    benchmark.pedantic(turns, rounds=ROUNDS, warmup_rounds=0)
    found = {way: float(np.median(seconds)) for way, seconds in times.items()}
    benchmark.extra_info.update(found, limited=limited, libraries=[lib["internal_api"] for lib in threadpool_info()])
    print(f"\n{name} ({'limited' if limited else 'left as it is'}):", {way: round(s, 3) for way, s in found.items()})
