"""The lower triangle of the Hessian of a weighted sum beside what else makes it, and products beside jitted JAX.

``pip install "matjac[peers]"``, then ``python -m pytest bench/test_second_order.py``. Every package computes the values
alone, from the point and the weights, on a pattern that it found before: ours into a buffer, CasADi into the caller's,
SparseDiffEngine through its Python bindings, asdex jitted (it has no triangles and makes the whole). The floor writes
as many numbers. Each result is compared with ours before it is timed. The figures of the notes are with
``OPENBLAS_NUM_THREADS=1``. CasADi and asdex take minutes to prepare some of them: choose by ``-k "gram and Casadi"``.
"""

import warnings

import numpy as np
import pytest
from floors import write
from packages import of_casadi, of_engine

import matjac as mj

rng = np.random.default_rng(0)
A, B, DATA = (rng.standard_normal(s) for s in ((20, 20), (200, 100), (200, 50)))
ROWS, COLS = np.divmod(rng.choice(2000 * 1500, 100_000, replace=False), 1500)


def softmax(np, Z):
    E = np.exp(Z)
    return E / np.sum(E, axis=1, keepdims=True)


# name: shapes of the variables, and the function for any NumPy
CASES = {
    "gram": ([(50, 200)], lambda np, R: R.T @ R),
    "congruence": ([(20, 100)], lambda np, X: X.T @ A @ X),
    "tanh": ([(200, 100)], lambda np, X: np.tanh(X @ B.T)),
    "masked": ([(2000, 10), (1500, 10)], lambda np, U, V: (U @ V.T)[ROWS, COLS]),
    "softmax": ([(50, 20)], lambda np, M: softmax(np, DATA @ M)),
}


def arguments(name):
    return [0.3 * np.random.default_rng(k).standard_normal(s) for k, s in enumerate(CASES[name][0])]


def weights(F):
    return np.random.default_rng(5).standard_normal(F.out_shape)


class Ours:
    """matjac."""

    def __init__(self, name):
        shapes, fun = CASES[name]
        self.F, self.args = mj.compile(lambda *x: fun(np, *x), *shapes), arguments(name)
        self.W = weights(self.F)
        self.data = np.empty(self.F.hessian(*self.args, weights=self.W).count("lower"))

    def run(self):
        self.F.hessian(*self.args, weights=self.W).fill(self.data, triangle="lower")

    def total(self):
        """A number that depends on every entry, in whatever order they are stored."""
        return float(np.sum(self.data**2))


class Engine:
    """SparseDiffEngine, by its bindings; matrices are column by column."""

    def __init__(self, name):
        e = pytest.importorskip("sparsediffpy._sparsediffengine")
        shapes, _ = CASES[name]
        x, node = of_engine(e, name, shapes, A, B, ROWS, COLS)
        self.e = e
        self.problem = e.make_problem(e.make_sum(x[0], -1), [node])
        e.problem_init_derivatives(self.problem)
        e.problem_init_hessian_coo_lower_triangular(self.problem)
        self.u = np.concatenate([a.ravel(order="F") for a in arguments(name)])
        self.w = weights(Ours(name).F).ravel(order="F")
        e.problem_constraint_forward(self.problem, self.u)
        # Hessians are made of Jacobians, here of steps that are linear
        e.problem_jacobian(self.problem)

    def run(self):
        self.e.problem_constraint_forward(self.problem, self.u)
        self.data = self.e.problem_eval_hessian_vals_coo(self.problem, 0.0, self.w)

    def total(self):
        return float(np.sum(np.asarray(self.data) ** 2))


class Casadi:
    """CasADi's MX, into the caller's buffer."""

    def __init__(self, name):
        ca = pytest.importorskip("casadi")
        shapes, _ = CASES[name]
        x = [ca.MX.sym(f"x{k}", *s) for k, s in enumerate(shapes)]
        node = of_casadi(ca, name, x, A, B, DATA, ROWS, COLS)
        w = ca.MX.sym("w", node.numel())
        flat = ca.MX.sym("x", sum(int(np.prod(s)) for s in shapes))
        parts = ca.vertsplit(flat, np.cumsum([0, *[np.prod(s) for s in shapes]]).tolist())
        given = [ca.reshape(p, *s) for p, s in zip(parts, shapes, strict=True)]
        value = ca.Function("f", x, [node])(*given)
        H, _ = ca.hessian(ca.dot(w, value), flat)
        H = ca.tril(H)
        function = ca.Function("h", [flat, w], [H])
        self.buffer, self.run = function.buffer()
        self.data = np.zeros(H.nnz())
        self.kept = [
            np.concatenate([a.ravel(order="F") for a in arguments(name)]),
            weights(Ours(name).F).ravel(order="F").copy(),
        ]
        for k, a in enumerate(self.kept):
            self.buffer.set_arg(k, memoryview(a))
        self.buffer.set_res(0, memoryview(self.data))

    def total(self):
        return float(np.sum(self.data**2))


def of_jax(name):
    """The weighted sum as a function of a flat vector, for JAX, and a point."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    shapes, fun = CASES[name]
    sizes = np.cumsum([np.prod(s) for s in shapes])[:-1]

    def total(x, w):
        parts = jax.numpy.split(x, sizes)
        return jax.numpy.sum(w * fun(jax.numpy, *(p.reshape(s) for p, s in zip(parts, shapes, strict=True))))

    return jax, total, jax.numpy.asarray(np.concatenate([a.ravel() for a in arguments(name)]))


class Asdex:
    """asdex on JAX, jitted: the whole Hessian."""

    def __init__(self, name):
        asdex = pytest.importorskip("asdex")
        jax, total, self.x = of_jax(name)
        self.w = jax.numpy.asarray(weights(Ours(name).F))
        with warnings.catch_warnings():
            # it says that a dense pattern needs as many colours as columns
            warnings.simplefilter("ignore", asdex.DenseColoringWarning)
            coloring = asdex.hessian_coloring(lambda x: total(x, self.w), self.x)
        # the weights are an argument: a Hessian that depends on them alone would be a constant of the program
        self.function = jax.jit(lambda x, w: asdex.hessian_from_coloring(lambda z: total(z, w), coloring)(x))

    def run(self):
        self.H = self.function(self.x, self.w)
        self.H.data.block_until_ready()

    def total(self):
        (rows, columns), values = np.asarray(self.H.indices).T, np.asarray(self.H.data)
        return float(np.sum(values[rows >= columns] ** 2))


class Floor:
    """Writing as many numbers."""

    def __init__(self, name):
        self.ours = Ours(name)

    def run(self):
        write(self.ours.data)

    def total(self):
        self.ours.run()
        return self.ours.total()


@pytest.mark.parametrize("package", [Floor, Ours, Engine, Casadi, Asdex], ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", CASES)
def test_lower_triangle(benchmark, name, package):
    ours = Ours(name)
    ours.run()
    task = package(name)
    task.run()
    assert task.total() == pytest.approx(ours.total(), rel=1e-9)
    benchmark.group = f"{name}: {ours.data.size:,} entries"
    benchmark.pedantic(task.run, rounds=7, warmup_rounds=1)


def chain(np, Z):
    return np.sum(np.tanh(Z @ Z.T) @ Z)


Z0, P0 = rng.standard_normal((200, 200)) / 20, rng.standard_normal((200, 200))


def by_matjac():
    F, x, p = mj.compile(lambda Z: chain(np, Z), Z0.shape), Z0.ravel(), P0.ravel()
    return lambda: F.hessp(x, p)


def by_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    grad = jax.grad(lambda Z: chain(jax.numpy, Z))
    product = jax.jit(lambda Z, P: jax.jvp(grad, (Z,), (P,))[1])
    z, p = jax.numpy.asarray(Z0), jax.numpy.asarray(P0)
    return lambda: product(z, p).block_until_ready()


def by_function():
    F = mj.compile(lambda Z: chain(np, Z), Z0.shape)
    return lambda: F(Z0)


@pytest.mark.parametrize("by", [by_function, by_matjac, by_jax], ids=["the function", "matjac", "JAX"])
def test_product(benchmark, by):
    """tanh(Z Zᵀ) Z, summed, of 200 × 200 unknowns: whose Hessian has 1.6 · 10⁹ entries."""
    task = by()
    if by is by_jax:
        np.testing.assert_allclose(np.ravel(task()), by_matjac()(), atol=1e-10)
    benchmark.group = "Hessian product, 40,000 unknowns"
    benchmark.pedantic(task, rounds=20, warmup_rounds=2)
