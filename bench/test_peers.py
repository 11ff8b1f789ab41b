"""Value and Jacobian of five functions beside what else differentiates them sparsely, on the same inputs.

``pip install "matjac[peers]"``, then ``python -m pytest bench/test_peers.py``. Every package computes the value and the
entries alone, on a pattern that it found before: ours into a refilled csr_array, SparseDiffEngine through its Python
bindings, CasADi into the caller's buffer, asdex jitted. The floor writes as many numbers. Each result is compared with
ours before it is timed. BLAS spins for a while after a product, on the processors that fills would use: the figures of
the notes are with ``OPENBLAS_NUM_THREADS=1`` for all packages.
"""

import warnings

import numpy as np
import pytest
from floors import write
from packages import of_casadi, of_engine

import matjac as mj

rng = np.random.default_rng(0)
m, n = 50, 200
A, B = rng.standard_normal((m, m)), rng.standard_normal((200, 100))
DATA = rng.standard_normal((200, 50))
ROWS, COLS = np.divmod(rng.choice(500 * 400, 200_000, replace=False), 400)


def softmax(np, Z):
    E = np.exp(Z)
    return E / np.sum(E, axis=1, keepdims=True)


# name: shapes of the variables, and the function for any NumPy
CASES = {
    "gram": ([(m, n)], lambda np, R: R.T @ R),
    "congruence": ([(m, n)], lambda np, X: X.T @ A @ X),
    "tanh": ([(200, 100)], lambda np, X: np.tanh(X @ B.T)),
    "masked": ([(500, 10), (400, 10)], lambda np, U, V: (U @ V.T)[ROWS, COLS]),
    "softmax": ([(50, 20)], lambda np, M: softmax(np, DATA @ M)),
}


def arguments(name):
    return [0.3 * np.random.default_rng(k).standard_normal(s) for k, s in enumerate(CASES[name][0])]


class Ours:
    """matjac."""

    def __init__(self, name):
        shapes, fun = CASES[name]
        self.F, self.args = mj.compile(lambda *x: fun(np, *x), *shapes), arguments(name)
        self.out = self.F.jacobian(*self.args).tocsr()

    def run(self):
        value, J = self.F.value_and_jacobian(*self.args)
        J.tocsr(out=self.out)
        return value

    def total(self):
        """A number that depends on every entry, in whatever order they are stored."""
        return float(np.sum(self.out.data**2)), self.out.nnz


class Engine:
    """SparseDiffEngine 0.8, by its bindings; matrices are column by column."""

    def __init__(self, name):
        e = pytest.importorskip("sparsediffpy._sparsediffengine")
        shapes, _ = CASES[name]
        x, node = of_engine(e, name, shapes, A, B, ROWS, COLS)
        self.e = e
        self.problem = e.make_problem(e.make_sum(x[0], -1), [node])
        e.problem_init_derivatives(self.problem)
        e.problem_init_jacobian_coo(self.problem)
        self.u = np.concatenate([a.ravel(order="F") for a in arguments(name)])

    def run(self):
        value = self.e.problem_constraint_forward(self.problem, self.u)
        self.data = self.e.problem_eval_jacobian_vals(self.problem)
        return value

    def total(self):
        return float(np.sum(np.asarray(self.data) ** 2)), len(self.data)


class Casadi:
    """CasADi's MX, into the caller's buffer."""

    def __init__(self, name):
        ca = pytest.importorskip("casadi")
        shapes, _ = CASES[name]
        x = [ca.MX.sym(f"x{k}", *s) for k, s in enumerate(shapes)]
        node = of_casadi(ca, name, x, A, B, DATA, ROWS, COLS)
        J = ca.jacobian(node, ca.vertcat(*map(ca.vec, x)))
        function = ca.Function("f", x, [node, J])
        self.buffer, self.run = function.buffer()
        self.value, self.data = np.zeros(node.numel()), np.zeros(J.nnz())
        self.kept = [a.ravel(order="F") for a in arguments(name)]
        for k, a in enumerate(self.kept):
            self.buffer.set_arg(k, memoryview(a))
        self.buffer.set_res(0, memoryview(self.value))
        self.buffer.set_res(1, memoryview(self.data))

    def total(self):
        return float(np.sum(self.data**2)), self.data.size


class Asdex:
    """asdex on JAX, jitted."""

    def __init__(self, name):
        asdex, jax = pytest.importorskip("asdex"), pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", True)
        shapes, fun = CASES[name]
        sizes = np.cumsum([np.prod(s) for s in shapes])[:-1]

        def flat(x):
            parts = jax.numpy.split(x, sizes)
            return fun(jax.numpy, *(p.reshape(s) for p, s in zip(parts, shapes, strict=True))).ravel()

        self.x = jax.numpy.asarray(np.concatenate([a.ravel() for a in arguments(name)]))
        with warnings.catch_warnings():
            # it says that a dense pattern needs as many colours as columns
            warnings.simplefilter("ignore", asdex.DenseColoringWarning)
            self.function = jax.jit(asdex.value_and_jacobian(flat, self.x))

    def run(self):
        value, J = self.function(self.x)
        self.data = J.data.block_until_ready()
        return value

    def total(self):
        return float(np.sum(np.asarray(self.data) ** 2)), self.data.size


class Floor:
    """Writing as many numbers."""

    def __init__(self, name):
        self.ours = Ours(name)

    def run(self):
        write(self.ours.out.data)

    def total(self):
        self.ours.run()
        return self.ours.total()


@pytest.mark.parametrize("package", [Floor, Ours, Engine, Casadi, Asdex], ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", CASES)
def test_value_and_jacobian(benchmark, name, package):
    ours = Ours(name)
    ours.run()
    task = package(name)
    task.run()
    total, entries = task.total()
    assert total == pytest.approx(ours.total()[0], rel=1e-9)
    benchmark.group = f"{name}: {ours.out.nnz:,} entries"
    benchmark.extra_info["entries"] = entries
    benchmark.pedantic(task.run, rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("name", CASES)
def test_compile_time(benchmark, name):
    """Recording and the pattern, once; its floor is writing the pattern's index arrays."""
    shapes, fun = CASES[name]
    args = arguments(name)
    benchmark.group = f"compile {name}"

    def compile_and_structure():
        return mj.compile(lambda *x: fun(np, *x), *shapes).jacobian(*args).structure()

    indptr, indices = benchmark.pedantic(compile_and_structure, rounds=3)
    assert benchmark.stats.stats.max < 1 or indices.size > 10**8
    assert indptr[-1] == indices.size
