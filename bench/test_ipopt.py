"""Ipopt with exact Hessians beside its limited-memory approximation: time, and steps in `extra_info`.

``python -m pytest bench/test_ipopt.py``, with the extra ``matjac[ipopt]``.
"""

import numpy as np
import pytest

import matjac as mj

pytest.importorskip("ipyopt")


def orthogonality(n=30, k=6):
    """The k orthonormal columns that keep most variance."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((200, n)) * np.linspace(1, 3, n)
    S, half = X.T @ X / 200, np.triu_indices(k)
    F = mj.compile(lambda R: -0.5 * np.sum((S @ R) * R), (n, k))
    G = mj.compile(lambda R: (R.T @ R)[half], (n, k))
    start = np.linalg.qr(rng.standard_normal((n, k)))[0]
    return F, [start], {"constraints": [(G, np.eye(k)[half], np.eye(k)[half])]}


def likelihood(n=20):
    """The precision L Lᵀ of a sample where some pairs are independent given the others."""
    rng = np.random.default_rng(3)
    S = np.corrcoef((rng.standard_normal((200, n)) @ rng.standard_normal((n, n))).T)
    pairs = np.arange(n // 2), np.arange(n // 2) + n // 2

    def negative(L):
        T = np.tril(L)
        return 0.5 * np.sum((S @ T) * T) - np.linalg.slogdet(T)[1]

    G = mj.compile(lambda L: (np.tril(L) @ np.tril(L).T)[pairs], (n, n))
    free = np.tri(n) > 0
    bounds = np.where(free, -np.inf, 0.0), np.where(free, np.inf, 0.0)
    return mj.compile(negative, (n, n)), [np.eye(n)], {"constraints": [(G, 0.0, 0.0)], "bounds": bounds}


def nonnegative(m=60, n=50, k=3):
    """A masked factorisation with bounds."""
    rng = np.random.default_rng(0)
    rows, cols = np.nonzero(rng.random((m, n)) < 0.4)
    data = (rng.random((m, k)) @ rng.random((k, n)))[rows, cols] + 0.01 * rng.standard_normal(rows.size)

    def cost(U, V):
        return np.sum(((U @ V.T)[rows, cols] - data) ** 2) + 1e-3 * (np.sum(U * U) + np.sum(V * V))

    return mj.compile(cost, (m, k), (n, k)), [rng.random((m, k)), rng.random((n, k))], {"bounds": (0.0, None)}


@pytest.mark.parametrize("hessian", ["exact", "limited-memory"])
@pytest.mark.parametrize("make", [orthogonality, likelihood, nonnegative])
def test_ipopt(benchmark, make, hessian):
    F, start, more = make()

    def solve():
        return mj.solvers.ipopt(F, *start, hessian=hessian, options={"max_iter": 3000}, **more)

    benchmark.group = make.__doc__
    fit = benchmark.pedantic(solve, rounds=3, warmup_rounds=1)
    benchmark.extra_info.update(steps=fit.nit, objective=fit.fun, message=fit.message)
    print(f"{make.__name__}, {hessian}: {fit.nit} steps, {fit.fun:.9g}, {fit.message}")
