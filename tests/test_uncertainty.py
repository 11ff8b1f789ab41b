"""How sure a fit is: standard errors against textbook formulas, pseudo-inverses and simulations."""

import sys
import time
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

import matjac as mj
from matjac.solvers import rowspace, uncertainty

rng = np.random.default_rng(5)
X = rng.standard_normal((50, 4)) @ np.diag([1.0, 10.0, 0.1, 1.0])
y = X @ [1.0, 2.0, -3.0, 0.5] + 0.3 * rng.standard_normal(50)
M, N, K = 12, 9, 2
SEEN = np.nonzero(rng.random((M, N)) < 0.7)
TRUE_U, TRUE_V = rng.standard_normal((M, K)), rng.standard_normal((N, K))
Y = TRUE_U @ TRUE_V.T + 0.1 * rng.standard_normal((M, N))
#: The ways, and what makes `row_space` take them.
WAYS = ("singular values", "sparse factors", "superlu", "products")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    take(request.param, monkeypatch)
    return "sparse factors" if request.param == "superlu" else request.param


def take(name, monkeypatch):
    if name == "superlu":
        monkeypatch.setitem(sys.modules, "qdldl", None)
    if name != "singular values":
        monkeypatch.setattr(rowspace, "DENSE", 0)
        monkeypatch.setattr(rowspace, "factors_stay_sparse", lambda matrix: name != "products")


def predict(U, V):
    return U @ V.T


def factorisation(Y=Y, order="C"):
    return mj.compile(lambda U, V: (U @ V.T)[SEEN] - Y[SEEN], (M, K), (N, K), order=order)


def by_pseudo_inverse(F, x, J_G):
    J = F.jac(x).toarray()
    residuals = F.values(x)
    sigma2 = residuals @ residuals / (residuals.size - np.linalg.matrix_rank(J, tol=1e-9))
    inverse = np.linalg.pinv(J, rcond=1e-9)
    return sigma2 * (J_G @ inverse) @ (J_G @ inverse).T


def test_of_a_linear_model_the_textbook_formula(way):
    b = np.linalg.lstsq(X, y)[0]
    q = uncertainty(lambda b: X @ b - y, b)
    sigma2 = np.sum((X @ b - y) ** 2) / 46
    expected = sigma2 * np.linalg.inv(X.T @ X)
    assert (q.method, q.dof, q.free, q.rank) == (way, 46, 0, 4)
    assert_allclose(q.sigma2, sigma2)
    assert_allclose(q.stderr, np.sqrt(np.diag(expected)), rtol=1e-10)
    assert_allclose(q.covariance(np.arange(4)), expected, rtol=1e-9)
    assert_allclose(q.covariance([-1, 0], [2]), expected[[-1, 0]][:, [2]], rtol=1e-9)
    assert_allclose(q.covariance("b", ([1, 3],)), expected[:, [1, 3]], rtol=1e-9)
    assert_allclose(q.value, b)
    assert q.estimable.all()


def test_of_a_linear_model_as_statsmodels():
    api = pytest.importorskip("statsmodels.api")
    expected = api.OLS(y, X).fit()
    q = uncertainty(lambda b: X @ b - y, expected.params)
    assert_allclose(q.stderr, expected.bse, rtol=1e-10)
    assert_allclose(q.covariance(np.arange(4)), expected.cov_params(), rtol=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_factors_with_gaps_as_the_pseudo_inverse(way, order):
    F = factorisation(order=order)
    fit = mj.solvers.least_squares(F, TRUE_U, TRUE_V)
    G = mj.compile(predict, (M, K), (N, K), order=order)
    q = uncertainty(F, fit, of=G)
    expected = by_pseudo_inverse(F, fit.x, G.jac(fit.x).toarray())
    assert (q.free, q.dof, q.method) == (K * K, SEEN[0].size - (M + N) * K + K * K, way)
    assert_allclose(q.stderr, np.sqrt(np.diag(expected)).reshape(M, N, order=order), rtol=1e-7)
    assert_allclose(q.value, predict(*fit.variables))
    rows, cols = np.array([3, 50, 107]), ([0, 5], [8, 2])
    assert_allclose(q.covariance(rows), expected[np.ix_(rows, rows)], rtol=1e-6, atol=1e-9)
    flat = np.ravel_multi_index(cols, (M, N), order=order)
    assert_allclose(q.covariance(rows, cols), expected[np.ix_(rows, flat)], rtol=1e-6, atol=1e-9)
    # equal fits have equal errors, whatever their factors
    A = np.array([[2.0, 1.0], [0.0, 0.01]])
    U, V = fit.variables
    assert_allclose(uncertainty(F, U @ A, V @ np.linalg.inv(A).T, of=G).stderr, q.stderr, rtol=1e-6)


def test_factors_themselves_are_refused(way):
    F = factorisation()
    q = uncertainty(F, TRUE_U, TRUE_V)
    assert (q.free, len(q.value)) == (4, 2)
    with pytest.raises(
        ValueError,
        match=r"U\[0, 0\] is not estimable, nor are 41 more .* 4 free directions of the 42 unknowns.*moves [UV]\[",
    ):
        _ = q.stderr
    with pytest.raises(ValueError, match=r"V\[0, 1\] is not estimable.* 4 free"):
        q.covariance([M * K + 1])
    assert [part.shape for part in q.estimable] == [(M, K), (N, K)]
    assert not any(part.any() for part in q.estimable)


def test_what_no_residual_reaches_is_named(way):
    q = uncertainty(lambda a, b: np.concatenate([a[:2] - y[:2], a[:2] + b[0] - 1.0, b * 2.0]), np.zeros(3), np.zeros(1))
    assert (q.free, q.dof) == (1, 2)
    a, b = q.estimable
    assert (a.tolist(), b.tolist()) == ([True, True, False], [True])
    with pytest.raises(ValueError, match=r"a\[2\] is not estimable.*1 free direction of the 4.*moves a\[2\];"):
        _ = q.stderr
    assert q.covariance("b").shape == (1, 1)


def test_columns_that_depend_on_others_are_found(way):
    # b[1] = b[3], and b[4] is in none alone
    A = rng.standard_normal((30, 6))
    A[:, 3] = A[:, 1]
    A[:, 4] = A[:, 0] - A[:, 1]
    q = uncertainty(lambda b: A @ b - 1.0, np.zeros(6))
    assert (q.free, q.dof) == (2, 26)
    assert q.estimable.tolist() == [False, False, True, False, False, True]
    J_G = np.array([[0.0, 1, 0, 1, -1, 0], [1.0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0]])
    g = uncertainty(lambda b: A @ b - 1.0, np.zeros(6), of=lambda b: J_G @ b)
    F = mj.compile(lambda b: A @ b - 1.0, (6,))
    expected = by_pseudo_inverse(F, np.zeros(6), J_G)
    assert_allclose(g.covariance(np.arange(3)), expected, rtol=1e-9)


def test_units_do_not_matter(way):
    units = np.array([1e-8, 1e8, 1.0, 1e3])
    q = uncertainty(lambda b: X @ b - y, np.ones(4))
    scaled = uncertainty(lambda b: (X * units) @ b - y, np.ones(4) / units)
    assert (scaled.free, scaled.dof) == (0, 46)
    assert_allclose(scaled.stderr * units, q.stderr, rtol=1e-7)
    # the same beside free directions
    F = mj.compile(lambda U, V: (1e8 * U @ V.T)[SEEN] * 1e-8 - Y[SEEN], (M, K), (N, K))
    s = 1e8
    plain = uncertainty(factorisation(), TRUE_U, TRUE_V, of=predict)
    far = uncertainty(F, TRUE_U * s, TRUE_V / s, of=predict)
    assert far.free == 4
    assert_allclose(far.stderr, plain.stderr, rtol=1e-6)


def test_a_rank_that_is_not_clear_is_refused(monkeypatch):
    # singular values that fall by a factor of four each, down to rounding
    Q = np.linalg.qr(rng.standard_normal((40, 30)))[0]
    P = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    A = (Q * 4.0 ** -np.arange(30)) @ P
    with pytest.raises(ValueError, match=r"rank is not clear: of its singular values.*rtol="):
        uncertainty(lambda b: A @ b - 1.0, np.zeros(30))
    assert uncertainty(lambda b: A @ b - 1.0, np.zeros(30), rtol=1e-6).free > 5
    take("sparse factors", monkeypatch)
    with pytest.raises(ValueError, match="rank is not clear"):
        uncertainty(lambda b: A @ b - 1.0, np.zeros(30))


@pytest.mark.parametrize("part", [1e-4, 1e-5, 1e-6])
def test_directions_that_are_nearly_free_have_errors(monkeypatch, part):
    # beyond what sparse factors of the squares tell from zero products take over
    A = rng.standard_normal((30, 6))
    A[:, 3] = A[:, 1] + part * rng.standard_normal(30)
    expected = uncertainty(lambda b: A @ b - 1.0, np.zeros(6)).stderr
    take("sparse factors", monkeypatch)
    q = uncertainty(lambda b: A @ b - 1.0, np.zeros(6))
    assert_allclose(q.stderr, expected, rtol=1e-5)
    assert q.method == ("sparse factors" if part > 3e-5 else "products")


def test_systems_that_are_not_solved_are_refused(monkeypatch):
    A = rng.standard_normal((30, 6))
    A[:, 3] = A[:, 1] + 4e-5 * rng.standard_normal(30)
    take("sparse factors", monkeypatch)
    monkeypatch.setattr(rowspace, "REFINED", 1)
    q = uncertainty(lambda b: A @ b - 1.0, np.zeros(6))
    with pytest.raises(ValueError, match=r"rank is not clear: sparse factors leave .* of a system with JᵀJ"):
        _ = q.stderr
    take("products", monkeypatch)
    monkeypatch.setattr(rowspace, "ITERATIONS", 2)
    with pytest.raises(ValueError, match="rank is not clear: 2 iterations did not solve a system"):
        uncertainty(lambda b: A @ b - 1.0, np.zeros(6))


def test_more_free_directions_than_are_tried_are_refused(monkeypatch):
    A = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 30))
    take("products", monkeypatch)
    assert uncertainty(lambda b: A @ b - 1.0, np.zeros(30)).free == 26
    monkeypatch.setattr(rowspace, "PROBES", 16)
    with pytest.raises(ValueError, match=r"more than 16 free directions .* expected fewer for 30 unknowns"):
        uncertainty(lambda b: A @ b - 1.0, np.zeros(30))


def test_residuals_that_no_unknown_changes(way):
    q = uncertainty(lambda b: np.sin(b - b) * y[:6] - y[:6], np.zeros(6), of=lambda b: 0.0 * b)
    assert (q.rank, q.free, q.dof, q.method) == (0, 6, 6, way)
    assert q.stderr.tolist() == [0.0] * 6
    assert_allclose(q.sigma2, np.mean(y[:6] ** 2))
    with pytest.raises(ValueError, match=r"b\[0\] is not estimable, nor are 5 more"):
        _ = uncertainty(lambda b: np.sin(b - b) * y[:6] - y[:6], np.zeros(6)).stderr


def test_zeros_that_rounding_lifts_are_zeros():
    A = rng.standard_normal((30, 6))
    A[:, 3] = A[:, 1] + 3e-14 * rng.standard_normal(30)
    assert uncertainty(lambda b: A @ b - 1.0, np.zeros(6)).free == 1
    A[:, 3] = A[:, 1] + 1e-7 * rng.standard_normal(30)
    assert uncertainty(lambda b: A @ b - 1.0, np.zeros(6)).free == 0


def test_written_functions_wide_and_tall_ones_single_precision():
    F = mj.Function(lambda b: X @ b - y, lambda b: mj.d_matvec_dx(X), (4,))
    G = mj.Function(lambda b: np.outer(b[:2], [1.0, 2.0]) @ [0.5, 0.25], lambda b: mj.d_matvec_dx(np.eye(2, 4)), (4,))
    q = uncertainty(F, np.ones(4), of=G)
    assert_allclose(q.stderr, uncertainty(F, np.ones(4)).stderr[:2])
    wide = uncertainty(lambda b: X[:3] @ b, np.zeros(4), sigma2=1.0, of=lambda b: X[:3] @ b)
    assert_allclose(wide.covariance(np.arange(3)), np.eye(3), atol=1e-12)
    assert (wide.free, wide.dof) == (1, 0)
    tall = np.tile(X, (3000, 1))
    q = uncertainty(lambda b: tall @ b, np.ones(4), sigma2=1.0)
    assert_allclose(q.stderr, np.sqrt(np.diag(np.linalg.inv(tall.T @ tall))))
    U, V = TRUE_U.astype(np.float32), TRUE_V.astype(np.float32)
    q = uncertainty(lambda U, V: (U @ V.T)[SEEN] - Y[SEEN].astype(np.float32), U, V, of=predict)
    assert q.free == 4
    assert_allclose(q.stderr, uncertainty(factorisation(), TRUE_U, TRUE_V, of=predict).stderr, rtol=1e-3)


def test_a_known_variance_and_a_number():
    q = uncertainty(lambda b: X @ b - y, np.zeros(4), of=lambda b: b[0] * b[3] + np.sum(b), sigma2=4.0)
    J_G = np.ones(4)
    assert q.stderr.shape == ()
    assert_allclose(q.stderr**2, 4.0 * J_G @ np.linalg.inv(X.T @ X) @ J_G)
    assert (q.sigma2, q.dof) == (4.0, 46)
    assert repr(q) == "<Uncertainty of G (): dof 46, free 0, sigma2 4>"
    # what does not depend on the unknowns is sure
    assert uncertainty(lambda b: X @ b - y, np.zeros(4), of=lambda b: 0.0 * b).stderr.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_unknowns_at_a_bound_are_held(way, order):
    b = np.linalg.lstsq(X, y)[0]
    low, high = (-np.inf, -np.inf, b[2], -np.inf), (b[0], np.inf, np.inf, np.inf)
    q = uncertainty(lambda b: X @ b - y, b, bounds=(list(low), list(high)))
    assert (q.method, q.free) == (way, 0)
    kept = X[:, [1, 3]]
    sigma2 = np.sum((X @ b - y) ** 2) / 48
    expected = np.zeros((4, 4))
    expected[np.ix_([1, 3], [1, 3])] = sigma2 * np.linalg.inv(kept.T @ kept)
    assert (q.dof, q.free, q.rank) == (48, 0, 2)
    assert q.held.dtype == q.estimable.dtype == bool
    assert q.held.tolist() == [True, False, True, False]
    assert q.estimable.all()
    assert_allclose(q.covariance(np.arange(4)), expected, rtol=1e-9)
    # the factors of U Vᵀ: rows of U that are held make V's, and so the others, estimable
    F = factorisation(order=order)
    upper = np.full((M, K), np.inf)
    upper[:2] = TRUE_U[:2]
    G = mj.compile(predict, (M, K), (N, K), order=order)
    for of in (None, G):
        q = uncertainty(F, TRUE_U, TRUE_V, bounds=(None, (upper, None)), of=of)
        U_held, V_held = q.held
        assert U_held.sum() == 4
        assert not V_held.any()
        moving = np.flatnonzero(~F.pack(*q.held).astype(bool))
        J, J_G = (f.jac(F.pack(TRUE_U, TRUE_V)).toarray()[:, moving] for f in (F, G))
        J_G = np.eye(42)[:, moving] if of is None else J_G
        inverse = np.linalg.inv(J.T @ J) * q.sigma2
        assert (q.free, q.dof) == (0, SEEN[0].size - moving.size)
        flat = np.concatenate([np.ravel(s, order) for s in (q.stderr if of is None else [q.stderr])])
        assert_allclose(flat, np.sqrt(np.einsum("ij,jk,ik->i", J_G, inverse, J_G)), rtol=1e-7, atol=1e-12)


def test_what_stays_free_beside_a_bound_is_named(way):
    # one entry of U is held: of the four free directions three are left
    upper = np.full((M, K), np.inf)
    upper[3, 1] = TRUE_U[3, 1]
    q = uncertainty(factorisation(), TRUE_U, TRUE_V, bounds=(None, (upper, None)))
    assert q.free == 3
    with pytest.raises(ValueError, match=r"along 3 free directions of the 41 unknowns that are not at a bound.*moves"):
        q.covariance([0])
    assert q.covariance([7]) == 0


def test_a_fit_knows_its_bounds():
    fit = mj.solvers.least_squares(lambda b: X @ b - y, np.zeros(4), bounds=(-2.5, 2.5))
    q = uncertainty(lambda b: X @ b - y, fit)
    assert q.held.tolist() == (np.abs(fit.x) == 2.5).tolist()
    assert 0 < q.held.sum() < 4
    assert_allclose(q.stderr, uncertainty(lambda b: X @ b - y, fit.x, bounds=(-2.5, 2.5)).stderr)
    assert np.array_equal(q.stderr == 0, q.held)
    # all of them held
    q = uncertainty(lambda b: X @ b - y, np.ones(4), bounds=(1, None))
    assert (q.dof, q.rank, q.stderr.tolist()) == (50, 0, [0, 0, 0, 0])


def covered(fits, seed):
    """How often the true entries of U Vᵀ are within 1.96 errors, of so many fits to fresh noise."""
    random, truth = np.random.default_rng(seed), TRUE_U @ TRUE_V.T
    F = mj.compile(lambda U, V, Z: (U @ V.T)[SEEN] - Z, (M, K), (N, K), SEEN[0].shape)
    G = mj.compile(predict, (M, K), (N, K))
    inside = []
    for _ in range(fits):
        at = F.bind(Z=truth[SEEN] + 0.02 * random.standard_normal(SEEN[0].size))
        fit = mj.solvers.least_squares(at, TRUE_U, TRUE_V)
        q = uncertainty(at, fit, of=G)
        factor = student(q.dof)
        inside.append(np.abs(q.value - truth) <= factor * q.stderr)
    return np.mean(inside)


def student(dof):
    from scipy.stats import t

    return t.ppf(0.975, dof)


def test_covered_at_the_nominal_rate():
    assert abs(covered(300, 1) - 0.95) < 0.03


@pytest.mark.slow
def test_a_hundred_thousand_unknowns():
    n = 320
    F = mj.compile(lambda X: np.concatenate([(X[1:] - X[:-1]).ravel(), (X[:, 1:] - X[:, :-1]).ravel()]), (n, n))
    start = time.perf_counter()
    tracemalloc.start()
    q = uncertainty(F, np.zeros((n, n)), of=lambda X: X - X[0, 0], sigma2=1.0)
    found = q.covariance(([0, 1, n - 1], [1, 1, n - 1]))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (q.free, q.method) == (1, "sparse factors")
    # resistances of a square grid from its corner, where symmetry and the first neighbours tell them
    assert 0.5 < found[0, 0] < 0.75
    assert_allclose(found[0, 0], q.covariance(([1], [0]))[0, 0], rtol=1e-9)
    assert found[2, 2] > found[1, 1] > found[0, 0]
    assert time.perf_counter() - start < 30
    assert most < 5e8
    with pytest.raises(ValueError, match=r"X\[0, 5\] is not estimable.*1 free direction of the 102400"):
        uncertainty(F, np.zeros((n, n)), sigma2=1.0).covariance([5])


def test_a_grid_as_its_pseudo_inverse(monkeypatch):
    take("sparse factors", monkeypatch)
    F = mj.compile(lambda X: np.concatenate([(X[1:] - X[:-1]).ravel(), (X[:, 1:] - X[:, :-1]).ravel()]), (9, 9))
    J = F.jac(np.zeros(81)).toarray()
    expected = np.linalg.pinv(J.T @ J, rcond=1e-12)
    q = uncertainty(F, np.zeros((9, 9)), of=lambda X: X - np.mean(X), sigma2=1.0)
    assert_allclose(q.covariance(np.arange(81)), expected, atol=1e-12)


def test_covariances_in_blocks(monkeypatch, way):
    F = factorisation()
    q = uncertainty(F, TRUE_U, TRUE_V, of=predict)
    whole, some, errors = q.covariance(np.arange(30)), q.covariance(np.arange(30), [5, 40, 2]), q.stderr
    monkeypatch.setattr(sys.modules["matjac.solvers.uncertainty"], "BLOCK", 300)
    monkeypatch.setattr(sys.modules["matjac.solvers.uncertainty"], "KEPT", 700)
    q = uncertainty(F, TRUE_U, TRUE_V, of=predict)
    assert_allclose(q.covariance(np.arange(30)), whole, atol=1e-12)
    assert_allclose(q.covariance(np.arange(30), [5, 40, 2]), some, atol=1e-12)
    assert_allclose(q.stderr, errors)


def other(b, c):
    return b


REFUSED = {
    "no degrees of freedom": (lambda: uncertainty(lambda b: X[:4] @ b, np.ones(4)), ValueError, "no degree of freedom"),
    "a shape": (lambda: uncertainty(factorisation(), TRUE_U, TRUE_V.T), ValueError, r"V: got shape"),
    "too few": (lambda: uncertainty(factorisation(), TRUE_U), TypeError, "got 1, expected 2: U, V"),
    "a number": (lambda: uncertainty(lambda b: np.sum(b), np.ones(4)), ValueError, "residuals"),
    "no function": (lambda: uncertainty(3.0, np.ones(4)), TypeError, "F: got"),
    "of other unknowns": (
        lambda: uncertainty(factorisation(), TRUE_U, TRUE_V, of=mj.compile(np.sum, (3, 3))),
        ValueError,
        "of: got a function of .* expected one of <Variables U",
    ),
    "of another order": (
        lambda: uncertainty(factorisation(), TRUE_U, TRUE_V, of=mj.compile(predict, (M, K), (N, K), order="F")),
        ValueError,
        "of: got .*order 'F'",
    ),
    "of no function": (lambda: uncertainty(factorisation(), TRUE_U, TRUE_V, of=2.0), TypeError, "of: got"),
    "not finite": (lambda: uncertainty(lambda b: X @ b, np.full(4, np.nan)), ValueError, "finite"),
    "residuals not finite": (lambda: uncertainty(lambda b: np.log(X @ b), np.ones(4)), ValueError, "not finite"),
    "complex": (lambda: uncertainty(lambda b: X @ b, np.ones(4) * 1j), TypeError, "real"),
    "a negative variance": (lambda: uncertainty(lambda b: X @ b, np.ones(4), sigma2=-1.0), ValueError, "sigma2"),
    "an infinite variance": (
        lambda: uncertainty(lambda b: X @ b, np.ones(4), sigma2=np.inf),
        ValueError,
        "sigma2: got inf",
    ),
    "singular values of many": (
        lambda: uncertainty(lambda b: b, np.ones(1501), rtol=1e-9, sigma2=1.0),
        ValueError,
        "rtol: got 1e-09 for 1501",
    ),
    "outside its bounds": (lambda: uncertainty(lambda b: X @ b, np.ones(4), bounds=(2, 3)), ValueError, "within its"),
    "bounds of another shape": (
        lambda: uncertainty(factorisation(), TRUE_U, TRUE_V, bounds=((0, 0, 0), None)),
        ValueError,
        r"bounds\[0\]: got 3 parts",
    ),
    "SciPy's result": (lambda: uncertainty(factorisation(), mj.solvers.Fit(x=np.ones(42))), TypeError, "least_squares"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_refused_at_the_door(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([108], IndexError, "rows: got 108, expected an index of 108"),
        ([0.5], TypeError, "expected integers"),
        (([0], [0], [0]), TypeError, "tuple of 3 parts, expected one for each axis"),
        ("U", ValueError, "rows: got 'U', expected"),
    ],
)
def test_entries_that_there_are_not(rows, error, message):
    with pytest.raises(error, match=message):
        uncertainty(factorisation(), TRUE_U, TRUE_V, of=predict).covariance(rows)


@pytest.mark.slow
def test_many_rows_that_are_seen_too_seldom(monkeypatch):
    # 200 rows of U with one entry seen, or none, where two are needed: more free directions than are tried
    random = np.random.default_rng(8)
    r = np.concatenate([np.repeat(np.arange(100), 12), np.arange(200, 300)])
    c = np.concatenate([np.tile(np.arange(12), 100), random.integers(12, size=100)])
    F = mj.compile(lambda U, V: (U @ V.T)[r, c], (300, 2), (12, 2))
    U, V = random.standard_normal((300, 2)), random.standard_normal((12, 2))
    expected = uncertainty(F, U, V, of=predict, sigma2=1.0)
    assert (expected.free, expected.estimable.sum()) == (304, 1300)
    for way in ("products", "sparse factors"):
        take(way, monkeypatch)
        q = uncertainty(F, U, V, of=lambda U, V: (U @ V.T)[::10], sigma2=1.0)
        assert (q.free, q.method) == (304, way)
        assert np.array_equal(q.estimable, expected.estimable[::10])
        places = np.nonzero(q.estimable)
        rows = np.ravel_multi_index((places[0] * 10, places[1]), (300, 12))
        assert_allclose(q.covariance(places), expected.covariance(rows), atol=1e-9)
    with pytest.raises(ValueError, match=r"U\[150, 0\] is not estimable.* 304 free directions .*moves U\[150, 0\];"):
        uncertainty(F, U, V, sigma2=1.0).covariance([300])
