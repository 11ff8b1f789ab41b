"""The adapters, each by really solving with its package."""

import sys

import numpy as np
import pytest
import scipy.optimize as so
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp as plain_solve_ivp
from scipy.sparse.linalg import aslinearoperator, cg, lsmr, lsqr

import matjac as mj
from matjac import solvers
from matjac.solvers.watch import PATIENCE, Stopped, Watch

rng = np.random.default_rng(3)
M, N, K = 9, 7, 2
U, V = rng.standard_normal((M, K)), rng.standard_normal((N, K))
ROWS, COLS = np.nonzero(rng.random((M, N)) < 0.7)
STARS = (U @ V.T)[ROWS, COLS]
NOISY = STARS + 0.1 * rng.standard_normal(STARS.size)
START = U + 0.2 * rng.standard_normal(U.shape), V + 0.2 * rng.standard_normal(V.shape)
GRAM = (lambda B: B.T @ B + np.eye(4))(rng.standard_normal((6, 4)))


def residuals(U, V):
    # the ridge makes the fit unique but for a rotation, and well conditioned
    return np.concatenate([(U @ V.T)[ROWS, COLS] - NOISY, 0.3 * U.ravel(), 0.3 * V.ravel()])


def completion(order="C"):
    return mj.compile(residuals, (M, K), (N, K), order=order)


def by_hand():
    """The same residuals and Jacobian in closed form."""

    def jacobian(U, V):
        by_V = mj.d_matmul_dB(U, N) @ mj.d_transpose_dX((N, K))
        fit = mj.hstack([mj.d_matmul_dA(V.T, M), by_V]).take(ROWS * N + COLS)
        ridge = [mj.d_identity_dx(M * K), mj.d_identity_dx(N * K)]
        zero = [mj.d_constant_dX((M * K,), (N, K)), mj.d_constant_dX((N * K,), (M, K))]
        left, right = (0.3 * (part @ vec) for part, vec in zip(ridge, map(as_vector, ((M, K), (N, K))), strict=True))
        return mj.vstack([fit, mj.hstack([left, zero[0]]), mj.hstack([zero[1], right])])

    return mj.Function(residuals, jacobian, (M, K), (N, K), names=["U", "V"])


def as_vector(shape):
    """d vec(X) / dX."""
    return mj.compile(lambda X: X.ravel(), shape).jacobian(np.zeros(shape))


def optimum():
    """The least cost, by SciPy with a dense Jacobian by differences."""
    shapes = (M, K), (N, K)
    x0 = np.concatenate([part.ravel() for part in START])
    flat = lambda x: residuals(*(p.reshape(s) for p, s in zip(np.split(x, [M * K]), shapes, strict=True)))  # noqa: E731
    return so.least_squares(flat, x0, method="lm").cost


BEST = optimum()


def gram_fit(order="C"):
    return mj.compile(lambda R: R.T @ R - GRAM, (4, 4), order=order)


# Variables and functions ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_variables(order):
    variables = mj.Variables((2, 3), (), (4,), order=order)
    arrays = rng.standard_normal((2, 3)), rng.standard_normal(()), rng.standard_normal(4)
    x = variables.pack(*arrays)
    assert_allclose(x[:6], arrays[0].ravel(order))
    for back, array in zip(variables.unpack(x), arrays, strict=True):
        assert_allclose(back, array)
    assert_allclose(variables.spread("x", 2.0), np.full(11, 2.0))
    assert_allclose(variables.spread("x", x), x)
    assert_allclose(variables.spread("x", (1.0, -np.inf, arrays[2])), [1] * 6 + [-np.inf, *arrays[2]])
    one = mj.Variables((2, 3), order=order)
    for same in (arrays[0], arrays[0].tolist(), (arrays[0],)):
        assert_allclose(one.spread("x", same), arrays[0].ravel(order))
    assert [variables.entry(k) for k in (0, 1, 6, 7)] == [
        "x0[0, 0]",
        f"x0[{'0, 1' if order == 'C' else '1, 0'}]",
        "x1",
        "x2[0]",
    ]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: mj.Variables(), ValueError, "got 0 shapes"),
        (lambda: mj.Variables((2,), names=["a", "b"]), ValueError, "1 shapes and 2 names"),
        (lambda: mj.Variables(3), TypeError, r"shapes\[0\]: got int 3"),
        (lambda: mj.Variables((2, 2)).pack(np.ones(4)), ValueError, r"x0: got shape \(4,\), expected \(2, 2\)"),
        (lambda: mj.Variables((2, 2)).pack(), TypeError, "arguments: got 0, expected 1"),
        (lambda: mj.Variables((2,), (3,)).spread("bounds[0]", (1.0,)), ValueError, "got 1 parts"),
        (lambda: mj.Variables((2,), (3,)).spread("bounds[0]", (1.0, np.ones(2))), ValueError, r"bounds\[0\]\[1\]"),
        (lambda: mj.Function(np.sin, 3, (2,)), TypeError, "jacobian: got int 3"),
        (lambda: mj.Function(np.sin, np.cos, (2,)).jac(np.ones(2)), TypeError, "expected a matjac.Jacobian"),
        (
            lambda: mj.Function(np.sin, lambda x: mj.d_identity_dx(3), (2,)).jac(np.ones(2)),
            ValueError,
            r"jacobian: got one by \(3,\)",
        ),
    ],
)
def test_variables_at_the_door(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_function_by_hand_is_the_compiled_one():
    F, G = completion(), by_hand()
    x = F.pack(*START)
    assert_allclose(G.fun(x), F.fun(x))
    assert_allclose(G.jac(x).toarray(), F.jac(x).toarray())
    first, second = G.jac_csr(x), G.jac_csr(2 * x)
    assert np.shares_memory(first.indices, second.indices)
    assert not np.shares_memory(first.data, second.data)
    assert_allclose(second.toarray(), F.jac_csr(2 * x).toarray())


# SciPy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [completion, by_hand])
@pytest.mark.parametrize("jac", ["operator", "csr"])
@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(function, jac, method):
    seen = []
    fit = solvers.least_squares(
        function(), *START, jac=jac, method=method, progress=seen.append, xtol=1e-12, ftol=1e-12
    )
    assert fit.success
    assert_allclose(fit.cost, BEST, rtol=1e-6)
    assert [part.shape for part in fit.variables] == [(M, K), (N, K)]
    assert_allclose(0.5 * np.sum(residuals(*fit.variables) ** 2), fit.cost)
    values = [at.value for at in seen]
    assert values == sorted(values, reverse=True)
    assert [at.steps for at in seen] == list(range(1, len(seen) + 1))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("jac", ["operator", "csr"])
def test_bounds_are_kept_and_robust_losses_agree(order, jac):
    F = completion(order)
    lower, upper = (-0.5, np.full((N, K), -1.0)), (0.5, np.full((N, K), 0.9))
    options = {"bounds": (lower, upper), "loss": "soft_l1", "f_scale": 0.3, "xtol": 1e-10, "ftol": 1e-10}
    start = [np.clip(part, -0.4, 0.4) for part in START]
    fit = solvers.least_squares(F, *start, jac=jac, **options)
    options["bounds"] = np.full(F.variables.size, -0.5), np.full(F.variables.size, 0.5)
    low, high = F.variables.spread("", lower), F.variables.spread("", upper)
    plain = so.least_squares(
        F.fun, F.pack(*start), jac=lambda x: F.jac(x).toarray(), **{**options, "bounds": (low, high)}, tr_solver="exact"
    )
    assert np.all((fit.x >= low) & (fit.x <= high))
    assert_allclose(fit.cost, plain.cost, rtol=1e-4)


@pytest.mark.parametrize("solve", [solvers.least_squares, solvers.minimize, solvers.ipopt])
def test_bounds_as_scipy_has_them(solve):
    F = mj.compile(lambda x: x - np.array([2.0, -3.0, 0.5]), (3,))
    G = (
        F
        if solve is solvers.least_squares
        else mj.compile(lambda x: np.sum((x - np.array([2.0, -3.0, 0.5])) ** 2), (3,))
    )
    fit = solve(G, np.zeros(3), bounds=so.Bounds([-1, -1, -1], [1.0, np.inf, np.inf]))
    assert_allclose(fit.x, [1, -1, 0.5], atol=1e-6)


def test_x_scale_is_one_over_the_columns_norms():
    F = mj.compile(lambda a: np.array([1.0, 1e4, 0.0]) * a - np.array([1.0, 2e4, 0.0]), (3,))
    scaled = solvers.least_squares(F, np.zeros(3), method="trf")
    assert_allclose(scaled.x, [1.0, 2.0, 0.0], atol=1e-6)
    given = solvers.least_squares(F, np.zeros(3), x_scale=(np.array([1.0, 1e-4, 1.0]),))
    assert given.nfev == scaled.nfev
    assert_allclose(given.x, scaled.x)


def test_inner_solvers_take_the_operator():
    J = completion().jacobian(*START)
    b = rng.standard_normal(J.shape[0])
    exact = np.linalg.lstsq(J.toarray(), b, rcond=None)[0]
    assert_allclose(lsmr(J, b, atol=1e-13, btol=1e-13, maxiter=500)[0], exact, atol=1e-8)
    assert_allclose(lsqr(J, b, atol=1e-13, btol=1e-13, iter_lim=500)[0], exact, atol=1e-8)
    assert_allclose(cg(J.normal(), J.T @ b, rtol=1e-12)[0], exact, atol=1e-8)


@pytest.mark.filterwarnings("ignore:delta_grad == 0.0")  # of SciPy's quasi-Newton Hessians
@pytest.mark.parametrize("method", [None, "SLSQP"])
def test_minimize_under_constraints(method):
    S = GRAM
    half = np.triu_indices(2)
    F = mj.compile(lambda R: -0.5 * np.sum((S @ R) * R), (4, 2))
    G = mj.compile(lambda R: (R.T @ R)[half], (4, 2))
    R0 = np.linalg.qr(rng.standard_normal((4, 2)))[0]
    identity = np.eye(2)[half]
    fit = solvers.minimize(F, R0, method=method, constraints=[(G, identity, identity)], options={"maxiter": 500})
    (R,) = fit.variables
    assert_allclose(R.T @ R, np.eye(2), atol=1e-6)
    assert_allclose(fit.fun, -0.5 * np.linalg.eigvalsh(S)[-2:].sum(), rtol=1e-5)


def test_constraints_have_fresh_values():
    # trust-constr keeps the last Jacobian for its quasi-Newton Hessian
    G = mj.compile(lambda R: R.T @ R, (4, 2))
    c = solvers.constraint(G, 0.0, 1.0)
    first = c.jac(np.ones(8))
    kept = first.copy()
    second = c.jac(np.zeros(8))
    assert_allclose(first.toarray(), kept.toarray())
    assert second.nnz == first.nnz
    assert abs(second).max() == 0


def test_minimize_within_bounds():
    F = mj.compile(lambda X, y: np.sum((X - 2.0) ** 2) + np.sum((y + 1.0) ** 2), (2, 2), (3,))
    seen = []
    fit = solvers.minimize(F, np.zeros((2, 2)), np.zeros(3), bounds=((0.0, -0.5), (1.0, 5.0)), progress=seen.append)
    assert_allclose(fit.variables[0], np.ones((2, 2)))
    assert_allclose(fit.variables[1], np.full(3, -0.5))
    assert seen[-1].value == pytest.approx(fit.fun)


@pytest.mark.parametrize("method", ["RK45", "BDF", "Radau", "LSODA"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_matrix_differential_equation(method, order):
    A = rng.standard_normal((3, 3)) - 2 * np.eye(3)
    F = mj.compile(lambda X: A @ X, (3, 2), order=order)
    X0 = rng.standard_normal((3, 2))
    seen = []
    fit = solvers.solve_ivp(F, (0.0, 1.0), X0, method, progress=seen.append, rtol=1e-8, atol=1e-10)
    values, vectors = np.linalg.eig(A)
    exact = (vectors @ np.diag(np.exp(values)) @ np.linalg.inv(vectors) @ X0).real
    assert_allclose(fit.variables[0], exact, atol=1e-6)
    assert fit.states.shape == (fit.t.size, 3, 2)
    assert_allclose(fit.states[0], X0)
    assert [at.value for at in seen] == sorted(at.value for at in seen)
    assert seen[-1].value == 1.0
    plain = plain_solve_ivp(lambda t, x: F.fun(x), (0.0, 1.0), F.pack(X0), method, rtol=1e-8, atol=1e-10)
    assert_allclose(fit.x, plain.y[:, -1], atol=1e-7)


@pytest.mark.parametrize(("method", "implicit"), [("BDF", True), ("Radau", True), ("RK45", False), ("LSODA", False)])
def test_implicit_methods_get_the_jacobian(method, implicit):
    F, asked = mj.compile(lambda X: -X @ X, (2, 2)), []
    counted = mj.Function(F, lambda X: asked.append(X) or F.jacobian(X), (2, 2))
    assert solvers.solve_ivp(counted, (0, 1), np.eye(2), method).success
    assert bool(asked) == implicit


def test_a_callers_events_are_their_own():
    F = mj.compile(lambda X: -X, (2, 2))
    half = lambda t, x: x[0] - 0.5  # noqa: E731
    half.terminal = True
    fit = solvers.solve_ivp(F, (0, 5), np.ones((2, 2)), "RK45", events=half, rtol=1e-8)
    assert len(fit.t_events) == 1
    assert_allclose(fit.t_events[0], np.log(2), rtol=1e-4)
    assert_allclose(fit.states[-1], 0.5, rtol=1e-4)
    assert solvers.solve_ivp(F, (0, 1), np.ones((2, 2)), "RK45").t_events is None


# Stopping ---------------------------------------------------------------------------------------------


def spoiled(F, after, value=np.nan):
    """F, with values that are not finite from that evaluation on."""
    count = 0

    def wrong(*args):
        nonlocal count
        count += 1
        return F(*args) * (value if count > after else 1.0)

    return mj.Function(wrong, F.jacobian, *F.in_shapes, names=F.names)


@pytest.mark.parametrize("after", [0, 3])
def test_least_squares_stops_where_values_are_not_finite(after):
    fit = solvers.least_squares(spoiled(completion(), after), *START)
    assert not fit.success
    assert fit.status == solvers.STOPPED
    size = residuals(*START).size
    assert f"residuals: {size} of {size} entries are not finite" in fit.message
    assert "the largest unknown is" in fit.message
    assert fit.njev <= fit.nfev
    if after:
        assert "the last good point" in fit.message
        assert fit.cost < 0.5 * np.sum(residuals(*START) ** 2)
        assert_allclose(0.5 * np.sum(residuals(*fit.variables) ** 2), fit.cost)
    else:
        assert "nothing good was found" in fit.message
        assert_allclose(fit.variables[0], START[0])


def test_least_squares_stops_where_a_jacobian_is_not_finite():
    F = mj.compile(lambda X: np.sqrt(X), (2, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = solvers.least_squares(F, np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert not fit.success
    assert "Jᵀ · residuals" in fit.message


@pytest.mark.parametrize("method", ["gauss-newton", "lbfgs", "trf", "dogbox", "lm"])
@pytest.mark.parametrize("loss", ["linear", "huber"])
def test_squares_that_overflow_are_no_success(method, loss):
    F = mj.compile(lambda x: x - 1e200, (3,))
    loss = {} if method == "lm" else {"loss": loss}
    with np.errstate(over="ignore"):
        fit = solvers.least_squares(F, np.zeros(3), method=method, **loss)
    assert (fit.success, fit.status) == (False, solvers.STOPPED)
    assert "residuals: the sum of their squares is not finite, at evaluation 1" in fit.message
    assert_allclose(fit.x, 0)


@pytest.mark.parametrize("method", ["gauss-newton", "lbfgs", "trf", "lm"])
def test_a_trial_whose_squares_overflow_shortens_the_step(method):
    F = mj.compile(lambda x: np.exp(x) - 2, (2,))
    with np.errstate(over="ignore"):
        assert np.isinf(F.fun(np.full(2, 1e3))).all()
        fit = solvers.least_squares(F, [-8.0, -7.0], method=method)
    assert fit.success
    assert_allclose(fit.x, np.log(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "jac"),
    [("gauss-newton", face) for face in ("dense", "csr", "operator")]
    + [("lbfgs", None), ("trf", "operator"), ("dogbox", "csr")],
)
def test_columns_whose_squares_overflow_are_no_success(method, jac):
    F = mj.compile(lambda x: 1e160 * (x - 1e-20), (3,))
    with np.errstate(over="ignore", invalid="ignore"):
        fit = solvers.least_squares(F, np.zeros(3), method=method, jac=jac)
    assert (fit.success, fit.status) == (False, solvers.STOPPED)
    assert "not finite" in fit.message
    assert_allclose(fit.x, 0)


def test_minpack_does_not_go_on_from_what_is_not_finite():
    F = mj.compile(lambda x: np.stack([x[0] ** 2 - 2, x[0] * x[1] - 1, x[1] - 3]), (2,))
    fit = solvers.least_squares(spoiled(F, 2), [5.0, 7.0], method="lm")
    assert fit.status == solvers.STOPPED
    assert "residuals: 3 of 3 entries are not finite" in fit.message
    assert_allclose(fit.cost, 0.5 * np.sum(F(fit.x) ** 2))
    assert fit.cost < 0.5 * np.sum(F([5.0, 7.0]) ** 2)


def test_a_callback_and_the_time_stop_it():
    fit = solvers.least_squares(completion(), *START, progress=lambda at: at.steps == 3)
    assert fit.message.startswith("progress: the callback stopped it at step 3")
    assert fit.cost < 0.5 * np.sum(residuals(*START) ** 2)
    fit = solvers.least_squares(completion(), *START, seconds=1e-9)
    assert "seconds were over at evaluation 1" in fit.message


def test_minimize_root_and_solve_ivp_stop_with_the_last_good_point():
    F = mj.compile(lambda X: np.sum((1 - X[0]) ** 2) + 100 * np.sum((X[1] - X[0] ** 2) ** 2), (2, 2))
    start = np.array([[-1.2, -1.0], [1.0, 2.0]])
    fit = solvers.minimize(spoiled(F, 12), start, method="CG")
    assert (fit.success, fit.status) == (False, solvers.STOPPED)
    assert "objective: got nan" in fit.message
    assert F(*fit.variables) == fit.fun < F(start)
    G = mj.compile(lambda X: X @ X - 2 * np.eye(2), (2, 2))
    fit = solvers.root(spoiled(G, 3), np.eye(2) + 0.1, method="krylov")
    assert not fit.success
    assert "equations: 4 of 4 entries are not finite" in fit.message
    H = mj.compile(lambda X: -X, (2, 2))
    fit = solvers.solve_ivp(spoiled(H, 40), (0, 50), np.ones((2, 2)), "RK45", rtol=1e-6)
    assert "right-hand side at t = " in fit.message
    assert 0 < fit.t[-1] < 50
    assert_allclose(fit.states[-1], np.exp(-fit.t[-1]), rtol=1e-4)
    assert_allclose(fit.variables[0], fit.states[-1])


def test_unbounded_objectives_end_with_the_last_good_point():
    with np.errstate(over="ignore"):
        fit = solvers.minimize(mj.compile(lambda x: -np.sum(x**2), (3,)), np.ones(3))
    assert not fit.success
    assert "objective: got -inf" in fit.message
    assert np.isfinite(fit.fun)


def test_numpys_true_stops_too():
    F = mj.compile(lambda X: -X, (2, 2))
    fit = solvers.solve_ivp(F, (0, 10), np.eye(2), "BDF", progress=lambda at: np.bool_(at.value > 1))
    assert 1 < fit.t[-1] < 5
    assert not fit.success


def test_a_blow_up_says_when():
    fit = solvers.solve_ivp(mj.compile(lambda X: X @ X, (2, 2)), (0, 5), np.eye(2), "RK45")
    assert not fit.success
    assert fit.t[-1] == pytest.approx(1.0, abs=1e-3)
    assert "at t = " in fit.message


def test_a_mistake_of_ones_own_is_raised():
    def wrong(at):
        raise NotImplementedError("of one's own")

    F = mj.compile(lambda X: X @ X - np.diag([4.0, 9.0]), (2, 2))
    with pytest.raises(NotImplementedError, match="of one's own"):
        solvers.root(F, np.diag([3.0, 5.0]), progress=wrong)


def test_a_mistake_after_a_value_that_is_not_finite_is_raised_too():
    F, seen = mj.compile(lambda x: np.log(x) * 5 + 3, (2,)), []

    def wrong(x):
        if np.any(x <= 0):
            seen.append(x)
            return np.full(2, np.nan)
        if seen:
            raise ValueError("of one's own")
        return F(x)

    with pytest.raises(ValueError, match="of one's own"):
        solvers.least_squares(mj.Function(wrong, F.jacobian, (2,)), [3.0, 4.0])


@pytest.mark.parametrize("method", ["lm", "hybr", "krylov"])
def test_root_does_not_end_at_a_value_that_is_not_finite(method):
    F = spoiled(mj.compile(lambda x: x**2 - 2, (2,)), 1)
    fit = solvers.root(F, [5.0, 7.0], method=method)
    assert fit.status == solvers.STOPPED
    assert "equations: 2 of 2 entries are not finite" in fit.message
    assert_allclose(fit.x, [5, 7])


def test_a_singular_matrix_on_the_way_stops(backend):
    F = mj.compile(lambda X: np.sum(np.linalg.inv(X)), (2, 2))
    for solve in (solvers.minimize, lambda *args: solvers.ipopt(*args, backend=backend)):
        fit = solve(F, np.zeros((2, 2)))
        assert fit.status == solvers.STOPPED
        assert "Singular matrix" in fit.message


def test_minimize_watches_its_constraints():
    F = mj.compile(lambda x: 5 * np.sum((x - np.array([0.2, -2.5])) ** 2), (2,))
    G = mj.compile(lambda x: np.sqrt(x), (2,))
    with np.errstate(invalid="ignore"):
        fit = solvers.minimize(F, [2.0, 1.4], method="SLSQP", constraints=[(G, -1.7, None)])
        assert fit.status == solvers.STOPPED
        assert "constraints[0]: " in fit.message
        assert np.isfinite(G.fun(fit.x)).all()
        fit = solvers.minimize(F, [-2.0, 1.4], constraints=[(G, 0.1, None)])
    assert "nothing good was found" in fit.message


def test_a_run_of_bad_constraints_is_not_ended_by_good_objectives():
    watch = Watch(TRACE, None, None)
    x = np.ones(8)
    watch.evaluated("objective", x, np.ones(1))
    watch.went(x, 1.0)

    def go_on():
        for step in range(2 * PATIENCE):
            watch.evaluated("objective", x + step, np.ones(1))
            watch.evaluated("constraints", x + step, np.full(1, np.nan))

    with pytest.raises(Stopped, match=f"constraints: got nan.*{PATIENCE} times in a row"):
        go_on()
    # a finite one of the same kind ends it
    watch.evaluated("constraints", x, np.ones(1))
    assert watch.failures == 0
    # the solver may go on in that very buffer
    x[:] = 9
    assert_allclose(watch.point, 1)


def test_lsoda_stops_at_a_value_that_is_not_finite():
    F = spoiled(mj.compile(lambda X: -X, (2,)), 60)
    fit = solvers.solve_ivp(F, (0, 50), np.ones(2), "LSODA", rtol=1e-10)
    assert not fit.success
    assert np.isfinite(fit.states).all()
    assert np.isfinite(fit.variables[0]).all()


def test_an_end_before_the_first_wanted_time():
    half = lambda t, x: x[0] - 0.5  # noqa: E731
    half.terminal = True
    F = mj.compile(lambda x: -x, (1,))
    fit = solvers.solve_ivp(F, (0, 2), [1.0], events=half, t_eval=[1.5])
    assert fit.states.shape == (0, 1)
    assert_allclose(fit.variables[0], 0.5)
    fit = solvers.solve_ivp(mj.compile(lambda x: x**2, (1,)), (0, 2), [1.0], "RK45", t_eval=[0.5, 1.5])
    assert fit.message.startswith("at t = 0.99") or fit.message.startswith("at t = 1")


@pytest.mark.parametrize("jac", ["operator", "csr"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_unknown(shape, jac):
    F = mj.compile(lambda a: a * np.arange(1.0, 4.0) - 2.0, shape)
    fit = solvers.least_squares(F, np.full(shape, 0.3), jac=jac)
    assert_allclose(fit.x, 12 / 14, rtol=1e-6)


def test_narrow_functions():
    A = np.diag([4.0, 9.0]).astype(np.float32)
    F = mj.Function(lambda x: A @ x - 1, lambda x: mj.d_matvec_dx(A), (2,))
    assert_allclose(solvers.root(F, np.ones(2)).x, [0.25, 1 / 9], rtol=1e-5)
    J = mj.d_matvec_dA(np.array([0.1, 0.3, 0.7], np.float32), 3)
    step = solvers.damped_step(J, np.ones(3), atol=1e-12, btol=1e-12)
    assert_allclose(J @ step, -np.ones(3), rtol=1e-4)


def test_a_jacobian_whose_pattern_changes():
    # a stored factor that drops an entry
    F = mj.Function(
        lambda x: np.array([x[0] ** 2, x[1] - 1, x[2]]),
        lambda x: mj.d_matvec_dx(sp.csr_array(np.diag([2 * x[0], 1, 1]))),
        (3,),
    )
    fit = solvers.least_squares(F, np.array([0.0, 2.0, 3.0]), jac="csr")
    assert_allclose(fit.x, [0, 1, 0], atol=1e-6)


def test_what_progress_gets_is_ones_own():
    def spoil(at):
        at.x[:] = 77
        return at.steps == 3

    fit = solvers.least_squares(completion(), *START, progress=spoil)
    assert np.abs(fit.x).max() < 77


# Ipopt ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["ipyopt", "cyipopt"])
def backend(request):
    pytest.importorskip(request.param)
    return request.param


HALF = np.triu_indices(2)
TRACE = mj.compile(lambda R: -0.5 * np.sum((GRAM @ R) * R), (4, 2))
GRAMIAN = mj.compile(lambda R: R.T @ R, (4, 2))
UPPER = mj.compile(lambda R: (R.T @ R)[HALF], (4, 2))
ORTHONORMAL = [(UPPER, np.eye(2)[HALF], np.eye(2)[HALF])]
R0 = np.linalg.qr(rng.standard_normal((4, 2)))[0]


def test_ipopt(backend):
    seen = []
    fit = solvers.ipopt(TRACE, R0, constraints=ORTHONORMAL, backend=backend, progress=seen.append)
    assert fit.success
    assert fit.message == "Ipopt: solved"
    assert_allclose(fit.fun, -0.5 * np.linalg.eigvalsh(GRAM)[-2:].sum(), rtol=1e-7)
    assert_allclose(fit.variables[0].T @ fit.variables[0], np.eye(2), atol=1e-7)
    assert len(seen) > 3


def test_ipopt_within_bounds_and_several_constraints(backend):
    F = mj.compile(lambda X, y: np.sum((X - 2.0) ** 2) + np.sum((y + 1.0) ** 2), (2, 2), (3,))
    G = mj.compile(lambda X, y: X.sum() + y[0], (2, 2), (3,))
    H = mj.compile(lambda X, y: X[0] * y[:2], (2, 2), (3,))
    fit = solvers.ipopt(
        *(F, np.full((2, 2), 0.5), np.full(3, 0.2)),
        constraints=[(G, -np.inf, 2.0), (H, -0.1, 0.1)],
        bounds=((0.0, -0.5), (1.0, 5.0)),
        backend=backend,
    )
    X, y = fit.variables
    assert fit.success
    assert np.all((X >= -1e-7) & (X <= 1 + 1e-7) & (y[0] >= -0.5 - 1e-7))
    assert X.sum() + y[0] <= 2 + 1e-6
    assert np.all(np.abs(X[0] * y[:2]) <= 0.1 + 1e-6)


def test_the_problem_speaks_both_languages():
    problem = solvers.IpoptProblem(TRACE, ORTHONORMAL, (R0,))
    x = rng.standard_normal(8)
    rows, columns = problem.jacobianstructure()
    dense = np.zeros((3, 8))
    dense[rows, columns] = problem.jacobian(x)
    assert_allclose(dense, UPPER.jac(x).toarray())
    out = np.full(rows.size, np.nan)
    problem.eval_jac_g(x, out)
    assert_allclose(out, problem.jacobian(x))
    values = np.empty(3)
    problem.eval_g(x, values)
    assert_allclose(values, problem.constraints(x))
    assert_allclose(values, (x.reshape(4, 2).T @ x.reshape(4, 2))[HALF])
    gradient = np.empty(8)
    problem.eval_grad_f(x, gradient)
    assert_allclose(gradient, -(GRAM @ x.reshape(4, 2)).ravel())
    assert_array_equal(problem.gradient(x), gradient)
    assert problem.objective(x) == problem.eval_f(x) == pytest.approx(TRACE.fun(x))


def test_ctrl_c_goes_through_ipopt(backend):
    def interrupt(*args):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solvers.ipopt(TRACE, R0, constraints=ORTHONORMAL, backend=backend, progress=interrupt)
    objective = mj.Function(interrupt, TRACE.jacobian, (4, 2))
    with pytest.raises(KeyboardInterrupt):
        solvers.ipopt(objective, R0, constraints=ORTHONORMAL, backend=backend)


def test_constraints_keep_their_pattern_and_may_be_narrow():
    F = mj.compile(lambda x: np.sum(x**2), (2,))
    largest = mj.Function(
        lambda x: np.max(x, keepdims=True), lambda x: mj.d_identity_dx(2).take([int(np.argmax(x))]), (2,)
    )
    problem = solvers.IpoptProblem(F, [(largest, 1.0, None)], (np.array([2.0, 1.0]),))
    assert np.isnan(problem.jacobian(np.array([1.0, 2.0]))).all()
    assert "in other places" in str(problem.error)
    A = rng.standard_normal((1, 2)).astype(np.float32)
    narrow = mj.Function(lambda x: A @ x, lambda x: mj.d_matvec_dx(A), (2,))
    assert_allclose(solvers.IpoptProblem(F, [(narrow, 1.0, None)], (np.ones(2),)).jacobian(np.ones(2)), A[0])


def test_ipopt_stops(backend):
    fit = solvers.ipopt(spoiled(TRACE, 5), R0, constraints=ORTHONORMAL, backend=backend)
    assert not fit.success
    assert "objective: got nan" in fit.message
    fit = solvers.ipopt(TRACE, R0, constraints=ORTHONORMAL, backend=backend, progress=lambda at: at.steps == 2)
    assert "the callback stopped it at step 2" in fit.message
    fit = solvers.ipopt(TRACE, R0, constraints=ORTHONORMAL, backend=backend, options={"max_iter": 1})
    assert fit.message == "Ipopt: the maximum number of iterations was reached"

    def wrong(R):
        raise ZeroDivisionError("a mistake of one's own")

    with pytest.raises(ZeroDivisionError, match="of one's own"):
        solvers.ipopt(TRACE, R0, constraints=[(mj.Function(wrong, UPPER.jacobian, (4, 2)), 0, 1)], backend=backend)


def test_ipopt_stops_where_a_hessian_is_not_finite(backend):
    F = mj.compile(lambda x: np.sum(x**1.5) + np.sum((x - 1) ** 2), (2,))
    with np.errstate(divide="ignore"):
        fit = solvers.ipopt(F, [0.0, 1.0], backend=backend)
        assert fit.status == solvers.STOPPED
        assert "Hessian: 1 of 2 entries are not finite" in fit.message
        assert_allclose(fit.x, [0, 1])
        # each callback has nothing more to say
        problem = solvers.IpoptProblem(F, [], ([0.0, 1.0],))
        assert np.isnan(problem.hessian(problem.x0, np.zeros(0), 1.0)).all()
    assert np.isnan(problem.objective(np.ones(2)))
    assert np.isnan(problem.gradient(np.ones(2))).all()


def test_ipopt_stops_where_it_moves_the_start_to_what_is_not_finite(backend):
    F = mj.compile(lambda x: np.sum(np.sqrt(1e-3 - x)), (2,))
    with np.errstate(invalid="ignore"):
        fit = solvers.ipopt(F, np.zeros(2), bounds=(0, None), backend=backend)
    assert fit.status == solvers.STOPPED
    assert "gradient: 2 of 2 entries are not finite" in fit.message
    assert_allclose(fit.x, 0)


# Normal equations and preconditioners -----------------------------------------------------------------


@pytest.mark.parametrize("backend", ["cholmod", "qdldl"])
@pytest.mark.parametrize("weighted", [False, True])
def test_normal_equations(backend, weighted):
    pytest.importorskip("sksparse.cholmod" if backend == "cholmod" else "qdldl")
    equations = solvers.NormalEquations(backend)
    F = completion()
    for scale in (1.0, 2.0):
        J = F.jacobian(*(scale * part for part in START))
        w = rng.random(J.shape[0]) if weighted else None
        D = J.toarray()
        matrix = D.T @ (D if w is None else w[:, None] * D) + 0.25 * np.eye(J.shape[1])
        b = rng.standard_normal((J.shape[1], 3))
        assert equations.factorize(J, weights=w, damping=0.5) is equations
        assert_allclose(equations.solve(b), np.linalg.solve(matrix, b), rtol=1e-8)
        assert equations.solve(b[:, :0]).shape == (J.shape[1], 0)
        with pytest.raises(TypeError, match="b: got dtype complex128"):
            equations.solve(1j * b)
        with pytest.raises(ValueError, match="damping: got nan"):
            equations.factorize(J, damping=np.nan)
        assert_allclose(equations.solve(b[:, 0]), np.linalg.solve(matrix, b[:, 0]), rtol=1e-8)


@pytest.mark.parametrize("backend", ["cholmod", "qdldl"])
def test_what_cannot_be_factorised_says_so(backend):
    pytest.importorskip("sksparse.cholmod" if backend == "cholmod" else "qdldl")
    equations = solvers.NormalEquations(backend)
    with pytest.raises(ValueError, match="expected a call of factorize before"):
        equations.solve(np.ones(3))
    J = mj.d_matvec_dA([1.0, 2.0, 3.0], 2)
    with pytest.raises(np.linalg.LinAlgError, match=r"not positive definite.*larger damping"):
        equations.factorize(J).solve(np.ones(6))
    negative = np.array([1.0, -1.0])
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        equations.factorize(J, damping=0.1, weights=negative)
    good = equations.factorize(J, damping=0.1).solve(np.ones(6))
    assert_allclose(J.normal() @ good + 0.01 * good, 1.0)
    with pytest.raises(ValueError, match="the same places as at first"):
        equations.factorize(mj.d_matvec_dA([1.0, 2.0], 2), damping=0.1)
    crossed = mj.compile(lambda A: A.T @ np.arange(3.0), (3, 2)).jacobian(np.ones((3, 2)))
    with pytest.raises(ValueError, match="the same places as at first"):
        equations.factorize(crossed, damping=0.1)
    with pytest.raises(TypeError, match="numerator layout"):
        equations.factorize(J.T)


@pytest.mark.parametrize("backend", ["cholmod", "qdldl"])
def test_normal_equations_through_zeros_failures_and_other_patterns(backend):
    pytest.importorskip("sksparse.cholmod" if backend == "cholmod" else "qdldl")
    F = mj.compile(lambda u, v: np.outer(u, v), (2,), (2,))
    equations = solvers.NormalEquations(backend)
    for x in ([1.0, 0, 3, 4], [1.0, 2, 3, 4], [0.0, 0, 1, 1]):
        J = F.jac(np.array(x))
        found = equations.factorize(J, damping=0.5).solve(np.ones(4))
        assert_allclose(found, np.linalg.solve(J.normal().toarray() + 0.25 * np.eye(4), np.ones(4)))
    with pytest.raises(ValueError, match="entries that are not finite"):
        equations.factorize(F.jac(np.full(4, np.nan)), damping=0.5)

    def times(A):
        return mj.compile(lambda x: sp.csr_array(A) @ x, (3,)).jacobian(np.ones(3))

    crossed = [[1.0, 2, 0], [1, 2, 0], [0, 3, 1]], [[1.0, 2, 0], [0, 1, 3], [2, 0, 1]]
    equations = solvers.NormalEquations(backend).factorize(times(crossed[0]), damping=0.5)
    with pytest.raises(ValueError, match="the same places as at first"):
        equations.factorize(times(crossed[1]), damping=0.5)
    # a failure leaves nothing behind
    with pytest.raises(np.linalg.LinAlgError):
        equations.factorize(times(np.diag([1.0, 0, 1]) @ crossed[0]))
    with pytest.raises(ValueError, match="expected a call of factorize"):
        equations.solve(np.ones(3))
    J = mj.d_matvec_dA([1.0, 2.0], 3)
    found = equations.factorize(J, damping=0.5).solve(np.ones(6))
    assert_allclose(J.normal() @ found + 0.25 * found, 1.0)


@pytest.mark.parametrize("package", ["sksparse", "qdldl", "ipyopt"])
def test_without_the_extra_one_line_says_what_to_install(package, monkeypatch):
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    make = {
        "ipyopt": lambda: solvers.ipopt(TRACE, R0, backend="ipyopt"),
        "sksparse": lambda: solvers.NormalEquations("cholmod"),
        "qdldl": lambda: solvers.NormalEquations("qdldl"),
    }[package]
    with pytest.raises(ImportError, match=r"pip install 'matjac\[") as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_block_jacobi_is_the_inverse_of_the_blocks(order, axis):
    J = completion(order).jacobian(*START)
    w, d = rng.random(J.shape[0]) + 0.5, rng.random(J.shape[1])
    D = J.toarray()
    matrix = D.T @ (w[:, None] * D) + np.diag(d**2)
    kept, at = np.zeros_like(matrix, dtype=bool), 0
    for shape in ((M, K), (N, K)):
        numbers = at + np.arange(np.prod(shape)).reshape(shape, order=order)
        for block in numbers if axis != 0 else numbers.T:
            kept[np.ix_(block, block)] = True
        at += numbers.size
    blocks = np.where(kept, matrix, 0.0)
    M_ = solvers.block_jacobi(J, d, w, axis)
    b = rng.standard_normal(J.shape[1])
    assert_allclose(M_ @ b, np.linalg.solve(blocks, b))
    assert_allclose(M_.right(M_.right_transposed(b)), M_ @ b)
    assert_allclose(M_ @ np.stack([b, 2 * b], axis=1), np.stack([M_ @ b, 2 * (M_ @ b)], axis=1))
    near = M_.columns(sp.diags_array(np.sqrt(w)) @ J.tocsr())
    R = aslinearoperator(near) @ np.eye(J.shape[1])
    assert_allclose(near.rmatvec(R @ b), R.T @ (R @ b))


def test_block_jacobi_helps_where_blocks_differ():
    scales = np.logspace(0, 3, M)[:, None]
    F = mj.compile(lambda U, V: (U @ V.T)[ROWS, COLS], (M, K), (N, K))
    J = F.jacobian(U * scales, V * np.array([[1.0, 40.0]]))
    y = rng.standard_normal(J.shape[0])
    matrix = J.normal() + aslinearoperator(sp.eye_array(J.shape[1]))
    counts = []
    for preconditioner in (None, solvers.block_jacobi(J, 1.0)):
        steps = []
        found = cg(matrix, J.T @ y, rtol=1e-8, maxiter=2000, M=preconditioner, callback=steps.append)[0]
        assert_allclose(matrix @ found, J.T @ y, atol=1e-5 * np.abs(J.T @ y).max())
        counts.append(len(steps))
    assert counts[1] < counts[0] / 2


@pytest.mark.parametrize("damping", [0.5, "columns"])
def test_damped_step(damping):
    J = completion().jacobian(*START)
    d = rng.random(J.shape[1]) if damping == "columns" else damping
    y = rng.standard_normal(J.shape[0])
    step = solvers.damped_step(J, y, d, atol=1e-13, btol=1e-13)
    whole = np.vstack([J.toarray(), d * np.eye(J.shape[1])])
    exact = np.linalg.lstsq(whole, np.concatenate([-y, np.zeros(J.shape[1])]), rcond=None)[0]
    assert_allclose(step, exact, atol=1e-8)
    A = solvers.augmented(J, d)
    assert_allclose(A @ exact, whole @ exact)
    u = rng.standard_normal(A.shape[0])
    assert_allclose(A.rmatvec(u), whole.T @ u)


def test_blocks_that_a_jacobian_does_not_reach():
    # the last film has no rating
    F = mj.compile(lambda U, V: (U @ V[:-1].T).ravel(), (M, K), (N, K))
    M_ = solvers.block_jacobi(F.jacobian(U, V))
    b = rng.standard_normal(F.variables.size)
    assert np.isfinite(M_ @ b).all()
    assert_allclose((M_ @ b)[-K:], b[-K:])


# Bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: solvers.least_squares(3, 1.0),
            TypeError,
            "^F: got int 3, expected a function of matrices",
        ),
        (lambda: solvers.least_squares(completion(), START[0]), TypeError, "arguments: got 1, expected 2"),
        (lambda: solvers.least_squares(completion(), *START, jac="sparse"), ValueError, "jac: got 'sparse'"),
        (lambda: solvers.least_squares(completion(), *START, x_scale="auto"), ValueError, "x_scale: got 'auto'"),
        (lambda: solvers.least_squares(completion(), *START, progress=3), TypeError, "progress: got int 3"),
        (lambda: solvers.least_squares(completion(), *START, seconds=0), ValueError, "seconds: got 0"),
        (lambda: solvers.least_squares(completion(), *START, bounds=((0,), 1)), ValueError, "got 1 parts"),
        (lambda: solvers.minimize(completion(), *START), ValueError, "expected one number"),
        (lambda: solvers.minimize(mj.Function(np.sin, np.cos, (2,)), np.ones(2)), ValueError, "F: got 2 values"),
        (lambda: solvers.minimize(TRACE, R0, constraints=[UPPER]), TypeError, r"constraints\[0\]"),
        (
            lambda: solvers.minimize(TRACE, R0, constraints=[(completion(), 0, 1)]),
            ValueError,
            r"constraints\[0\]: got a function of",
        ),
        (lambda: solvers.minimize(TRACE, R0, constraints=[("sin", 0, 1)]), TypeError, r"constraints\[0\]\[0\]: got"),
        (
            lambda: solvers.minimize(TRACE, R0, constraints=[(UPPER, np.ones(2), 1)]),
            ValueError,
            r"got shape \(2,\), expected a number or \(3,\)",
        ),
        (
            lambda: solvers.minimize(TRACE, R0, constraints=[(UPPER, 1, 0)]),
            ValueError,
            "expected the lower bound first",
        ),
        (
            lambda: solvers.minimize(TRACE, R0, method="L-BFGS-B", constraints=[(UPPER, 0, 1)]),
            ValueError,
            r"method \(with constraints\): got 'l-bfgs-b'",
        ),
        (lambda: solvers.minimize(TRACE, R0, jac=True), TypeError, "jac: got an argument that matjac gives"),
        (lambda: solvers.least_squares(completion(), *START, bounds=0), TypeError, r"expected \(lower, upper\)"),
        (
            lambda: solvers.least_squares(completion(), *START, bounds=(0, (1, -1))),
            ValueError,
            r"bounds: got 0 to -1 for V\[0, 0\]",
        ),
        (
            lambda: solvers.least_squares(completion(), START[0] * 0, START[1] * 0 + 3, bounds=(None, (1, 2))),
            ValueError,
            r"start: got V\[0, 0\] = 3, expected it within its bounds, -inf to 2",
        ),
        (lambda: solvers.root(completion(), START[0], START[1] * np.nan), ValueError, r"start: got V\[0, 0\] = nan"),
        (lambda: solvers.minimize(TRACE, 1j * R0), TypeError, "start: got dtype complex128, expected real"),
        (lambda: solvers.solve_ivp(UPPER, 1, R0), ValueError, r"t_span: got shape \(\), expected \(2,\)"),
        (lambda: solvers.solve_ivp(UPPER, (0, 1, 2), R0), ValueError, r"t_span: got shape \(3,\)"),
        (
            lambda: solvers.solve_ivp(mj.compile(lambda x: 1j * x, (2,)), (0, 1), np.ones(2)),
            TypeError,
            "F: got values of dtype complex128",
        ),
        (
            lambda: solvers.ipopt(TRACE, R0, constraints=[(mj.compile(lambda R: 1j * R, (4, 2)), 0, 1)]),
            TypeError,
            r"constraints\[0\]\[0\]: got values of dtype complex128",
        ),
        (
            lambda: solvers.least_squares(completion(), *START, bounds=(-1j, 1)),
            TypeError,
            r"bounds\[0\]: got values of dtype complex128",
        ),
        (
            lambda: solvers.minimize(mj.compile(lambda x: np.sum(x * x * (1 + 2j)), (2,)), np.ones(2)),
            TypeError,
            "F: got values of dtype complex128",
        ),
        (
            lambda: solvers.least_squares(mj.compile(lambda x: x * (1 + 2j), (2,)), np.ones(2)),
            TypeError,
            "F: got values of dtype complex128",
        ),
        (
            lambda: solvers.ipopt(TRACE, R0, constraints=[(GRAMIAN, np.ones(4), np.ones((4, 1)))]),
            ValueError,
            "got shape",
        ),
        (lambda: solvers.block_jacobi(UPPER.jacobian(R0)).right(np.ones(9)), ValueError, r"x: got shape \(9,\)"),
        (lambda: solvers.ipopt(TRACE, R0, backend="knitro"), ValueError, "backend: got 'knitro'"),
        (lambda: solvers.ipopt(TRACE, R0, constraints=[(UPPER, [0.0, 1.0], 1)]), ValueError, r"constraints\[0\]\[1\]"),
        (lambda: solvers.root(UPPER, R0), ValueError, "got 3 values of 8 unknowns"),
        (lambda: solvers.solve_ivp(UPPER, (0, 1), R0), ValueError, "got 3 values of 8 unknowns"),
        (lambda: solvers.NormalEquations("umfpack"), ValueError, "backend: got 'umfpack'"),
        (lambda: solvers.block_jacobi(np.eye(2)), TypeError, "expected a matjac.Jacobian"),
        (lambda: solvers.block_jacobi(mj.d_matvec_dx(1j * np.eye(2))), TypeError, "J: got dtype complex128"),
        # SciPy's own words on methods that there are not
        (lambda: solvers.minimize(TRACE, R0, method="Euler", options={"maxiter": 3}), ValueError, "Unknown solver"),
        (lambda: solvers.solve_ivp(lambda X: -X, (0, 1), R0, "Euler", rtol=1e-3), ValueError, "`method` must be"),
        (lambda: solvers.block_jacobi(UPPER.jacobian(R0), damping=np.ones(3)), ValueError, "damping: got shape"),
        (lambda: solvers.damped_step(UPPER.jacobian(R0), np.ones(4)), ValueError, "residual: got shape"),
        (lambda: UPPER.jacobian(R0).normal_blocks(axis=2), ValueError, "axis: got 2"),
        (lambda: UPPER.jacobian(R0).normal(weights=np.ones(4)), ValueError, "weights: got shape"),
        (lambda: UPPER.jacobian(R0).normal(weights=1j * np.ones(3)), TypeError, "weights: got dtype complex128"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
