"""Gauss–Newton in a trust region: its linear algebra beside dense least squares, and what it ends at beside SciPy's."""

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from certified.bundle import scene
from numpy.testing import assert_allclose
from scipy import optimize

import matjac as mj
from matjac.solvers import STOPPED, banded, damped, gauss_newton, least_squares, schur, squares, ways
from matjac.solvers.lbfgs import Tolerances
from matjac.solvers.losses import Loss
from matjac.solvers.watch import Stopped, Watch

rng = np.random.default_rng(7)


def in_time():
    """There is time."""


# Linear algebra --------------------------------------------------------------------------------------


def bundle_function(order="C"):
    data = scene(60, noise=0.1)
    F = mj.compile(data.residuals, data.T.shape, data.P.shape, order=order)
    return F, F.pack(*data.start(far=3.0))


def chain_function(n=80):
    F = mj.compile(lambda x: np.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]]), (n,))
    return F, np.linspace(-1, 1, n)


def shuffled_chain(n=60):
    """A chain whose neighbours are far apart in the vector."""
    order = np.random.default_rng(1).permutation(n)
    F = mj.compile(lambda x: np.concatenate([x[order][2:] - x[order][:-2] * x[order][1:-1], 2 - x]), (n,))
    return F, rng.standard_normal(n)


def eliminating(F, J):
    names, label = schur.separable(ways.pattern(J), F.variables.places)
    return schur.Schur(schur.Plan(ways.pattern(J), label), names)


def of_rows(F, J):
    return schur.Schur(schur.Plan(ways.pattern(J), np.full(J.shape[1], -1)), ())


def banding(F, J):
    matrix = ways.pattern(J)
    return banded.Banded(matrix, *banded.band(matrix))


CASES = {
    "dense": (bundle_function, lambda F, J: damped.Dense()),
    "sparse": (chain_function, lambda F, J: damped.Sparse()),
    "banded": (chain_function, banding),
    "banded, shuffled": (shuffled_chain, banding),
    "products": (chain_function, lambda F, J: damped.Products(in_time)),
    "rows": (bundle_function, of_rows),
    "schur": (bundle_function, eliminating),
    "schur, F": (lambda: bundle_function("F"), eliminating),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("some_held", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_dense_least_squares(case, some_held, weighted, monkeypatch):
    monkeypatch.setattr(damped, "FORCING", 1e-12)
    function, make = CASES[case]
    F, x = function()
    J, y = F.jac(x), F.fun(x)
    rows, n = J.shape
    held = rng.random(n) < 0.3 if some_held else None
    weights = rng.uniform(0.5, 2, rows) if weighted else None
    shift = rng.uniform(0.5, 2, n)
    way = make(F, J)
    face = way.face(J, weights)
    dense = J.toarray() * (1 if weights is None else weights[:, None])
    y = y if weights is None else weights * y
    assert_allclose(face @ x, dense @ x, atol=1e-12 * np.abs(dense).sum())
    g = dense.T @ y
    assert_allclose(face.T @ y, g, atol=1e-12 * np.abs(dense).sum())
    if held is not None:
        dense, g = np.where(held, 0, dense), np.where(held, 0, g)
    way.take(face, held)
    if case != "products":
        assert_allclose(way.norms(), np.linalg.norm(dense, axis=0), rtol=1e-10, atol=1e-12)
    augmented = np.concatenate([dense, np.diag(np.sqrt(shift))])
    expected = np.linalg.lstsq(augmented, np.concatenate([-y, np.zeros(n)]), rcond=None)[0]
    assert_allclose(way.solve(g, shift), expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    # the same object serves the next point
    other = F.jac(0.9 * x)
    face = way.face(other)
    way.take(face)
    g = face.T @ y
    expected = np.linalg.solve(other.toarray().T @ other.toarray() + np.diag(shift), -g)
    assert_allclose(way.solve(g, shift), expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def of_ranks(F=None, J=None):
    """Dense factors of a sum over ranks, of which there is one."""
    return damped.Dense(lambda array: array)


WAYS = [lambda F, J: damped.Dense(), of_ranks, lambda F, J: damped.Sparse(), of_rows, banding, eliminating]


@pytest.mark.parametrize("make", WAYS)
def test_a_matrix_that_is_not_positive_definite_is_an_error(make):
    # the second unknown of each row is nowhere
    F = mj.compile(lambda X: X[:, 0] ** 2 - 1, (6, 2))
    J = F.jac(np.ones(12))
    way = make(F, J)
    way.take(way.face(J))
    with pytest.raises(np.linalg.LinAlgError):
        way.solve(np.ones(12), np.zeros(12))


def test_sparse_factors_whose_solution_overflows_are_an_error():
    J = mj.compile(lambda x: 1e-155 * x, (60,)).jac(np.ones(60))
    way = damped.Sparse()
    way.take(way.face(J))
    with pytest.raises(np.linalg.LinAlgError, match="the solution is not finite"):
        way.solve(np.ones(60), np.zeros(60))


def test_what_sparse_normal_equations_take_is_counted():
    # rows that all meet the same columns: the bound is a thousand times what there is
    rows = sp.csr_array(np.outer(np.arange(1.0, 1001), np.arange(60) < 5))
    way = damped.Sparse()
    try:
        mj.set_memory_limit(10**5)
        way.take(rows)
        assert_allclose(way.norms(), np.linalg.norm(rows.toarray(), axis=0))
        mj.set_memory_limit(500)
        with pytest.raises(MemoryError, match="a product of 25 entries"):
            way.take(rows)
    finally:
        mj.set_memory_limit(None)


def test_nearly_singular_factors_without_residuals_still_solve():
    A = np.stack([np.arange(1.0, 9), np.arange(1.0, 9) + 1e-6 * np.cos(np.arange(8))], axis=1)
    way, g, shift = damped.Dense(), np.array([1.0, -2.0]), np.full(2, 1e-9)
    way.take(A)
    p = way.solve(g, shift)
    assert_allclose(A.T @ (A @ p) + shift * p, -g, atol=1e-12 * np.abs(p).max() * 200)


@pytest.mark.parametrize("make", [of_rows, banding, eliminating])
def test_another_pattern_is_an_error(make):
    F = mj.compile(lambda X: (X[:, :1] * X).ravel() - 1, (30, 2))
    J, other = F.jac(np.ones(60)), mj.compile(lambda X: (X[:, :1] * X[::-1]).ravel() - 1, (30, 2)).jac(np.ones(60))
    way = make(F, J)
    way.take(way.face(J))
    with pytest.raises(ValueError, match="got entries in other places"):
        way.take(way.face(other))


# Which blocks are eliminated -------------------------------------------------------------------------


def separable(F, x=None):
    x = np.ones(F.variables.size) if x is None else x
    return schur.separable(ways.pattern(F.jac(x)), F.variables.places)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_or_columns_of_a_variable_are_blocks(order, turned):
    i, j = np.repeat(np.arange(5), 3), np.tile(np.arange(3), 5)
    if turned:
        F = mj.compile(lambda A, P: np.einsum("kij,jk->ki", A[j], P[:, i]), (3, 2, 4), (4, 5), order=order)
    else:
        F = mj.compile(lambda A, P: np.einsum("kij,kj->ki", A[j], P[i]), (3, 2, 4), (5, 4), order=order)
    names, label = separable(F)
    assert names == ["A"] or names == ["P"]
    # the rows of A[j] that meet one P are larger blocks, of fewer unknowns: 6 of 4
    part = F.variables.places[names[0]]
    counts = np.bincount(label[part])
    assert (counts == 4).all()
    assert (np.delete(label, np.arange(part.start, part.stop)) == -1).all()
    blocks = F.unpack(label.astype(float))[F.variables.names.index(names[0])]
    if names == ["P"]:
        assert (np.ptp(blocks, axis=0 if turned else 1) == 0).all()


def test_blocks_are_the_components_of_what_rows_link():
    for seed in range(20):
        random = np.random.default_rng(seed)
        owner = random.integers(8, size=60)
        # a random tree over each block's columns, its rows in any order
        rows = [
            (a, random.choice(np.flatnonzero((owner == owner[a]) & (np.arange(60) < a))))
            for a in range(60)
            if (owner[:a] == owner[a]).any()
        ]
        pairs = np.array(rows)[random.permutation(len(rows))]
        matrix = sp.csr_array(
            (np.ones(pairs.size), pairs.ravel(), 2 * np.arange(len(pairs) + 1)), shape=(len(pairs), 60)
        )
        found = schur.blocks_of(matrix, [slice(0, 60)])
        same = owner[:, None] == owner
        assert (found[:, None] == found).tolist() == same.tolist()


def test_several_variables_make_blocks_together():
    i, j = np.repeat(np.arange(30), 3), np.tile(np.arange(3), 30)
    F = mj.compile(
        lambda a, P, w, s: np.concatenate([(a[j] * P[i]).sum(axis=1) + s[i] - 1, P[:, 0] * s, 1 - a.ravel(), w]),
        (3, 2),
        (30, 2),
        (4,),
        (30,),
    )
    names, label = separable(F)
    # w's rows meet nothing else: each is a block
    assert sorted(names) == ["P", "s", "w"]
    _, P, w, s = F.unpack(label.astype(float))
    assert (P[:, 0] == P[:, 1]).all()
    assert (P[:, 0] == s).all()
    assert len({*P[:, 0], *w}) == 34
    # rows of a alone touch no block
    plan = schur.Plan(ways.pattern(F.jac(np.ones(F.variables.size))), label)
    assert plan.rows.rows[-1] - plan.rows.rows[-2] == 6
    x = rng.standard_normal(F.variables.size)
    J, way = F.jac(x), schur.Schur(plan, names)
    face, g = way.face(J), rng.standard_normal(x.size)
    way.take(face)
    assert_allclose(way.solve(g, np.ones(x.size)), -np.linalg.solve(J.normal().toarray() + np.eye(x.size), g))


def test_variables_without_small_blocks_are_kept():
    chain, _ = chain_function()
    assert separable(chain)[0] == []
    # each entry of U Vᵀ has a row of U, but of 40 unknowns
    F = mj.compile(lambda U, V: U @ V.T, (30, 40), (30, 40))
    assert separable(F)[0] == []
    one = mj.compile(lambda a: a * np.arange(3.0), ())
    assert separable(one)[0] == []


def test_all_of_a_stack_is_eliminated():
    t = np.linspace(0, 1, 6)
    truth = rng.uniform(1, 2, (50, 2))
    F = mj.compile(
        lambda B: B[:, :1] * np.exp(-B[:, 1:] * t) - truth[:, :1] * np.exp(-truth[:, 1:] * t), (50, 2), order="F"
    )
    fit = least_squares(F, np.ones((50, 2)), method="gauss-newton", jac="csr")
    assert fit.linear_algebra == "Schur complement of B"
    assert_allclose(fit.variables[0], truth, atol=1e-6)


def test_rows_without_entries():
    F = mj.compile(lambda a, P: np.concatenate([np.ones(3), (a * P).ravel(), np.zeros(2)]), (2,), (40, 2))
    x = rng.standard_normal(82)
    way = eliminating(F, F.jac(x))
    face = way.face(F.jac(x))
    way.take(face)
    g = rng.standard_normal(82)
    assert_allclose(way.solve(g, np.ones(82)), -np.linalg.solve(F.jac(x).normal().toarray() + np.eye(82), g))


def test_the_choice_is_by_what_steps_cost(monkeypatch):
    def chosen(F, *start, **options):
        fit = least_squares(F, *start, max_nfev=2, **options)
        return fit.method, getattr(fit, "linear_algebra", None)

    data = scene(500)
    bundle = mj.compile(data.residuals, data.T.shape, data.P.shape)
    assert chosen(bundle, *data.start()) == ("gauss-newton", "Schur complement of P")
    F, x = chain_function(300)
    assert chosen(F, x) == ("gauss-newton", "banded")
    assert chosen(F, x, method="gauss-newton", jac="dense") == ("gauss-newton", "dense")
    assert chosen(F, x, method="gauss-newton", jac="operator") == ("gauss-newton", "products")
    grid = mj.compile(
        lambda X: np.concatenate([(X[1:] - X[:-1] ** 2).ravel(), (X[:, 1:] - X[:, :-1]).ravel(), X[0] - 2]), (60, 60)
    )
    assert chosen(grid, np.ones((60, 60))) == ("gauss-newton", "sparse")
    i, j = np.triu_indices(60, 1)
    distances = mj.compile(lambda P: np.sum((P[i] - P[j]) ** 2, axis=1) - 1, (60, 3))
    points = rng.standard_normal((60, 3))
    assert chosen(distances, points)[0] == "lbfgs"
    assert chosen(distances, points, method="gauss-newton")[1] == "dense, from sparse rows"
    monkeypatch.setattr(ways, "MORE", 1)
    assert chosen(distances, points, method="gauss-newton")[1] == "dense"
    gram = mj.compile(lambda R: R.T @ R - np.eye(200), (10, 200))
    start = 0.1 * rng.standard_normal((10, 200))
    assert chosen(gram, start) == ("lbfgs", None)
    assert chosen(gram, start, method="gauss-newton")[1] in ("dense", "products")


# Ends ------------------------------------------------------------------------------------------------


def decay(t):
    return lambda b: b[0] * np.exp(-b[1] * t) + b[2]


T = np.linspace(0, 3, 25)
NOISY = decay(T)([2.0, 1.3, 0.5]) + 0.02 * np.random.default_rng(0).standard_normal(25)
NOISY[::6] += 1.5


def noisy_fit():
    return mj.compile(lambda b: decay(T)(b) - NOISY, (3,))


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan"])
def test_robust_losses_have_the_minimum_that_scipy_finds(loss):
    F = noisy_fit()
    options = {"loss": loss, "f_scale": 0.1}
    fit = least_squares(F, np.array([1.0, 1.0, 0.0]), **options)
    known = optimize.least_squares(
        F.fun, [1.0, 1.0, 0.0], lambda x: F.jac(x).toarray(), ftol=1e-15, xtol=1e-14, gtol=1e-14, **options
    )
    assert (fit.method, fit.success) == ("gauss-newton", True)
    assert_allclose(fit.cost, known.cost, rtol=1e-8)
    assert_allclose(fit.x, known.x, rtol=1e-4)


def test_a_loss_of_ones_own():
    F = noisy_fit()

    def own(z):
        return np.stack([2 * (np.sqrt(1 + z) - 1), 1 / np.sqrt(1 + z), -0.5 * (1 + z) ** -1.5])

    fits = [least_squares(F, np.array([1.0, 1.0, 0.0]), loss=loss, f_scale=0.1) for loss in (own, "soft_l1")]
    assert_allclose(fits[0].cost, fits[1].cost, rtol=1e-12)


def between_bounds():
    """A network's function, a point, and bounds."""
    rng = np.random.default_rng(3)
    A, P = rng.standard_normal((3, 4)), rng.standard_normal((20, 4))
    seen = P @ A.T + 0.3 * rng.standard_normal((20, 3))
    F = mj.compile(lambda A, P: np.tanh(P @ A.T) - np.tanh(seen), A.shape, P.shape)
    x0 = F.pack(A, P) + 0.05 * rng.standard_normal(92)
    low, high = F.pack(A, P) - 0.1, F.pack(A, P) + 0.1
    high[::7] = np.inf
    return F, x0, low, high


@cache
def found_by_scipy(loss):
    F, x0, low, high = between_bounds()
    start = np.clip(x0, low + 1e-6, high - 1e-6)
    options = {"bounds": (low, high), "loss": loss, "xtol": 1e-12, "ftol": 1e-12}
    return optimize.least_squares(F.fun, start, lambda x: F.jac(x).toarray(), **options).cost


@pytest.mark.parametrize("jac", ["dense", "csr", "operator"])
@pytest.mark.parametrize("loss", ["linear", "cauchy"])
def test_bounds_have_the_minimum_that_scipy_finds(jac, loss):
    (F, x0, low, high), points = between_bounds(), []
    fit = least_squares(
        F,
        *F.unpack(np.clip(x0, low, high)),
        method="gauss-newton",
        jac=jac,
        progress=lambda at: points.append(at.x),
        bounds=(low, high),
        loss=loss,
    )
    assert all((low <= x).all() and (x <= high).all() for x in points)
    assert fit.success
    assert fit.cost <= found_by_scipy(loss) * (1 + 1e-6)
    assert fit.optimality <= 1e-5


def test_a_start_in_a_corner_is_left_where_that_helps():
    F = mj.compile(lambda x: x - np.array([2.0, -1.0, 0.5]), (3,))
    fit = least_squares(F, np.zeros(3), bounds=(0, 1))
    assert_allclose(fit.x, [1, 0, 0.5], atol=1e-12)
    assert fit.success
    # all are held
    fit = least_squares(F, np.array([1.0, 0.0, 0.5]), bounds=(0, [1, 1, 0.5]))
    assert (fit.nfev, fit.status) == (1, 1)


def test_a_step_that_leaves_all_bounds_ends_in_their_corner():
    fit = least_squares(mj.compile(lambda x: x - np.array([10.0, -7.0]), (2,)), np.full(2, 0.5), bounds=(0, 1))
    assert fit.success
    assert_allclose(fit.x, [1, 0])


def driven(F, x, low, high, way):
    """Gauss–Newton by that way, and the factorisations that it took."""
    solve, asked = way.solve, []
    way.solve = lambda g, shift: asked.append(shift) or solve(g, shift)
    watch, x = Watch(F, None, None), np.asarray(x, float)
    model = squares.Linearised(F, watch, Loss("linear", 1.0), way)
    edges = np.full(x.size, low), np.full(x.size, high)
    return gauss_newton.gauss_newton(model, x, *edges, Tolerances(0, 1e-10, 1e-15, 1000)), len(asked)


def test_a_held_unknown_costs_no_more_factorisations(monkeypatch):
    """Its column is zero: neither singular values nor damping are for it."""
    random = np.random.default_rng(1)
    A = random.standard_normal((30, 10))
    b = A @ random.uniform(-2, 2, 10) + random.standard_normal(30)
    F = mj.compile(lambda x: np.sinh(A @ x / 10) * 10 - b, (10,))
    start = random.uniform(-1, 1, 10)
    known = optimize.least_squares(F.fun, start, lambda x: F.jac(x).toarray(), bounds=(-1, 1), xtol=1e-14, ftol=1e-14)
    monkeypatch.setattr(damped.Dense, "_least", None)
    for make in (damped.Dense, of_ranks):
        end, factorisations = driven(F, start, -1, 1, make())
        assert end.status > 0
        assert_allclose(end.value, known.cost, rtol=1e-9)
        assert (np.abs(end.x) == 1).any()
        assert factorisations <= 3 * end.steps


@pytest.mark.parametrize(
    "make", [of_ranks, lambda: schur.Schur(schur.Plan(sp.csr_array(np.ones((91, 380))), -np.ones(380, int)), ())]
)
@pytest.mark.parametrize("bound", [np.inf, 0.3])
def test_factors_that_rounding_makes_singular(make, bound):
    """JᵀJ of rank 40 has pivots below zero; what is added for each step is what they take."""
    random = np.random.default_rng(0)
    A = np.abs(random.standard_normal((91, 40))) @ np.abs(random.standard_normal((40, 380)))
    b = random.standard_normal(91)
    F = mj.compile(lambda x: np.sinh(A @ x / A.max()) - b, (380,))
    start = random.uniform(-0.1, 0.1, 380)
    (end, factorisations), (known, _) = (driven(F, start, -bound, bound, way) for way in (make(), damped.Dense()))
    assert end.status > 0
    assert_allclose(end.value, known.value, rtol=1e-9)
    assert end.steps <= 2 * known.steps
    assert factorisations <= 8 * end.steps + 20


@pytest.mark.parametrize("every", [2, 3, 4])
def test_factorisations_that_fail_now_and_then(every):
    F, x = chain_function(12)
    count, way = 0, damped.Dense()
    solve = way.solve

    def failing(g, shift):
        nonlocal count
        count += 1
        if count % every == 0:
            raise np.linalg.LinAlgError("now and then")
        return solve(g, shift)

    way.solve = failing
    end, _ = driven(F, x, -1.5, 0.9, way)
    known = optimize.least_squares(
        F.fun, np.clip(x, -1.5, 0.89), lambda x: F.jac(x).toarray(), bounds=(-1.5, 0.9), xtol=1e-14, ftol=1e-14
    )
    assert count >= every
    assert_allclose(end.value, known.cost, rtol=1e-6)


def test_no_damping_makes_a_step_that_is_finite():
    # products with JᵀJ overflow
    F = mj.compile(lambda x: 1e140 * np.stack([x[0] + x[1] - 1, x[1] * x[0], x[2] - 2, np.sum(x)]), (3,))
    with np.errstate(over="ignore", invalid="ignore"):
        fit = least_squares(F, np.full(3, 0.1), method="gauss-newton", jac="operator")
    assert (fit.success, fit.status) == (False, STOPPED)
    assert "no damping of JᵀJ makes a step that is finite" in fit.message
    assert_allclose(fit.x, 0.1)


def test_a_trial_that_is_not_finite_shortens_the_step():
    F = mj.compile(lambda x: np.stack([np.log(x[0]) + 2, 1e-3 * (x[0] + x[1])]), (2,))
    with np.errstate(invalid="ignore"):
        fit = least_squares(F, np.array([30.0, 1.0]))
    assert fit.success
    assert_allclose(fit.x, np.exp(-2) * np.array([1, -1]), rtol=1e-5)


def test_what_is_nowhere_finite_but_at_the_start_is_said():
    def value(x):
        return np.where(np.array_equal(x, np.ones(3)), 1.0, np.nan) * x

    F = mj.Function(value, lambda x: mj.d_matvec_dx(np.eye(3)), (3,))
    fit = least_squares(F, np.ones(3))
    assert (fit.success, fit.status) == (False, STOPPED)
    assert "not finite" in fit.message
    assert_allclose(fit.x, 1)


@pytest.mark.parametrize("jac", ["dense", "csr", "operator"])
def test_singular_systems(jac):
    """Factors of a matrix are determined up to a number, and the last unknown is nowhere."""
    F = mj.compile(lambda u, v, w: np.outer(u, v) - np.outer([1.0, 2, 3], [1.0, -1]) + 0 * w[0], (3,), (2,), (2,))
    fit = least_squares(F, np.ones(3), np.array([1.0, 0.5]), np.ones(2), method="gauss-newton", jac=jac)
    assert fit.success
    assert fit.cost <= 1e-20
    assert_allclose(fit.variables[2], 1, atol=1e-6)


@pytest.mark.parametrize("jac", ["dense", "csr", "operator"])
def test_fewer_residuals_than_unknowns(jac):
    a = rng.standard_normal(60)
    F = mj.compile(lambda x: np.stack([a @ x - 1, np.sum(x**2) - 4]), (60,))
    fit = least_squares(F, 0.1 * np.ones(60), method="gauss-newton", jac=jac)
    assert fit.success
    assert fit.cost <= 1e-16


def test_columns_that_differ_by_many_orders():
    scales = np.array([1e-8, 1.0, 1e8])
    F = mj.compile(lambda x: decay(T)(x * scales) - NOISY, (3,))
    fit = least_squares(F, np.array([1.0, 1.0, 0.1]) / scales)
    plain = least_squares(noisy_fit(), np.array([1.0, 1.0, 0.1]))
    assert_allclose(fit.x * scales, plain.x, rtol=1e-5)


def test_columns_that_are_nearly_dependent():
    """The condition of JᵀJ is beyond what numbers hold; singular values of J are not."""
    A, b = np.vander(np.linspace(0, 1, 40), 14), 1e6 * np.sin(np.linspace(0, 9, 40))
    assert np.linalg.cond(A.T @ A) > 1e17
    F = mj.compile(lambda x: A @ x - b, (14,))
    known = A @ np.linalg.lstsq(A, b, rcond=None)[0] - b
    fit = least_squares(F, np.zeros(14))
    assert fit.success
    assert fit.cost <= 0.5 * known @ known * (1 + 1e-6)


def test_a_large_residual():
    """Where it is, Gauss–Newton is slow: the cost is still that of SciPy's."""
    t = np.arange(1, 21) / 5
    F = mj.compile(
        lambda x: (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2 + 10.0, (4,)
    )
    start = np.array([25.0, 5.0, -5.0, -1.0])
    known = optimize.minimize(lambda x: 0.5 * np.sum(F.fun(x) ** 2), start, method="BFGS", options={"gtol": 1e-8})
    fit = least_squares(F, start)
    assert fit.cost <= known.fun * (1 + 1e-8)


def test_without_unknowns_or_residuals():
    fit = least_squares(mj.compile(lambda x: x[:0], (3,)), np.ones(3))
    assert (fit.cost, fit.success) == (0, True)
    assert_allclose(fit.x, 1)
    fit = least_squares(mj.compile(lambda x: np.concatenate([x, np.ones(2)]), (0,)), np.ones(0))
    assert (fit.cost, fit.success) == (1, True)


def test_limits():
    F, x = noisy_fit(), np.array([1.0, 1.0, 0.0])
    fit = least_squares(F, x, max_nfev=3)
    assert (fit.status, fit.nfev, fit.success) == (0, 3, False)
    assert fit.message.startswith("The number of evaluations is at its limit.")
    fit = least_squares(F, x, seconds=1e-9)
    assert "seconds were over at evaluation 1" in fit.message
    assert fit.method == "gauss-newton"
    fit = least_squares(F, x, ftol=1e-3)
    assert (fit.status, fit.message[:6]) == (2, "`ftol`")
    fit = least_squares(F, x, xtol=1e-2)
    assert (fit.status, fit.message[:6]) == (3, "`xtol`")
    fit = least_squares(F, x, gtol=1e-2)
    assert (fit.status, fit.message[:6]) == (1, "`gtol`")
    assert "Linear algebra: dense." in fit.message


def test_the_time_ends_inner_iterations(monkeypatch):
    monkeypatch.setattr(damped, "FORCING", 1e-12)
    F, x = chain_function(300)
    asked = 0

    def late():
        nonlocal asked
        asked += 1
        if asked == 5:
            raise Stopped("late")

    way = damped.Products(late)
    way.take(way.face(F.jac(x)))
    with pytest.raises(Stopped, match="late"):
        way.solve(F.jac(x).T @ F.fun(x), np.full(300, 1e-6))


def test_steps_are_counted_and_costs_fall():
    seen = []
    fit = least_squares(noisy_fit(), np.array([1.0, 1.0, 0.0]), progress=seen.append)
    assert fit.nit == len(seen) - 1
    assert fit.njev == len(seen)
    assert fit.nfev == seen[-1].evaluations or fit.nfev > seen[-1].evaluations
    values = [at.value for at in seen]
    assert values == sorted(values, reverse=True)
    assert_allclose(fit.fun, noisy_fit().fun(fit.x))
    assert_allclose(fit.grad, noisy_fit().jac(fit.x).T @ fit.fun, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x_scale": 2.0}, r"x_scale: got 2.0 for gauss-newton, which takes none"),
        ({"jac": "banded"}, r"jac: got 'banded'"),
        ({"tr_solver": "exact"}, r"tr_solver: got an option that gauss-newton does not take"),
        ({"ftol": -1}, r"ftol: got -1"),
        ({"loss": "square"}, r"loss: got 'square'"),
    ],
)
def test_errors_at_the_door(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        least_squares(noisy_fit(), np.ones(3), method="gauss-newton", **options)


def test_patterns_hold_no_values():
    """An entry that is zero at the start is there."""
    i, j = np.repeat(np.arange(40), 3), np.tile(np.arange(3), 40)
    truth = rng.standard_normal((3, 2)), rng.standard_normal((40, 2))
    seen = np.sum(truth[0][j] * truth[1][i], axis=1)
    F = mj.compile(lambda A, P: np.sum(A[j] * P[i], axis=1) - seen, (3, 2), (40, 2))
    start = np.where(np.arange(6).reshape(3, 2) < 2, 0.0, truth[0]), truth[1] + 0.1
    fit = least_squares(F, *start, method="gauss-newton", jac="csr")
    assert fit.linear_algebra.startswith("Schur")
    assert fit.cost <= 1e-15


def test_dense_jacobians_are_made_at_once():
    F = mj.compile(lambda x: np.outer(x, x) * np.sum(x), (4,))
    x = rng.standard_normal(4)
    full = F.jac(x)
    assert full.nnz == full.shape[0] * full.shape[1]
    assert_allclose(full.toarray(), sp.csr_array(full.tocsr()).toarray())
    assert full.T.toarray().shape == (4, 16)
