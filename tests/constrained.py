"""Problems with constraints or bounds: for each the objective, where to start, and what else the solver is given."""

import numpy as np

import matjac as mj


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
