"""What products cost beside the functions themselves: J v and Jᵀ u at a point that is there, over plain NumPy or SciPy.

Asked: at most 3 times. `python bench/test_functions_cost.py` prints the table; the tests time each part for
pytest-benchmark. With ``OPENBLAS_NUM_THREADS=1``.
"""

import sys
import timeit
from functools import cache

import numpy as np
import pytest

import matjac as mj

rng = np.random.default_rng(0)
n = 200
A = rng.standard_normal((n, n)) / np.sqrt(n)
S, P, Q = A @ A.T + np.eye(n), *rng.standard_normal((2, n, n))
X = rng.standard_normal((1000, 1000))
#: The functions that are asked about, and some more.
ASKED = {
    "cumsum": (lambda X: np.cumsum(X, axis=1), X),
    "sort": (lambda X: np.sort(X, axis=1), X),
    "where": (lambda X: np.where(X > 0, X, 0.1 * X), X),
    "cholesky": (np.linalg.cholesky, S),
    "eigh": (lambda S: np.linalg.eigh(S)[1], S),
    "expm": (mj.linalg.expm, A),
    "einsum of three": (lambda X: np.einsum("ij,jk,kl->il", X, P, X, optimize=True), A),
}
OTHERS = {
    "inv": (np.linalg.inv, S),
    "solve": (lambda A: np.linalg.solve(A, P), S),
    "svd": (lambda A: np.linalg.svd(A)[0], A),
    "qr": (lambda A: np.linalg.qr(A)[0], A),
    "sqrtm": (mj.linalg.sqrtm, S),
    "median": (lambda X: np.median(X, axis=1), X),
    "prod": (lambda X: np.prod(X, axis=1), 1 + 0.1 * X),
    "max": (lambda X: np.max(X, axis=1), X),
    "var": (lambda X: np.var(X, axis=1), X),
    "fft": (lambda X: np.abs(np.fft.rfft(X)), X),
    "convolve": (lambda x: np.convolve(x, P[0]), rng.standard_normal(100_000)),
}


@cache
def tasks(name):
    fun, x = (ASKED | OTHERS)[name]
    J = mj.compile(fun, x).jacobian(x)
    v, u = rng.standard_normal(J.shape[1]), rng.standard_normal(J.shape[0])
    # the adjoint of each other, and a product beside differences
    assert np.isclose(u @ (J @ v), v @ (J.T @ u), rtol=1e-6)
    h = 1e-6
    direction = h * v.reshape(x.shape)
    difference = (fun(x + direction) - fun(x - direction)).reshape(-1) / (2 * h)
    # some points are at a kink of a sort
    assert np.median(np.abs(J @ v - difference)) < 1e-5 * max(1, np.abs(difference).max())
    return {"function": lambda: fun(x), "J v": lambda: J @ v, "J.T u": lambda: J.T @ u}


@pytest.mark.parametrize("what", ["function", "J v", "J.T u"])
@pytest.mark.parametrize("name", ASKED | OTHERS)
def test_products(benchmark, name, what):
    benchmark.group = name
    benchmark.pedantic(tasks(name)[what], rounds=20, warmup_rounds=3)


def best(task):
    count = max(1, int(0.01 / max(min(timeit.repeat(task, number=1, repeat=3)), 1e-7)))
    return min(timeit.repeat(task, number=count, repeat=7)) / count


if __name__ == "__main__":
    for name in ASKED | OTHERS:
        times = {what: best(task) for what, task in tasks(name).items()}
        ratios = "  ".join(f"{what} {times[what] / times['function']:5.2f}" for what in ("J v", "J.T u"))
        sys.stdout.write(f"{name:16} {times['function'] * 1e3:8.3f} ms  {ratios}\n")
