"""Fits of matrices whose optima are known: made so, given by a formula, or found by another way to them."""

import numpy as np
import pytest
from certified import mgh
from certified.bundle import scene
from certified.methods import METHODS, solve
from numpy.testing import assert_allclose
from scipy import optimize
from scipy.spatial.distance import pdist, squareform
from sklearn.datasets import load_digits
from sklearn.decomposition import non_negative_factorization

import matjac as mj

pytestmark = pytest.mark.parametrize("method", METHODS)
LARGE = pytest.param(10_000, marks=pytest.mark.slow)


def rosenbrock_chain(x):
    return np.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


@pytest.mark.parametrize("n", [1_000, LARGE])
def test_rosenbrock_chain(n, method):
    # from farther away any method goes along the chain one unknown after another
    fit = solve(mj.compile(rosenbrock_chain, (n,)), np.full(n, 0.5), method=method)
    assert_allclose(fit.x, 1, atol=1e-6)


@pytest.mark.parametrize("n", [1_000, LARGE])
@pytest.mark.parametrize("number", ["21", "22", "30"])
def test_chains_of_more_garbow_hillstrom(number, n, method):
    problem = mgh.PROBLEMS[number]
    start = np.resize(problem.start, n)
    fit = solve(mj.compile(problem.fun, (n,)), start, method=method)
    assert 2 * fit.cost <= 1e-12 * n


@pytest.mark.parametrize("n", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_points_from_their_distances(n, method):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((n, 2))
    i, j = np.triu_indices(n, 1)
    distances = pdist(points)
    F = mj.compile(lambda P: np.sqrt(np.sum((P[i] - P[j]) ** 2, axis=1)) - distances, (n, 2))
    (found,) = solve(F, points + 0.2 * rng.standard_normal((n, 2)), method=method).variables
    # as far apart, in whatever place and turned however
    assert_allclose(pdist(found), distances, atol=1e-6)


def kkt(fit, gradient):
    """The largest entry of the gradient that bounds from below by 0 do not explain."""
    return np.abs(np.where(fit.x > 0, gradient, np.minimum(gradient, 0)) * np.minimum(fit.x, 1)).max()


@pytest.mark.parametrize("images", [100, pytest.param(1_797, marks=pytest.mark.slow)])
def test_non_negative_factors(images, method):
    """The digits: a local optimum by its conditions, about as good as scikit-learn's from the same start."""
    X, rank = load_digits().data[:images] / 16, 5
    rng = np.random.default_rng(0)
    U, V = rng.random((images, rank)), rng.random((64, rank))
    F = mj.compile(lambda U, V: U @ V.T - X, U.shape, V.shape)
    fit = solve(F, U, V, method=method, bounds=(0, None))
    assert (fit.x >= 0).all()
    W, H, _ = non_negative_factorization(
        X, U.copy(), np.ascontiguousarray(V.T), n_components=rank, init="custom", tol=1e-8, max_iter=20_000
    )
    assert fit.cost <= (1 + 2e-2) * 0.5 * np.sum((W @ H - X) ** 2)
    assert kkt(fit, F.jac(fit.x).T @ F.fun(fit.x)) <= 1e-3 * images**0.5


def test_non_negative_factors_that_are_there(method):
    rng = np.random.default_rng(0)
    U, V = (rng.random(shape) * (rng.random(shape) < 0.6) for shape in ((60, 4), (40, 4)))
    X = U @ V.T
    F = mj.compile(lambda U, V: U @ V.T - X, U.shape, V.shape)
    near = [np.abs(part + 0.1 * rng.standard_normal(part.shape)) for part in (U, V)]
    fit = solve(F, *near, method=method, bounds=(0, None))
    assert fit.cost <= 1e-8 * np.sum(X**2)


def factor_model(S, rank):
    return mj.compile(lambda L, psi: L @ L.T + np.diag(psi) - S, (len(S), rank), (len(S),))


def test_factor_analysis_recovers_the_variances(method):
    rng = np.random.default_rng(0)
    L, psi = rng.standard_normal((20, 3)), rng.uniform(0.2, 2, 20)
    start = L + 0.3 * rng.standard_normal(L.shape), np.ones(20)
    fit = solve(factor_model(L @ L.T + np.diag(psi), 3), *start, method=method, bounds=((None, 0), None))
    assert_allclose(fit.variables[1], psi, atol=1e-5)
    assert_allclose(fit.variables[0] @ fit.variables[0].T, L @ L.T, atol=1e-5)


def test_factor_analysis_with_variances_at_zero(method):
    """Of few samples: the loadings that go with ψ are eigenvectors of S − diag ψ, which leaves a problem of ψ alone."""
    rng = np.random.default_rng(3)
    n, rank = 10, 4
    A = rng.standard_normal((25, rank)) @ rng.standard_normal((rank, n)) + rng.standard_normal((25, n))
    S = np.corrcoef(A.T)

    def reduced(psi):
        values, vectors = np.linalg.eigh(S - np.diag(psi))
        left = np.concatenate([values[:-rank], np.minimum(values[-rank:], 0)])
        E = vectors @ (left[:, None] * vectors.T)
        return 0.5 * left @ left, -np.diag(E)

    start = np.full(n, 0.5)
    known = optimize.minimize(
        reduced, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * n, options={"ftol": 1e-15, "gtol": 1e-10}
    )
    assert known.x.min() == 0
    L = np.linalg.eigh(S - np.diag(start))[1][:, -rank:]
    fit = solve(factor_model(S, rank), L, start, method=method, bounds=((None, 0), None))
    assert fit.x[L.size :].min() >= 0
    assert fit.cost <= (1 + 1e-5) * known.fun


@pytest.mark.parametrize("observations", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_bundle_adjustment_without_noise(observations, method):
    data = scene(observations)
    F = mj.compile(data.residuals, data.T.shape, data.P.shape)
    fit = solve(F, *data.start(), method=method)
    assert_allclose(F.fun(fit.x), 0, atol=1e-6)


@pytest.mark.parametrize("observations", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_bundle_adjustment(observations, method):
    data = scene(observations, noise=1e-3)
    F = mj.compile(data.residuals, data.T.shape, data.P.shape)
    fit = solve(F, *data.start(), method=method)
    residuals, jacobian = data.by_hand()
    x0 = F.pack(*data.start())
    # LSMR needs many steps along the gauge's directions, which cost nothing
    options = {"x_scale": "jac", "tr_options": {"atol": 1e-3, "btol": 1e-3}, "ftol": 1e-9}
    known = optimize.least_squares(residuals, x0, jacobian, **options)
    assert fit.cost <= (1 + 1e-5) * known.cost


def test_low_rank_with_missing_entries(method):
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((60, 3)), rng.standard_normal((50, 3))
    rows, cols = np.nonzero(rng.random((60, 50)) < 0.5)
    known = (U @ V.T)[rows, cols]
    F = mj.compile(lambda U, V: (U @ V.T)[rows, cols] - known, U.shape, V.shape)
    near = [part + 0.3 * rng.standard_normal(part.shape) for part in (U, V)]
    found = solve(F, *near, method=method).variables
    # the entries that no one saw too
    assert_allclose(found[0] @ found[1].T, U @ V.T, atol=1e-5)


def gram_matrix(kind, n=80, rank=8):
    rng = np.random.default_rng(0)
    if kind == "normal":
        A = rng.standard_normal((rank, n))
        return A.T @ A + 0.1 * np.cov(rng.standard_normal((n, 2 * n)))
    squares = squareform(pdist(rng.standard_normal((n, 2)), "sqeuclidean"))
    return np.exp(-squares / 2)


@pytest.mark.parametrize("kind", ["normal", "kernel"])
def test_gram_fit_is_the_truncated_spectrum(kind, method):
    K, rank = gram_matrix(kind), 8
    F = mj.compile(lambda R: R.T @ R - K, (rank, len(K)))
    fit = solve(F, 0.1 * np.random.default_rng(1).standard_normal((rank, len(K))), method=method)
    left = np.linalg.eigvalsh(K)[:-rank]
    assert_allclose(fit.cost, 0.5 * left @ left, rtol=1e-6)


def test_gram_fit_with_missing_entries(method):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, 80))
    K = A.T @ A
    hidden = np.triu(rng.random(K.shape) < 0.5, 1)
    weights = 1.0 - (hidden | hidden.T)
    F = mj.compile(lambda R: weights * (R.T @ R - K), A.shape)
    (R,) = solve(F, A + 0.3 * rng.standard_normal(A.shape), method=method).variables
    assert_allclose(R.T @ R, K, atol=1e-5)
