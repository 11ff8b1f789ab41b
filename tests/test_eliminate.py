"""Variable projection: the eliminated unknown's values beside NumPy's and SciPy's, and which unknowns can be."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize

import matjac as mj
from matjac import kernels
from matjac.solvers import eliminate, least_squares
from matjac.solvers.precondition import metric, shared_metric
from matjac.solvers.projection import Projected
from matjac.solvers.watch import Watch

rng = np.random.default_rng(5)
Y = rng.standard_normal((9, 7))
W = np.where(rng.random((9, 7)) < 0.85, rng.uniform(0.5, 2.0, (9, 7)), 0.0)
ROWS, COLUMNS = np.nonzero(W)
X, T = rng.standard_normal((30, 5)), rng.standard_normal((30, 2))
B = rng.standard_normal((9, 7))


def listed(U, V):
    fitted = (U @ V.T)[ROWS, COLUMNS] - Y[ROWS, COLUMNS]
    return np.concatenate([fitted, 0.3 * U.ravel(), 0.3 * V.ravel()])


#: functions, their shapes, and the unknowns in which they are linear, each with the axis of its blocks
FITS = {
    "weighted": (lambda U, V: W * (U @ V.T - Y), ((9, 2), (7, 2)), {"U": 1, "V": 1}),
    "listed, with a ridge": (listed, ((9, 2), (7, 2)), {"U": 1, "V": 1}),
    "by columns": (lambda U, V: W * (U.T @ V - Y), ((2, 9), (2, 7)), {"U": 0, "V": 0}),
    "with biases": (lambda U, V, b: U @ V.T + b[:, None] - Y, ((9, 2), (7, 2), (9,)), {"U": 1, "V": 1, "b": 1}),
    "a matrix between": (
        lambda U, D, V: U @ D @ V.T - Y, ((9, 2), (2, 3), (7, 3)), {"U": 1, "D": None, "V": 1}
    ),
    "a network's last layer": (
        lambda A, C: np.concatenate([(np.tanh(X @ A) @ C - T).ravel(), 0.3 * A.ravel(), 0.3 * C.ravel()]),
        ((5, 3), (3, 2)),
        {"C": 0},
    ),
    "exponentials": (
        lambda k, a: np.exp(-np.linspace(0, 1, 20)[:, None] * k) @ a - 1.0, ((2,), (2,)), {"a": 0}
    ),
    "of another's square": (lambda U, V: U @ (V * V).T - Y, ((9, 2), (7, 2)), {"U": 1}),
}  # fmt: skip
CASES = [(name, unknown) for name, (_, _, linear) in FITS.items() for unknown in linear]


def compiled(name, order="C"):
    fun, shapes, _ = FITS[name]
    F = mj.compile(fun, *shapes, order=order)
    start = [np.random.default_rng(k).uniform(0.2, 1.0, shape) for k, shape in enumerate(shapes)]
    return F, dict(zip(F.names, start, strict=True))


def best(F, name, arrays):
    """The best value of an unknown, given the others, by NumPy: of columns of ones and zeros in its place."""
    fixed, value = F.bind(**{k: v for k, v in arrays.items() if k != name}), arrays[name]
    base = np.ravel(fixed(np.zeros(value.shape)))
    columns = [np.ravel(fixed(e.reshape(value.shape))) - base for e in np.eye(value.size)]
    return np.linalg.lstsq(np.stack(columns, axis=1), -base, rcond=None)[0].reshape(value.shape)


def linear(F, name, arrays, low=-np.inf, high=np.inf):
    edges = (np.full(arrays[name].shape, edge) for edge in (low, high))
    return eliminate.Linear(F, *eliminate.asked_for(F, name, arrays), *edges)


def objective(F, name, arrays):
    return eliminate.Eliminated(linear(F, name, arrays), arrays, Watch(F, None, None))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("name", "unknown"), CASES)
def test_value_and_gradient(name, unknown, order):
    F, arrays = compiled(name, order)
    made = objective(F, unknown, arrays)
    assert made.linear.blocks.axis == FITS[name][2][unknown] or min(arrays[unknown].shape) == arrays[unknown].size
    x = made.start

    def projected(x):
        others = dict(zip(made.rest.variables.names, made.rest.unpack(x), strict=True))
        whole = arrays | others
        return whole | {unknown: best(F, unknown, whole)}

    def cost(x):
        whole = projected(x)
        return 0.5 * np.sum(F(*[whole[k] for k in F.names]) ** 2)

    value, gradient = made.value_and_gradient(x)
    assert_allclose(value, cost(x), rtol=1e-10)
    slopes = [(cost(x + 1e-5 * e) - cost(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.size)]
    assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)
    made.accepted(x, value)
    # of directions that no residual sees the unknown has nothing to tell
    expected = projected(x)
    assert_allclose(F.fun(made.whole(x)), F.fun(F.pack(*[expected[k] for k in F.names])), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("name", "unknown"), CASES)
def test_the_minimum_is_that_of_all_unknowns(name, unknown):
    F, arrays = compiled(name)
    options = {"ftol": 1e-13, "xtol": 0, "max_nfev": 2000}
    fit = least_squares(F, *arrays.values(), eliminate=unknown, method="lbfgs", **options)
    assert (fit.eliminated, fit.method) == (unknown, "lbfgs")
    assert_allclose(fit.cost, 0.5 * np.sum(F(*fit.variables) ** 2), atol=1e-20)
    assert_allclose(fit.grad, F.jac(fit.x).rmatvec(fit.fun), atol=1e-9)
    together = optimize.least_squares(F.fun, fit.x, lambda x: F.jac(x).toarray(), xtol=1e-14, ftol=1e-14)
    assert fit.cost <= together.cost * (1 + 1e-5) + 1e-12


@pytest.mark.parametrize("method", [None, "gauss-newton", "trf", "dogbox", "lm"])
@pytest.mark.parametrize(("name", "unknown"), [("listed, with a ridge", "U"), ("exponentials", "a")])
def test_methods_take_what_is_left(name, unknown, method):
    F, arrays = compiled(name)
    seen = []
    tight = {} if method is None else {"xtol": 1e-10, "ftol": 1e-12}
    fit = least_squares(F, *arrays.values(), eliminate=unknown, method=method, progress=seen.append, **tight)
    assert fit.success
    assert (fit.eliminated, fit.method) == (unknown, method or "gauss-newton")
    assert_allclose(fit.x, F.pack(*fit.variables))
    assert_allclose(fit.cost, 0.5 * np.sum(F(*fit.variables) ** 2), atol=1e-20)
    assert_allclose(fit.grad, 0, atol=1e-4)
    assert seen[-1].x.shape == fit.x.shape
    assert unknown in fit.report()
    by_lbfgs = least_squares(F, *arrays.values(), eliminate=unknown, method="lbfgs", ftol=1e-13, max_nfev=2000)
    assert_allclose(fit.cost, by_lbfgs.cost, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("method", ["gauss-newton", "trf"])
def test_methods_keep_bounds_of_what_is_left_and_of_what_is_eliminated(method):
    F, arrays = compiled("listed, with a ridge")
    bounds = ((0.0, -0.2), (0.6, 0.9))
    start = np.clip(arrays["U"], 0.0, 0.6), np.clip(arrays["V"], -0.2, 0.9)
    fit = least_squares(F, *start, eliminate="U", method=method, bounds=bounds)
    U, V = fit.variables
    assert ((U >= 0) & (U <= 0.6)).all()
    assert ((V >= -0.2) & (V <= 0.9)).all()
    # some of both are held by a bound
    assert all(((low + 1e-9 >= X) | (high - 1e-9 <= X)).any() for X, low, high in ((U, 0, 0.6), (V, -0.2, 0.9)))
    by_lbfgs = least_squares(F, *start, eliminate="U", method="lbfgs", bounds=bounds, ftol=1e-13, xtol=0)
    assert_allclose(fit.cost, by_lbfgs.cost, rtol=1e-5)


def test_kaufmans_jacobian_where_bounds_hold_the_eliminated_unknown():
    F, arrays = compiled("listed, with a ridge")
    low, high = 0.0, 0.4
    arrays["U"] = np.clip(arrays["U"], low, high)
    made = Projected(linear(F, "U", arrays, low, high), arrays)
    x, U = arrays["V"].ravel(), F.unpack(made.whole(arrays["V"].ravel()))[0]
    assert ((low < U) & (high > U)).any()
    assert not ((low < U) & (high > U)).all()

    def cost(x):
        """By SciPy, row by row."""
        V, total = x.reshape(7, 2), 0.0
        for row in range(9):
            seen = COLUMNS[row == ROWS]
            A, y = np.vstack([V[seen], 0.3 * np.eye(2)]), np.concatenate([Y[row, seen], np.zeros(2)])
            total += optimize.lsq_linear(A, y, (low, high), method="bvls").cost
        return total + 0.5 * 0.09 * np.sum(V**2)

    slopes = [(cost(x + 1e-5 * e) - cost(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.size)]
    assert_allclose(0.5 * np.sum(made.fun(x) ** 2), cost(x), rtol=1e-8)
    assert_allclose(made.jac(x).T @ made.fun(x), slopes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("unknown", ["U", "V"])
@pytest.mark.parametrize("name", ["weighted", "listed, with a ridge", "by columns"])
def test_between_bounds(name, unknown):
    F, arrays = compiled(name)
    low, high = 0.0, 0.6
    start = {k: np.clip(v, low, high) for k, v in arrays.items()}
    seen = []
    options = {"method": "lbfgs", "bounds": (low, high), "ftol": 1e-13, "xtol": 0, "gtol": 0}
    fit = least_squares(F, *start.values(), eliminate=unknown, progress=lambda at: seen.append(at.x), **options)
    assert all(((x >= low) & (x <= high)).all() for x in seen)
    assert fit.optimality < 1e-4
    other = optimize.least_squares(
        F.fun, fit.x.clip(low + 1e-9, high - 1e-9), lambda x: F.jac(x).toarray(), bounds=(low, high), xtol=1e-12
    )
    assert fit.cost <= other.cost * (1 + 1e-5)


def test_closed_forms_are_eliminated_too():
    def by_both(U, V):
        return mj.hstack([mj.d_matmul_dA(V.T, 9), mj.d_matmul_dB(U, 7) @ mj.d_transpose_dX((7, 2))])

    F = mj.Function(lambda U, V: U @ V.T - Y, by_both, (9, 2), (7, 2), names=("U", "V"))
    start = [np.random.default_rng(k).standard_normal(shape) for k, shape in enumerate(((9, 2), (7, 2)))]
    fit = least_squares(F, *start, eliminate="V", method="lbfgs", ftol=1e-13)
    values = np.linalg.svd(Y, compute_uv=False)
    assert_allclose(fit.cost, 0.5 * np.sum(values[2:] ** 2), rtol=1e-8)
    # of these nothing is recorded, and none is eliminated unasked
    assert least_squares(F, *start, method="lbfgs").eliminated is None


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("name", "unknown"), CASES)
def test_kaufmans_jacobian(name, unknown, order):
    F, arrays = compiled(name, order)
    made = Projected(linear(F, unknown, arrays), arrays)
    names = made.variables.names
    x = made.pack(*[arrays[k] for k in names])

    def residuals(x):
        whole = arrays | dict(zip(names, made.unpack(x), strict=True))
        return F.fun(F.pack(*[(whole | {unknown: best(F, unknown, whole)})[k] for k in F.names]))

    y, J = made.fun(x), made.jac(x)
    assert_allclose(y, residuals(x), atol=1e-7)
    # the gradient is that of the projected residuals, and the columns are orthogonal to what U reaches
    dense = J.toarray()
    slopes = [np.sum(residuals(x + 1e-5 * e) ** 2 - residuals(x - 1e-5 * e) ** 2) / 4e-5 for e in np.eye(x.size)]
    assert_allclose(dense.T @ y, slopes, rtol=1e-5, atol=1e-6)
    whole = made.whole(x)
    inner = F.jac(whole).toarray()[:, [k for k in range(whole.size) if F.variables.entry(k).split("[")[0] == unknown]]
    assert_allclose(inner.T @ dense, 0, atol=1e-6)
    # products with it, of several vectors too
    v, u = rng.standard_normal((x.size, 3)), rng.standard_normal((y.size, 3))
    assert_allclose(J @ v, dense @ v, atol=1e-9)
    assert_allclose(J.T @ u, dense.T @ u, atol=1e-9)
    assert J.nnz == y.size * x.size


def test_kaufmans_jacobian_is_exact_where_residuals_are_zero():
    V = rng.standard_normal((7, 2))
    exact = rng.standard_normal((9, 2)) @ V.T
    F = mj.compile(lambda U, V: U @ V.T - exact, (9, 2), (7, 2))
    arrays = {"U": np.ones((9, 2)), "V": V}
    made = Projected(linear(F, "U", arrays), arrays)
    x = V.ravel()
    slopes = [(made.fun(x + 1e-6 * e) - made.fun(x - 1e-6 * e)) / 2e-6 for e in np.eye(x.size)]
    assert_allclose(made.jac(x).toarray(), np.stack(slopes, axis=1), atol=1e-7)


# what is chosen ------------------------------------------------------------------------------------------


def chosen(fun, *shapes):
    F = mj.compile(fun, *shapes)
    found = eliminate.separable(F, dict(zip(F.names, (np.ones(s) for s in shapes), strict=True)))
    return None if found is None else (found[0], found[1].axis)


def test_what_is_found_from_the_record():
    assert chosen(lambda U, V: W * (U @ V.T - Y), (9, 2), (7, 2)) == ("V", 1)
    assert chosen(lambda U, V: W.T * (U @ V.T - Y.T), (7, 2), (9, 2)) == ("U", 1)
    assert chosen(lambda U, V: W * (U.T @ V - Y), (2, 9), (2, 7)) == ("V", 0)
    assert chosen(lambda A, C: np.tanh(X @ A) @ C - T, (5, 3), (3, 2)) == ("C", 0)
    # not linear, nothing left, or blocks that residuals join
    assert chosen(lambda U, V: (U * U) @ np.exp(V).T, (9, 2), (7, 2)) is None
    assert chosen(lambda U: X @ U, (5, 2)) is None
    assert chosen(lambda D, V: (np.ones((4, 9)) @ D @ np.ones((9, 5))) * np.exp(V), (9, 9), (4, 5)) is None


def test_the_plain_call_says_what_it_eliminated():
    n = 40
    rng = np.random.default_rng(0)
    data = rng.standard_normal((n, 3)) @ rng.standard_normal((3, n))
    seen = rng.random((n, n)) < 0.5
    F = mj.compile(lambda U, V: seen * (U @ V.T - data), (n, 3), (n, 3))
    start = rng.standard_normal((n, 3)), rng.standard_normal((n, 3))
    fit, whole = least_squares(F, *start), least_squares(F, *start, eliminate=False)
    assert (fit.method, fit.eliminated, whole.eliminated) == ("lbfgs", "U", None)
    assert fit.cost < 1e-8
    assert fit.nit < whole.nit
    assert "linear in U" in fit.report()
    assert "linear" not in whole.report()
    robust = least_squares(F, *start, loss="huber")
    assert robust.eliminated is None
    assert "linear in" not in robust.report()
    assert least_squares(F, *start, method="gauss-newton", max_nfev=3).eliminated is None


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"eliminate": "Z"}, ValueError, "expected one of U, V"),
        ({"eliminate": True}, ValueError, "expected one of U, V"),
        ({"eliminate": "V"}, ValueError, "residuals are linear"),
        ({"eliminate": "U", "loss": "huber"}, ValueError, "robust"),
    ],
)
def test_errors_at_the_door(options, error, text):
    F, arrays = compiled("of another's square")
    with pytest.raises(error, match=text):
        least_squares(F, *arrays.values(), **options)


def test_one_unknown_cannot_be_eliminated():
    with pytest.raises(ValueError, match="the only unknown"):
        least_squares(mj.compile(lambda U: X @ U, (5, 2)), np.ones((5, 2)), eliminate="U")


def test_closed_forms_that_are_not_linear_are_refused():
    F = mj.Function(
        lambda U, V: U * U + V,
        lambda U, V: mj.hstack([mj.d_elementwise_dX(2 * U), mj.d_identity_dx(3)]),
        (3,), (3,), names=("U", "V"),
    )  # fmt: skip
    with pytest.raises(ValueError, match="residuals are linear"):
        least_squares(F, np.ones(3), np.ones(3), eliminate="U")


def test_large_unknowns_that_belong_together_are_refused(monkeypatch):
    monkeypatch.setattr(eliminate, "LARGEST", 4)
    F, arrays = compiled("a matrix between")
    with pytest.raises(ValueError, match="6 entries that belong together"):
        least_squares(F, *arrays.values(), eliminate="D")


def test_a_start_where_nothing_can_be_solved_for():
    F, arrays = compiled("weighted")
    # U's blocks are zero: it stays where it is, and V has a gradient to go along
    zero = np.zeros((7, 2))
    fit = least_squares(F, arrays["U"], zero, eliminate="U", method="lbfgs")
    assert fit.success
    assert fit.cost < 0.9 * 0.5 * np.sum(F(arrays["U"], zero) ** 2)


def test_stops_and_reports():
    F, arrays = compiled("weighted")
    seen = []
    stop = {"progress": lambda at: seen.append(at) or at.steps == 3}
    fit = least_squares(F, *arrays.values(), eliminate="U", method="lbfgs", **stop)
    assert not fit.success
    assert_array_equal(fit.x, seen[-1].x)
    assert_allclose(0.5 * np.sum(F(*fit.variables) ** 2), fit.cost)
    assert (fit.eliminated, fit.x.size) == ("U", 32)


@pytest.mark.parametrize("method", [None, "lbfgs", "trf"])
def test_not_finite_values_stop_with_a_word(method):
    F = mj.compile(lambda U, V: U @ np.log(V).T - Y, (9, 2), (7, 2))
    with np.errstate(all="ignore"):
        fit = least_squares(F, np.ones((9, 2)), -np.ones((7, 2)), eliminate="U", method=method)
    assert not fit.success
    assert "63 of 63 entries are not finite" in fit.message
    assert_array_equal(fit.variables[1], -1)


def test_normal_equations_that_are_not_finite_stop_with_a_word():
    # the residuals are, where U is zero
    F = mj.compile(lambda U, V: U * (1e200 * V) - 1.0, (3,), (3,))
    with np.errstate(all="ignore"):
        fit = least_squares(F, np.zeros(3), np.ones(3), eliminate="U", method="lbfgs")
    assert not fit.success
    assert "residuals: got nan" in fit.message
    assert_array_equal(fit.x, [0, 0, 0, 1, 1, 1])


def test_an_unknown_that_no_residual_reaches():
    F = mj.Function(
        lambda U, V: V - 1.0,
        lambda U, V: mj.hstack([mj.d_constant_dX((3,), (2, 2)), mj.d_identity_dx(3)]),
        (2, 2), (3,), names=("U", "V"),
    )  # fmt: skip
    fit = least_squares(F, np.full((2, 2), 5.0), np.zeros(3), eliminate="U")
    assert_allclose(fit.x, [5, 5, 5, 5, 1, 1, 1])


def test_what_is_left_is_a_function_without_second_derivatives():
    F, arrays = compiled("weighted")
    made = Projected(linear(F, "U", arrays), arrays)
    V = arrays["V"]
    assert_array_equal(made(V).ravel(), made.fun(V.ravel()))
    assert_array_equal(made.jacobian(V).toarray(), made.jac(V.ravel()).toarray())
    assert not made.has_hessian
    with pytest.raises(TypeError, match="hessian: got a function with an unknown eliminated"):
        made.hess(V.ravel(), np.ones(63))
    with pytest.raises(TypeError, match="bind: got a function with an unknown eliminated"):
        made.bind(V=V)


# the parts -----------------------------------------------------------------------------------------------


def by_enumeration(H, g, low, high):
    """The least value of ½pᵀHp + gp between bounds on p: each unknown at its lower bound, its upper one, or free."""
    least = np.inf
    for sides in product((0, 1, 2), repeat=g.size):
        sides = np.array(sides)
        p = np.where(sides == 0, low, np.where(sides == 1, high, 0.0))
        free = sides == 2
        if not np.isfinite(p[~free]).all():
            continue
        p[free] = np.linalg.solve(H[np.ix_(free, free)], -(g + H @ p)[free])
        if ((p >= low - 1e-12) & (p <= high + 1e-12)).all():
            least = min(least, 0.5 * p @ H @ p + g @ p)
    return least


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([0.0, 1e-3]), st.booleans())
def test_quadratics_between_bounds(q, seed, ridge, half_open):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((5, q + 2, q))
    H = root.transpose(0, 2, 1) @ root + ridge * np.eye(q)
    low = rng.uniform(-1, 0, (5, q))
    high = np.full((5, q), np.inf) if half_open else low + rng.uniform(0, 1, (5, q))
    start = np.clip(rng.standard_normal((5, q)), low, high)
    g, x = 3 * rng.standard_normal((5, q)), start.copy()
    kernels.box_minimize(
        np.tril(H), g, low, high, 1e-12, x, np.empty((3, q)), np.empty((q, q)), np.empty(q, np.uint64), 0, 5
    )
    assert ((x >= low) & (x <= high)).all()
    for b in range(5):
        p = x[b] - start[b]
        found = 0.5 * p @ H[b] @ p + g[b] @ p
        assert found <= by_enumeration(H[b], g[b], low[b] - start[b], high[b] - start[b]) + 1e-9 * (1 + abs(found))


def test_a_basis_that_blocks_share():
    seen = np.random.default_rng(0).random((9, 7)) < 0.6
    rows, columns = np.nonzero(seen)
    weights = np.random.default_rng(1).uniform(1, 2, rows.size)
    fun = lambda U, V: np.concatenate([weights * (U @ V.T)[rows, columns], 0.5 * U.ravel()])  # noqa: E731
    V = np.random.default_rng(2).standard_normal((7, 3))
    J = mj.compile(fun, (9, 3), (7, 3)).bind(V=V).jacobian(np.ones((9, 3)))
    product = shared_metric(J)
    blocks = J.normal_blocks(1)
    _, Q = np.linalg.eigh(blocks.sum(axis=0))
    inverse = np.stack([Q @ np.diag(1 / np.diag(Q.T @ B @ Q)) @ Q.T for B in blocks])
    x = np.random.default_rng(3).standard_normal(27)
    assert_allclose(product(x), np.einsum("bij,bj->bi", inverse, x.reshape(9, 3)).ravel(), rtol=1e-6)


def test_a_basis_that_blocks_share_where_two_terms_meet():
    # an entry on the diagonal of RᵀR meets one block by both of its terms
    R = np.random.default_rng(2).standard_normal((3, 8))
    mask = np.triu(np.random.default_rng(3).random((8, 8)) < 0.7)
    mask = (mask | mask.T | np.eye(8, dtype=bool)).astype(float)
    J = mj.compile(lambda R: mask * (R.T @ R), (3, 8)).jacobian(R)
    weights = np.random.default_rng(4).uniform(0.5, 2, 64)
    for w in (None, weights):
        blocks = J.normal_blocks(0, w)
        _, Q = np.linalg.eigh(blocks.sum(axis=0))
        diagonals = np.einsum("ia,bij,ja->ba", Q, blocks, Q)
        diagonals += 1e-8 * diagonals.max(axis=1, keepdims=True)
        inverse = np.stack([Q @ np.diag(1 / d) @ Q.T for d in diagonals])
        x = np.random.default_rng(5).standard_normal((3, 8))
        expected = np.einsum("bij,jb->ib", inverse, x)
        assert_allclose(shared_metric(J, w)(x.ravel()), expected.ravel(), rtol=1e-9)


def test_no_basis_is_shared_where_rows_reach_more():
    J = mj.compile(lambda X: np.tanh(X @ X.T) @ X, (4, 4)).jacobian(np.ones((4, 4)))
    assert shared_metric(J) is None


def test_blocks_are_the_metric_where_no_basis_is_shared():
    random = np.random.default_rng(1)
    A, B = random.standard_normal((6, 4)), random.standard_normal((3, 5))
    J = mj.compile(lambda X: A @ X @ B, (4, 3)).jacobian(np.ones((4, 3)))
    weights = random.uniform(0.5, 2, 30)
    assert shared_metric(J) is None
    D = J.toarray().reshape(30, 4, 3)
    expected = np.zeros((4, 3))
    x = random.standard_normal((4, 3))
    for row in range(4):
        block = D[:, row].T @ (weights[:, None] * D[:, row])
        expected[row] = np.linalg.solve(block + 1e-8 * block.diagonal().max() * np.eye(3), x[row])
    assert_allclose(metric(J, weights)(x.ravel()), expected.ravel(), rtol=1e-6)


def test_stacks_of_matrices_have_no_metric():
    F = mj.compile(lambda X: np.tanh(X) * X + 0.1 * np.roll(X, 1, axis=0) - 1.0, (2, 3, 4))
    assert metric(F.jacobian(np.ones((2, 3, 4)))) is None
    fit = least_squares(F, np.ones((2, 3, 4)), method="lbfgs", ftol=1e-14)
    known = optimize.least_squares(F.fun, np.ones(24), lambda x: F.jac(x).toarray(), ftol=1e-14, xtol=1e-14)
    assert fit.success
    assert_allclose(fit.cost, known.cost, atol=1e-10)
