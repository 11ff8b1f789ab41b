"""`minimize` by the plain call beside the same driver of SciPy's with a gradient written by hand: L-BFGS-B.

Both take the same start and options and run in turns; what is compared is the processor's time for one evaluation and
what belongs to it, the median of the runs. Asked for: at most 1.2. BLAS has one thread.
"""

import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

import matjac as mj

ASKED, ROUNDS = 1.2, 15


class Gram:
    """K ≈ RᵀR, 300 × 300, rank 20."""

    def __init__(self):
        rng = np.random.default_rng(0)
        A = rng.standard_normal((300, 20))
        self.K = A @ A.T + 0.1 * (lambda E: E + E.T)(rng.standard_normal((300, 300)))
        self.start = [rng.standard_normal((20, 300))]

    def value(self, R):
        return 0.5 * np.sum((R.T @ R - self.K) ** 2)

    def by_hand(self, x):
        R = x.reshape(20, 300)
        E = R.T @ R - self.K
        return 0.5 * np.vdot(E, E), (2 * (R @ E)).ravel()


class Completion:
    """U Vᵀ at a fifth of 600 × 400 entries, rank 10."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.rows, self.columns = np.nonzero(rng.random((600, 400)) < 0.2)
        self.data = rng.standard_normal(self.rows.size)
        self.start = [rng.standard_normal((n, 10)) for n in (600, 400)]

    def value(self, U, V):
        return 0.5 * np.sum(((U @ V.T)[self.rows, self.columns] - self.data) ** 2)

    def by_hand(self, x):
        U, V = x[:6000].reshape(600, 10), x[6000:].reshape(400, 10)
        e = (U @ V.T)[self.rows, self.columns] - self.data
        E = np.zeros((600, 400))
        E[self.rows, self.columns] = e
        return 0.5 * (e @ e), np.concatenate([(E @ V).ravel(), (E.T @ U).ravel()])


class Weighted(Completion):
    """The same with a mask of zeros and ones."""

    def __init__(self):
        super().__init__()
        self.mask, self.target = np.zeros((600, 400)), np.zeros((600, 400))
        self.mask[self.rows, self.columns], self.target[self.rows, self.columns] = 1, self.data

    def value(self, U, V):
        return 0.5 * np.sum((self.mask * (U @ V.T - self.target)) ** 2)

    def by_hand(self, x):
        U, V = x[:6000].reshape(600, 10), x[6000:].reshape(400, 10)
        E = self.mask * (U @ V.T - self.target)
        return 0.5 * np.vdot(E, E), np.concatenate([(E @ V).ravel(), (E.T @ U).ravel()])


@pytest.mark.parametrize("kind", [Gram, Completion, Weighted], ids=lambda kind: kind.__name__)
def test_the_same_driver_with_a_gradient_by_hand(benchmark, kind):
    problem = kind()
    F = mj.compile(problem.value, *(part.shape for part in problem.start))
    x0, options = F.pack(*problem.start), {"maxiter": 40}
    ours, theirs = F.value_and_grad(x0), problem.by_hand(x0)
    assert_allclose(ours[0], theirs[0])
    assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-9)
    times = {"ours": [], "by hand": []}
    runs = {
        "ours": lambda: mj.solvers.minimize(F, *problem.start, options=options),
        "by hand": lambda: minimize(problem.by_hand, x0, jac=True, method="L-BFGS-B", options=options),
    }
    fits = {name: run() for name, run in runs.items()}

    def turns():
        for name, run in runs.items():
            began = time.process_time()
            fits[name] = run()
            times[name].append((time.process_time() - began) / fits[name].nfev)

    with threadpool_limits(1, user_api="blas"):
        benchmark.pedantic(turns, rounds=ROUNDS, warmup_rounds=1)
    ratio = np.median(times["ours"]) / np.median(times["by hand"])
    benchmark.extra_info.update(ratio=ratio, asked=ASKED, **{k: float(np.median(v)) for k, v in times.items()})
    print(
        f"\n{kind.__doc__} {ratio:.2f} times as long an evaluation, {np.median(times['by hand']) * 1e3:.2f} ms by hand"
    )
    assert_allclose(fits["ours"].fun, fits["by hand"].fun, rtol=0.05)
