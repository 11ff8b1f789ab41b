"""Systems of equations: textbook ones with known solutions, matrix equations, and ends that are none."""

import functools

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize as so
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import matjac as mj
from matjac import solvers
from matjac.solvers import steps

#: Before SciPy 1.16 it raises where it runs away, in its own words.
OLD = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 16)
ANDERSON = pytest.param("anderson", marks=pytest.mark.skipif(OLD, reason="SciPy's Anderson mixing raises"))

# Systems of Moré, Garbow and Hillstrom, "Testing unconstrained optimization software" (1981), by their numbers there.


def rosenbrock(x):  # 1
    return np.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def powell_singular(x):  # 13
    a, b, c, d = x
    return np.stack([a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2])


def powell_badly_scaled(x):  # 3
    return np.stack([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def wood(x):  # 14, the gradient's equations as MINPACK's tests have them
    a, b, c, d = x
    s, t = b - a**2, d - c**2
    return np.stack(
        [
            -200 * a * s - (1 - a),
            200 * s + 20.2 * (b - 1) + 19.8 * (d - 1),
            -180 * c * t - (1 - c),
            180 * t + 20.2 * (d - 1) + 19.8 * (b - 1),
        ]
    )


def helical_valley(x):  # 7
    a, b, c = x
    r = np.sqrt(a**2 + b**2)
    # the angle of (a, b), smooth but for a = 0, b < 0
    angle = np.pi / 2 - 2 * np.arctan(a / (r + b))
    return np.stack([10 * (c - 10 * angle / (2 * np.pi)), 10 * (r - 1), c])


def trigonometric(x):  # 26
    n = x.size
    return n - np.sum(np.cos(x)) + np.arange(1, n + 1) * (1 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):  # 27
    n = x.size
    product = functools.reduce(lambda a, b: a * b, [x[k] for k in range(n)])
    return np.concatenate([x[:-1] + np.sum(x) - (n + 1), np.stack([product - 1])])


def discrete_boundary_value(x):  # 28
    n, h = x.size, 1 / (x.size + 1)
    t = h * np.arange(1, n + 1)
    second = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()
    return second @ x + h**2 * (x + t + 1) ** 3 / 2


def discrete_integral(x):  # 29
    n, h = x.size, 1 / (x.size + 1)
    t = h * np.arange(1, n + 1)
    green = np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t))
    return x + h / 2 * (green @ (x + t + 1) ** 3)


def broyden_tridiagonal(x):  # 30
    n = x.size
    neighbours = sp.diags_array([-1.0, -2.0], offsets=[-1, 1], shape=(n, n)).tocsr()
    return (3 - 2 * x) * x + neighbours @ x + 1


def broyden_banded(x):  # 31
    n = x.size
    near = sp.csr_array(np.tri(n, n, 1) - np.tri(n, n, -6) - np.eye(n))
    return x * (2 + 5 * x**2) + 1 - near @ (x * (1 + x))


def chebyquad(x):  # 35
    n = x.size
    before, here, rows = np.ones(n), 2 * x - 1, []
    for k in range(1, n + 1):
        rows.append(np.sum(here) / n - (-1.0 / (k * k - 1) if k % 2 == 0 else 0.0))
        before, here = here, 2 * (2 * x - 1) * here - before
    return np.stack(rows)


def _grid(n):
    t = np.arange(1, n + 1) / (n + 1)
    return t * (t - 1)


SYSTEMS = {
    "Rosenbrock": (rosenbrock, [-1.2, 1]),
    "Powell singular": (powell_singular, [3.0, -1, 0, 1]),
    "Powell badly scaled": (powell_badly_scaled, [0.0, 1]),
    "Wood": (wood, [-3.0, -1, -3, -1]),
    "helical valley": (helical_valley, [-1.0, 0, 0]),
    "trigonometric": (trigonometric, np.full(10, 0.1)),
    "Brown almost linear": (brown_almost_linear, np.full(10, 0.5)),
    "discrete boundary value": (discrete_boundary_value, _grid(10)),
    "discrete integral": (discrete_integral, _grid(10)),
    "Broyden tridiagonal": (broyden_tridiagonal, np.full(10, -1.0)),
    "Broyden banded": (broyden_banded, np.full(10, -1.0)),
    "Chebyquad 5": (chebyquad, np.arange(1, 6) / 6),
    "Chebyquad 7": (chebyquad, np.arange(1, 8) / 8),
    "Chebyquad 9": (chebyquad, np.arange(1, 10) / 10),
}


#: From ten and a hundred times the start these end at a local minimum or crawl; most of MINPACK's fail too.
FAR = {
    ("trigonometric", 10),
    ("trigonometric", 100),
    ("Wood", 100),
    ("Powell badly scaled", 100),
    ("Chebyquad 5", 100),
} | {(f"Chebyquad {n}", factor) for n in (7, 9) for factor in (10, 100)}
rng = np.random.default_rng(5)


def written(F, x):
    """The largest residual of the function as it was written."""
    return np.abs(F.original(np.asarray(x))).max()


@pytest.mark.parametrize("jac", [None, "dense", "csr", "operator"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_textbook_systems(name, jac):
    function, start = SYSTEMS[name]
    F = mj.compile(function, np.asarray(start, float))
    fit = solvers.root(F, start, jac=jac)
    assert (fit.success, fit.status) == (True, 1)
    assert "solved" in fit.message
    assert written(F, fit.x) < 1e-9
    assert_allclose(fit.fun, F.original(fit.x), atol=1e-13)
    assert fit.nit < (60 if jac != "operator" else 200)
    assert fit.nit <= fit.nfev
    assert 0 < fit.njev <= fit.nfev
    assert fit.method.startswith({"csr": "newton-sparse", "operator": "newton-krylov"}.get(jac, "newton-dense"))


@pytest.mark.parametrize("factor", [10, 100])
@pytest.mark.parametrize("name", SYSTEMS)
def test_textbook_systems_from_afar(name, factor):
    function, start = SYSTEMS[name]
    F = mj.compile(function, np.asarray(start, float))
    with np.errstate(all="ignore"):
        fit = solvers.root(F, factor * np.asarray(start, float))
        assert fit.success or (name, factor) in FAR
        assert fit.success == (written(F, fit.x) < 1e-9)
        assert written(F, fit.x) <= written(F, factor * np.asarray(start, float))


def test_known_solutions():
    def solve(name):
        function, start = SYSTEMS[name]
        return solvers.root(mj.compile(function, np.asarray(start, float)), start)

    assert_allclose(solve("Rosenbrock").x, [1, 1])
    assert_allclose(solve("helical valley").x, [1, 0, 0], atol=1e-9)
    assert_allclose(solve("Powell singular").x, 0, atol=1e-6)
    assert_allclose(solve("Powell badly scaled").x, [1.098159e-5, 9.106146], rtol=1e-6)


# Matrix equations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", [None, "dense", "csr", "operator"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_riccati(jac, order):
    n = 8
    A = rng.standard_normal((n, n)) / np.sqrt(n) - 2 * np.eye(n)
    G, C = rng.standard_normal((2, n, n))
    B, Q = G @ G.T / n + 0.1 * np.eye(n), C @ C.T / n
    F = mj.compile(lambda X: A @ X + X @ A.T + Q - X @ B @ X, (n, n), order=order)
    fit = solvers.root(F, np.zeros((n, n)), jac=jac)
    assert fit.success
    exact = scipy.linalg.solve_continuous_are(A.T, np.linalg.cholesky(B), Q, np.eye(n))
    assert_allclose(fit.variables[0], exact, atol=1e-8)


def test_products_are_preconditioned_where_they_are_slow():
    n = 36  # 1,296 unknowns: products, and dense factors where these are slow
    S = np.diag(np.linspace(1, 40, n)) + rng.standard_normal((n, n)) / n
    F = mj.compile(lambda X: X @ X - S @ S, (n, n))
    start = S + 0.05 * rng.standard_normal((n, n))
    fit = solvers.root(F, start)
    assert fit.success
    assert fit.method == "newton-krylov"
    assert_allclose(fit.variables[0], S, atol=1e-6)
    # a rotation has eigenvalues all around zero, which GMRES needs all its steps for
    angles = np.linspace(0.1, 3.0, n // 2)
    turns = [[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles]
    R = scipy.linalg.block_diag(*turns)
    G = mj.compile(lambda X: R @ X - np.eye(n) + 0.01 * X @ X.T @ X, (n, n))
    fit = solvers.root(G, np.zeros((n, n)))
    assert fit.success
    assert_allclose(
        R @ fit.variables[0] + 0.01 * fit.variables[0] @ fit.variables[0].T @ fit.variables[0], np.eye(n), atol=1e-7
    )


@pytest.mark.parametrize(
    ("kind", "begin"),
    [(kind, begin) for kind in ("normal", "shifted", "square") for begin in ("identity", "M")] + [("square", "random")],
)
def test_square_roots_of_a_matrix(kind, begin):
    n = 8
    for seed in range(2):
        numbers = np.random.default_rng(seed)
        S = numbers.standard_normal((n, n))
        M = {"normal": S, "shifted": S / 3 + 3 * np.eye(n), "square": S @ S}[kind]
        start = {"identity": np.eye(n), "M": M, "random": numbers.standard_normal((n, n))}[begin]
        fit = solvers.root(mj.compile(lambda X, M=M: X @ X - M, (n, n)), start)
        (X,) = fit.variables
        largest = np.abs(X @ X - M).max()
        assert fit.success == (largest < 1e-8)
        plain = so.root(
            lambda x, M=M: ((X := x.reshape(n, n)) @ X - M).ravel(),
            start.ravel(),
            method="krylov",
            options={"maxiter": 200},
        )
        assert fit.success or not plain.success
        # no eigenvalue may be real and negative, but in pairs that random matrices haven't
        values = np.linalg.eigvals(M)
        if kind == "normal" and np.any((values.imag == 0) & (values.real < 0)):
            assert not fit.success
            assert "not solved" in fit.message


def test_a_long_chain_stays_sparse():
    n = 100_000
    second = sp.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()
    F = mj.compile(lambda u: second @ u + 3.0 * np.exp(u) / (n + 1) ** 2, (n,))
    fit = solvers.root(F, np.zeros(n))
    assert (fit.success, fit.method) == (True, "newton-sparse")
    # u = 2 log(cosh(θ) / cosh(θ (1 − 2t))), √(2λ) cosh θ... its greatest value is where θ = √(λ/2) cosh(θ) / 2
    theta = so.brentq(lambda a: a - np.sqrt(1.5) / 2 * np.cosh(a), 0, 1.1)
    assert fit.x.max() == pytest.approx(2 * np.log(np.cosh(theta)), rel=1e-3)


def test_an_arrow_is_sparse():
    n = 3000
    weights = rng.standard_normal(n) / n
    F = mj.compile(
        lambda x: np.concatenate([np.tanh(x[1:]) + x[1:] - x[0], np.stack([np.sum(weights * x) + x[0] - 1])]), (n,)
    )
    fit = solvers.root(F, np.zeros(n))
    assert (fit.success, fit.method) == (True, "newton-sparse")


# What a success is ------------------------------------------------------------------------------------


def test_tolerances_are_relative_to_the_terms():
    for scale in (1e-12, 1.0, 1e12):
        F = mj.compile(lambda X, scale=scale: scale * (X @ X - np.diag([4.0, 9.0])), (2, 2))
        fit = solvers.root(F, np.eye(2))
        assert fit.success
        assert_allclose(fit.variables[0], np.diag([2.0, 3.0]), atol=1e-8)
    F = mj.compile(lambda x: (x - 1) ** 2, (2,))  # a double root
    assert solvers.root(F, [3.0, 4.0]).success
    loose = solvers.root(F, [3.0, 4.0], tol=1e-2)
    assert loose.success
    assert 1e-4 < np.abs(loose.fun).max() <= 1e-2


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")  # of SciPy's Anderson mixing
@pytest.mark.parametrize("method", [None, "krylov", "hybr", "lm", "df-sane", "broyden1", ANDERSON])
def test_no_success_without_small_residuals(method):
    F = mj.compile(lambda x: np.stack([x[0] ** 2 + 1.0, x[1] - x[0]]), (2,))
    options = {"maxiter": 100} if method in ("krylov", "broyden1", "anderson") else {}
    with np.errstate(all="ignore"):
        fit = solvers.root(F, [0.7, 0.1], method=method, tol=1e-9, options=options)
    assert not fit.success
    assert written(F, fit.x) > 0.5


def test_what_scipy_calls_a_success_and_is_none():
    # lm ends at a local minimum, and SciPy says so as a success
    F = mj.compile(lambda x: np.stack([x[0] ** 2 + 1.0, x[1]]), (2,))
    plain = so.root(F.fun, [0.7, 0.1], method="lm", jac=lambda x: F.jac(x).toarray())
    assert plain.success
    fit = solvers.root(F, [0.7, 0.1], method="lm")
    assert (fit.success, fit.status) == (False, -1)
    assert "but the largest residual is 1" in fit.message
    newton = solvers.root(F, [0.7, 0.1])
    assert (newton.success, newton.status) == (False, 2)
    assert "local minimum" in newton.message


def test_tol_is_that_of_residuals():
    M = np.random.default_rng(0).standard_normal((8, 8))
    F = mj.compile(lambda X: X @ X - M @ M, (8, 8))
    for method in (None, "krylov"):
        fit = solvers.root(F, M + 0.1, method=method, tol=1e-9)
        assert fit.success == (np.abs(fit.variables[0] @ fit.variables[0] - M @ M).max() <= 2e-8)


@pytest.mark.parametrize("method", [None, "krylov", "hybr", "lm", "df-sane"])
def test_root_of_a_matrix(method):
    A = np.diag([4.0, 9.0, 16.0]) + 0.3 * rng.standard_normal((3, 3))
    F = mj.compile(lambda X: X @ X - A, (3, 3))
    seen = []
    fit = solvers.root(F, np.diag([2.0, 3.0, 4.0]), method=method, tol=1e-9, progress=seen.append)
    assert fit.success
    assert fit.method == (method or "newton-dense")
    assert fit.nit > 0
    assert_allclose(fit.variables[0] @ fit.variables[0], A, atol=1e-8)
    assert [at.steps for at in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].value < 1e-8


# Ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jac", ["dense", "csr", "operator"])
def test_singular_jacobians(jac):
    F = mj.compile(lambda v: np.stack([v[0] * v[1], v[0]]), (2,))
    fit = solvers.root(F, np.ones(2), jac=jac)
    assert fit.success
    assert_allclose(F(fit.x), 0, atol=1e-9)
    # singular at the start
    G = mj.compile(lambda x: np.stack([x[0] ** 2 + x[0] * x[1] - 2.0, x[1] - 1.0]), (2,))
    found = solvers.root(G, [-0.5, 1.0], jac=jac)
    assert found.success
    assert_allclose(G(found.x), 0, atol=1e-9)
    nothing = solvers.root(mj.compile(lambda X: X * 0.0 + 1.0, (2, 2)), np.ones((2, 2)), jac=jac)
    assert (nothing.success, nothing.status) == (False, 2)


@pytest.mark.parametrize("method", [None, "krylov"])
def test_a_start_at_a_singular_solution(method):
    fit = solvers.root(mj.compile(lambda X: X @ X, (2, 2)), np.zeros((2, 2)), method=method)
    assert (fit.success, fit.status, fit.nit) == (True, 1, 0)
    assert_array_equal(fit.fun, np.zeros(4))


@pytest.fixture
def slow_products(monkeypatch):
    """Products for all systems, and dense factors after two of them."""
    monkeypatch.setattr(steps, "SMALL", 0)
    monkeypatch.setattr(steps, "BRIEF", 2)


@pytest.mark.parametrize("name", SYSTEMS)
def test_textbook_systems_by_slow_products(name, slow_products):
    function, start = SYSTEMS[name]
    F = mj.compile(function, np.asarray(start, float))
    fit = solvers.root(F, start)
    assert fit.success
    assert written(F, fit.x) < 1e-8
    assert fit.method.startswith("newton-krylov")


def test_slow_products_are_preconditioned_by_factors_of_a_point_before(slow_products, monkeypatch):
    factorised = []
    factorize = steps.Dense.factorize
    monkeypatch.setattr(steps.Dense, "factorize", lambda self: factorised.append(self.x) or factorize(self))
    random = np.random.default_rng(0)
    Q = np.linalg.qr(random.standard_normal((12, 12)))[0]
    F = mj.compile(lambda x: Q @ x + 0.01 * x**3 - 1.0, (12,))
    fit = solvers.root(F, np.zeros(12))
    assert fit.success
    assert fit.method == "newton-krylov, preconditioned by dense factors"
    assert_allclose(fit.x, so.root(F.fun, np.zeros(12), tol=1e-13).x, rtol=1e-9)
    # twenty products are enough with the first ones
    assert len(factorised) == 1 < fit.nit


def test_slow_products_where_factors_are_singular(slow_products):
    F = mj.compile(lambda x: np.stack([x[0] ** 2 + x[0] * x[1] - 2.0, x[1] - 1.0, x[2] * x[1] - 3.0]), (3,))
    start = np.array([-0.5, 1.0, 1.0])
    assert np.linalg.matrix_rank(F.jac(start).toarray()) == 2
    fit = solvers.root(F, start)
    assert fit.success
    assert_allclose(F(fit.x), 0, atol=1e-9)
    assert "damped" in fit.message


@pytest.mark.parametrize("jac", ["dense", "csr", "operator"])
def test_columns_whose_norms_overflow_are_no_solution(jac):
    F = mj.compile(lambda x: 1e160 * (x - 1e-20), (3,))
    with np.errstate(over="ignore", invalid="ignore"):
        fit = solvers.root(F, np.full(3, 1e-19), jac=jac)
    assert (fit.success, fit.status) == (False, solvers.STOPPED)
    assert "norms of the Jacobian's columns" in fit.message
    assert_allclose(fit.x, 1e-19)


@pytest.mark.parametrize("error", [ValueError, NotImplementedError])
def test_a_mistake_while_another_way_is_tried_is_raised(error):
    F, starts = mj.compile(lambda x: x**2 + 1.0, (2,)), 0

    def wrong(x):
        nonlocal starts
        starts += np.array_equal(x, [0.7, 0.1])
        if starts > 1:
            raise error("of one's own")
        return F(x)

    with pytest.raises(error, match="of one's own"):
        solvers.root(mj.Function(wrong, F.jacobian, (2,)), [0.7, 0.1])
    assert starts == 2


def test_krylov_by_name_ends_with_a_message():
    # no direction helps
    fit = solvers.root(mj.compile(lambda x: np.exp(x) - np.exp(2 * x) - 3.0, (1,)), [-20.0], method="krylov")
    assert fit.status == solvers.STOPPED
    F = mj.compile(lambda X: X**2 + 1.0, (2, 2))
    fit = solvers.root(F, np.full((2, 2), 0.5), method="krylov", options={"maxiter": 10**6})
    assert not fit.success
    assert "after 200 more evaluations" in fit.message
    assert_allclose(fit.fun, F(fit.variables[0]).ravel())
    assert np.abs(fit.fun).max() == pytest.approx(1.0, abs=1e-2)
    constant = mj.compile(lambda X: X * 0.0 + 1.0, (2, 2))
    fit = solvers.root(constant, np.ones((2, 2)), method="krylov")
    assert not fit.success
    assert "Jacobian: Factor is exactly singular" in fit.message


def test_the_time_ends_inner_iterations():
    n = 30_000
    # a skew Jacobian of many scales: GMRES takes all it may
    weights = np.linspace(1, 1e4, n)
    F = mj.compile(lambda x: weights * np.roll(x, 1) - weights * np.roll(x, -1) + 1e-3 * x**3 - 1.0, (n,))
    fit = solvers.root(F, np.zeros(n), jac="operator", seconds=0.2)
    assert (fit.success, fit.status) == (False, solvers.STOPPED)
    assert "seconds were over" in fit.message
    assert fit.seconds < 2
    assert fit.fun.shape == (n,)


def test_too_many_steps():
    F = mj.compile(rosenbrock, (2,))
    fit = solvers.root(F, [-1.2, 1.0], options={"maxiter": 2})
    assert (fit.success, fit.status, fit.nit) == (False, 0, 2)
    assert "not solved in 2 steps" in fit.message


@pytest.mark.parametrize("jac", ["dense", "csr", "operator"])
def test_newton_stops_with_the_last_good_point(jac):
    count = 0
    G = mj.compile(lambda X: X @ X - 2 * np.eye(2), (2, 2))

    def wrong(X):
        nonlocal count
        count += 1
        return G(X) * (np.nan if count > 2 else 1.0)

    fit = solvers.root(mj.Function(wrong, G.jacobian, (2, 2)), np.eye(2) + 0.1, jac=jac)
    assert (fit.success, fit.status) == (False, solvers.STOPPED)
    assert "equations: 4 of 4 entries are not finite" in fit.message
    assert_allclose(fit.fun, G(fit.variables[0]).ravel())
    assert np.abs(fit.fun).max() < np.abs(G(np.eye(2) + 0.1)).max()


@pytest.mark.parametrize("method", [None, "hybr", "krylov"])
def test_a_jacobian_that_is_not_finite_stops(method):
    F = mj.compile(lambda x: np.sqrt(x) + x - 1.0, (2,))
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = solvers.root(F, [0.0, 1.0], method=method)
    assert fit.status == solvers.STOPPED
    assert "Jacobian: " in fit.message
    assert "entries are not finite" in fit.message


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"method": "newton"}, ValueError, "method: got 'newton'"),
        ({"jac": "sparse"}, ValueError, "jac: got 'sparse'"),
        ({"jac": "dense", "method": "hybr"}, ValueError, "jac: got 'dense' for SciPy's 'hybr'"),
        ({"tol": -1.0}, ValueError, "tol: got -1.0"),
        ({"options": {"xtol": 1e-3}}, ValueError, r"options: got \['xtol'\]"),
        ({"callback": print}, TypeError, "callback"),
    ],
)
def test_arguments_of_root(given, error, words):
    with pytest.raises(error, match=words):
        solvers.root(mj.compile(rosenbrock, (2,)), [-1.2, 1.0], **given)
