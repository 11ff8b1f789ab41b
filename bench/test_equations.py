"""Systems of equations and differential equations: `root` and `solve_ivp` beside what one writes by hand.

``python -m pytest bench/test_equations.py -s``: some 5 minutes. Each task and its peer run in turns, and medians are
compared. The figures of the notes are with ``OPENBLAS_NUM_THREADS=1``.
"""

import time
from statistics import median

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.sparse as sp
from scipy.integrate import solve_ivp
from scipy.sparse.linalg import splu

import matjac as mj


def in_turns(tasks, rounds=3):
    """Median seconds and the last result of each task."""
    seconds, results = {name: [] for name in tasks}, {}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            results[name] = task()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: median(taken) for name, taken in seconds.items()}
    print("\n" + ", ".join(f"{name} {taken:.4g} s" for name, taken in medians.items()))
    return medians, results


def dense_newton(fun, jac, x, tol=1e-10, steps=50):
    """Newton's method as one writes it: full steps, LU factors."""
    for _ in range(steps):
        y = fun(x)
        if np.abs(y).max() <= tol:
            break
        x = x - np.linalg.solve(jac(x), y)
    return x


def riccati(n, kind):
    """A, B, Q of AX + XAᵀ + Q − XBX: A stable, or near the edge of that."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, n)) / np.sqrt(n)
    A -= {"stable": 2.0, "edge": 1.05}[kind] * np.eye(n)
    G, C = rng.standard_normal((2, n, n))
    return A, G @ G.T / n, C @ C.T / n


@pytest.mark.parametrize("kind", ["stable", "edge"])
def test_riccati(kind):
    n = 60
    A, B, Q = riccati(n, kind)
    identity = np.eye(n)

    def residual(X):
        return A @ X + X @ A.T + Q - X @ B @ X

    def jacobian(x):
        X = x.reshape(n, n)
        return np.kron(A - X @ B, identity) + np.kron(identity, A - X.T @ B.T)

    def matjac():
        return mj.solvers.root(mj.compile(residual, (n, n)), np.zeros((n, n)))

    def by_hand():
        return dense_newton(lambda x: residual(x.reshape(n, n)).ravel(), jacobian, np.zeros(n * n))

    def care():
        return scipy.linalg.solve_continuous_are(A.T, np.linalg.cholesky(B), Q, identity)

    matjac()
    seconds, found = in_turns({"matjac": matjac, "dense Newton": by_hand, "solve_continuous_are": care})
    fit = found["matjac"]
    print(fit.message)
    by_hand = np.abs(residual(found["dense Newton"].reshape(n, n))).max()
    print(f"largest residual by hand {by_hand:.2g}")
    assert fit.success
    assert np.abs(residual(fit.variables[0])).max() < 1e-8
    assert seconds["matjac"] < seconds["dense Newton"]


def square(kind, n, seed):
    """M of X² = M."""
    rng = np.random.default_rng(seed)
    S = rng.standard_normal((n, n))
    return {
        "normal": S,
        "shifted": S / np.sqrt(n) + 2 * np.eye(n),
        "positive definite": S @ S.T / n + 0.1 * np.eye(n),
        "square": S @ S,
    }[kind]


@pytest.mark.parametrize("n", [20, 30])
@pytest.mark.parametrize("begin", ["identity", "M", "random"])
@pytest.mark.parametrize("kind", ["normal", "shifted", "positive definite", "square"])
def test_square_roots(kind, begin, n):
    """What SciPy's Newton–Krylov solves must be solved; a success must be one."""
    counts = {"matjac": 0, "newton_krylov": 0}
    taken = dict(counts)
    for seed in range(4):
        M = square(kind, n, seed)
        start = {
            "identity": np.eye(n),
            "M": M,
            "random": np.random.default_rng(100 + seed).standard_normal((n, n)),
        }[begin]
        began = time.perf_counter()
        ours = mj.solvers.root(mj.compile(lambda X, M=M: X @ X - M, (n, n)), start)
        taken["matjac"] += time.perf_counter() - began
        began = time.perf_counter()
        theirs = scipy.optimize.root(
            lambda x, M=M: ((X := x.reshape(n, n)) @ X - M).ravel(),
            start.ravel(),
            method="krylov",
            options={"maxiter": 200},
        )
        taken["newton_krylov"] += time.perf_counter() - began
        (X,) = ours.variables
        small = np.abs(X @ X - M).max() <= 1e-8 * max(1.0, np.abs(M).max())
        assert ours.success == small
        assert ours.success or not theirs.success
        counts["matjac"] += ours.success
        counts["newton_krylov"] += theirs.success
    print(f"\n{kind} {n} from {begin}:", *(f"{who} {counts[who]} of 4 in {taken[who]:.2f} s," for who in counts))


def bratu(n):
    """Δu + λ eᵘ = 0 on a line of n points, three in the middle, in units of the mesh."""
    second = sp.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()
    h = 1 / (n + 1)
    return second, 3.0 * h * h


def test_a_long_chain_stays_sparse():
    n = 100_000
    second, weight = bratu(n)

    def residual(u):
        return second @ u + weight * np.exp(u)

    F = mj.compile(residual, (n,))

    def by_hand():
        u = np.zeros(n)
        for _ in range(20):
            y = residual(u)
            if np.abs(y).max() <= 1e-15 * np.abs(u).max(initial=0.0):
                break
            u = u - splu((second + sp.diags_array(weight * np.exp(u))).tocsc()).solve(y)
        return u

    mj.solvers.root(F, np.zeros(n))
    seconds, found = in_turns({"matjac": lambda: mj.solvers.root(F, np.zeros(n)), "sparse Newton": by_hand})
    fit = found["matjac"]
    print(fit.message)
    assert fit.success
    assert fit.method == "newton-sparse"
    assert seconds["matjac"] < 2 * seconds["sparse Newton"]


@pytest.mark.parametrize("flow", ["gram", "riccati"])
@pytest.mark.parametrize("method", ["Radau", "BDF"])
def test_matrix_differential_equations(method, flow):
    n = 30
    A, B, Q = riccati(n, "stable")
    identity = np.eye(n)
    slopes = {
        "gram": lambda R: -R @ (R.T @ R - Q),
        "riccati": lambda X: A @ X + X @ A.T + Q - X @ B @ X,
    }

    def gram(x):
        R = x.reshape(n, n)
        # d(−R RᵀR) = −dR RᵀR − R dRᵀ R − R Rᵀ dR; the middle one exchanges rows and columns
        exchanged = np.einsum("il,kj->ijkl", R, R).reshape(n * n, n * n)
        return -np.kron(identity, (R.T @ R - Q).T) - exchanged - np.kron(R @ R.T, identity)

    def of_riccati(x):
        X = x.reshape(n, n)
        return np.kron(A - X @ B, identity) + np.kron(identity, A - X.T @ B.T)

    dense = {"gram": gram, "riccati": of_riccati}[flow]
    start = {"gram": np.random.default_rng(1).standard_normal((n, n)), "riccati": np.zeros((n, n))}[flow]
    F = mj.compile(slopes[flow], (n, n))
    np.testing.assert_allclose(F.jac(start.ravel()).toarray(), dense(start.ravel()), atol=1e-12)
    options = {"rtol": 1e-6, "atol": 1e-8}

    def by_hand():
        slope = lambda t, x: slopes[flow](x.reshape(n, n)).ravel()  # noqa: E731
        return solve_ivp(slope, (0, 10), start.ravel(), method, jac=lambda t, x: dense(x), **options)

    seconds, found = in_turns(
        {"matjac": lambda: mj.solvers.solve_ivp(F, (0, 10), start, method, **options), "dense by hand": by_hand},
        rounds=5,
    )
    print(f"{found['matjac'].jac}, {found['matjac'].nit} steps")
    np.testing.assert_allclose(found["matjac"].x, found["dense by hand"].y[:, -1], atol=1e-6)
    # factorisations take most of the time of both; a busy machine adds some noise
    assert seconds["matjac"] < 1.15 * seconds["dense by hand"]
