"""Plain functions are compiled by the solvers; and what solvers refuse, keep and tell."""

import operator
import time

import numpy as np
import pytest
import scipy.optimize as so
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj
from matjac import solvers
from matjac.solvers.arguments import UNDOCUMENTED

rng = np.random.default_rng(5)
K = (lambda B: B.T @ B + np.eye(3))(rng.standard_normal((4, 3)))
R0 = np.eye(3) + 0.3 * np.tri(3)


def gram(R):
    return R.T @ R - K


def half(R):
    return 0.5 * np.sum((R.T @ R - K) ** 2)


def flow(R):
    return -R @ (R.T @ R - K)


def orthonormal(R):
    return (R.T @ R)[np.triu_indices(3)]


EYE = np.eye(3)[np.triu_indices(3)]
CALLS = {
    "least_squares": lambda c: solvers.least_squares(c(gram), R0),
    "least_squares, trf": lambda c: solvers.least_squares(c(gram), R0, method="trf"),
    "minimize": lambda c: solvers.minimize(c(half), R0),
    "minimize, constraints": lambda c: solvers.minimize(
        c(lambda R: -np.sum((K @ R) * R)), np.eye(3), constraints=[(c(orthonormal), EYE, EYE)], method="SLSQP"
    ),
    "root": lambda c: solvers.root(c(lambda X: X @ X - K), np.eye(3)),
    "ipopt": lambda c: solvers.ipopt(
        c(lambda R: -np.sum((K @ R) * R)), np.eye(3), constraints=[(c(orthonormal), EYE, EYE)]
    ),
    "solve_ivp": lambda c: solvers.solve_ivp(c(flow), (0, 5), R0),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_plain_function_is_the_compiled_one(name):
    ours, compiled = (CALLS[name](c) for c in (lambda f: f, lambda f: mj.compile(f, (3, 3))))
    assert ours.success
    assert_array_equal(ours.x, compiled.x)
    assert ours.message == compiled.message
    assert ours.variables[0].shape == (3, 3)


def test_functions_written_in_c_that_do_not_say_what_they_take():
    first = operator.itemgetter(slice(0, 2))
    fit = solvers.least_squares(first, [1.0, 2.0, 3.0])
    assert_allclose(fit.x, [0, 0, 3], atol=1e-12)
    with pytest.raises(TypeError, match="start: got 0 arrays for F"):
        solvers.least_squares(first)
    # of as many arguments as there are unknowns, so not of the time
    fit = solvers.solve_ivp(operator.neg, (0, 1), [1.0, 2.0], rtol=1e-8)
    assert_allclose(fit.x, np.exp(-1) * np.array([1, 2]), rtol=1e-5)
    fit = solvers.solve_ivp(operator.itemgetter(slice(None)), (0, 1), [1.0, 2.0], rtol=1e-8)
    assert_allclose(fit.x, np.exp(1) * np.array([1, 2]), rtol=1e-5)


def test_starts_may_be_lists_integers_and_numbers():
    fit = solvers.least_squares(lambda a, b: np.stack([a - 3, b[0] - 4, b[1] * 2 - 2]), 0, [1, 1])
    assert_allclose(fit.variables[0], 3)
    assert_allclose(fit.variables[1], [4, 1])
    fit = solvers.minimize(lambda a: (a - 2.0) ** 2, 1)
    assert_allclose(fit.x, [2])


def test_constraints_are_of_the_objectives_order():
    F = mj.compile(lambda X: np.sum(X * X), (2, 3), order="F")
    mask = np.array([[1.0, 0, 0], [0, 1.0, 2.0]])
    fit = solvers.minimize(F, np.ones((2, 3)), constraints=[(lambda X: np.sum(mask * X), 3.0, 3.0)], method="SLSQP")
    assert_allclose(fit.variables[0], mask / 2, atol=1e-6)


def test_of_the_time_and_of_several_unknowns():
    by_time = solvers.solve_ivp(lambda t, X: np.cos(t) * X, (0, 2), np.eye(2), rtol=1e-8, atol=1e-10)
    assert_allclose(by_time.variables[0], np.exp(np.sin(2)) * np.eye(2), atol=1e-5)
    pair = solvers.solve_ivp(
        lambda X, y: np.concatenate([(0 * X + y).ravel(), -y]), (0, 1), (np.zeros((2, 1)), np.ones(1)), rtol=1e-8
    )
    assert_allclose(pair.variables[0], np.full((2, 1), 1 - np.exp(-1)), atol=1e-5)
    timed = solvers.solve_ivp(lambda t, x, y: np.stack([y * t, 0 * x]), (0, 1), (0.0, 2.0), rtol=1e-8)
    assert_allclose(timed.variables[0], 1, atol=1e-5)


REFUSED = [
    (lambda: solvers.least_squares("gram", R0), TypeError, "^F: got str 'gram', expected a function of matrices, what"),
    (lambda: solvers.least_squares(np.ndarray, R0), TypeError, "^F: got type .*, expected a function of matrices"),
    (
        lambda: solvers.least_squares(gram),
        TypeError,
        "^start: got 0 arrays for F, which takes 1, expected one for each",
    ),
    (lambda: solvers.minimize(half, R0, R0), TypeError, "^start: got 2 arrays for F, which takes 1"),
    (lambda: solvers.root(lambda X, Y, Z=1: X, R0), TypeError, "^start: got 1 arrays for F, which takes 2 or more"),
    (lambda: solvers.solve_ivp(lambda t, X, Y: X, (0, 1), R0), TypeError, "^start: got 1 arrays for F, which takes 3"),
    (lambda: solvers.solve_ivp(3, (0, 1), R0), TypeError, "^F: got int 3, expected a function"),
    (lambda: solvers.minimize(half, "R0"), TypeError, r"^start\[0\]: got dtype"),
    (
        lambda: solvers.minimize(half, R0, constraints=[(lambda: 0, 0, 1)]),
        TypeError,
        r"^start: got 1 arrays for constraints\[0\]\[0\], which takes 0",
    ),
    (lambda: solvers.minimize(lambda R: 1.0, R0), mj.TracingError, "^fun: got float 1.0 as its value"),
    (lambda: solvers.minimize(gram, R0), ValueError, r"^F: got a function with values of shape \(3, 3\)"),
    (lambda: solvers.least_squares(half, R0), ValueError, "^F: got a function whose value is a number.*minimize$"),
    (
        lambda: solvers.least_squares(mj.Function(half, mj.compile(half, (3, 3)).jacobian, (3, 3)), R0),
        ValueError,
        "^F: got a function whose value is a number",
    ),
    (
        lambda: solvers.least_squares(mj.Function(half, mj.compile(half, (3, 3)).jacobian, (3, 3)), R0, method="trf"),
        ValueError,
        "^F: got a function whose value is a number",
    ),
    (
        lambda: solvers.least_squares(mj.Function(half, mj.compile(half, (3, 3)).jacobian, (3, 3)), R0, method="lbfgs"),
        ValueError,
        "^F: got a function whose value is a number",
    ),
    # options that would be ignored
    (lambda: solvers.minimize(half, R0, ftol=1e-3), TypeError, "^ftol: got an argument that minimize has not"),
    (
        lambda: solvers.minimize(half, R0, options={"xtol": 1}),
        TypeError,
        "^options: got 'xtol', which l-bfgs-b does not",
    ),
    (
        lambda: solvers.minimize(half, R0, method="trust-ncg", options={"ftol": 1}),
        TypeError,
        "^options: got 'ftol', which trust-ncg does not take, expected some of disp, eta, gtol",
    ),
    (
        lambda: solvers.minimize(half, R0, method="BFGS", bounds=(0, 1)),
        ValueError,
        r"^method \(with bounds\): got 'bfgs'",
    ),
    (
        lambda: solvers.root(gram, R0, method="hybr", options={"maxiter": 3}),
        TypeError,
        "^options: got 'maxiter', which hybr",
    ),
    (lambda: solvers.root(gram, R0, options={"xtol": 3}), ValueError, r"^options: got \['xtol'\]"),
    (
        lambda: solvers.solve_ivp(flow, (0, 1), R0, "RK45", min_step=1),
        TypeError,
        "^options: got 'min_step', which RK45 does not take",
    ),
    (lambda: solvers.solve_ivp(flow, (0, 1), R0, rtoll=1), TypeError, "^options: got 'rtoll', which BDF does not take"),
    (
        lambda: solvers.ipopt(half, R0, options={"hessian_approximation": "exact"}),
        TypeError,
        "^options: got hessian_approximation, which the argument hessian sets",
    ),
    (lambda: solvers.ipopt(half, R0, backend="ipyopt", options={"no_such_option": 1}), ValueError, "no_such_option"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.filterwarnings("ignore:delta_grad == 0.0")
@pytest.mark.parametrize(
    "method", ["Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA", "SLSQP",
               "trust-constr", "dogleg", "trust-ncg", "trust-krylov", "trust-exact"]
)  # fmt: skip
def test_every_method_of_scipys_with_its_options(method):
    options = {"tol": 1e-8} if method == "dogleg" else {"options": {"maxfun" if method == "TNC" else "maxiter": 400}}
    fit = solvers.minimize(
        lambda x: np.sum((x - 1.0) ** 2) + np.sum(x) ** 4, np.array([0.5, 0.2]), method=method, **options
    )
    assert_allclose(fit.fun, so.minimize(lambda x: np.sum((x - 1) ** 2) + np.sum(x) ** 4, [0.5, 0.2]).fun, atol=1e-3)
    assert fit.method == method
    assert fit.nit >= 0
    assert UNDOCUMENTED.keys() <= {"slsqp", "tnc", "trust-constr", "dogleg", "trust-ncg", "trust-krylov", "trust-exact"}


def test_fun_of_a_scalar_function_is_a_number():
    F, x = mj.compile(half, (3, 3)), R0.ravel()
    assert isinstance(F.fun(x), float)
    assert F.fun(x) == half(R0)
    assert isinstance(F.value_and_grad(x)[0], float)
    assert F.values(x).shape == (1,)
    assert isinstance(mj.Function(half, F.jacobian, (3, 3)).fun(x), float)
    # as SciPy wants it
    fit = so.minimize(F.fun, x, jac=F.grad, method="BFGS")
    assert_allclose(fit.fun, 0, atol=1e-8)
    fit = so.minimize(F.value_and_grad, x, jac=True)
    assert_allclose(fit.fun, 0, atol=1e-8)
    assert mj.compile(lambda X: np.sum(X).reshape(1), (3, 3)).fun(x).shape == (1,)
    assert solvers.root(lambda x: x**3 - 8.0, 3.0).x == pytest.approx([2])


STOPPED = {
    "least_squares": lambda p: solvers.least_squares(gram, R0, progress=p),
    "trf": lambda p: solvers.least_squares(gram, R0, method="trf", progress=p),
    "minimize": lambda p: solvers.minimize(half, R0, progress=p),
    "trust-constr": lambda p: solvers.minimize(half, R0, method="trust-constr", progress=p),
    "root": lambda p: solvers.root(gram, R0, progress=p),
    "hybr": lambda p: solvers.root(gram, R0, method="hybr", progress=p),
    "ipopt": lambda p: solvers.ipopt(half, R0, progress=p),
    "solve_ivp": lambda p: solvers.solve_ivp(flow, (0, 5), R0, progress=p),
}


@pytest.mark.parametrize("name", STOPPED)
def test_nit_of_runs_that_ended_and_that_were_stopped(name):
    fit = STOPPED[name](None)
    assert fit.success
    assert fit.nit > 2
    fit = STOPPED[name](lambda at: at.steps == 3)
    assert (fit.status, fit.nit) == (solvers.STOPPED, 2)
    assert len(fit.history) == 3


@pytest.mark.parametrize("backend", ["ipyopt", "cyipopt"])
def test_ipopt_tells_of_its_end(backend):
    pytest.importorskip(backend)
    # the nearest point of a disc, within bounds of which one holds
    target = np.array([3.0, 1.0, -2.0])
    F = mj.compile(lambda x: np.sum((x - target) ** 2), (3,))
    G = mj.compile(lambda x: np.stack([x[0] ** 2 + x[1] ** 2, x[0] * x[1]]).reshape(1, 2), (3,))
    fit = solvers.ipopt(F, np.full(3, 0.5), constraints=[(G, -np.inf, 2.0), (lambda x: x[1:] * 2.0, -9.0, 9.0)],
                        bounds=(-1.0, 5.0), backend=backend)  # fmt: skip
    assert fit.success
    first, second = fit.multipliers
    (lower,), (upper,) = fit.bound_multipliers
    assert (first.shape, second.shape, lower.shape, upper.shape) == ((1, 2), (2,), (3,), (3,))
    # by hand: x₂ is at its bound; of the first two, 2 (x − t) + 2 λ x = 0 on the circle
    assert_allclose(fit.x[2], -1, atol=1e-6)
    assert_allclose(fit.x[:2], target[:2] * np.sqrt(2 / 10), atol=1e-6)
    assert_allclose(first, [[np.sqrt(10 / 2) - 1, 0]], atol=1e-5)
    assert_allclose(second, 0, atol=1e-5)
    assert_allclose(lower, [0, 0, 2], atol=1e-5)
    assert_allclose(upper, 0, atol=1e-5)
    assert fit.constr_violation < 1e-7
    assert fit.optimality < 1e-6
    assert 3 < fit.nit < 60
    # what can't be met is missed by as much
    fit = solvers.ipopt(
        F, np.full(3, 0.5), constraints=[(lambda x: x @ x, 9.0, 9.0)], bounds=(-1.0, 1.0), backend=backend
    )
    assert not fit.success
    assert fit.constr_violation == pytest.approx(9 - fit.x @ fit.x, rel=1e-6)
    assert fit.constr_violation > 5
    plain = solvers.ipopt(F, np.zeros(3), backend=backend)
    assert plain.multipliers == []
    assert plain.constr_violation == 0


def test_the_time_is_kept_inside_inner_solves():
    n = 60
    B = rng.standard_normal((n, n)) / n

    def slow(X):
        return np.tanh(X @ X.T @ B) @ X - 1.0

    F, X = mj.compile(slow, (n, n)), rng.standard_normal((n, n))
    F.jac(X.ravel()).T @ F.fun(X.ravel())
    options = {"tr_solver": "lsmr", "tr_options": {"atol": 0, "btol": 0, "maxiter": 10**6, "conlim": 0}}
    for jac in ("operator", "csr"):
        F_used = F if jac == "operator" else mj.compile(lambda X: (np.tanh(X) * X @ B)[:, :20] - 1.0, (n, n))
        began = time.perf_counter()
        fit = solvers.least_squares(F_used, X, method="trf", jac=jac, seconds=1.0, **options)
        assert time.perf_counter() - began < 10
        assert fit.status == solvers.STOPPED
        assert "the 1 seconds were over" in fit.message
    inner = mj.compile(lambda X: np.sum(np.cos(X @ X.T @ B)) + 1e-3 * np.sum(X**4), (n, n))
    for method in ("trust-krylov", "trust-constr", "Newton-CG"):
        inner.hess(X.ravel()) @ X.ravel()
        began = time.perf_counter()
        fit = solvers.minimize(inner, X, method=method, seconds=0.3)
        assert time.perf_counter() - began < 5
        assert (fit.status, fit.nit) == (solvers.STOPPED, len(fit.history) - 1)
        assert "the 0.3 seconds were over" in fit.message


def test_products_stop_in_time():
    from matjac.solvers.watch import Stopped, Watch

    F = mj.compile(gram, (3, 3))
    watch = Watch(F, None, 1e-9)
    x, u = R0.ravel(), np.ones(9)
    for J in (F.jac(x), F.jac_csr(x)):
        timed = watch.timed(J)
        for act in (lambda t=timed: t @ x, lambda t=timed: t.T @ u, lambda t=timed: t.matmat(np.ones((9, 2)))):
            with pytest.raises(Stopped, match="products: the 1e-09 seconds were over"):
                act()
        watch.limit = 100.0
        assert_allclose(timed @ x, F.jac(x) @ x)
        assert_allclose(timed.rmatvec(u), F.jac(x).T @ u)
        watch.limit = 1e-9
    watch.limit = None
    assert watch.timed(J) is J
    fit = solvers.least_squares(F, R0, method="trf", jac="csr", seconds=100)
    assert fit.jac.nnz == F.jac(x).nnz
