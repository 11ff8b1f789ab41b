"""The operator, gradients and refills beside what one writes for them by hand in NumPy: see `problems`.

Every peer is checked before it is timed, against the function at a complex step. BLAS spins for a while after a
product, on the processors that fills would use: the figures of the notes are with ``OPENBLAS_NUM_THREADS=1``.
``python bench/report.py`` takes the same timings in turns, in one process, beside what is asked of them.
"""

from functools import cache

import numpy as np
import pytest
from problems import (
    FILLS,
    PRODUCTS,
    Bundle,
    Weighted,
    at_complex_step,
    check,
    check_gradient,
    close,
    product_tasks,
    refill_tasks,
    too_large,
)

ROUNDS = {"rounds": 30, "warmup_rounds": 3}


@cache
def compiled(name):
    """A problem and its compiled function; products were checked on both sides."""
    problem = PRODUCTS[name]()
    F = problem.compile()
    check(problem, F.jacobian(*problem.args))
    return problem, F


@pytest.mark.parametrize(
    ("name", "kind", "what"),
    [
        (name, kind, what)
        for name, problem in PRODUCTS.items()
        for kind, ways in (("J v", problem.jvps), ("J.T u", problem.vjps))
        for what in ("matjac", *ways)
    ],
)
def test_jacobian_and_product(benchmark, name, kind, what):
    """``F.jacobian(*args) @ v``, or its transpose: a point and one product."""
    problem, F = compiled(name)
    benchmark.group = f"a point and {kind}: {problem.name}"
    benchmark.pedantic(product_tasks(problem, F, kind)[what], **ROUNDS)


@pytest.mark.parametrize("what", ["matjac", "by hand"])
@pytest.mark.parametrize("kind", ["J v", "J.T u"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_product_alone(benchmark, name, kind, what):
    """One more product at the same point, such as an iterative solver asks for by the dozen."""
    problem, F = compiled(name)
    v, u = problem.directions()
    J, point = F.jacobian(*problem.args), problem.point(*problem.args)
    tasks = {
        ("J v", "matjac"): lambda: J @ v,
        ("J v", "by hand"): lambda: problem.jvp(point, *problem.unpack(v)).ravel(),
        ("J.T u", "matjac"): lambda: J.T @ u,
        ("J.T u", "by hand"): lambda: problem.pack(problem.vjp(point, u.reshape(problem.out_shape))),
    }
    benchmark.group = f"{kind} alone: {problem.name}"
    benchmark.pedantic(tasks[kind, what], **ROUNDS)


@pytest.mark.parametrize("what", ["matjac", "matjac, flat", "by hand", "by hand, flat", "function"])
def test_gradient(benchmark, what):
    """``F.gradient(U, V)``, and ``F.grad(x)`` of the flat vector."""
    problem = Weighted()
    F, x, args = problem.compile(), problem.x, problem.args
    check_gradient(problem)
    tasks = {
        "matjac": lambda: F.gradient(*args),
        "matjac, flat": lambda: F.grad(x),
        "by hand": lambda: problem.gradient(*args),
        "by hand, flat": lambda: problem.grad(x),
        "function": lambda: problem.fun(*args),
    }
    benchmark.group = f"gradient: {problem.name}"
    result = benchmark.pedantic(tasks[what], rounds=200, warmup_rounds=5)
    if what.endswith("flat"):
        close(result, problem.grad(x))
    elif what != "function":
        for got, expected in zip(result, problem.gradient(*args), strict=True):
            assert got.shape == expected.shape
            close(got, expected)


@pytest.fixture(scope="module", params=FILLS)
def matrix(request):
    """A problem, its compiled function, and one matrix to fill again."""
    problem = FILLS[request.param]()
    if reason := too_large(problem):
        pytest.skip(reason)
    F = problem.compile()
    A = F.jac_csr(problem.x)
    assert A.nnz == problem.entries
    return problem, F, A


@pytest.mark.parametrize("what", ["J.fill(data)", "F.jac_csr(x, out=A)", "floor"])
def test_refill(benchmark, matrix, what):
    """Values alone, into memory that was written before."""
    problem, F, A = matrix
    A.data[:] = np.nan
    benchmark.group = f"values, {problem.entries:,} entries: {problem.name}"
    rounds = 7 if problem.entries > 10**7 else 50
    benchmark.pedantic(refill_tasks(problem, F, A)[what], rounds=rounds, warmup_rounds=2)
    if what != "floor":
        v, u = problem.directions()
        close(A @ v, problem.forward(v))
        close(A.T @ u, problem.backward(u))


@pytest.mark.parametrize("what", [*Bundle.spellings, "by hand"])
def test_bundle(benchmark, what):
    """One Jacobian as a matrix, of each spelling, beside its entries gathered by hand."""
    problem = Bundle("einsum" if what == "by hand" else what)
    v, _ = problem.directions()
    by_hand = problem.jac_csr(problem.x)
    close(by_hand @ v, at_complex_step(problem, v))
    jac_csr = problem.jac_csr if what == "by hand" else problem.compile().jac_csr
    A = jac_csr(problem.x)
    np.testing.assert_array_equal(A.indptr, by_hand.indptr)
    np.testing.assert_array_equal(A.indices, by_hand.indices)
    close(A.data, by_hand.data)
    benchmark.group = f"one csr_array: {problem.name}"
    benchmark.pedantic(lambda: jac_csr(problem.x), **ROUNDS)
