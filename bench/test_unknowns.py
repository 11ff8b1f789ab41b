"""Refills by the free entries of a structured unknown, beside those by all entries, and what one writes by hand.

By hand the Jacobian by all entries is filled, and multiplied by the sparse matrix that makes them of the free ones.
"""

from functools import cache

import numpy as np
import pytest

import matjac as mj

ROUNDS = {"rounds": 20, "warmup_rounds": 2}
N = 120
rng = np.random.default_rng(0)
M, A = rng.standard_normal((N, N)), rng.standard_normal((40, 40))
CASES = {
    "L Lᵀ, lower": (lambda L: L @ L.T, mj.unknowns.lower(N)),
    "Lᵀ L, lower": (lambda L: L.T @ L, mj.unknowns.lower(N)),
    "X X, symmetric": (lambda X: X @ X, mj.unknowns.symmetric(N)),
    "X M, symmetric": (lambda X: X @ M, mj.unknowns.symmetric(N)),
    "tanh(L M), lower": (lambda L: np.tanh(L @ M), mj.unknowns.lower(N)),
    "A X Aᵀ, symmetric": (lambda X: A @ X @ A.T, mj.unknowns.symmetric(40)),
    "D M D, diagonal": (lambda D: D @ M @ D, mj.unknowns.diagonal(N)),
}


@cache
def tasks(name):
    """What refills each, all of them checked beside one another."""
    f, kind = CASES[name]
    x = np.random.default_rng(1).standard_normal(kind.size)
    X = kind.whole(x)
    whole, free = mj.compile(f, kind.shape), mj.compile(f, kind)
    S = kind.jacobian().tocsr()
    every, some = whole.jacobian(X).tocsr(), free.jac_csr(x)
    by_hand = every @ S
    assert abs(some - by_hand).max() < 1e-10 * abs(by_hand).max()
    return {
        "floor": lambda: some.data.fill(1.0),
        "all entries": lambda: whole.jac_csr(X.reshape(-1), out=every),
        "free entries": lambda: free.jac_csr(x, out=some),
        "by hand": lambda: whole.jac_csr(X.reshape(-1), out=every) @ S,
    }


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("what", ["floor", "all entries", "free entries", "by hand"])
def test_refill(benchmark, name, what):
    benchmark.group = name
    benchmark.pedantic(tasks(name)[what], **ROUNDS)
