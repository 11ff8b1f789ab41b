"""Factor analysis by maximum likelihood: Σ ≈ L Lᵀ + D with few columns in L and a positive diagonal D.

L is zero above its diagonal, which leaves out rotations of the factors; D is positive, for its free entries are
logarithms. The log-likelihood is that of scikit-learn's FactorAnalysis.

The measurements are those of breast tumours.
"""

import time

import numpy as np
from common import console, options, progress, save
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import FactorAnalysis

import matjac as mj


def samples(features):
    """Standardised measurements, and their names."""
    data = load_breast_cancer()
    X = data.data[:, :features]
    return (X - X.mean(axis=0)) / X.std(axis=0), data.feature_names[:features]


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
    given = options(__doc__, "factor_analysis", argv, features=30, k=4)
    X, names = samples(given.features)
    S = X.T @ X / len(X)
    constant = 0.5 * given.features * np.log(2 * np.pi)
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
        peer = FactorAnalysis(given.k, tol=1e-10, max_iter=20_000, svd_method="lapack").fit(X)
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
