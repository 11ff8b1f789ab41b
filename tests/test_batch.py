"""Many small fits at once, against a loop of SciPy's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import least_squares

import matjac as mj
from matjac.maps.point import Point
from matjac.tracing.restrict import restricted

T = np.linspace(0, 1, 12)


def decays(count, seed=0, noise=0.01):
    """The data of exponential decays, and their residuals as a function of all parameters."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform([0.5, 1.0, -0.5], [2.0, 4.0, 0.5], (count, 3))
    data = truth[:, :1] * np.exp(-truth[:, 1:2] * T) + truth[:, 2:] + noise * rng.standard_normal((count, T.size))
    return data, lambda p: p[:, :1] * np.exp(-p[:, 1:2] * T) + p[:, 2:] - data


@pytest.fixture(params=[False, True], ids=["all at once", "few at a time"])
def few(request, monkeypatch):
    """Whether problems are stepped on a few at a time, and then fewer."""
    if request.param:
        monkeypatch.setattr("matjac.solvers.batch.ROOM", 12 * 36)
        monkeypatch.setattr("matjac.solvers.batch.LEAST", 3)
        monkeypatch.setattr("matjac.solvers.batch.SHRINK", 2)


def one_by_one(residuals, starts, **options):
    """SciPy's fits of each problem, with differences for a Jacobian."""
    return [
        least_squares(lambda x, b=b: residuals(b, x), start.ravel(), ftol=1e-12, xtol=1e-12, gtol=1e-12, **options)
        for b, start in enumerate(starts)
    ]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_decays_agree_with_a_loop(count, order, few):
    data, residuals = decays(count)
    start = np.tile([1.0, 2.0, 0.0], (count, 1))
    fit = mj.solvers.least_squares(mj.compile(residuals, (count, 3), order=order), start, batch=1)
    fits = one_by_one(lambda b, x: x[0] * np.exp(-x[1] * T) + x[2] - data[b], start)
    assert fit.success
    assert fit.converged.shape == fit.cost.shape == (count,)
    assert_allclose(fit.cost, [each.cost for each in fits], rtol=1e-6)
    assert_allclose(fit.variables[0], [each.x for each in fits], rtol=1e-3, atol=1e-3)
    assert fit.optimality.max() < 1e-4
    assert_allclose(fit.fun.reshape(data.shape, order=order), residuals(fit.variables[0]))
    assert fit.nit < 60
    assert fit.nfev == fit.nit + 1


@pytest.mark.parametrize("order", ["C", "F"])
def test_several_variables_of_several_axes(order):
    rng = np.random.default_rng(1)
    shape = 3, 5
    K = rng.standard_normal((*shape, 4, 3))

    def residuals(U, V, c):
        errors = U @ np.swapaxes(V, -1, -2) + c[..., None, None] - K
        # the ridge makes the fit unique but for a rotation
        parts = [errors, 0.5 * U, 0.5 * V, c[..., None]]
        return np.concatenate([np.reshape(part, (*shape, -1)) for part in parts], axis=-1)

    F = mj.compile(residuals, (*shape, 4, 2), (*shape, 3, 2), shape, order=order)
    start = rng.standard_normal((*shape, 4, 2)), rng.standard_normal((*shape, 3, 2)), np.zeros(shape)
    fit = mj.solvers.least_squares(F, *start, batch=2)

    def alone(b, x):
        U, V, c = x[:8].reshape(4, 2), x[8:14].reshape(3, 2), x[14]
        return np.concatenate([(U @ V.T + c - K.reshape(-1, 4, 3)[b]).ravel(), 0.5 * U.ravel(), 0.5 * V.ravel(), [c]])

    fits = one_by_one(alone, [np.concatenate([part[at].ravel() for part in start]) for at in np.ndindex(shape)])
    assert fit.success
    assert fit.cost.shape == fit.converged.shape == shape
    assert_allclose(fit.cost, np.reshape([each.cost for each in fits], shape), rtol=1e-5)
    assert_allclose(fit.cost, 0.5 * np.sum(residuals(*fit.variables) ** 2, axis=2))
    assert_allclose(fit.fun.reshape(*shape, -1, order=order), residuals(*fit.variables))


def test_gram_fits_agree_with_a_loop(few):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((30, 6, 4))
    K, start = X.mT @ X / 6, rng.standard_normal((30, 3, 4))
    fit = mj.solvers.least_squares(mj.compile(lambda R: R.mT @ R - K, (30, 3, 4)), start, ftol=1e-12, batch=1)
    fits = one_by_one(lambda b, x: (x.reshape(3, 4).T @ x.reshape(3, 4) - K[b]).ravel(), start, method="lm")
    assert fit.success
    assert_allclose(fit.cost, [each.cost for each in fits], rtol=1e-6)


def test_what_is_not_finite_stops_one_problem(few):
    data, residuals = decays(6)
    data[2, 3] = np.nan
    start = np.tile([1.0, 2.0, 0.0], (6, 1))
    # an exponential that overflows at the first step is no trouble for the others either
    start[4] = [1.0, -800.0, 0.0]
    F = mj.compile(lambda p: p[:, :1] * np.exp(-p[:, 1:2] * T) + p[:, 2:] - data, (6, 3))
    fit = mj.solvers.least_squares(F, start, batch=1)
    good = np.array([True, True, False, True, False, True])
    assert_array_equal(fit.converged, good)
    assert_array_equal(fit.statuses == -9, ~good)
    assert (fit.status, fit.success) == (-9, False)
    assert "2 of 6 problems: values or derivatives are not finite" in fit.message
    assert_array_equal(fit.variables[0][~good], start[~good])
    data[2, 3] = 0
    alone = mj.solvers.least_squares(mj.compile(residuals, (6, 3)), np.tile([1.0, 2.0, 0.0], (6, 1)), batch=1)
    assert_allclose(fit.cost[good], alone.cost[good], rtol=1e-6)


@pytest.mark.parametrize("slope", [1e200, -1e200])
def test_a_normal_matrix_that_overflows_stops_one_problem(slope):
    # the residual and the gradient are finite, the square of the slope is not
    F = mj.compile(lambda x, c: c * x + 1, (3, 1), (3, 1)).bind(c=np.array([[1.0], [slope], [2.0]]))
    fit = mj.solvers.least_squares(F, np.zeros((3, 1)), batch=1)
    assert_array_equal(fit.converged, [True, False, True])
    assert_allclose(fit.variables[0].ravel(), [-1, 0, -0.5])
    assert np.isnan(fit.optimality[1])


def test_a_singular_matrix_stops_all_where_they_are(few):
    inverse = mj.compile(lambda X: np.linalg.inv(X) - 2.0 * np.eye(2), (4, 2, 2))
    fit = mj.solvers.least_squares(inverse, np.zeros((4, 2, 2)), batch=1)
    assert (fit.success, fit.status, fit.converged.any()) == (False, -9, False)
    assert fit.message == "at evaluation 1: Singular matrix. 4 of 4 problems: not done"
    assert_array_equal(fit.x, np.zeros(16))

    F, count = mj.compile(lambda X: X**2 - 2.0, (4, 2)), 0

    def wrong(X):
        nonlocal count
        count += 1
        if count > 3:
            raise np.linalg.LinAlgError("Singular matrix")
        return F(X)

    start = np.full((4, 2), 9.0)
    fit = mj.solvers.least_squares(mj.Function(wrong, F.jacobian, (4, 2)), start, batch=1)
    assert "Singular matrix. 4 of 4 problems: not done" in fit.message
    assert_allclose(fit.cost, 0.5 * np.sum(F(fit.variables[0]) ** 2, axis=1))
    assert np.all(fit.cost < 0.5 * np.sum(F(start) ** 2, axis=1))


def test_derivatives_that_are_not_finite_stop_one_problem(few):
    F = mj.compile(lambda X: np.sqrt(X) - 2.0, (5, 2))
    start = np.ones((5, 2))
    start[3, 1] = 0.0
    with np.errstate(divide="ignore"):
        fit = mj.solvers.least_squares(F, start, batch=1)
    assert_array_equal(fit.statuses == -9, np.arange(5) == 3)
    assert np.isnan(fit.optimality[3])
    assert_array_equal(fit.variables[0][3], start[3])
    assert_allclose(np.delete(fit.variables[0], 3, axis=0), 4, rtol=1e-5)


def test_a_problem_whose_derivatives_are_not_finite_ends_at_its_start():
    F = mj.compile(lambda X: np.sqrt(X) - 2.0, (2, 1))
    with np.errstate(divide="ignore"):
        fit = mj.solvers.least_squares(F, np.zeros((2, 1)), batch=1)
    assert_array_equal(fit.statuses, -9)
    # there is no gradient to step by: its damping need not grow beyond all first
    assert fit.nit == 0


@pytest.mark.parametrize(
    ("status", "options"),
    [(1, {"gtol": 0.1}), (2, {"ftol": 0.1}), (3, {"xtol": 10.0}), (4, {"ftol": 0.1, "xtol": 10.0})],
)
def test_each_reason_to_end_has_its_status(status, options):
    # the cost is 1 + x², and one step from x = 0.01 makes it less by 10⁻⁴ of it
    F = mj.compile(lambda X: X * np.ones(2) + np.array([-1.0, 1.0]), (2, 1))
    small = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-13}
    fit = mj.solvers.least_squares(F, np.full((2, 1), 0.01), batch=1, **{**small, **options})
    assert_array_equal(fit.statuses, status)


def test_a_problem_that_is_finite_at_its_start_alone_ends():
    F = mj.compile(lambda X: np.exp(X) - 3.0, (2, 1))
    alone = lambda X: np.where([[True], [X[1, 0] == 1.0]], F(X), np.nan)  # noqa: E731
    fit = mj.solvers.least_squares(mj.Function(alone, F.jacobian, (2, 1)), np.ones((2, 1)), batch=1)
    assert_array_equal(fit.statuses == -9, [False, True])
    assert_allclose(fit.variables[0], [[np.log(3)], [1.0]], rtol=1e-6)
    assert_allclose(fit.cost[1], 0.5 * (np.e - 3) ** 2)
    # no longer than it takes a damping to grow beyond all
    assert fit.nit < 20


def test_coupled_problems_are_refused(few):
    F = mj.compile(lambda X: X - X[::-1], (4, 2))
    with pytest.raises(ValueError, match=r"residuals of problem 0 that depend on X\[3, 0\], of problem 3"):
        mj.solvers.least_squares(F, np.ones((4, 2)), batch=1)
    total = mj.compile(lambda X: X - np.sum(X, axis=0), (4, 2), order="F")
    with pytest.raises(ValueError, match="expected problems with nothing in common"):
        mj.solvers.least_squares(total, np.ones((4, 2)), batch=1)


def test_few_values_of_all_problems_are_not_coupled():
    """Rows of such a function are swept for a matrix; their terms say what depends on what."""
    F = mj.compile(lambda x: np.exp(x) - 2.0, (3,))
    fit = mj.solvers.least_squares(F, np.zeros(3), batch=1)
    assert_allclose(fit.variables[0], np.full(3, np.log(2)), rtol=1e-6)
    assert_array_equal(fit.converged, [True] * 3)


def test_shapes_and_options_are_checked():
    _, residuals = decays(3)
    F, start = mj.compile(residuals, (3, 3)), np.ones((3, 3))
    with pytest.raises(ValueError, match=r"batch: got 2 axes and p of shape \(3, 3\)"):
        mj.solvers.least_squares(F, start, batch=2)
    with pytest.raises(ValueError, match=r"batch: got 0 axes"):
        mj.solvers.least_squares(F, start, batch=0)
    mixed = mj.compile(lambda X, c: X * c, (3, 2), (2,))
    with pytest.raises(ValueError, match=r"batch: got 1 axes and c of shape \(2,\)"):
        mj.solvers.least_squares(mixed, np.ones((3, 2)), np.ones(2), batch=1)
    with pytest.raises(ValueError, match="ftol: got -1"):
        mj.solvers.least_squares(F, start, ftol=-1, batch=1)
    with pytest.raises(TypeError, match="loss: got an option that batch does not take, expected one of ftol"):
        mj.solvers.least_squares(F, start, batch=1, loss="huber")
    with pytest.raises(ValueError, match="method: got 'lbfgs' for batch"):
        mj.solvers.least_squares(F, start, batch=1, method="lbfgs")
    with pytest.raises(TypeError, match="F: got"):
        mj.solvers.least_squares("residuals", start, batch=1)
    assert_array_equal(
        mj.solvers.least_squares(residuals, start, batch=1).x, mj.solvers.least_squares(F, start, batch=1).x
    )


def test_no_problems():
    F = mj.compile(lambda p: p[:, :1] * T + p[:, 1:], (0, 2))
    fit = mj.solvers.least_squares(F, np.empty((0, 2)), batch=1)
    assert fit.success
    assert fit.cost.shape == (0,)
    assert fit.variables[0].shape == (0, 2)


def test_bounds(few):
    data, residuals = decays(25, seed=3, noise=0.05)
    start = np.tile([1.0, 2.0, 0.0], (25, 1))
    low, high = np.array([0.0, 1.5, -0.1]), np.array([1.2, 3.0, np.inf])
    F = mj.compile(residuals, (25, 3))
    fit = mj.solvers.least_squares(F, start, batch=1, bounds=(np.tile(low, (25, 1)), np.tile(high, (25, 1))))
    fits = one_by_one(lambda b, x: x[0] * np.exp(-x[1] * T) + x[2] - data[b], start, bounds=(low, high))
    assert fit.success
    assert np.all((fit.variables[0] >= low) & (fit.variables[0] <= high))
    assert np.any(fit.variables[0] == high)
    assert_allclose(fit.cost, [each.cost for each in fits], rtol=1e-5)


def test_progress_stops_and_tells(few):
    _, residuals = decays(4)
    F, start = mj.compile(residuals, (4, 3)), np.tile([1.0, 2.0, 0.0], (4, 1))
    seen = []
    fit = mj.solvers.least_squares(F, start, progress=lambda p: seen.append(p.value) or len(seen) == 3, batch=1)
    assert len(seen) == 3
    # to more rounding than one sum has
    assert np.all(np.diff(seen) <= 1e-12 * seen[0])
    assert (fit.success, fit.status) == (False, -9)
    assert "the callback stopped it at step 3" in fit.message
    assert_allclose(fit.cost.sum(), seen[-1])
    short = mj.solvers.least_squares(F, start, max_nit=2, batch=1)
    assert (short.success, short.status, short.nit) == (False, 0, 2)
    assert "4 of 4 problems: the maximum number of steps was made" in short.message


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_function_with_a_jacobian_of_one_s_own(few, order):
    _, residuals = decays(5)
    F = mj.compile(residuals, (5, 3), order=order)
    turn = mj.compile(lambda p: p[:, ::-1], (5, 3), order=order).jacobian(np.ones((5, 3)))
    start = np.tile([1.0, 2.0, 0.0], (5, 1))
    expected = mj.solvers.least_squares(F, start, batch=1)
    # as terms, and as a product that has none
    for jacobian in (F.jacobian, lambda p: (F.jacobian(p) @ turn) @ turn):
        own = mj.Function(residuals, jacobian, (5, 3), order=order)
        fit = mj.solvers.least_squares(own, start, batch=1)
        assert_allclose(fit.cost, expected.cost)
        assert_allclose(fit.x, expected.x)


rng = np.random.default_rng(9)
COUNT, A, B = 7, rng.standard_normal((7, 4)), rng.standard_normal((4, 3))
C, SPARSE = rng.standard_normal((7, 3, 4)), np.array([[True, False, True], [False, True, True]])


def filled(X, c):
    Y = np.zeros_like(X)
    Y[:, 0] = X[:, 1] ** 2
    Y[:, 1, 1:] += c[:, None]
    Y[:, 1, 2], Y[:, 0, 1] = 3.0, A[:, 0]
    return Y


#: Functions of X (problems × 2 × 3) and c (problems), and whether they can be restricted.
FUNCTIONS = {
    "entry by entry": (lambda X, c: np.maximum(np.abs(X), 0.5) ** 3 / (1 + c[:, None, None] ** 2), True),
    "stacks": (lambda X, c: X @ C @ np.swapaxes(X @ C, 1, 2) - c[:, None, None], True),
    "rows times a matrix": (lambda X, c: (X.reshape(7, 6) @ np.ones((6, 2)) + A[:, :2]) * c[:, None], True),
    "indices": (lambda X, c: X[:, [1, 0, 1], [2, 2, 0]] * X[:, 1, ::-1] - c[:, None], True),
    "a mask of all": (lambda X, c: np.where(SPARSE, X, 0.0) * c[:, None, None] + np.triu(X), True),
    "sums and pieces": (
        lambda X, c: np.concatenate([X.sum(axis=1), c[:, None] * A, X.reshape(7, -1)], axis=1)[:, ::2], True
    ),
    "einsum": (lambda X, c: np.einsum("bij,bjk->bik", X, C) * c[:, None, None], True),
    "assigned": (filled, True),
    "conditions": (lambda X, c: np.where(X - c[:, None, None] > 0, X**2, np.round(X, 1) * X), True),
    "softmax": (lambda X, c: mj.special.softmax(X, axis=2) * c[:, None, None] + np.argmax(X, axis=-1)[..., None], True),
    "constants of constants": (lambda X, c: X * np.exp(np.asarray(A[:, :3], like=X))[:, None], True),
    "broadcast": (lambda X, c: X * np.broadcast_to((c**2)[:, None, None], (7, 2, 3)), True),
    "joined with nothing": (lambda X, c: np.concatenate([c, np.zeros(0)]) * 2, False),
    "a constant result": (lambda X, c: np.asarray(A, like=X), False),
    "running sums": (lambda X, c: np.cumsum(X, axis=2), False),
    "close to others": (lambda X, c: X * np.isclose(X, c[:, None, None]), False),
    "among all problems'": (lambda X, c: X * np.isin(X, np.round(c)[:, None, None]), False),
    "columns of problems": (lambda X, c: X[:, 0, :1] * c, False),
    "zeros by structure": (lambda X, c: X + np.asarray(np.zeros((7, 2, 3)), like=X), False),
    "problems multiplied": (lambda X, c: (A @ A.T) @ X.reshape(7, 6), False),
    "problems transposed": (lambda X, c: (X.reshape(7, 6) @ np.ones((6, 7))).T, False),
    "problems added": (lambda X, c: (X.reshape(7, 6) @ np.ones((6, 7))).sum(axis=0), False),
    "problems exchanged": (lambda X, c: X[[1, 0, 2, 3, 4, 5, 6]] * 2, False),
    "ranks among problems": (lambda X, c: X * np.argsort(X, axis=0), False),
    "a mask of each": (lambda X, c: np.where((A[:, :3] > 0)[:, None, :], X, 0.0) + c[:, None, None], False),
    "mixed": (lambda X, c: X.reshape(7, 6) - np.sum(c), False),
    "turned": (lambda X, c: X[::-1].reshape(7, 6) * c[:, None], False),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_restricted_functions(name):
    """A function of seven problems, as one of three of them: values and Jacobians of any three."""
    function, possible = FUNCTIONS[name]
    F = mj.compile(function, (7, 2, 3), (7,))
    made = restricted(F._record, 3)
    assert (made is not None) == possible
    if made is None:
        return
    X, c = rng.standard_normal((7, 2, 3)), rng.standard_normal(7)
    value, J = F(X, c), F.jacobian(X, c).toarray().reshape(7, -1, 7 * 7)
    for which in ([0, 1, 2], [6, 2, 4], [5, 5, 0]):
        values = made.record.start([X[which], c[which], *(part[which] for part in made.constants)])
        (found,) = made.record.run(values)
        assert_array_equal(found, value[which])
        point = Point(made.record.plan("C", (0, 1)), values, found.dtype)
        small = point.csr("numerator").toarray().reshape(3, -1, 3 * 7)
        for at, b in enumerate(which):
            wide = np.zeros_like(J[b])
            wide[:, 6 * b : 6 * b + 6], wide[:, 42 + b] = small[at][:, 6 * at : 6 * at + 6], small[at][:, 18 + at]
            assert_allclose(wide, J[b], atol=1e-12)
