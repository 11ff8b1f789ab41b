"""Two real problems, solved by SciPy's `least_squares` to one cost with Jacobians of several kinds.

``pip install "matjac[peers]"``, then ``python -m pytest bench/test_solvers.py``: some 10 minutes. Driver, start, scales
and options are the same for all, and a run ends where the residuals at a point that the driver tries reach the cost.
What is timed is the solve; setting up (recording, patterns, colours, a first compilation) is in ``extra_info``. Finite
differences and asdex have a limit of time, and then `extra_info` says how far they came. The figures of the notes are
with ``OPENBLAS_NUM_THREADS=1``.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import least_squares
from scipy.sparse.linalg import LinearOperator

import matjac as mj

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

LIMIT = 120.0


class Reached(Exception):  # noqa: N818
    """The cost, or the limit of time."""


class Completion:
    """MovieLens, rank 50: 100,004 ratings, 10⁷ entries beside the ridge's."""

    cost = 27_500.0
    options = {"tr_options": {"atol": 0.1, "btol": 0.1}}  # noqa: RUF012

    def __init__(self):
        completion = pytest.importorskip("matrix_completion")
        users, films, stars = completion.load()
        self.data = users, films, stars - stars.mean()
        self.ridge = 8.0
        self.structured = completion.model(*self.data, (users.max() + 1, films.max() + 1), 50, self.ridge)
        self.stored = self.structured
        self.start = completion.start(self.structured)

    def residuals(self, np, U, V, a, b):
        users, films, stars = self.data
        root = self.ridge**0.5
        # entry by entry: U Vᵀ whole is 60 times larger
        errors = np.sum(U[users] * V[films], axis=1) + a[users] + b[films] - stars
        return np.concatenate([errors, root * U.ravel(), root * V.ravel(), root * a, root * b])


class Kernel:
    """K ≈ RᵀR at the 60 % of entries that were seen: 3·10⁶ entries as a matrix."""

    cost = 0.9
    options = {"tr_options": {"atol": 0.01, "btol": 0.01}}  # noqa: RUF012

    def __init__(self):
        factorisation = pytest.importorskip("kernel_factorisation")
        self.K = factorisation.kernel(224)
        self.seen = factorisation.seen_entries(len(self.K), 0.4)
        # products are those of whole matrices; a matrix is better without the rows that weigh nothing
        self.structured = factorisation.model(self.K, self.seen, 50)
        self.stored = mj.compile(lambda R: self.residuals(np, R), (50, len(self.K)))
        self.start = [factorisation.start(self.K, 50)]

    def residuals(self, np, R):
        return (R.T @ R)[self.seen] - self.K[self.seen]


PROBLEMS = {"completion": Completion, "kernel": Kernel}


class Structured:
    """matjac, operator."""

    def __init__(self, problem):
        self.F = problem.structured
        self.fun, self.options = self.F.fun, {"jac": self.F.jac}


class RefilledCSR:
    """matjac, one sparse matrix."""

    def __init__(self, problem):
        self.F, self.matrix = problem.stored, None
        self.fun, self.options = self.F.fun, {"jac": self.jac}

    def jac(self, x):
        self.matrix = self.F.jac_csr(x, out=self.matrix)
        return self.matrix


class FiniteDifferences:
    """SciPy's, with the pattern, of the NumPy function as it was written."""

    def __init__(self, problem):
        F = problem.stored
        self.fun = lambda x: F.original(*F.unpack(x)).ravel()
        self.options = self.differences(problem)

    @staticmethod
    def differences(problem):
        pattern = problem.stored.jac_csr(problem.stored.pack(*problem.start))
        return {"jac": "2-point", "jac_sparsity": pattern}


class FiniteDifferencesOfCompiled(FiniteDifferences):
    """SciPy's, with the pattern, of matjac's compiled function."""

    def __init__(self, problem):
        self.fun, self.options = problem.stored.fun, self.differences(problem)


class Jax:
    """The flat function of a problem, for JAX."""

    def __init__(self, problem):
        self.jax = pytest.importorskip("jax")
        self.jax.config.update("jax_enable_x64", True)
        shapes = [np.shape(part) for part in problem.start]
        ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]

        def flat(x):
            parts = self.jax.numpy.split(x, ends)
            arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
            return problem.residuals(self.jax.numpy, *arrays).ravel()

        self.flat = flat
        compiled = self.jax.jit(flat)
        self.fun = lambda x: np.asarray(compiled(x))


class JaxProducts(Jax):
    """JAX, jitted jvp and vjp as an operator."""

    def __init__(self, problem):
        super().__init__(problem)
        jax, x = self.jax, problem.stored.pack(*problem.start)
        forward = jax.jit(lambda x, v: jax.jvp(self.flat, (x,), (v,))[1])
        backward = jax.jit(lambda x, u: jax.vjp(self.flat, x)[1](u)[0])
        rows = self.fun(x).size

        def jac(x):
            x = jax.numpy.asarray(x)
            return LinearOperator(
                (rows, x.size),
                dtype=float,
                matvec=lambda v: np.asarray(forward(x, v.ravel())),
                rmatvec=lambda u: np.asarray(backward(x, u.ravel())),
            )

        J = jac(x)
        J.rmatvec(J.matvec(x))  # compiles both
        self.options = {"jac": jac}


class Asdex(Jax):
    """asdex: JAX's sparse Jacobian by colours, jitted."""

    def __init__(self, problem):
        super().__init__(problem)
        asdex, x = pytest.importorskip("asdex"), problem.stored.pack(*problem.start)
        jacobian = self.jax.jit(asdex.jacobian(self.flat, self.jax.numpy.asarray(x)))
        indices = np.asarray(jacobian(x).indices)
        shape = self.fun(x).size, x.size
        # where each value goes among the rows' entries
        order = sp.csr_array((np.arange(len(indices)), indices.T), shape=shape)
        self.options = {
            "jac": lambda x: sp.csr_array(
                (np.asarray(jacobian(x).data)[order.data], order.indices, order.indptr), shape=shape
            )
        }


FACES = [Structured, RefilledCSR, FiniteDifferences, FiniteDifferencesOfCompiled, JaxProducts, Asdex]
SLOW = FiniteDifferences, FiniteDifferencesOfCompiled, Asdex


def solve(problem, face, limit):
    """Seconds, cost reached and evaluations of one run."""
    x0 = problem.stored.pack(*problem.start)
    # arrays, for SciPy spreads numbers slowly
    scale, bounds = 1 / problem.stored.jac(x0).column_norms(), (np.full(x0.size, -np.inf), np.full(x0.size, np.inf))
    settings = {"x_scale": scale, "bounds": bounds, "tr_solver": "lsmr", "max_nfev": 10**4}
    state = {"cost": np.inf, "evaluations": 0}
    began = time.perf_counter()

    def fun(x):
        y = face.fun(x)
        state["cost"] = min(state["cost"], 0.5 * float(y @ y))
        state["evaluations"] += 1
        if state["cost"] <= problem.cost or time.perf_counter() - began > limit:
            raise Reached
        return y

    with suppress(Reached):
        least_squares(fun, x0, **settings, **face.options, **problem.options)
    return time.perf_counter() - began, state["cost"], state["evaluations"]


@pytest.fixture(scope="module", params=PROBLEMS)
def problem(request):
    return PROBLEMS[request.param]()


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_time_to_the_same_cost(benchmark, problem, face):
    began = time.perf_counter()
    given = face(problem)
    setup = time.perf_counter() - began
    x0 = problem.stored.pack(*problem.start)
    cost = 0.5 * np.sum(given.fun(x0) ** 2)
    assert cost == pytest.approx(0.5 * np.sum(problem.structured.fun(x0) ** 2), rel=1e-10)
    slow = face in SLOW
    runs = []
    benchmark.group = f"{type(problem).__name__} to cost {problem.cost:g}"
    benchmark.pedantic(
        lambda: runs.append(solve(problem, given, LIMIT)), rounds=1 if slow else 3, warmup_rounds=0 if slow else 1
    )
    seconds, cost, evaluations = runs[-1]
    benchmark.extra_info.update(cost=cost, evaluations=evaluations, setup=setup)
    print(f"\n{problem.__doc__} {given.__doc__}", end=" ")
    print(f"{seconds:.3f} s, cost {cost:.6g}, {evaluations} values, {setup:.2f} s before")
    assert cost <= problem.cost or seconds >= LIMIT
